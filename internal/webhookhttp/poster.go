// Package webhookhttp calls the endpoints of webhooks. They are somebody else's choice, so
// every connection is checked: the address that is dialled, after its name was looked up,
// must be a public one, no proxy and no redirect leads elsewhere, and no answer takes more
// than its time and size.
package webhookhttp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"code.dny.dev/ssrf"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/mailtura/mailtura/internal/webhook"
)

const (
	timeout    = 10 * time.Second
	maxSnippet = 1024     // bytes of an answer that are kept
	maxAnswer  = 64 << 10 // bytes of an answer that are read, so that its connection can be used again
)

// Config is how endpoints are called. The zero Config is the safe one.
type Config struct {
	Loopback  webhook.Loopback // endpoints on this machine may be called too
	Timeout   time.Duration    // of a call; 0 = 10 s
	UserAgent string

	// Of tests: what names mean, and whom certificates are trusted from.
	Resolver *net.Resolver
	Roots    *x509.CertPool
}

// Poster calls endpoints.
type Poster struct {
	cfg    Config
	client http.Client
}

// New makes a Poster.
func New(cfg Config) *Poster {
	if cfg.Timeout == 0 {
		cfg.Timeout = timeout
	}
	dialer := &net.Dialer{Timeout: cfg.Timeout, Resolver: cfg.Resolver, Control: guard(cfg.Loopback)}
	return &Poster{cfg: cfg, client: http.Client{
		Timeout:       cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots},
			TLSHandshakeTimeout:    cfg.Timeout,
			MaxResponseHeaderBytes: 16 << 10, MaxIdleConnsPerHost: 16, MaxIdleConns: 512, IdleConnTimeout: time.Minute,
			DisableCompression: true, // nothing of it is needed, and bombs stay small
		},
	}}
}

// guard refuses to dial what is not a public address.
func guard(loopback webhook.Loopback) func(network, address string, c syscall.RawConn) error {
	if !loopback {
		return ssrf.New(ssrf.WithPorts(443, 8443)).Safe
	}
	return ssrf.New(ssrf.WithAnyPort(),
		ssrf.WithAllowedV4Prefixes(netip.MustParsePrefix("127.0.0.0/8")), ssrf.WithAllowedV6Prefixes(netip.MustParsePrefix("::1/128"))).Safe
}

// Close closes connections that are not in use.
func (p *Poster) Close() { p.client.CloseIdleConnections() }

// Call is a call of an endpoint.
type Call struct {
	URL     string
	ID      string // of the event: the same for every call of it
	Payload []byte
	Secrets []webhook.Secret
}

// Outcome is what became of a call.
type Outcome struct {
	Started    time.Time
	Duration   time.Duration
	Status     int    // of HTTP; 0: there was no answer
	Snippet    string // how the answer begins, at most 1 kB
	Error      string // why the call is not good, in a word; empty: it is
	RetryAfter time.Duration
}

// Gone reports whether the endpoint wants no more calls.
func (o Outcome) Gone() bool { return o.Status == http.StatusGone }

// Post makes a call. What goes wrong is an outcome, not an error.
func (p *Poster) Post(ctx context.Context, c Call) Outcome {
	o := Outcome{Started: time.Now()}
	response, err := p.send(ctx, c, o.Started)
	if err != nil {
		o.Error, o.Duration = word(err), time.Since(o.Started)
		return o
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	o.Status = response.StatusCode
	o.Snippet, err = snippet(response.Body)
	o.Duration = time.Since(o.Started)
	switch {
	case o.Status >= 300 && o.Status < 400:
		o.Error = "redirect"
	case o.Status < 200 || o.Status >= 300:
		o.Error = "status"
	case err != nil:
		o.Error = word(err)
	}
	if o.Status == http.StatusTooManyRequests || o.Status == http.StatusServiceUnavailable {
		o.RetryAfter = retryAfter(response.Header.Get("Retry-After"), time.Now())
	}
	return o
}

func (p *Poster) send(ctx context.Context, c Call, at time.Time) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL, bytes.NewReader(c.Payload))
	if err != nil {
		return nil, fmt.Errorf("make call: %w", err)
	}
	signature, err := webhook.Sign(c.ID, at, c.Payload, c.Secrets...)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", p.cfg.UserAgent)
	request.Header.Set(standardwebhooks.HeaderWebhookID, c.ID)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return p.client.Do(request)
}

// snippet is how an answer begins, as text that can be stored.
func snippet(body io.Reader) (string, error) {
	var kept bytes.Buffer
	_, err := io.Copy(&kept, io.LimitReader(body, maxSnippet))
	if err == nil {
		_, err = io.CopyN(io.Discard, body, maxAnswer)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	text := strings.ToValidUTF8(strings.ReplaceAll(kept.String(), "\x00", ""), "")
	for len(text) > maxSnippet || !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text, err
}

// word says in a word why there is no answer. The texts of errors stay here: they tell of
// names and addresses inside.
func word(err error) string {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	var header tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedPort), errors.Is(err, ssrf.ErrProhibitedNetwork):
		return "address_refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &dns):
		return "name_not_found"
	case errors.As(err, &certificate), errors.As(err, &header), errors.As(err, &alert), errors.Is(err, http.ErrSchemeMismatch):
		return "tls"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection_refused"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	}
	return "connection"
}

// longestWait is how long an endpoint can have itself left alone.
const longestWait = time.Hour

// retryAfter reads the header (RFC 9110 §10.2.3): seconds or a date; 0: neither.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, longestWait)
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), longestWait)
}
