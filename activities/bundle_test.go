package activities_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/devstack/inbox"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/smtpout"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
)

const acme = "acme-corp"

func TestMain(m *testing.M) { testkit.Main(m) }

// engine is shared: the machines in it are expensive.
var engine = sync.OnceValues(func() (*template.Engine, error) {
	return template.NewEngine(template.Config{VMs: 2, Timeout: time.Minute})
})

// bundle is a Deliver with everything real: database, template engine, relay and inbox.
type bundle struct {
	activities.Delivery
	t     *testing.T
	url   string // of the database
	inbox *inbox.Inbox
}

// newBundle has one active tenant, acme-corp.
func newBundle(t *testing.T, settings tenant.Settings) *bundle {
	t.Helper()
	b := &bundle{t: t, url: testkit.DatabaseURL(t)}
	var err error
	b.Store, err = store.Open(t.Context(), store.Config{URL: b.url, MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(b.Store.Close)
	b.Templates, err = engine()
	require.NoError(t, err)
	b.inbox, err = inbox.Start(inbox.Config{SMTPAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.inbox.Close(context.WithoutCancel(t.Context()))) })
	b.Log = slog.New(slog.DiscardHandler)
	b.Transport = newRelay(t, "smtp://"+b.inbox.SMTPAddr())
	b.Permits, b.Turns = activities.NewPermits(&fakeLessor{}), activities.NewTurns(16)
	_, err = b.Store.CreateTenant(t.Context(), tenant.Tenant{ID: acme, Name: acme, Domain: "acme.com", Settings: settings.WithDefaults()})
	require.NoError(t, err)
	require.NoError(t, b.Store.ActivateTenant(t.Context(), acme))
	return b
}

func newRelay(t *testing.T, url string) *smtpout.Relays {
	t.Helper()
	cfg, err := smtpout.ParseURL(url)
	require.NoError(t, err)
	relay, err := smtpout.New(cfg, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	relays := smtpout.NewRelays(relay)
	t.Cleanup(relays.Close)
	return relays
}

func newActivityEnvironment(t *testing.T, a any) *testsuite.TestActivityEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	env.SetTestTimeout(30 * time.Second)
	env.RegisterActivity(a)
	return env
}

// setContext makes the activity end with ctx.
func setContext(env *testsuite.TestActivityEnvironment, ctx context.Context) { //nolint:revive // it is what is set
	env.SetWorkerOptions(worker.Options{BackgroundActivityContext: ctx})
}

// dispatch accepts emails of the tenant as one dispatch.
func (b *bundle) dispatch(emails ...email.Email) activities.DeliverInput {
	b.t.Helper()
	receipts, err := b.Store.Accept(b.t.Context(), time.Now(), []intake.Request{{Emails: emails}})
	require.NoError(b.t, err)
	for _, receipt := range receipts[0] {
		require.NoError(b.t, receipt.Err)
	}
	return b.claim(emails...)
}

// claim makes a dispatch of accepted emails.
func (b *bundle) claim(emails ...email.Email) activities.DeliverInput {
	b.t.Helper()
	ids := make([]uuid.UUID, len(emails))
	for i, e := range emails {
		ids[i] = e.ID
	}
	dispatch := id.New()
	claimed, err := b.Store.ClaimDispatch(b.t.Context(), acme, email.Transactional, dispatch, ids)
	require.NoError(b.t, err)
	require.Equal(b.t, len(emails), claimed)
	return activities.DeliverInput{TenantID: acme, DispatchID: dispatch}
}

// deliver runs Deliver as a worker does, and requires that it has no error.
func (b *bundle) deliver(in activities.DeliverInput) activities.DeliverResult {
	b.t.Helper()
	result, err := b.try(b.t.Context(), in)
	require.NoError(b.t, err)
	return result
}

func (b *bundle) try(ctx context.Context, in activities.DeliverInput) (result activities.DeliverResult, err error) {
	b.t.Helper()
	env := newActivityEnvironment(b.t, &b.Delivery)
	setContext(env, ctx)
	value, err := env.ExecuteActivity(b.Deliver, in)
	if err == nil {
		require.NoError(b.t, value.Get(&result))
	}
	return result, err
}

// newEmail is a literal email to some addresses.
func newEmail(to ...string) email.Email {
	e := email.Email{
		ID: id.New(), TenantID: acme, From: address.Address{Name: "Acme", Addr: "noreply@acme.com"}, Subject: "Hello",
		Class: email.Transactional, Content: email.Content{Text: "literal text"},
	}
	for _, addr := range to {
		e.Recipients = append(e.Recipients, recipient(email.To, addr))
	}
	return e
}

func recipient(kind email.Kind, addr string) email.Recipient {
	return email.Recipient{ID: id.New(), Kind: kind, Address: address.Address{Addr: addr}}
}

// recipients gives an email's recipients as they stand, by address.
func (b *bundle) recipients(e email.Email) map[string]store.RecipientRecord {
	b.t.Helper()
	record, err := b.Store.Email(b.t.Context(), acme, e.ID)
	require.NoError(b.t, err)
	all := map[string]store.RecipientRecord{}
	for _, r := range record.Recipients {
		all[r.Address.Addr] = r
	}
	return all
}

// attempt is a row of the ledger.
type attempt struct {
	Number     int
	FinishedAt *time.Time
	Verdict    string
	Phase      string
	Code       int
	Reply      string
	Peer       string
}

func (b *bundle) attempts(recipient uuid.UUID) []attempt {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.url)
	require.NoError(b.t, err)
	defer conn.Close(b.t.Context()) //nolint:errcheck // a test's connection
	rows, err := conn.Query(b.t.Context(), `SELECT number, finished_at, coalesce(verdict, ''), coalesce(phase, ''), coalesce(code, 0),
		coalesce(reply, ''), coalesce(peer, '') FROM attempts WHERE recipient_id = $1 ORDER BY number`, recipient)
	require.NoError(b.t, err)
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[attempt])
	require.NoError(b.t, err)
	return all
}

// sending counts the recipients to whom an attempt is under way.
func (b *bundle) sending() (n int) {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.url)
	require.NoError(b.t, err)
	defer conn.Close(b.t.Context()) //nolint:errcheck // a test's connection
	require.NoError(b.t, conn.QueryRow(b.t.Context(), `SELECT count(*) FROM recipients WHERE status = 'sending'`).Scan(&n))
	return n
}

// exec changes the database behind the store's back.
func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.url)
	require.NoError(b.t, err)
	defer conn.Close(b.t.Context()) //nolint:errcheck // a test's connection
	_, err = conn.Exec(b.t.Context(), sql, args...)
	require.NoError(b.t, err)
}

// mail is a message in the inbox.
type mail struct {
	ID      string   `json:"id"`
	From    string   `json:"from"`
	To      []string `json:"to"`
	Subject string   `json:"subject"`
	HTML    string   `json:"html"`
	Text    string   `json:"text"`
	Headers []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"headers"`
	Files []struct {
		Filename string `json:"filename"`
	} `json:"files"`
}

func (m mail) header(name string) string {
	for _, h := range m.Headers {
		if h.Name == name {
			return h.Value
		}
	}
	return ""
}

// mails gives what the inbox has by envelope recipient; each must be there once.
func (b *bundle) mails() map[string]mail {
	b.t.Helper()
	var list struct{ Items []mail }
	b.get("/api/v1/messages?limit=1000", &list)
	all := map[string]mail{}
	for _, item := range list.Items {
		var m mail
		b.get("/api/v1/messages/"+item.ID, &m)
		require.Len(b.t, m.To, 1)
		require.NotContains(b.t, all, m.To[0])
		all[m.To[0]] = m
	}
	return all
}

func (b *bundle) get(path string, into any) {
	b.t.Helper()
	response, err := http.Get(b.inbox.URL() + path)
	require.NoError(b.t, err)
	defer response.Body.Close() //nolint:errcheck // read to its end
	require.Equal(b.t, http.StatusOK, response.StatusCode)
	require.NoError(b.t, json.NewDecoder(response.Body).Decode(into))
}

// fakeLessor answers with what lease says, and remembers what it was asked.
type fakeLessor struct {
	lease func(call int, in flow.LeaseInput) (flow.Lease, error)

	mu    sync.Mutex
	asked []flow.LeaseInput
}

var _ activities.Lessor = (*fakeLessor)(nil)

func (f *fakeLessor) Lease(_ context.Context, _ string, in flow.LeaseInput) (flow.Lease, error) {
	f.mu.Lock()
	call := len(f.asked)
	f.asked = append(f.asked, in)
	f.mu.Unlock()
	return f.lease(call, in)
}

func (f *fakeLessor) calls() []flow.LeaseInput {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]flow.LeaseInput{}, f.asked...)
}
