package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
)

type keysCmd struct {
	CreateOperator createOperatorCmd `cmd:"" help:"Make an operator key and print it, once."`
	ListOperators  listOperatorsCmd  `cmd:"" help:"List the operator keys."`
	RevokeOperator revokeOperatorCmd `cmd:"" help:"Revoke an operator key; it stops working within a second."`
}

// keysIn is where the keys are.
type keysIn struct {
	DatabaseURL string `name:"database-url" env:"DATABASE_URL" required:"" placeholder:"postgres://…" help:"PostgreSQL."`
}

func (k keysIn) open(ctx context.Context) (*store.Store, error) {
	return store.Open(ctx, store.Config{URL: k.DatabaseURL, MaxConns: 1})
}

type createOperatorCmd struct {
	keysIn
	Name      string         `default:"command line" help:"What the key is for."`
	ExpiresIn time.Duration  `placeholder:"720h" help:"How long the key is good; without it, until it is revoked."`
	Scope     []apikey.Scope `placeholder:"tenants:read,..." help:"What the key may do; without it, everything."`
}

// Validate refuses what makes no key; kong calls it.
func (c createOperatorCmd) Validate() error {
	if c.ExpiresIn < 0 {
		return fmt.Errorf("--expires-in: %s is over already", c.ExpiresIn)
	}
	for _, scope := range c.Scope {
		if known := apikey.Scopes(apikey.Operator); !slices.Contains(known, scope) {
			return fmt.Errorf("--scope: %q is none of %q", scope, known)
		}
	}
	return nil
}

// Run makes an operator key: the way in to an installation that has none.
func (c createOperatorCmd) Run(ctx context.Context) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	k := store.NewKey{Name: c.Name, Key: apikey.New(apikey.Operator), Grant: c.Scope}
	if c.ExpiresIn > 0 {
		at := time.Now().Add(c.ExpiresIn)
		k.ExpiresAt = &at
	}
	if _, err := s.CreateOperatorKey(fromCommandLine(ctx), k); err != nil {
		return err
	}
	fmt.Println(k.Key.Text())
	return nil
}

type listOperatorsCmd struct{ keysIn }

// Run prints the operator keys, newest first.
func (c listOperatorsCmd) Run(ctx context.Context) error {
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "ID\tPREFIX\tCREATED\tLAST USED\tEXPIRES\tREVOKED\tSCOPES\tNAME")
	for after := ""; ; {
		keys, next, err := s.ListOperatorKeys(ctx, after, 200)
		if err != nil {
			return err
		}
		for _, k := range keys {
			scopes := "all"
			if k.Grant != nil {
				scopes = fmt.Sprint(k.Grant)
			}
			fmt.Fprintf(out, "%s\t%s…\t%s\t%s\t%s\t%s\t%s\t%s\n", id.APIKey.Format(k.ID), k.Prefix,
				when(&k.CreatedAt), when(k.LastUsedAt), when(k.ExpiresAt), when(k.RevokedAt), scopes, k.Name)
		}
		if after = next; after == "" {
			return out.Flush()
		}
	}
}

func when(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return at.UTC().Format(time.RFC3339)
}

type revokeOperatorCmd struct {
	keysIn
	ID string `arg:"" placeholder:"key_…" help:"Id of the key, as list-operators shows it."`
}

// Run revokes an operator key.
func (c revokeOperatorCmd) Run(ctx context.Context) error {
	key, err := id.APIKey.Parse(c.ID)
	if err != nil {
		return fmt.Errorf("%q is not the id of a key", c.ID)
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.RevokeOperatorKey(fromCommandLine(ctx), key)
}

// ensureOperatorKey makes a given key good if it is not yet known.
func ensureOperatorKey(ctx context.Context, s *store.Store, text string) error {
	key, ok := apikey.Parse(text)
	if !ok || key.Kind != apikey.Operator {
		return errors.New("the operator key is not of the form mt_op_… (make one with: mailtura keys create-operator)")
	}
	_, err := s.Credential(ctx, key.Prefix)
	if err == nil {
		return nil
	}
	if f, ok := fault.As(err); !ok || f.Kind != fault.NotFound {
		return err
	}
	_, err = s.CreateOperatorKey(fromCommandLine(ctx), store.NewKey{Name: "given at start", Key: key})
	return err
}
