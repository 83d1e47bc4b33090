package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/store"
)

type auditCmd struct {
	Export auditExportCmd `cmd:"" help:"Print the audit log as NDJSON, oldest first."`
	Verify auditVerifyCmd `cmd:"" help:"Check that no entry of the audit log was changed, taken out or put in; ends with 1 when one was."`
}

type auditExportCmd struct{ keysIn }

// Run prints the log.
func (c auditExportCmd) Run(ctx context.Context) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	out := bufio.NewWriter(os.Stdout)
	for e, err := range s.AuditEntries(ctx) {
		if err != nil {
			return err
		}
		line, err := e.Line()
		if err != nil {
			return err
		}
		if _, err := out.Write(line); err != nil {
			return fmt.Errorf("write audit log: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write audit log: %w", err)
	}
	return nil
}

type auditVerifyCmd struct {
	DatabaseURL string `name:"database-url" env:"DATABASE_URL" placeholder:"postgres://…" help:"PostgreSQL."`
	File        string `short:"f" type:"existingfile" placeholder:"FILE" help:"An exported file to check instead of the database."`
	Expect      string `placeholder:"HASH" help:"A hash that an earlier check has printed: its entry must still be there."`
}

// Run checks the chain, and prints its head.
func (c auditVerifyCmd) Run(ctx context.Context) error {
	entries, done, err := c.entries(ctx)
	if err != nil {
		return err
	}
	defer done()
	head, err := verify(entries, c.Expect)
	if err != nil {
		return err
	}
	return printHead(os.Stdout, head)
}

func (c auditVerifyCmd) entries(ctx context.Context) (entries iter.Seq2[audit.Entry, error], done func(), err error) {
	if c.File != "" {
		f, err := os.Open(c.File)
		if err != nil {
			return nil, nil, err
		}
		return audit.Read(f), func() { _ = f.Close() }, nil // it was only read
	}
	if c.DatabaseURL == "" {
		return nil, nil, errors.New("nothing to check: set --database-url or DATABASE_URL, or name a file with -f")
	}
	s, err := store.Open(ctx, store.Config{URL: c.DatabaseURL, MaxConns: 1})
	if err != nil {
		return nil, nil, err
	}
	return s.AuditEntries(ctx), s.Close, nil
}

// verify checks that entries are a chain, in which that of an expected hash is, where there is one.
func verify(entries iter.Seq2[audit.Entry, error], expect string) (audit.Head, error) {
	var chain audit.Chain
	found := expect == ""
	for e, err := range entries {
		if err != nil {
			return chain.Head(), err
		}
		if err := chain.Add(e); err != nil {
			return chain.Head(), err
		}
		found = found || strings.EqualFold(e.Hash, expect)
	}
	if !found {
		return chain.Head(), fmt.Errorf("no entry has the hash %s: the log was cut off behind entry %d, or made anew",
			expect, chain.Head().Number)
	}
	return chain.Head(), nil
}

func printHead(w io.Writer, head audit.Head) error {
	if head.Number == 0 {
		_, err := fmt.Fprintln(w, "The log is empty.")
		return err
	}
	_, err := fmt.Fprintf(w, "%d entries, none of them changed. Head: %s\n", head.Number, head.Hash)
	return err
}

// fromCommandLine says that what is done under the context is done by the user at the command line.
func fromCommandLine(ctx context.Context) context.Context {
	return audit.WithActor(ctx, audit.Actor{Kind: audit.CommandLine, ID: osUser()})
}

// osUser is who runs the program; the number of the user where it has no name, as in many containers.
func osUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}
