// Package inbox catches mail for development: it takes everything over SMTP, and shows it
// on a page and as JSON.
//
//	GET    /api/v1/messages?limit=&after=&to=&subject=   {items, total, nextCursor}, newest first
//	GET    /api/v1/messages/{id}                         one, with headers, html, text and attachments
//	GET    /api/v1/messages/{id}/source                  as it came over the wire
//	GET    /api/v1/messages/{id}/html                    its HTML, for a frame without scripts
//	GET    /api/v1/messages/{id}/attachments/{n}         a file of it, counted from 0
//	DELETE /api/v1/messages                              forget all
//	GET    /api/v1/stream                                server-sent event "message" for each new one
//
// Some recipients are refused, so that an application can be tried against it: a local part
// that ends with +bounce gets 550 5.1.1, +defer gets 451 4.7.1, and +defer-once the same for
// the first attempt of a message.
package inbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/emersion/go-smtp"
)

// Config of an inbox.
type Config struct {
	Dir             string // messages are kept here; empty: in memory
	SMTPAddr        string // host:port; port 0 = a free one
	HTTPAddr        string
	MaxMessages     int   // the oldest are dropped beyond; 0 = 10000
	MaxMessageBytes int64 // 0 = 50 MiB
	Logger          *slog.Logger
}

// Inbox is a running inbox.
type Inbox struct {
	box      *mailbox
	smtp     *smtp.Server
	http     *http.Server
	smtpAddr string
	httpAddr string
}

// Start starts an inbox. Mail that is kept in the folder is there again.
func Start(cfg Config) (*Inbox, error) {
	if cfg.MaxMessages == 0 {
		cfg.MaxMessages = 10_000
	}
	if cfg.MaxMessageBytes == 0 {
		cfg.MaxMessageBytes = 50 << 20
	}
	box, err := openMailbox(cfg.Dir, cfg.MaxMessages)
	if err != nil {
		return nil, err
	}
	smtpListener, err := net.Listen("tcp", cfg.SMTPAddr)
	if err != nil {
		return nil, fmt.Errorf("listen for mail on %s: %w", cfg.SMTPAddr, err)
	}
	httpListener, err := net.Listen("tcp", cfg.HTTPAddr)
	if err != nil {
		_ = smtpListener.Close()
		return nil, fmt.Errorf("listen for the inbox page on %s: %w", cfg.HTTPAddr, err)
	}
	i := &Inbox{box: box, smtpAddr: smtpListener.Addr().String(), httpAddr: httpListener.Addr().String()}
	i.smtp = newSMTP(box, cfg.MaxMessageBytes)
	i.http = &http.Server{Handler: newHandler(box, i.smtpAddr, i.httpAddr), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = i.smtp.Serve(smtpListener) }()
	go func() { _ = i.http.Serve(httpListener) }()
	return i, nil
}

// SMTPAddr is where mail goes, as host:port.
func (i *Inbox) SMTPAddr() string { return i.smtpAddr }

// URL is the address of the page.
func (i *Inbox) URL() string { return "http://" + i.httpAddr }

// Close stops taking mail, and ends.
func (i *Inbox) Close(ctx context.Context) error {
	i.box.close()
	err := i.smtp.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = i.smtp.Close()
	}
	return errors.Join(err, i.http.Shutdown(ctx))
}
