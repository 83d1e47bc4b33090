package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/metric"
	"github.com/mailtura/mailtura/internal/store/db"
)

// tailChunk is how many events are read at a time that are not rolled up yet.
const tailChunk = 10_000

// Metrics counts what is asked for: what is rolled up, and the events that are not yet. It sees
// both at one instant, so that no event is missed or counted twice.
func (s *Store) Metrics(ctx context.Context, tenantID string, q metric.Query) (table *metric.Table, err error) {
	err = s.inTenantSnapshot(ctx, "read metrics", tenantID, func(tx pgx.Tx) error {
		table, err = readMetrics(ctx, tx, tenantID, q)
		return err
	})
	return table, err
}

// inTenantSnapshot is inTenant with all statements at one instant.
func (s *Store) inTenantSnapshot(ctx context.Context, operation, tenantID string, fn func(pgx.Tx) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return translate(operation, pgx.BeginTxFunc(ctx, s.request, options, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('mailtura.tenant_id', $1, true)", tenantID); err != nil {
			return err
		}
		return fn(tx)
	}))
}

func readMetrics(ctx context.Context, tx pgx.Tx, tenantID string, asked metric.Query) (*metric.Table, error) {
	q := db.New(tx)
	cursor, err := q.GetMetricCursor(ctx, tenantID)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	tail, err := tallyTail(ctx, q, tenantID, cursor.EventID, asked.Zone)
	if err != nil {
		return nil, err
	}
	r := newReading(tx, tenantID, asked, cursor.Timezone)
	if err := r.read(ctx, tail); err != nil {
		return nil, err
	}
	r.sheet.AddTally(tail)
	return r.sheet.Table(), nil
}

// tallyTail counts the events behind one.
func tallyTail(ctx context.Context, q *db.Queries, tenantID string, after uuid.UUID, zone *time.Location) (*metric.Tally, error) {
	tail, counted := metric.NewTally(zone), firsts{}
	for {
		rows, err := q.ListFacts(ctx, db.ListFactsParams{TenantID: tenantID, AfterID: after, BeforeID: uuid.Max, Count: tailChunk})
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			return tail, nil
		}
		first, err := openFirsts(ctx, q, tenantID, rows, counted)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			tail.Add(toFact(row, first))
		}
		after = rows[len(rows)-1].ID
	}
}

// openFirsts are the opens and clicks of events of which none was counted before: neither
// rolled up, nor in counted, to which it adds them.
func openFirsts(ctx context.Context, q *db.Queries, tenantID string, rows []db.ListFactsRow, counted firsts) (firsts, error) {
	open := firsts{}
	var recipients []uuid.UUID
	for _, row := range rows {
		if key, ok := interaction(row); ok && !counted[key] {
			open[key], counted[key] = true, true
			recipients = append(recipients, key.recipient)
		}
	}
	if len(recipients) == 0 {
		return open, nil
	}
	noted, err := q.ListMetricUniques(ctx, tenantID, recipients)
	for _, n := range noted {
		delete(open, firstKey{n.RecipientID, event.Type(n.Kind)})
	}
	return open, err
}
