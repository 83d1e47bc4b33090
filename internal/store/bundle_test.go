package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
)

const (
	acme  = "acme-corp"
	other = "other-corp"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// bundle is a store on a database of the test's own.
type bundle struct {
	*store.Store
	t    *testing.T
	url  string
	conn *pgx.Conn // beside the store's
}

// newBundle has these tenants, active.
func newBundle(t *testing.T, tenants ...string) *bundle {
	t.Helper()
	url := testkit.DatabaseURL(t)
	b := &bundle{Store: open(t, url), t: t, url: url, conn: connect(t, url)}
	for _, tenantID := range tenants {
		b.activate(tenantID, tenant.Settings{})
	}
	return b
}

func open(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: url, MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// activate makes an active tenant.
func (b *bundle) activate(tenantID string, settings tenant.Settings) {
	b.t.Helper()
	_, err := b.CreateTenant(b.t.Context(), tenant.Tenant{ID: tenantID, Name: tenantID, Domain: "acme.com", Settings: settings})
	require.NoError(b.t, err)
	require.NoError(b.t, b.ActivateTenant(b.t.Context(), tenantID))
}

// connect is a connection beside the store's.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	return conn
}

// exec changes the database behind the store's back.
func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	_, err := b.conn.Exec(b.t.Context(), sql, args...)
	require.NoError(b.t, err)
}

// ask reads one value behind the store's back.
func ask[T any](b *bundle, sql string, args ...any) (value T) {
	b.t.Helper()
	require.NoError(b.t, b.conn.QueryRow(b.t.Context(), sql, args...).Scan(&value))
	return value
}

// newEmail is an email of a tenant to some addresses.
func newEmail(tenantID string, to ...string) email.Email {
	e := email.Email{
		ID: id.New(), TenantID: tenantID, From: address.Address{Name: "Acme", Addr: "noreply@acme.com"}, Subject: "Hello",
		Class: email.Transactional, Content: email.Content{Text: "literal text"},
	}
	for _, addr := range to {
		e.Recipients = append(e.Recipients, email.Recipient{ID: id.New(), Kind: email.To, Address: address.Address{Addr: addr}})
	}
	return e
}

// acceptAt accepts emails in one transaction, each as a request of its own.
func acceptAt(ctx context.Context, ledger intake.Ledger, at time.Time, emails []email.Email) ([]intake.Receipt, error) {
	requests := make([]intake.Request, len(emails))
	for i, e := range emails {
		requests[i] = intake.Request{Emails: []email.Email{e}}
	}
	receipts, err := ledger.Accept(ctx, at, requests)
	return slices.Concat(receipts...), err
}

// accept accepts emails and requires that none is refused.
func (b *bundle) accept(emails ...email.Email) {
	b.t.Helper()
	receipts, err := acceptAt(b.t.Context(), b.Store, time.Now(), emails)
	require.NoError(b.t, err)
	require.Len(b.t, receipts, len(emails))
	for _, receipt := range receipts {
		require.NoError(b.t, receipt.Err)
	}
}

// dispatch accepts emails of one tenant and claims them for a dispatch.
func (b *bundle) dispatch(emails ...email.Email) uuid.UUID {
	b.t.Helper()
	b.accept(emails...)
	dispatch := id.New()
	claimed, err := b.ClaimDispatch(b.t.Context(), emails[0].TenantID, email.Transactional, dispatch, idsOf(emails))
	require.NoError(b.t, err)
	require.Equal(b.t, len(emails), claimed)
	return dispatch
}

func idsOf(emails []email.Email) []uuid.UUID {
	ids := make([]uuid.UUID, len(emails))
	for i, e := range emails {
		ids[i] = e.ID
	}
	return ids
}

// recipient gives the only recipient of an email as it stands.
func (b *bundle) recipient(e email.Email) store.RecipientRecord {
	b.t.Helper()
	record, err := b.Email(b.t.Context(), e.TenantID, e.ID)
	require.NoError(b.t, err)
	require.Len(b.t, record.Recipients, 1)
	return record.Recipients[0]
}

func newTemplate(name string) store.Template {
	return store.Template{Name: name, Source: template.Source{Subject: "Hi {{name}}", HTML: "<p>{{name}}</p>", Text: "{{name}}"}}
}

// requireFault requires a fault of a kind and code.
func requireFault(t *testing.T, err error, kind fault.Kind, code string) *fault.Error {
	t.Helper()
	require.Error(t, err)
	f, ok := fault.As(err)
	require.True(t, ok, "not a fault: %v", err)
	require.Equal(t, code, f.Code, "%v", err)
	require.Equal(t, kind, f.Kind)
	return f
}

// requireCursorRefused requires the fault of a cursor that no list gave.
func requireCursorRefused(t *testing.T, err error) {
	t.Helper()
	f := requireFault(t, err, fault.Invalid, "validation_failed")
	require.Len(t, f.Fields, 1)
	require.Equal(t, "query.after", f.Fields[0].Location)
	require.Equal(t, "invalid_cursor", f.Fields[0].Code)
}

// pages walks through a list and gives its pages.
func pages[T any](t *testing.T, list func(after string) ([]T, string, error)) (all [][]T) {
	t.Helper()
	for after := ""; ; {
		items, next, err := list(after)
		require.NoError(t, err)
		all = append(all, items)
		if next == "" {
			return all
		}
		require.NotEqual(t, after, next)
		after = next
	}
}

// inParallel runs fn so many times at once and gives the errors of those that failed.
func inParallel(n int, fn func(i int) error) error {
	failed := make(chan error, n)
	start := make(chan struct{})
	for i := range n {
		go func() {
			<-start
			failed <- fn(i)
		}()
	}
	close(start)
	var errs []error
	for range n {
		errs = append(errs, <-failed)
	}
	return errors.Join(errs...)
}
