package apiserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/keyring"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/temporalconn"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/testkit"
	"github.com/mailtura/mailtura/internal/webhookhttp"
)

const (
	v1   = "/api/v1"
	acme = "acme-corp"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// engine is shared: the machines in it are expensive.
var engine = sync.OnceValues(func() (*template.Engine, error) {
	return template.NewEngine(template.Config{VMs: 2, Timeout: time.Minute})
})

// masterKeys seal the secrets of all tests.
var masterKeys = func() *keyring.Keyring {
	keys, err := keyring.Parse(keyring.NewKey())
	if err != nil {
		panic(err)
	}
	return keys
}()

// bundle is an API with everything real but Temporal, which is away.
type bundle struct {
	*apiserver.Server
	t        *testing.T
	url      string // of the database
	store    *store.Store
	log      *logBuffer
	operator string // key

	mu       sync.Mutex
	accepted []intake.Pending
}

func newBundle(t *testing.T) *bundle {
	t.Helper()
	return newBundleOn(t, temporalAway(t))
}

// newBundleOn is a bundle with that for Temporal.
func newBundleOn(t *testing.T, temporal client.Client) *bundle {
	t.Helper()
	b := &bundle{t: t, url: testkit.DatabaseURL(t), log: &logBuffer{}}
	var err error
	b.store, err = store.Open(t.Context(), store.Config{URL: b.url, MaxConns: 8})
	require.NoError(t, err)
	t.Cleanup(b.store.Close)
	templates, err := engine()
	require.NoError(t, err)
	b.Server = b.process(temporal, templates)
	key := apikey.New(apikey.Operator)
	_, err = b.store.CreateOperatorKey(t.Context(), store.NewKey{Name: "operator", Key: key})
	require.NoError(t, err)
	b.operator = key.Text()
	return b
}

// process is an API process on the bundle's database.
func (b *bundle) process(temporal client.Client, templates *template.Engine, change ...func(*apiserver.Config)) *apiserver.Server {
	acceptor := intake.NewAcceptor(b.store, b.handOn)
	b.t.Cleanup(acceptor.Close)
	cfg := apiserver.Config{
		Store: b.store, Intake: acceptor, Resume: b.handOn, Flow: flow.NewClient(temporal, nil), Templates: templates,
		Log:        telemetry.NewLogger(b.log, slog.LevelInfo, true),
		TemporalUI: "http://temporal.example", Namespace: flow.Namespace,
		Webhooks: apiserver.Webhooks{Keys: masterKeys, Caller: webhookhttp.New(webhookhttp.Config{Loopback: true}), Loopback: true},
		Domains:  apiserver.Domains{Keys: masterKeys, DNS: resolver(b.t)},
	}
	for _, f := range change {
		f(&cfg)
	}
	return apiserver.New(cfg)
}

// handOn remembers emails that are to be sent.
func (b *bundle) handOn(p []intake.Pending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accepted = append(b.accepted, p...)
}

// temporalAway is a client whose server can not be reached: nothing listens there.
func temporalAway(t *testing.T) client.Client {
	t.Helper()
	c, err := temporalconn.Lazy(temporalconn.Config{
		Address: "127.0.0.1:1", Namespace: flow.Namespace, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// newAcme is a bundle with one active tenant, acme-corp of acme.com, and a key of it.
func newAcme(t *testing.T, settings tenant.Settings) (b *bundle, key string) {
	t.Helper()
	b = newBundle(t)
	if settings.FromEmail == "" {
		settings.FromEmail = "noreply@acme.com"
	}
	return b, b.tenant(acme, settings)
}

// tenant makes an active tenant of acme.com, and a key of it.
func (b *bundle) tenant(tenantID string, settings tenant.Settings) (key string) {
	b.t.Helper()
	b.provisioning(tenantID, settings)
	require.NoError(b.t, b.store.ActivateTenant(b.t.Context(), tenantID))
	return b.key(tenantID)
}

// provisioning makes a tenant that is not set up yet.
func (b *bundle) provisioning(tenantID string, settings tenant.Settings) {
	b.t.Helper()
	_, err := b.store.CreateTenant(b.t.Context(), tenant.Tenant{
		ID: tenantID, Name: tenantID, Domain: "acme.com", Settings: settings.WithDefaults(),
	})
	require.NoError(b.t, err)
}

func (b *bundle) key(tenantID string) string {
	b.t.Helper()
	key := apikey.New(apikey.Tenant)
	_, err := b.store.CreateTenantKey(b.t.Context(), tenantID, store.NewKey{Name: "test", Key: key})
	require.NoError(b.t, err)
	return key.Text()
}

// answer is what came back.
type answer struct {
	t      *testing.T
	Status int
	Header http.Header
	Body   string
}

// request is a request that says it is JSON. A body that is not text is encoded.
func (b *bundle) request(method, path, key string, body any) *http.Request {
	b.t.Helper()
	var content io.Reader
	switch v := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(v)
	case io.Reader:
		content = v
	default:
		encoded, err := json.Marshal(v)
		require.NoError(b.t, err)
		content = bytes.NewReader(encoded)
	}
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, content)
	if content != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	return r
}

func (b *bundle) send(r *http.Request) answer {
	b.t.Helper()
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return answer{t: b.t, Status: w.Code, Header: w.Header(), Body: w.Body.String()}
}

// ask sends a request; headers are pairs of a name and a value.
func (b *bundle) ask(method, path, key string, body any, headers ...string) answer {
	b.t.Helper()
	r := b.request(method, path, key, body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return b.send(r)
}

// must sends a request that succeeds with a status, and reads its answer.
func must[T any](b *bundle, status int, method, path, key string, body any) T {
	b.t.Helper()
	a := b.ask(method, path, key, body)
	require.Equal(b.t, status, a.Status, "%s %s: %s", method, path, a.Body)
	return read[T](a)
}

// read decodes an answer, which has no member that T does not know.
func read[T any](a answer) (v T) {
	a.t.Helper()
	decoder := json.NewDecoder(strings.NewReader(a.Body))
	decoder.DisallowUnknownFields()
	require.NoError(a.t, decoder.Decode(&v), a.Body)
	return v
}

// page is a page of a list.
type page[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"nextCursor"`
}

// walk reads a list to its end, page by page, and gives the sizes of the pages too.
func walk[T any](b *bundle, path, key string) (items []T, sizes []int) {
	b.t.Helper()
	for next := path; ; {
		p := must[page[T]](b, http.StatusOK, http.MethodGet, next, key, nil)
		items, sizes = append(items, p.Items...), append(sizes, len(p.Items))
		if p.NextCursor == nil {
			return items, sizes
		}
		next = path + "&after=" + *p.NextCursor
	}
}

// problem requires a problem document of a status and code, as every error must be.
func (a answer) problem(status int, code string) apiserver.Problem {
	a.t.Helper()
	require.Equal(a.t, status, a.Status, a.Body)
	require.Equal(a.t, "application/problem+json", a.Header.Get("Content-Type"))
	p := read[apiserver.Problem](a)
	require.Equal(a.t, code, p.Code, a.Body)
	require.Equal(a.t, status, p.Status)
	require.Equal(a.t, http.StatusText(status), p.Title)
	require.NotEmpty(a.t, p.Detail)
	require.NotEmpty(a.t, p.RequestID)
	require.Equal(a.t, a.Header.Get("X-Request-Id"), p.RequestID)
	return p
}

// fields are the places and codes of a problem's errors; each has a message too.
func (a answer) fields(status int, code string) []string {
	a.t.Helper()
	var places []string
	for _, field := range a.problem(status, code).Errors {
		require.NotEmpty(a.t, field.Message, a.Body)
		places = append(places, field.Location+" "+field.Code)
	}
	return places
}

// pending are the emails that were handed on to be sent.
func (b *bundle) pending() []intake.Pending {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]intake.Pending{}, b.accepted...)
}

// exec changes the database behind the store's back.
func (b *bundle) exec(sql string, args ...any) {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.url)
	require.NoError(b.t, err)
	defer conn.Close(context.WithoutCancel(b.t.Context())) //nolint:errcheck // a test's connection
	_, err = conn.Exec(b.t.Context(), sql, args...)
	require.NoError(b.t, err)
}

// values are the rows of a query with one column of text.
func (b *bundle) values(sql string, args ...any) []string {
	b.t.Helper()
	conn, err := pgx.Connect(b.t.Context(), b.url)
	require.NoError(b.t, err)
	defer conn.Close(context.WithoutCancel(b.t.Context())) //nolint:errcheck // a test's connection
	rows, err := conn.Query(b.t.Context(), sql, args...)
	require.NoError(b.t, err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(b.t, err)
	return all
}

// dispatch makes a dispatch of emails, as the dispatcher does.
func (b *bundle) dispatch(tenantID string, dispatch uuid.UUID, runID string, emails ...uuid.UUID) {
	b.t.Helper()
	claimed, err := b.store.ClaimDispatch(b.t.Context(), tenantID, email.Transactional, dispatch, emails)
	require.NoError(b.t, err)
	require.Equal(b.t, len(emails), claimed)
	require.NoError(b.t, b.store.SetDispatchRun(b.t.Context(), tenantID, dispatch, runID))
}

// logBuffer is a log that tests read.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

var _ io.Writer = (*logBuffer)(nil)

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func ptr[T any](v T) *T { return &v }
