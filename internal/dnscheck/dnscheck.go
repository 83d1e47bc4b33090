// Package dnscheck asks the DNS for the records of domains.
package dnscheck

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mailtura/mailtura/internal/domain"
)

const (
	patience = 8 * time.Second // for all answers to a look
	together = 8               // questions at the same time
	// What of an answer is kept: anybody can put anything there.
	maxValues = 20
	maxValue  = 1000 // octets
)

// Resolver asks the DNS.
type Resolver struct{ dns *net.Resolver }

// New asks the server at an address (host:port), or without one those of the system.
func New(server string) *Resolver {
	r := &Resolver{dns: &net.Resolver{PreferGo: true}}
	if server != "" {
		r.dns.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, server)
		}
	}
	return r
}

// Look asks all questions, some at a time, and gives an answer to each.
func (r *Resolver) Look(ctx context.Context, questions []domain.Question) []domain.Answer {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answers := make([]domain.Answer, len(questions))
	var group errgroup.Group
	group.SetLimit(together)
	for i, q := range questions {
		group.Go(func() error {
			answers[i] = r.ask(ctx, q)
			return nil
		})
	}
	_ = group.Wait() // none fails: no answer is one too
	return answers
}

func (r *Resolver) ask(ctx context.Context, q domain.Question) domain.Answer {
	values, err := r.lookup(ctx, q)
	a := domain.Answer{Question: q, Values: bounded(values), At: time.Now().UTC().Truncate(time.Microsecond)}
	var no *net.DNSError
	if err != nil && (!errors.As(err, &no) || !no.IsNotFound) {
		a.Failed = true
	}
	return a
}

// lookup asks one question. The final dot keeps the resolver from trying the name below the machine's own domain.
func (r *Resolver) lookup(ctx context.Context, q domain.Question) (values []string, err error) {
	name := q.Name + "."
	switch q.Type {
	case "TXT":
		return r.dns.LookupTXT(ctx, name) // joins the strings of each
	case "MX":
		found, err := r.dns.LookupMX(ctx, name)
		for _, mx := range found {
			values = append(values, fmt.Sprintf("%d %s", mx.Pref, mx.Host))
		}
		return values, err
	case "CNAME":
		target, err := r.dns.LookupCNAME(ctx, name)
		if err != nil || strings.EqualFold(target, name) {
			return nil, err
		}
		return []string{strings.TrimSuffix(target, ".")}, nil
	}
	return nil, fmt.Errorf("no question for %s", q.Type)
}

// bounded are values as they can be kept and shown.
func bounded(values []string) []string {
	kept := make([]string, 0, min(len(values), maxValues))
	for _, v := range values[:min(len(values), maxValues)] {
		v = strings.ReplaceAll(strings.ToValidUTF8(v[:min(len(v), maxValue)], "\uFFFD"), "\x00", "\uFFFD")
		kept = append(kept, v)
	}
	return kept
}
