package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
	Key       string     `json:"k"` // as PostgreSQL writes it
	ID        string     `json:"i"`
}

func (p tenantPlace) String() string {
	raw, _ := json.Marshal(p) // texts
	return base64.RawURLEncoding.EncodeToString(raw)
}

// place reads the cursor of a query; nil is the beginning.
func (q TenantQuery) place() (*tenantPlace, error) {
	if q.After == "" {
		return nil, nil //nolint:nilnil // it is how a list begins
	}
	raw, err := base64.RawURLEncoding.DecodeString(q.After)
	var p tenantPlace
	if err != nil || json.Unmarshal(raw, &p) != nil || p.Sort != q.Sort || p.Ascending != q.Ascending || !storable(p.Key) || !storable(p.ID) {
		return nil, fault.InvalidFields(errCursor)
	}
	return &p, nil
}

// tenantKey is what tenants are sorted by in SQL.
type tenantKey struct {
	expression, kind string
	reversed         bool // the least comes first when the list descends
}

var tenantKeys = map[TenantSort]tenantKey{
	ByCreation:      {"t.created_at", "timestamptz", false}, // there is an index for it
	ByName:          {`lower(t.name) COLLATE "C"`, "text", false},
	ByUsed:          {"coalesce(s.used, 0)", "integer", false},
	ByBacklog:       {"coalesce(s.backlog, 0)", "integer", false},
	ByOldestWaiting: {"coalesce(s.oldest_at, 'infinity')", "timestamptz", true},
	ByBounceRate:    {"coalesce(s.bounced::double precision / nullif(s.bounced + s.sent, 0), -1)", "double precision", false},
}

// statement is the query's SQL, made of constants, with its arguments.
func (q TenantQuery) statement(after *tenantPlace) (sql string, args pgx.NamedArgs, err error) {
	key, ok := tenantKeys[q.Sort]
	if !ok {
		return "", nil, fault.New(fault.Internal, "unknown_sort", "sort %q", q.Sort)
	}
	direction, beyond := "DESC", "<"
	if q.Ascending != key.reversed {
		direction, beyond = "ASC", ">"
	}
	args = pgx.NamedArgs{"count": q.Limit + 1}
	where := []string{"true"}
	if q.Status != "" {
		where, args["status"] = append(where, "t.status = @status"), string(q.Status)
	}
	if q.Prefix != "" {
		where = append(where, "(starts_with(t.id, lower(@q)) OR starts_with(lower(t.name), lower(@q)) OR starts_with(t.domain, lower(@q)))")
		args["q"] = q.Prefix
	}
	if after != nil {
		where = append(where, fmt.Sprintf("(%s, t.id) %s (@key::text::%s, @id)", key.expression, beyond, key.kind))
		args["key"], args["id"] = after.Key, after.ID
	}
	return fmt.Sprintf(`SELECT t.id, t.name, t.domain, t.status, t.settings, t.suspension, t.version, t.created_at, t.updated_at, s.day,
			coalesce(s.used, 0), coalesce(s.backlog, 0), s.oldest_at, coalesce(s.sent, 0), coalesce(s.bounced, 0),
			(%[1]s)::text, (SELECT at FROM tenant_summaries_made)
		FROM tenants t LEFT JOIN tenant_summaries s ON s.tenant_id = t.id
		WHERE %[2]s ORDER BY %[1]s %[3]s, t.id %[3]s LIMIT @count`, key.expression, strings.Join(where, " AND "), direction), args, nil
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
	sql, args, err := q.statement(after)
	if err != nil {
		return nil, err
	}
	err = s.readingAll(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, args)
		if err != nil {
			return err
		}
		items, err = pgx.CollectRows(rows, q.scan)
		return err
	})
	var pg *pgconn.PgError
	if errors.As(err, &pg) && after != nil && strings.HasPrefix(pg.Code, "22") { // PostgreSQL has not written this key
		return nil, fault.InvalidFields(errCursor)
	}
	return items, err
}

func (q TenantQuery) scan(row pgx.CollectableRow) (t TenantSummary, err error) {
	var settings, suspension []byte
	if err := row.Scan(&t.ID, &t.Name, &t.Domain, &t.Status, &settings, &suspension, &t.Version, &t.CreatedAt, &t.UpdatedAt, &t.Day, &t.Used,
		&t.Backlog, &t.OldestAt, &t.Sent, &t.Bounced, &t.place.Key, &t.MadeAt); err != nil {
		return t, err
	}
	t.place.Sort, t.place.Ascending, t.place.ID = q.Sort, q.Ascending, t.ID
	return t, readSettings(settings, suspension, &t.Tenant)
}
