package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/devstack"
	"github.com/mailtura/mailtura/internal/devstack/inbox"
	"github.com/mailtura/mailtura/internal/devstack/postgres"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/keyring"
	"github.com/mailtura/mailtura/internal/store"
)

// devCmd runs everything on one machine. Each part can be replaced by one from outside.
type devCmd struct {
	Data         string   `name:"data" env:"MAILTURA_DATA" default:".mailtura" type:"path" help:"Folder for everything that is kept."`
	Ephemeral    bool     `name:"ephemeral" env:"MAILTURA_EPHEMERAL" help:"Keep nothing: use a temporary folder, and remove it at the end."`
	Port         int      `name:"port" env:"MAILTURA_PORT" default:"8080" help:"Port of the API. 0 takes a free one, here and below."`
	TemporalPort int      `name:"temporal-port" env:"MAILTURA_TEMPORAL_PORT" default:"7233" help:"Port of Temporal."`
	UIPort       int      `name:"temporal-ui-port" env:"MAILTURA_TEMPORAL_UI_PORT" default:"8233" help:"Port of Temporal UI."`
	SMTPPort     int      `name:"inbox-smtp-port" env:"MAILTURA_INBOX_SMTP_PORT" default:"1025" help:"Port on which the inbox takes mail."`
	InboxPort    int      `name:"inbox-port" env:"MAILTURA_INBOX_PORT" default:"8025" help:"Port of the inbox's page."`
	DatabaseURL  string   `name:"database-url" env:"DATABASE_URL" placeholder:"postgres://…" help:"Use this PostgreSQL instead of a private one."`
	Temporal     string   `name:"temporal-address" env:"TEMPORAL_ADDRESS" placeholder:"HOST:PORT" help:"Use this Temporal instead of a private one."`
	TemporalUI   string   `name:"temporal-ui-url" env:"TEMPORAL_UI_URL" placeholder:"URL" help:"Temporal UI of the Temporal from outside."`
	Temporalite  string   `name:"temporalite" env:"MAILTURA_TEMPORALITE" type:"path" placeholder:"FILE" help:"The temporalite program; it is looked for beside mailtura and on PATH."`
	SMTPRelay    []string `name:"smtp-relay" env:"MAILTURA_SMTP_RELAY" placeholder:"smtp://HOST:PORT" help:"Send outgoing mail to this mail server instead of to the inbox; further ones, after commas, are tried where the ones before can not be reached."`
	OperatorKey  string   `name:"operator-key" env:"MAILTURA_OPERATOR_KEY" placeholder:"mt_op_…" help:"Operator key to use; one is made when it is absent."`
	Config       string   `name:"config" env:"MAILTURA_CONFIG" type:"existingfile" placeholder:"FILE" help:"Configuration file (YAML) that is applied at start."`
	MasterKey    string   `name:"master-key" env:"MAILTURA_MASTER_KEY" placeholder:"BASE64" help:"Key that secrets in the database are encrypted with; one is made when it is absent."`
	DNSResolver  string   `name:"dns-resolver" env:"MAILTURA_DNS_RESOLVER" placeholder:"HOST:PORT" help:"Name server that is asked for the records of sender domains; those of the system when it is absent."`
	logging
}

// stack is a development stack with its parts. The stops run last to first.
type stack struct {
	devCmd
	dir         string
	databaseURL string
	temporal    string
	temporalUI  string
	inbox       *inbox.Inbox
	relay       []string
	failed      chan error // a part that ended by itself
	stops       []func(context.Context) error
}

// Run starts the parts, then API and worker, and stops all in reverse.
func (c devCmd) Run(ctx context.Context) (err error) {
	s := &stack{devCmd: c, dir: c.Data, failed: make(chan error, 4)}
	defer func() { err = errors.Join(err, s.stop()) }()
	if err := s.prepareFolder(); err != nil {
		return err
	}
	for _, start := range []func(context.Context) error{s.startPostgres, s.startTemporal, s.startInbox} {
		if err := start(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	return s.runProduct(ctx)
}

func (s *stack) stop() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for i := len(s.stops) - 1; i >= 0; i-- {
		err = errors.Join(err, s.stops[i](ctx))
	}
	return err
}

func (s *stack) prepareFolder() error {
	if s.Ephemeral {
		dir, err := os.MkdirTemp("", "mailtura-dev-")
		if err != nil {
			return fmt.Errorf("make temporary folder: %w", err)
		}
		s.dir = dir
		s.stops = append(s.stops, func(context.Context) error { return os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // PostgreSQL runs as another user below it
			return fmt.Errorf("open temporary folder: %w", err)
		}
	}
	unlock, err := devstack.Lock(s.dir)
	if err != nil {
		return err
	}
	s.stops = append(s.stops, func(context.Context) error { unlock(); return nil })
	return s.checkPorts()
}

// checkPorts says at once which port is taken, before anything is started.
func (s *stack) checkPorts() error {
	var all error
	for _, p := range []struct {
		flag string
		port int
		used bool
	}{
		{"--port", s.Port, true},
		{"--temporal-port", s.TemporalPort, s.Temporal == ""},
		{"--temporal-ui-port", s.UIPort, s.Temporal == ""},
		{"--inbox-smtp-port", s.SMTPPort, true},
		{"--inbox-port", s.InboxPort, true},
	} {
		if !p.used || p.port == 0 {
			continue
		}
		l, err := net.Listen("tcp", loopback(p.port))
		if err != nil {
			all = errors.Join(all, fmt.Errorf("port %d is in use by another program; choose another with %s", p.port, p.flag))
			continue
		}
		_ = l.Close()
	}
	return all
}

func (s *stack) startPostgres(ctx context.Context) error {
	if s.databaseURL = s.DatabaseURL; s.databaseURL != "" {
		return nil
	}
	pg, err := postgres.Start(ctx, postgres.Config{Dir: filepath.Join(s.dir, "postgres"), Fast: s.Ephemeral, Logger: s.logger()})
	if err != nil {
		return err
	}
	s.stops = append(s.stops, pg.Stop)
	s.watch("PostgreSQL", pg.Done())
	s.databaseURL = pg.URL("mailtura")
	return pg.CreateDatabase(ctx, "mailtura")
}

// startTemporal keeps Temporal's data in the private PostgreSQL, or, when the database is
// from outside, in a file of its own.
func (s *stack) startTemporal(ctx context.Context) error {
	if s.temporal, s.temporalUI = s.Temporal, s.TemporalUI; s.temporal != "" {
		return nil
	}
	cfg := devstack.TemporalConfig{
		Binary: s.Temporalite, Port: s.TemporalPort, UIPort: s.UIPort, Dir: s.dir,
		Namespace: flow.Namespace, Attributes: flow.AttributeTypes(), Output: os.Stderr,
	}
	if s.DatabaseURL == "" {
		cfg.PostgresURL = s.databaseURL
	} else {
		cfg.SQLiteFile = filepath.Join(s.dir, "temporal.db")
	}
	t, err := devstack.StartTemporal(ctx, cfg)
	if err != nil {
		return err
	}
	s.stops = append(s.stops, t.Stop)
	s.watch("Temporal", t.Done())
	s.temporal, s.temporalUI = t.Address, t.UIURL
	return nil
}

func (s *stack) startInbox(context.Context) error {
	box, err := inbox.Start(inbox.Config{
		Dir: filepath.Join(s.dir, "inbox"), SMTPAddr: loopback(s.SMTPPort), HTTPAddr: loopback(s.InboxPort), Logger: s.logger(),
	})
	if err != nil {
		return err
	}
	s.stops = append(s.stops, box.Close)
	s.inbox = box
	if s.relay = s.SMTPRelay; len(s.relay) == 0 {
		s.relay = []string{"smtp://" + box.SMTPAddr()}
	}
	return nil
}

// watch ends the stack when one of its parts ends by itself.
func (s *stack) watch(part string, done <-chan struct{}) {
	go func() {
		<-done
		s.failed <- fmt.Errorf("%s has stopped", part)
	}()
}

// runProduct runs API and worker until the context ends or a part of the stack does.
func (s *stack) runProduct(ctx context.Context) error {
	key, err := s.operatorKey(ctx)
	if err != nil {
		return err
	}
	masterKey, err := s.masterKey()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		product := settings{
			connections: connections{DatabaseURL: s.databaseURL, Temporal: s.temporal, Namespace: flow.Namespace},
			SMTPRelay:   s.relay, TemporalUI: s.temporalUI, DNSResolver: s.DNSResolver, Migrate: true, logging: s.logging,
			secrets: secrets{MasterKey: masterKey, WebhookLoopback: true},
		}
		api := &listening{Listen: loopback(s.Port), OperatorKey: key, Config: s.Config, publicIsOwn: true}
		err := run(ctx, product, api, true, func(address string) {
			if err := s.announce("http://"+address, key); err != nil {
				s.failed <- err
			}
		})
		if err == nil {
			err = errStopped
		}
		return err
	})
	group.Go(func() error {
		select {
		case err := <-s.failed:
			return err
		case <-ctx.Done():
			return nil
		}
	})
	if err := group.Wait(); !errors.Is(err, errStopped) {
		return err
	}
	return nil
}

// errStopped ends the group when the product has ended in order.
var errStopped = errors.New("stopped")

// operatorKey is the key of this folder, made at its first start. The key is good for this
// machine only, and its file for its owner only.
func (s *stack) operatorKey(ctx context.Context) (string, error) {
	if s.OperatorKey != "" {
		return s.OperatorKey, nil
	}
	file := filepath.Join(s.dir, "operator.key")
	if text, err := os.ReadFile(file); err == nil { //nolint:gosec // below the data folder
		if key, ok := apikey.Parse(string(text)); ok && s.keyIsGood(ctx, key) {
			return key.Text(), nil
		}
	}
	key := apikey.New(apikey.Operator)
	if err := os.WriteFile(file, []byte(key.Text()), 0o600); err != nil {
		return "", fmt.Errorf("keep operator key: %w", err)
	}
	return key.Text(), nil
}

// masterKey is what secrets of this folder are encrypted with, made at its first start.
func (s *stack) masterKey() (string, error) {
	if s.MasterKey != "" {
		return s.MasterKey, nil
	}
	file := filepath.Join(s.dir, "master.key")
	if text, err := os.ReadFile(file); err == nil { //nolint:gosec // below the data folder
		return string(text), nil
	}
	key := keyring.NewKey()
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep master key: %w", err)
	}
	return key, nil
}

// keyIsGood reports whether the key has not been revoked; one that the database does not
// know yet is made good at start.
func (s *stack) keyIsGood(ctx context.Context, key apikey.Key) bool {
	db, err := store.Open(ctx, store.Config{URL: s.databaseURL, MaxConns: 1})
	if err != nil {
		return true
	}
	defer db.Close()
	c, err := db.Credential(ctx, key.Prefix)
	return err != nil || !c.Revoked
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
