// Package apiserver is the HTTP surface: chi for routing, huma for the OpenAPI document and
// the checking of requests. A file is a resource. Handlers speak in faults; problem.go alone
// knows HTTP statuses.
package apiserver

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/template"
)

// prefix is where the API is.
const prefix = "/api/v1"

// Config is what the API needs. The OpenAPI document can be made with the zero Config.
type Config struct {
	Store     *store.Store
	Intake    *intake.Acceptor
	Resume    func([]intake.Pending) // takes up emails that are to be sent again
	Flow      *flow.Client
	Templates *template.Engine
	Log       *slog.Logger
	// TemporalUI is the address of Temporal UI, for links; empty: no links.
	TemporalUI string
	Namespace  string
	// Remember is how long keys and tenants are remembered while Listen hears of changes; half a
	// second at the most while it does not. 0: they are not.
	Remember time.Duration
	Uploads  Uploads
	Webhooks Webhooks
	Domains  Domains
	// TrustedProxies are the peers whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	Attempts       Attempts
	Patience       Patience
	Tracking       Tracking
}

// Uploads bounds uploads of bulk sends. What is zero is as the product promises it.
type Uploads struct {
	Lines int           // of one upload; 1,000,000
	Stall time.Duration // after which a body that does not go on is given up; 60 s
	Beat  time.Duration // how often an upload is said to be under way; 10 s
}

func (u Uploads) withDefaults() Uploads {
	return Uploads{Lines: cmp.Or(u.Lines, maxBulkLines), Stall: cmp.Or(u.Stall, bulkStall), Beat: cmp.Or(u.Beat, store.UploadPatience/6)}
}

// Server serves the API.
type Server struct {
	Config
	log     *slog.Logger
	router  chi.Router
	tracked chi.Router // below trackPath
	api     huma.API
	running running
	known   known
	uses    *keyUses // nil without a store
	feeds   feeds

	draining chan struct{}
	drain    func() // closes draining, once

	attempts attempts
	tests    outside      // calls of webhooks
	checks   outside      // of domains
	bodies   atomic.Int64 // bytes of bodies that are under way

	publicHost string // of Tracking.Base
}

// New makes the server with all routes.
func New(cfg Config) *Server {
	installProblems()
	cfg.Uploads, cfg.Patience = cfg.Uploads.withDefaults(), cfg.Patience.withDefaults()
	s := &Server{
		Config: cfg, log: cfg.Log, router: chi.NewRouter(), tracked: chi.NewRouter(),
		known: newKnown(cfg.Store, cfg.Remember, cfg.Patience.Database), attempts: newAttempts(cfg.Attempts),
		tests: newTestCalls(), checks: newChecks(),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.feeds = feeds{store: cfg.Store, log: s.log, feeds: map[string]*feed{}}
	s.draining = make(chan struct{})
	s.drain = sync.OnceFunc(func() { close(s.draining) })
	if cfg.Store != nil {
		s.uses = newKeyUses(cfg.Store.TouchKeys, s.log)
	}
	s.publicHost = hostOf(cfg.Tracking.Base)
	s.router.Use(s.hurry, s.trace, s.identify, s.locate, s.recoverPanics, s.limitBody)
	s.router.NotFound(s.notFound)
	s.router.MethodNotAllowed(s.methodNotAllowed)
	s.api = humachi.New(s.router, openAPI())
	s.registerTenants()
	s.registerDeleteTenant()
	s.registerTenantDeletions()
	s.registerSuspension()
	s.registerAPIKeys()
	s.registerOperatorKeys()
	s.registerTemplates()
	s.registerTemplateVersions()
	s.registerTemplatePreviews()
	s.registerTemplateValidation()
	s.registerTemplateTests()
	s.registerTemplateCopies()
	s.registerEmails()
	s.registerBatch()
	s.registerEmailChanges()
	s.registerTimeline()
	s.registerEvents()
	s.registerEventStream()
	s.registerWebhooks()
	s.registerWebhookCalls()
	s.registerDomains()
	s.registerMetrics()
	s.registerBulkSends()
	s.registerUsage()
	s.registerAuditLog()
	s.registerTracking()
	s.registerHealth()
	s.registerDocs()
	return s
}

func openAPI() huma.Config {
	cfg := huma.DefaultConfig("Mailtura", "1")
	cfg.CreateHooks = nil // no $schema members in answers
	cfg.Formats = jsonFormats()
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", ""
	cfg.RejectUnknownQueryParameters = true
	cfg.Info.Description = description
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key": {Type: "http", Scheme: "bearer", Description: "An operator key (mt_op_…) or a tenant key (mt_live_…)."},
	}
	return cfg
}

const description = `Multi-tenant email delivery.

Authenticate with ` + "`Authorization: Bearer <key>`" + `. A tenant key (` + "`mt_live_…`" + `) speaks for its tenant. An operator key
(` + "`mt_op_…`" + `) administers tenants, and speaks for one of them with the header ` + "`X-Tenant-ID`" + `. With an operator key, ` + "`X-Audit-Note`" + `
(up to 200 printable ASCII characters) goes into the audit log beside what the request does: a ticket, or a program's name.

Every error is a problem document (RFC 9457) with a stable ` + "`code`" + `. Lists are newest first and are paged with
` + "`limit`" + ` and ` + "`after`" + `: pass the ` + "`nextCursor`" + ` of one answer as the ` + "`after`" + ` of the next.`

// ServeHTTP serves a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, trackPath) {
		s.tracked.ServeHTTP(w, r)
		return
	}
	s.router.ServeHTTP(w, r)
}

// Listen hears of changes that other processes make to keys and tenants, until the context ends.
func (s *Server) Listen(ctx context.Context) { s.Store.ListenToChanges(ctx, s.log, s.known.heard) }

// OpenAPI is the OpenAPI 3.1 document as YAML.
func (s *Server) OpenAPI() ([]byte, error) { return s.api.OpenAPI().YAML() }

// register adds an operation, whose errors become problems.
func register[I, O any](s *Server, access access, op huma.Operation, handler func(context.Context, *I) (*O, error)) {
	op.Path = prefix + op.Path
	op.Security = []map[string][]string{{"key": {string(access.scope)}}}
	op.Description = strings.TrimSpace(op.Description + " Needs the scope `" + string(access.scope) + "`.")
	op.Middlewares = append(huma.Middlewares{s.authenticate(access)}, op.Middlewares...)
	op.Errors = append([]int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity,
		http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable,
	}, op.Errors...)
	if !access.operators {
		op.Errors = append(op.Errors, http.StatusNotFound)
	}
	if takesBody(reflect.TypeFor[I]()) {
		op.MaxBodyBytes = cmp.Or(op.MaxBodyBytes, defaultBody)
		op.BodyReadTimeout = cmp.Or(op.BodyReadTimeout, s.Patience.Body)
		op.Description = strings.TrimSpace(op.Description + " Its body has at most " + strconv.FormatInt(op.MaxBodyBytes>>20, 10) + " MiB.")
		op.Errors = append(op.Errors, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	conditional(&op, new(I))
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		if answer, ok := alreadyKnown(in, out); ok {
			return nil, answer
		}
		return out, nil
	})
}

// takesBody reports whether the input of an operation has a body.
func takesBody(input reflect.Type) bool {
	_, takes := input.FieldByName("Body")
	return takes
}

// body is an answer that is only a body.
type body[T any] struct{ Body T }

// Page is the query of a list.
type Page struct {
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many at the most"`
	After string `query:"after" maxLength:"400" doc:"nextCursor of the answer before"`
}

// list is a page of a list, newest first.
type list[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"nextCursor" doc:"Pass it as after to get the next page; null on the last one"`
}

func newList[S, T any](items []S, next string, show func(S) T) *body[list[T]] {
	out := &body[list[T]]{Body: list[T]{Items: make([]T, len(items))}}
	for i, item := range items {
		out.Body.Items[i] = show(item)
	}
	if next != "" {
		out.Body.NextCursor = &next
	}
	return out
}
