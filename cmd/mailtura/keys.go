package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
)

type keysCmd struct {
	CreateOperator createOperatorCmd `cmd:"" help:"Make an operator key and print it, once."`
}

type createOperatorCmd struct {
	DatabaseURL string `name:"database-url" env:"DATABASE_URL" required:"" placeholder:"postgres://…" help:"PostgreSQL."`
	Name        string `default:"command line" help:"What the key is for."`
}

// Run makes an operator key: the way in to an installation that has none.
func (c createOperatorCmd) Run(ctx context.Context) error {
	s, err := store.Open(ctx, store.Config{URL: c.DatabaseURL, MaxConns: 1})
	if err != nil {
		return err
	}
	defer s.Close()
	key := apikey.New(apikey.Operator)
	if _, err := s.CreateOperatorKey(ctx, store.NewKey{Name: c.Name, Key: key}); err != nil {
		return err
	}
	fmt.Println(key.Text())
	return nil
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
	_, err = s.CreateOperatorKey(ctx, store.NewKey{Name: "given at start", Key: key})
	return err
}
