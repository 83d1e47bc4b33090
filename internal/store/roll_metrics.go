package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/metric"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/tenant"
)

// TenantsToRoll lists tenants with events that are not in their metrics yet, by id, from
// after one on.
func (s *Store) TenantsToRoll(ctx context.Context, after string, limit int) ([]string, error) {
	ids, err := s.q.ListTenantsToRoll(ctx, after, int32(limit))
	return ids, translate("list tenants to roll up", err)
}

// RollMetrics adds the next events of a tenant to its metrics, at most limit, and says how
// many. In the same transaction it moves the tenant's cursor behind them, so that each event
// is counted once, whatever dies. While another is at the tenant, it does nothing.
func (s *Store) RollMetrics(ctx context.Context, tenantID string, limit int) (rolled int, err error) {
	free := true
	err = s.inSystem(ctx, "roll up metrics", func(q *db.Queries) error {
		rolled, err = rollMetrics(ctx, q, tenantID, limit)
		free = !errors.Is(err, pgx.ErrNoRows)
		return err
	})
	if !free { // another is at it, or the tenant is going
		return 0, nil
	}
	return rolled, err
}

func rollMetrics(ctx context.Context, q *db.Queries, tenantID string, limit int) (rolled int, err error) {
	if err := q.InsertMetricCursor(ctx, tenantID); err != nil {
		return 0, err
	}
	cursor, err := q.LockMetricCursor(ctx, tenantID)
	if err != nil {
		return 0, err
	}
	// Looked at behind the lock: a deletion begins with the cursor, so it waits for what is begun.
	raw, err := q.GetSettingsToRoll(ctx, tenantID)
	if err != nil {
		return 0, err
	}
	var settings tenant.Settings
	if err := json.Unmarshal(raw, &settings); err != nil {
		return 0, err
	}
	zone := settings.Location()
	if cursor.Timezone != zone.String() {
		if err := makeDays(ctx, q, tenantID, zone); err != nil {
			return 0, err
		}
	}
	horizon, err := q.GetEventsHorizon(ctx)
	if err != nil {
		return 0, err
	}
	rows, err := q.ListFacts(ctx, db.ListFactsParams{TenantID: tenantID, AfterID: cursor.EventID, BeforeID: horizon, Count: int32(limit)})
	if err != nil {
		return 0, err
	}
	if len(rows) > 0 {
		cursor.EventID = rows[len(rows)-1].ID
		if err := addFacts(ctx, q, tenantID, zone, rows); err != nil {
			return 0, err
		}
	}
	return len(rows), q.MoveMetricCursor(ctx, db.MoveMetricCursorParams{
		TenantID: tenantID, EventID: cursor.EventID, Timezone: zone.String(),
	})
}

// makeDays makes the days of a tenant anew, as they are in another time zone.
func makeDays(ctx context.Context, q *db.Queries, tenantID string, zone *time.Location) error {
	if err := q.DeleteMetricDays(ctx, tenantID); err != nil {
		return err
	}
	span, err := q.GetMetricsSpan(ctx, tenantID)
	if err != nil {
		return err
	}
	p := db.MakeMetricDaysParams{TenantID: tenantID}
	for _, day := range metric.Days(span.First, span.Last.Add(time.Second), zone) {
		p.Days, p.Starts, p.Ends = append(p.Days, day.From), append(p.Starts, day.Start), append(p.Ends, day.End)
	}
	return q.MakeMetricDays(ctx, p)
}

func addFacts(ctx context.Context, q *db.Queries, tenantID string, zone *time.Location, rows []db.ListFactsRow) error {
	firsts, err := newFirsts(ctx, q, tenantID, rows)
	if err != nil {
		return err
	}
	tally := metric.NewTally(zone)
	for _, row := range rows {
		tally.Add(toFact(row, firsts))
	}
	counted := make([]metricRow, 0, len(tally.Counts))
	for p, c := range tally.Counts {
		counted = append(counted, metricRow{tenantID, p.Dimension, p.Grain, p.At, p.Key, metricColumns(*c)})
	}
	raw, err := json.Marshal(counted)
	if err != nil {
		return err
	}
	return q.AddMetrics(ctx, raw)
}

// metricRow is a row of metrics in JSON.
type metricRow struct {
	TenantID  string           `json:"tenant_id"`
	Dimension metric.Dimension `json:"dimension"`
	Grain     metric.Grain     `json:"grain"`
	At        time.Time        `json:"at"`
	Key       string           `json:"key"`
	metricColumns
}

// metricColumns are metric.Counts by the names of their columns.
type metricColumns struct {
	Accepted         int64 `json:"accepted"`
	Sent             int64 `json:"sent"`
	Delivered        int64 `json:"delivered"`
	Deferred         int64 `json:"deferred"`
	Bounced          int64 `json:"bounced"`
	Failed           int64 `json:"failed"`
	Complained       int64 `json:"complained"`
	Opened           int64 `json:"opened"`
	UniqueOpened     int64 `json:"unique_opened"`
	AutomatedOpened  int64 `json:"automated_opened"`
	Clicked          int64 `json:"clicked"`
	UniqueClicked    int64 `json:"unique_clicked"`
	AutomatedClicked int64 `json:"automated_clicked"`
	Unsubscribed     int64 `json:"unsubscribed"`
	Suppressed       int64 `json:"suppressed"`
	Expired          int64 `json:"expired"`
	Cancelled        int64 `json:"cancelled"`
	Unknown          int64 `json:"unknown"`
}

// firsts are the opens and clicks that may still be the first of their recipients. The first
// that is asked about is it.
type firsts map[firstKey]bool

type firstKey struct {
	recipient uuid.UUID
	kind      event.Type
}

// interaction is what an event may be the first of.
func interaction(row db.ListFactsRow) (key firstKey, ok bool) {
	kind := event.Type(row.Type)
	if row.RecipientID == nil || row.Automated || kind != metric.Opened && kind != metric.Clicked {
		return key, false
	}
	return firstKey{*row.RecipientID, kind}, true
}

// take reports whether an event is the first, which the next one then is not any more.
func (f firsts) take(row db.ListFactsRow) bool {
	key, ok := interaction(row)
	first := ok && f[key]
	delete(f, key)
	return first
}

// newFirsts notes the opens and clicks of events, and gives those that were not noted before.
func newFirsts(ctx context.Context, q *db.Queries, tenantID string, rows []db.ListFactsRow) (firsts, error) {
	p := db.InsertMetricUniquesParams{TenantID: tenantID}
	for _, row := range rows {
		if key, ok := interaction(row); ok {
			p.RecipientIds, p.Kinds = append(p.RecipientIds, key.recipient), append(p.Kinds, string(key.kind))
		}
	}
	if len(p.Kinds) == 0 {
		return nil, nil //nolint:nilnil // none is a fine set
	}
	noted, err := q.InsertMetricUniques(ctx, p)
	if err != nil {
		return nil, err
	}
	found := make(firsts, len(noted))
	for _, n := range noted {
		found[firstKey{n.RecipientID, event.Type(n.Kind)}] = true
	}
	return found, nil
}

func toFact(row db.ListFactsRow, f firsts) metric.Fact {
	return metric.Fact{
		Type: event.Type(row.Type), At: row.CreatedAt, Automated: row.Automated, First: f.take(row),
		Template: orZero(row.Template), Tags: row.Tags, Address: orZero(row.Address),
	}
}
