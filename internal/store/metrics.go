package store

import (
	"context"
	"errors"
	"slices"
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
	r := newReading(tenantID, asked, cursor.Timezone)
	if len(asked.Windows) == 1 {
		return r.oneWindow(ctx, q, tail)
	}
	keys := []string{""}
	if asked.Dimension != metric.All {
		totals, err := r.totals(ctx, q)
		if err != nil {
			return nil, err
		}
		asked.Totals(tail, totals)
		keys = metric.Rank(totals)
		r.others = len(totals) > len(keys)
	}
	cells := map[metric.Cell]*metric.Counts{}
	asked.Fill(tail, keys, cells)
	return cells, r.fill(ctx, q, keys, cells)
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
	metric.Query
	tenantID     string
	grain        metric.Grain
	starts, ends []time.Time // of the windows, as the rows have them
	others       bool        // there are more groups than are shown
}

// newReading reads days from their rows, or while these are days of another time zone from
// their quarters.
func newReading(tenantID string, q metric.Query, zone string) reading {
	r := reading{Query: q, tenantID: tenantID, grain: q.Grain}
	if q.Grain == metric.Day && zone != q.Zone.String() {
		r.grain = metric.Quarter
	}
	for _, w := range q.Windows {
		start, end := w.From, w.To
		if r.grain == metric.Quarter {
			start, end = w.Start, w.End
		}
		r.starts, r.ends = append(r.starts, start), append(r.ends, end)
	}
	return r
}

func (r reading) span() (from, to time.Time) { return r.starts[0], r.ends[len(r.ends)-1] }

func (r reading) totals(ctx context.Context, q *db.Queries) (map[string]int64, error) {
	from, to := r.span()
	rows, err := q.RankMetrics(ctx, db.RankMetricsParams{
		TenantID: r.tenantID, Dimension: string(r.Dimension), Grain: string(r.grain), FromAt: from, ToAt: to,
	})
	totals := make(map[string]int64, len(rows))
	for _, row := range rows {
		totals[row.Key] = row.Total
	}
	return totals, err
}

// oneWindow reads the counts of all keys once, ranks them, and adds up those of the others.
func (r reading) oneWindow(ctx context.Context, q *db.Queries, tail *metric.Tally) (map[metric.Cell]*metric.Counts, error) {
	from, to := r.span()
	rows, err := q.SumMetricsOfKeys(ctx, db.SumMetricsOfKeysParams{
		TenantID: r.tenantID, Dimension: string(r.Dimension), Grain: string(r.grain), FromAt: from, ToAt: to,
	})
	if err != nil {
		return nil, err
	}
	totals := map[string]int64{}
	for _, row := range rows {
		c := counts(db.SumQuartersRow(row))
		totals[row.GroupKey] = c.Total()
	}
	r.Totals(tail, totals)
	keys := metric.Rank(totals)
	shown := make(map[string]bool, len(keys))
	for _, key := range keys {
		shown[key] = true
	}
	cells := map[metric.Cell]*metric.Counts{}
	for _, row := range rows {
		r.add(cells, row.Start, shown[row.GroupKey], row.GroupKey, counts(db.SumQuartersRow(row)))
	}
	r.Fill(tail, keys, cells)
	return cells, nil
}

// fill adds what is rolled up of the keys, and of all others together.
func (r reading) fill(ctx context.Context, q *db.Queries, keys []string, cells map[metric.Cell]*metric.Counts) error {
	keys = append([]string{}, keys...) // nil would be null
	if r.grain == metric.Day {
		return r.fillDays(ctx, q, keys, cells)
	}
	rows, err := q.SumQuarters(ctx, db.SumQuartersParams{
		Keys: keys, Starts: r.starts, Ends: r.ends, TenantID: r.tenantID, Dimension: string(r.Dimension),
	})
	for _, row := range rows {
		r.add(cells, row.Start, row.Named, row.GroupKey, counts(row))
	}
	return err
}

func (r reading) fillDays(ctx context.Context, q *db.Queries, keys []string, cells map[metric.Cell]*metric.Counts) error {
	from, to := r.span()
	p := db.ListMetricDaysParams{TenantID: r.tenantID, Dimension: string(r.Dimension), FromAt: from, ToAt: to, Keys: keys}
	rows, err := q.ListMetricDays(ctx, p)
	if err != nil {
		return err
	}
	for _, row := range rows {
		r.add(cells, row.Start, true, row.GroupKey, counts(db.SumQuartersRow(row)))
	}
	if !r.others {
		return nil
	}
	others, err := q.SumOtherDays(ctx, db.SumOtherDaysParams(p))
	for _, row := range others {
		r.add(cells, row.Start, false, "", counts(db.SumQuartersRow(row)))
	}
	return err
}

// add adds the counts of a row to the cell of its window and group.
func (r reading) add(cells map[metric.Cell]*metric.Counts, start time.Time, named bool, key string, c metric.Counts) {
	window, found := slices.BinarySearchFunc(r.starts, start, time.Time.Compare)
	if !found {
		return
	}
	group := metric.Group{Other: true}
	if named {
		group = metric.Group{Key: key}
	}
	metric.AddTo(cells, metric.Cell{Window: window, Group: group}, c)
}

func counts(row db.SumQuartersRow) metric.Counts {
	return metric.Counts{
		Accepted: row.Accepted, Sent: row.Sent, Delivered: row.Delivered, Deferred: row.Deferred, Bounced: row.Bounced,
		Failed: row.Failed, Complained: row.Complained, Opened: row.Opened, UniqueOpened: row.UniqueOpened,
		AutomatedOpened: row.AutomatedOpened, Clicked: row.Clicked, UniqueClicked: row.UniqueClicked,
		AutomatedClicked: row.AutomatedClicked, Unsubscribed: row.Unsubscribed, Suppressed: row.Suppressed,
		Expired: row.Expired, Cancelled: row.Cancelled, Unknown: row.Unknown,
	}
}
