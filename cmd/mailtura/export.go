package main

import (
	"context"
	"os"

	"github.com/mailtura/mailtura/internal/plan"
)

type exportCmd struct{ installation }

// Run prints the tenants as a configuration file.
func (c exportCmd) Run(ctx context.Context) error {
	api, err := newOperatorAPI(c.URL, c.Key, "export")
	if err != nil {
		return err
	}
	have, err := api.tenants(ctx)
	if err != nil {
		return err
	}
	for _, t := range have {
		if t.Deleting {
			continue
		}
		if err := api.load(ctx, t, plan.SectionKinds()); err != nil {
			return err
		}
	}
	text, err := plan.Export(have)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append([]byte(schemaComment), text...))
	return err
}
