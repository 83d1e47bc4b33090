package store

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mailtura/mailtura/internal/metric"
	"github.com/mailtura/mailtura/internal/store/db"
)

// reading is how the rows of a query are read.
type reading struct {
	metric.Query
	tx           pgx.Tx
	q            *db.Queries
	sheet        *metric.Sheet
	tenantID     string
	grain        metric.Grain
	starts, ends []time.Time // of the windows, as the rows have them
}

// newReading reads days from their rows, or while these are days of another time zone from
// their quarters.
func newReading(tx pgx.Tx, tenantID string, q metric.Query, zone string) *reading {
	r := &reading{Query: q, tx: tx, q: db.New(tx), sheet: metric.NewSheet(q), tenantID: tenantID, grain: q.Grain}
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

func (r *reading) span() (from, to time.Time) { return r.starts[0], r.ends[len(r.ends)-1] }

// window is that in which something of this time is; there are no gaps.
func (r *reading) window(at time.Time) int {
	i, found := slices.BinarySearchFunc(r.starts, at, time.Time.Compare)
	if !found {
		i--
	}
	return i
}

// read fills the sheet. Up to as many rows as a large answer has are read one by one, which takes less than to have
// them summed; of more it is found out first which are shown.
func (r *reading) read(ctx context.Context, tail *metric.Tally) error {
	if len(r.Windows) == 1 {
		return r.sumKeys(ctx)
	}
	if found, err := r.rows(ctx, nil); err != nil || found {
		return err
	}
	return r.readShown(ctx, tail)
}

// maxRows is how many rows are read one by one when it is not known yet which of them are shown.
const maxRows = 20_000

// metricColumnNames are the columns of metric.Counts, in its order.
var metricColumnNames = []string{
	"accepted", "sent", "delivered", "deferred", "bounced", "failed", "complained", "opened", "unique_opened", "automated_opened",
	"clicked", "unique_clicked", "automated_clicked", "unsubscribed", "suppressed", "expired", "cancelled", "unknown",
}

// listMetrics are rows as they are, not in order: those of some keys, or when there are none those of all, but nothing
// when that is too many. Most counters are zero, and null takes the least time to send. It is no query of sqlc's because of how it is read.
var listMetrics = `SELECT m.at, m.key, nullif(m.` + strings.Join(metricColumnNames, ", 0), nullif(m.") + `, 0)
	FROM metrics m
	WHERE m.tenant_id = $1 AND m.dimension = $2 AND m.grain = $3 AND m.at >= $4 AND m.at < $5 AND CASE WHEN cardinality($6::text[]) > 0
		THEN m.key = ANY($6) ELSE (SELECT count(*) FROM (SELECT FROM metrics m
			WHERE m.tenant_id = $1 AND m.dimension = $2 AND m.grain = $3 AND m.at >= $4 AND m.at < $5 LIMIT $7 + 1) counted) <= $7 END`

// rows adds rows. found is false when there are none, or too many.
func (r *reading) rows(ctx context.Context, keys []string) (found bool, err error) {
	from, to := r.span()
	rows, err := r.tx.Query(ctx, listMetrics, r.tenantID, string(r.Dimension), string(r.grain), from, to, keys, maxRows)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		found = true
		values := rows.RawValues()
		r.sheet.Add(r.window(timeOf(values[0])), string(values[1]), countsOf(values[2:]))
	}
	return found, rows.Err()
}

// timeOf and countsOf read what PostgreSQL sends: microseconds since the year 2000, and integers of 4 bytes. A Scan of
// 20 columns takes longer than all the rest.
func timeOf(value []byte) time.Time {
	const year2000 = 946_684_800_000_000
	return time.UnixMicro(year2000 + int64(binary.BigEndian.Uint64(value)))
}

func countsOf(values [][]byte) (c metric.Counts) {
	for i, n := range c.All() {
		if value := values[i]; value != nil {
			*n = int64(int32(binary.BigEndian.Uint32(value)))
		}
	}
	return c
}

// sumKeys adds the sums of all keys in the only window.
func (r *reading) sumKeys(ctx context.Context) error {
	from, to := r.span()
	rows, err := r.q.SumMetricsOfKeys(ctx, db.SumMetricsOfKeysParams{
		TenantID: r.tenantID, Dimension: string(r.Dimension), Grain: string(r.grain), FromAt: from, ToAt: to,
	})
	for _, row := range rows {
		r.sheet.Add(0, row.GroupKey, counts(db.SumQuartersRow(row)))
	}
	return err
}

// readShown adds what the keys have that are shown, and all others together.
func (r *reading) readShown(ctx context.Context, tail *metric.Tally) error {
	totals, err := r.totals(ctx)
	if err != nil {
		return err
	}
	r.Totals(tail, totals)
	keys := metric.Rank(totals)
	r.sheet.Only(keys)
	if len(keys) == 0 {
		return nil
	}
	if r.grain == metric.Quarter {
		return r.sumQuarters(ctx, keys)
	}
	if _, err := r.rows(ctx, keys); err != nil || len(totals) == len(keys) {
		return err
	}
	return r.sumOthers(ctx, keys)
}

func (r *reading) totals(ctx context.Context) (map[string]int64, error) {
	from, to := r.span()
	rows, err := r.q.RankMetrics(ctx, db.RankMetricsParams{
		TenantID: r.tenantID, Dimension: string(r.Dimension), Grain: string(r.grain), FromAt: from, ToAt: to,
	})
	totals := make(map[string]int64, len(rows))
	for _, row := range rows {
		totals[row.Key] = row.Total
	}
	return totals, err
}

func (r *reading) sumQuarters(ctx context.Context, keys []string) error {
	rows, err := r.q.SumQuarters(ctx, db.SumQuartersParams{
		Keys: keys, Starts: r.starts, Ends: r.ends, TenantID: r.tenantID, Dimension: string(r.Dimension),
	})
	for _, row := range rows {
		if row.Named {
			r.sheet.Add(r.window(row.Start), row.GroupKey, counts(row))
		} else {
			r.sheet.AddOthers(r.window(row.Start), counts(row))
		}
	}
	return err
}

func (r *reading) sumOthers(ctx context.Context, keys []string) error {
	from, to := r.span()
	rows, err := r.q.SumOtherMetrics(ctx, db.SumOtherMetricsParams{
		TenantID: r.tenantID, Dimension: string(r.Dimension), Grain: string(r.grain), FromAt: from, ToAt: to, Keys: keys,
	})
	for _, row := range rows {
		r.sheet.AddOthers(r.window(row.Start), counts(db.SumQuartersRow(row)))
	}
	return err
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
