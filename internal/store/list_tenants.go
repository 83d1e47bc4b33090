package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/tenant"
)

// TenantSort is what a list of tenants is sorted by.
type TenantSort string

// What tenants can be sorted by. Of oldestWaiting the one who waits longest is the greatest.
const (
	ByCreation      TenantSort = "createdAt"
	ByName          TenantSort = "name"
	ByUsed          TenantSort = "used"
	ByBacklog       TenantSort = "backlog"
	ByOldestWaiting TenantSort = "oldestWaiting"
	ByBounceRate    TenantSort = "bounceRate"
)

// TenantQuery asks for a page of tenants.
type TenantQuery struct {
	Sort      TenantSort // empty: ByCreation
	Ascending bool
	Status    tenant.Status // empty: any
	Prefix    string        // of id, name or domain, in any case
	After     string        // cursor
	Limit     int
}

// TenantSummary is a tenant with where it stood when summaries were made last.
type TenantSummary struct {
	tenant.Tenant
	MadeAt   time.Time
	Day      *time.Time // the tenant's day of which Used is; nil: there is no summary yet
	Used     int
	Backlog  int        // recipients that are queued, being sent or deferred
	OldestAt *time.Time // when the oldest email of the backlog was accepted
	Sent     int        // recipients, in the last 7 days
	Bounced  int        // recipients, in the last 7 days
	place    tenantPlace
}

// tenantPlace is where a tenant stands in a list, and its cursor.
type tenantPlace struct {
	Sort      TenantSort `json:"s"`
	Ascending bool       `json:"a"`
	Rank      float64    `json:"r"`
	Word      string     `json:"w"`
	ID        string     `json:"i"`
}

func (p tenantPlace) String() string {
	raw, _ := json.Marshal(p) // numbers and texts
	return base64.RawURLEncoding.EncodeToString(raw)
}

// place reads the cursor of a query; nil is the beginning.
func (q TenantQuery) place() (*tenantPlace, error) {
	if q.After == "" {
		return nil, nil //nolint:nilnil // it is how a list begins
	}
	raw, err := base64.RawURLEncoding.DecodeString(q.After)
	var p tenantPlace
	if err != nil || json.Unmarshal(raw, &p) != nil || p.Sort != q.Sort || p.Ascending != q.Ascending || !storable(p.Word) || !storable(p.ID) {
		return nil, fault.InvalidFields(errCursor)
	}
	return &p, nil
}

// ranks are the numbers by which tenants are sorted. Where there is none, it is less than any other.
var ranks = map[TenantSort]string{
	ByCreation:      `extract(epoch FROM t.created_at)::double precision`,
	ByName:          `0::double precision`,
	ByUsed:          `coalesce(s.used, 0)::double precision`,
	ByBacklog:       `coalesce(s.backlog, 0)::double precision`,
	ByOldestWaiting: `coalesce(-extract(epoch FROM s.oldest_at)::double precision, -1e12)`,
	ByBounceRate:    `coalesce(s.bounced::double precision / nullif(s.bounced + s.sent, 0), -1)`,
}

// statement is the query's SQL, made of constants.
func (q TenantQuery) statement() (string, error) {
	rank, ok := ranks[q.Sort]
	if !ok {
		return "", fault.New(fault.Internal, "unknown_sort", "sort %q", q.Sort)
	}
	word, direction, beyond := `''`, "DESC", "<"
	if q.Sort == ByName {
		word = `lower(t.name)`
	}
	if q.Ascending {
		direction, beyond = "ASC", ">"
	}
	return fmt.Sprintf(`SELECT *, (SELECT at FROM tenant_summaries_made) FROM (
		SELECT t.id, t.name, t.domain, t.status, t.settings, t.suspension, t.version, t.created_at, t.updated_at, s.day, coalesce(s.used, 0),
			coalesce(s.backlog, 0), s.oldest_at, coalesce(s.sent, 0), coalesce(s.bounced, 0), %[1]s AS rank, (%[2]s COLLATE "C") AS word
		FROM tenants t LEFT JOIN tenant_summaries s ON s.tenant_id = t.id
		WHERE ($1 = '' OR t.status = $1)
			AND ($2 = '' OR starts_with(t.id, lower($2)) OR starts_with(lower(t.name), lower($2)) OR starts_with(t.domain, lower($2)))
	) ranked WHERE NOT $3 OR (rank, word, id) %[4]s ($4, $5 COLLATE "C", $6 COLLATE "C")
	ORDER BY rank %[3]s, word %[3]s, id %[3]s LIMIT $7`, rank, word, direction, beyond), nil
}

// ListTenants gives a page of tenants and the cursor of the next one.
func (s *Store) ListTenants(ctx context.Context, q TenantQuery) (items []TenantSummary, next string, err error) {
	if q.Sort == "" {
		q.Sort = ByCreation
	}
	after, err := q.place()
	if err != nil {
		return nil, "", err
	}
	if items, err = s.queryTenants(ctx, q, after); err != nil {
		return nil, "", translate("list tenants", err)
	}
	items, more := page(items, q.Limit)
	if more {
		next = items[len(items)-1].place.String()
	}
	return items, next, nil
}

func (s *Store) queryTenants(ctx context.Context, q TenantQuery, after *tenantPlace) (items []TenantSummary, err error) {
	sql, err := q.statement()
	if err != nil {
		return nil, err
	}
	from := tenantPlace{}
	if after != nil {
		from = *after
	}
	err = s.readingAll(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, string(q.Status), q.Prefix, after != nil, from.Rank, from.Word, from.ID, q.Limit+1)
		if err != nil {
			return err
		}
		items, err = pgx.CollectRows(rows, q.scan)
		return err
	})
	return items, err
}

func (q TenantQuery) scan(row pgx.CollectableRow) (t TenantSummary, err error) {
	var settings, suspension []byte
	t.place.Sort, t.place.Ascending = q.Sort, q.Ascending
	if err := row.Scan(&t.ID, &t.Name, &t.Domain, &t.Status, &settings, &suspension, &t.Version, &t.CreatedAt, &t.UpdatedAt, &t.Day, &t.Used,
		&t.Backlog, &t.OldestAt, &t.Sent, &t.Bounced, &t.place.Rank, &t.place.Word, &t.MadeAt); err != nil {
		return t, err
	}
	t.place.ID = t.ID
	return t, readSettings(settings, suspension, &t.Tenant)
}
