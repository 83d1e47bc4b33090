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
func (s *Store) Metrics(ctx context.Context, tenantID string, q metric.Query) (cells map[metric.Cell]*metric.Counts, err error) {
	err = s.inTenantSnapshot(ctx, "read metrics", tenantID, func(db *db.Queries) error {
		cells, err = readMetrics(ctx, db, tenantID, q)
		return err
	})
	return cells, err
}

// inTenantSnapshot is inTenant with all statements at one instant.
func (s *Store) inTenantSnapshot(ctx context.Context, operation, tenantID string, fn func(*db.Queries) error) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return translate(operation, pgx.BeginTxFunc(ctx, s.request, options, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT set_config('mailtura.tenant_id', $1, true)", tenantID); err != nil {
			return err
		}
		return fn(db.New(tx))
	}))
}

func readMetrics(ctx context.Context, q *db.Queries, tenantID string, asked metric.Query) (map[metric.Cell]*metric.Counts, error) {
	cursor, err := q.GetMetricCursor(ctx, tenantID)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	tail, err := tallyTail(ctx, q, tenantID, cursor.EventID, asked.Zone)
	if err != nil {
		return nil, err
	}
	rolled := newReading(tenantID, asked, cursor.Timezone)
	keys := []string{""}
	if asked.Dimension != metric.All {
		totals := map[string]int64{}
		if err := rolled.rank(ctx, q, totals); err != nil {
			return nil, err
		}
		asked.Totals(tail, totals)
		keys = metric.Rank(totals)
	}
	cells := map[metric.Cell]*metric.Counts{}
	if err := rolled.sum(ctx, q, keys, cells); err != nil {
		return nil, err
	}
	asked.Fill(tail, keys, cells)
	return cells, nil
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

// reading is how the rows of a query are read.
type reading struct {
	tenantID  string
	dimension string
	grain     metric.Grain
	p         db.SumMetricsParams
}

// newReading reads days from their rows, or while these are days of another time zone from
// their quarters.
func newReading(tenantID string, q metric.Query, zone string) reading {
	r := reading{tenantID: tenantID, dimension: string(q.Dimension), grain: q.Grain}
	if q.Grain == metric.Day && zone != q.Zone.String() {
		r.grain = metric.Quarter
	}
	for i, w := range q.Windows {
		from, to := w.From, w.To
		if r.grain == metric.Quarter {
			from, to = w.Start, w.End
		}
		r.p.Numbers, r.p.Starts, r.p.Ends = append(r.p.Numbers, int32(i)), append(r.p.Starts, from), append(r.p.Ends, to)
	}
	r.p.TenantID, r.p.Dimension, r.p.Grain = tenantID, r.dimension, string(r.grain)
	return r
}

func (r reading) rank(ctx context.Context, q *db.Queries, totals map[string]int64) error {
	rows, err := q.RankMetrics(ctx, db.RankMetricsParams{
		TenantID: r.tenantID, Dimension: r.dimension, Grain: string(r.grain), FromAt: r.p.Starts[0], ToAt: r.p.Ends[len(r.p.Ends)-1],
	})
	for _, row := range rows {
		totals[row.Key] = row.Total
	}
	return err
}

func (r reading) sum(ctx context.Context, q *db.Queries, keys []string, cells map[metric.Cell]*metric.Counts) error {
	r.p.Keys = append([]string{}, keys...) // nil would be null
	rows, err := q.SumMetrics(ctx, r.p)
	for _, row := range rows {
		cell := metric.Cell{Window: int(row.WindowNumber), Group: metric.Group{Key: row.GroupKey, Other: !row.Named}}
		metric.AddTo(cells, cell, metric.Counts{
			Accepted: row.Accepted, Sent: row.Sent, Delivered: row.Delivered, Deferred: row.Deferred, Bounced: row.Bounced,
			Failed: row.Failed, Complained: row.Complained, Opened: row.Opened, UniqueOpened: row.UniqueOpened,
			AutomatedOpened: row.AutomatedOpened, Clicked: row.Clicked, UniqueClicked: row.UniqueClicked,
			AutomatedClicked: row.AutomatedClicked, Unsubscribed: row.Unsubscribed, Suppressed: row.Suppressed,
			Expired: row.Expired, Cancelled: row.Cancelled, Unknown: row.Unknown,
		})
	}
	return err
}
