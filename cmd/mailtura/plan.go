package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mailtura/mailtura/internal/plan"
)

// differs is the exit code of a plan that is not empty.
const differs = exitCode(2)

// installation is whose tenants a command is about.
type installation struct {
	URL string `name:"url" env:"MAILTURA_URL" default:"http://127.0.0.1:8080" help:"Address of the API."`
	Key string `name:"key" env:"MAILTURA_OPERATOR_KEY" required:"" placeholder:"mt_op_…" help:"Operator key."`
}

// target is a configuration file and the installation to compare it with.
type target struct {
	File  string `short:"f" required:"" type:"existingfile" placeholder:"FILE" help:"Configuration file (YAML)."`
	Prune bool   `help:"Delete tenants that are not in the file, and what is not in the sections of those that are."`
	installation
}

type planCmd struct {
	target
	JSON bool `name:"json" help:"Print the changes as JSON."`
}

// Run prints what would change, and ends with 2 when there is something.
func (c planCmd) Run(ctx context.Context) error {
	want, api, err := c.open()
	if err != nil {
		return err
	}
	changes, have, err := api.compare(ctx, want, c.Prune)
	if err != nil {
		return err
	}
	for _, note := range plan.Notes(want, have) {
		fmt.Fprintln(os.Stderr, "note:", note)
	}
	if err := c.print(changes); err != nil {
		return err
	}
	if len(changes) == 0 {
		return nil
	}
	return differs
}

func (c planCmd) print(changes []plan.Change) error {
	if c.JSON {
		return plan.PrintJSON(os.Stdout, changes)
	}
	if len(changes) == 0 {
		fmt.Println("Nothing to change.")
	}
	return plan.Print(os.Stdout, changes)
}

// open reads the file and finds the API.
func (t target) open() ([]plan.Tenant, *operatorAPI, error) {
	want, err := readConfiguration(t.File)
	if err != nil {
		return nil, nil, err
	}
	api, err := newOperatorAPI(t.URL, t.Key, "apply "+filepath.Base(t.File)+" by "+osUser())
	return want, api, err
}

// readConfiguration reads a file with what it refers to. What it refers to is in its folder or
// below, and no link leads out of it.
func readConfiguration(file string) ([]plan.Tenant, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator's own
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	folder, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer folder.Close() //nolint:errcheck // was only read
	want, err := plan.Parse(text, plan.Source{Files: folder.FS(), Env: os.LookupEnv, Now: time.Now()})
	if err != nil {
		return nil, errors.New(file + ": " + strings.ReplaceAll(err.Error(), "\n", "\n"+file+": "))
	}
	for _, t := range want {
		for _, resources := range t.Sections {
			for i, r := range resources {
				if r.SecretFile != "" && !filepath.IsAbs(r.SecretFile) {
					resources[i].SecretFile = filepath.Join(filepath.Dir(file), r.SecretFile)
				}
			}
		}
	}
	return want, nil
}
