package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/hits"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/keyring"
	"github.com/mailtura/mailtura/internal/plan"
	"github.com/mailtura/mailtura/internal/smtpout"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/template"
	"github.com/mailtura/mailtura/internal/temporalconn"
	"github.com/mailtura/mailtura/internal/track"
	"github.com/mailtura/mailtura/internal/webhook"
	"github.com/mailtura/mailtura/internal/webhookhttp"
	"github.com/mailtura/mailtura/worker"
)

// startSlots is how many dispatches a process starts at the same time: one costs a few
// transactions of Temporal, and while one is on its way more emails gather for the next.
const startSlots = 2

// rememberKeys is how long the API remembers keys and tenants, which it is told of when they change.
const rememberKeys = 30 * time.Second

// settings are what every role needs.
type settings struct {
	connections
	SMTPRelay   []string `name:"smtp-relay" env:"MAILTURA_SMTP_RELAY" placeholder:"smtp://HOST:PORT" help:"Mail server that takes all outgoing mail: smtp://[user:password@]host[:port] or smtps://…. Further ones, after commas, are tried where the ones before can not be reached."`
	DKIMKeys    string   `name:"dkim-keys" env:"MAILTURA_DKIM_KEYS" type:"existingdir" placeholder:"FOLDER" help:"Private keys to sign mail with (DKIM), in files that are named like their TXT records: s1._domainkey.acme.com.pem."`
	TemporalUI  string   `name:"temporal-ui-url" env:"TEMPORAL_UI_URL" placeholder:"URL" help:"Address of Temporal UI, for links in answers."`
	Migrate     bool     `name:"migrate" env:"MAILTURA_MIGRATE" default:"true" negatable:"" help:"Bring the database to the newest schema and prepare the Temporal namespace at start."`
	DNSResolver string   `name:"dns-resolver" env:"MAILTURA_DNS_RESOLVER" placeholder:"HOST:PORT" help:"Name server that is asked for the records of sender domains; those of the system when it is absent."`
	secrets
	logging
}

// secrets are what other people's secrets are kept with, and what is called with them.
type secrets struct {
	MasterKey       string `name:"master-key" env:"MAILTURA_MASTER_KEY" placeholder:"BASE64" help:"Key that secrets in the database are encrypted with: 32 bytes in base64 (openssl rand -base64 32). Of several, after commas, the first encrypts and all decrypt. Without one no webhook and no sender domain can be made."`
	MasterKeyFile   string `name:"master-key-file" env:"MAILTURA_MASTER_KEY_FILE" type:"existingfile" placeholder:"FILE" help:"File that has the master key instead."`
	WebhookLoopback bool   `name:"webhook-allow-loopback" env:"MAILTURA_WEBHOOK_ALLOW_LOOPBACK" help:"Let webhooks call this machine, over http and on any port too. For development only: whoever may make a webhook reaches what listens here."`
}

// connections are where the database and Temporal are.
type connections struct {
	DatabaseURL string `name:"database-url" env:"DATABASE_URL" placeholder:"postgres://…" help:"PostgreSQL, version 15 or newer."`
	Temporal    string `name:"temporal-address" env:"TEMPORAL_ADDRESS" default:"127.0.0.1:7233" placeholder:"HOST:PORT" help:"Temporal frontend."`
	Namespace   string `name:"temporal-namespace" env:"TEMPORAL_NAMESPACE" default:"mailtura" help:"Temporal namespace."`
}

// logging is how the process logs.
type logging struct {
	LogLevel slog.Level `name:"log-level" env:"MAILTURA_LOG_LEVEL" default:"info" help:"debug, info, warn or error."`
	LogJSON  bool       `name:"log-json" env:"MAILTURA_LOG_JSON" default:"true" negatable:"" help:"Log JSON lines."`
}

func (l logging) logger() *slog.Logger {
	return telemetry.NewLogger(apikey.Redacted{Writer: os.Stderr}, l.LogLevel, l.LogJSON)
}

// listening is how the API listens.
type listening struct {
	Listen      string `name:"listen" env:"MAILTURA_LISTEN" default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address of the API."`
	OperatorKey string `name:"operator-key" env:"MAILTURA_OPERATOR_KEY" placeholder:"mt_op_…" help:"An operator key that is made good at start, so that a new installation has one."`
	Config      string `name:"config" env:"MAILTURA_CONFIG" type:"existingfile" placeholder:"FILE" help:"Configuration file (YAML) that is applied at start, before the API listens. Nothing is deleted."`

	TrustedProxies []netip.Prefix `name:"trusted-proxies" env:"MAILTURA_TRUSTED_PROXIES" placeholder:"CIDR,..." help:"Networks of the proxies in front of the API, whose X-Forwarded-For is believed. Without it, nobody's is."`
	PublicURL      string         `name:"public-url" env:"MAILTURA_PUBLIC_URL" placeholder:"https://HOST" help:"Address under which mail programs and browsers reach the API: links and pictures of tracked mail are below it. Without it, only tenants with a tracking domain of their own can track."`

	SPF string `name:"spf" env:"MAILTURA_SPF" placeholder:"MECHANISM..." help:"What the SPF records of sender domains should have so that the mail servers of the installation may send for them, such as include:spf.example.com. It is shown as advice."`

	publicIsOwn bool // where there is no PublicURL, the address it listens on is that
}

type serveCmd struct {
	settings
	listening
}

// Run runs API and worker.
func (c serveCmd) Run(ctx context.Context) error {
	return run(ctx, c.settings, &c.listening, true, nil)
}

type apiserverCmd struct {
	settings
	listening
}

// Run runs the API.
func (c apiserverCmd) Run(ctx context.Context) error {
	return run(ctx, c.settings, &c.listening, false, nil)
}

type workerCmd struct{ settings }

// Run runs the worker.
func (c workerCmd) Run(ctx context.Context) error { return run(ctx, c.settings, nil, true, nil) }

// app is a process with its parts. The stops run last to first.
type app struct {
	settings
	log    *slog.Logger
	store  *store.Store
	flow   *flow.Client
	inline *flow.Inline // nil: API and worker are apart
	wanted []plan.Tenant

	tracking   track.Keys
	templates  *template.Engine
	dispatcher *intake.Dispatcher
	keys       *keyring.Keyring // nil: there is no master key
	endpoints  *webhookhttp.Poster
	stops      []func()
}

// run runs the roles that are asked for until the context ends: the API where api is not
// nil, and the worker. ready is told the address of the API when it listens.
func run(ctx context.Context, s settings, api *listening, worker bool, ready func(apiAddress string)) error {
	if s.DatabaseURL == "" {
		return errors.New("no database: set --database-url or DATABASE_URL")
	}
	a := &app{settings: s, log: s.logger()}
	defer a.stop()
	if err := a.readConfiguration(api); err != nil {
		return err
	}
	if err := a.open(ctx, api != nil && worker); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { a.dispatcher.Sweep(ctx); return nil })
	group.Go(func() error { a.dispatcher.Release(ctx); return nil })
	if worker {
		group.Go(func() error { a.summarize(ctx); return nil })
		group.Go(func() error { a.rollMetrics(ctx); return nil })
		group.Go(func() error { return a.work(ctx) })
	}
	if api != nil {
		group.Go(func() error { return a.serve(ctx, *api, ready) })
	}
	return group.Wait()
}

func (a *app) stop() {
	for i := len(a.stops) - 1; i >= 0; i-- {
		a.stops[i]()
	}
}

// open connects what every role uses. inline says that API and worker share the process.
func (a *app) open(ctx context.Context, inline bool) error {
	shutdown, err := telemetry.Setup(ctx, version, apikey.RedactText)
	if err != nil {
		return err
	}
	a.stops = append(a.stops, func() {
		flush, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := shutdown(flush); err != nil {
			a.log.Warn("telemetry was not flushed", slog.Any("error", err))
		}
	})
	if a.Migrate {
		if err := migrate(ctx, a.connections, a.log); err != nil {
			return err
		}
	}
	if a.store, err = store.Open(ctx, store.Config{URL: a.DatabaseURL, Traced: telemetry.TracesAsked()}); err != nil {
		return err
	}
	a.stops = append(a.stops, a.store.Close)
	if a.tracking, err = trackingKeys(ctx, a.store); err != nil {
		return err
	}
	temporal, err := temporalconn.Lazy(temporalconn.Config{Address: a.Temporal, Namespace: a.Namespace, Log: a.log})
	if err != nil {
		return err
	}
	a.stops = append(a.stops, temporal.Close)
	if inline {
		a.inline = &flow.Inline{}
	}
	a.flow = flow.NewClient(temporal, a.inline)
	if a.templates, err = template.NewEngine(template.Config{Timeout: 2 * time.Second}); err != nil {
		return fmt.Errorf("start template engine: %w", err)
	}
	a.stops = append(a.stops, a.templates.Close)
	a.dispatcher = intake.NewDispatcher(a.store, a.flow, startSlots, a.log)
	a.stops = append(a.stops, a.dispatcher.Close)
	return a.openWebhooks()
}

// work runs the workers until the context ends, and then lets what is under way finish.
func (a *app) work(ctx context.Context) error {
	relay, err := a.relay()
	if err != nil {
		return err
	}
	defer relay.Close()
	signers, err := a.signers()
	if err != nil {
		return err
	}
	if err := temporalconn.WaitUntilUp(ctx, a.flow.Temporal(), a.log); err != nil {
		return nil
	}
	fence := &activities.Fence{}
	workers, err := worker.Start(a.flow.Temporal(), activities.Set{
		Delivery: &activities.Delivery{
			Store: a.store, Templates: a.templates, Signers: signers, Tracking: a.tracking, Transport: relay, Permits: activities.NewPermits(a.flow),
			Turns: activities.NewTurns(relay.MaxConns()), Fence: fence, Inline: a.inline, Log: a.log,
		},
		Lifecycle: &activities.Lifecycle{Store: a.store, Flow: a.flow},
		BulkSends: &activities.BulkSends{Store: a.store, Starter: a.flow, Log: a.log},
		Webhooks:  a.webhooks(),
		Domains:   &activities.Domains{Store: a.store, DNS: a.dns(), Log: a.log},
	}, worker.Config{Log: a.log})
	if err != nil {
		return err
	}
	watching, ended := context.WithCancel(context.WithoutCancel(ctx)) // what is under way is finished after the end
	defer ended()
	go fence.Watch(watching, a.store, a.log)
	waking := a.wakeWebhooks(ctx)
	worker.Recover(ctx, a.store, a.flow, a.log)
	<-waking
	workers.Stop()
	return nil
}

func (a *app) summarize(ctx context.Context)   { worker.Summarize(ctx, a.store, a.log) }
func (a *app) rollMetrics(ctx context.Context) { worker.RollMetrics(ctx, a.store, a.log) }

func (a *app) relay() (*smtpout.Relays, error) {
	if len(a.SMTPRelay) == 0 {
		return nil, errors.New("no mail server: set --smtp-relay or MAILTURA_SMTP_RELAY")
	}
	relays := make([]*smtpout.Relay, len(a.SMTPRelay))
	for i, url := range a.SMTPRelay {
		cfg, err := smtpout.ParseURL(url)
		if err != nil {
			return nil, fmt.Errorf("read --smtp-relay: %w", err)
		}
		if relays[i], err = smtpout.New(cfg, a.log); err != nil {
			return nil, fmt.Errorf("use --smtp-relay: %w", err)
		}
	}
	return smtpout.NewRelays(relays...), nil
}

// serve runs the API until the context ends: it then takes no new requests, answers
// those that are under way, and commits what was accepted.
func (a *app) serve(ctx context.Context, api listening, ready func(string)) error {
	if api.OperatorKey != "" {
		if err := ensureOperatorKey(ctx, a.store, api.OperatorKey); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", api.Listen)
	if err != nil {
		return fmt.Errorf("listen for the API (--listen): %w", err)
	}
	base, err := api.trackingBase(listener)
	if err != nil {
		_ = listener.Close()
		return err
	}
	recorder := hits.New(a.store, a.log)
	defer recorder.Close()
	acceptor := intake.NewAcceptor(a.store, a.dispatcher.Add)
	defer acceptor.Close()
	handler := apiserver.New(apiserver.Config{
		Store: a.store, Intake: acceptor, Resume: a.dispatcher.Add, Flow: a.flow, Templates: a.templates, Log: a.log,
		TemporalUI: a.TemporalUI, Namespace: a.Namespace, Remember: rememberKeys, TrustedProxies: api.TrustedProxies,
		Webhooks: apiserver.Webhooks{Keys: a.keys, Caller: a.endpoints, Loopback: webhook.Loopback(a.WebhookLoopback)},
		Domains:  apiserver.Domains{Keys: a.keys, DNS: a.dns(), SPF: strings.Fields(api.SPF)},
		Tracking: apiserver.Tracking{Base: base, Keys: a.tracking, Hits: recorder},
	})
	listening, silence := context.WithCancel(context.WithoutCancel(ctx)) // requests are answered for a while after the end
	defer silence()
	go handler.Listen(listening)
	server := handler.HTTP()
	if api.Config != "" {
		if err := a.applyConfiguration(ctx, server.Handler, &api); err != nil {
			return err
		}
	}
	server.RegisterOnShutdown(handler.Drain)
	a.log.Info("API is ready", slog.String("address", listener.Addr().String()))
	if ready != nil {
		ready(listener.Addr().String())
	}
	stopped := context.AfterFunc(ctx, func() {
		drain, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		_ = server.Shutdown(drain) // what is not answered by then is cut
	})
	defer stopped()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the API: %w", err)
	}
	return nil
}
