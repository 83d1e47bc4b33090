// Command mailtura is Mailtura: the API server, the worker, the local development stack and
// the operator's tools in one binary. main only wires; what is wired is in the other packages.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the build.
var version = "dev"

// cli is the command line. Every flag can also be set by the environment variable beside it.
type cli struct {
	Dev       devCmd       `cmd:"" help:"Run the whole product on this machine: database, Temporal with its UI, API, worker and an inbox."`
	Serve     serveCmd     `cmd:"" help:"Run API and worker in one process."`
	Apiserver apiserverCmd `cmd:"" help:"Run the API."`
	Worker    workerCmd    `cmd:"" help:"Run the worker."`
	Migrate   migrateCmd   `cmd:"" help:"Bring the database to the newest schema and prepare the Temporal namespace."`
	Plan      planCmd      `cmd:"" help:"Show what apply would change; exits with 2 when there is something."`
	Apply     applyCmd     `cmd:"" help:"Make the tenants what a configuration file says."`
	Export    exportCmd    `cmd:"" help:"Print the tenants that there are as a configuration file."`
	Schema    schemaCmd    `cmd:"" help:"Print the JSON Schema of the configuration file, for editors."`
	Keys      keysCmd      `cmd:"" help:"Manage operator keys in the database."`
	Audit     auditCmd     `cmd:"" help:"Export and check the log of administrative acts."`
	Openapi   openapiCmd   `cmd:"" help:"Print the OpenAPI document as YAML."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

func main() {
	var c cli
	k := kong.Parse(&c,
		kong.Name("mailtura"),
		kong.Description("Self-hosted, multi-tenant email delivery on Temporal."),
		kong.UsageOnError(),
	)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	k.BindTo(ctx, (*context.Context)(nil))
	err := k.Run()
	if code := exitCode(0); errors.As(err, &code) {
		os.Exit(int(code))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mailtura:", err)
		os.Exit(1)
	}
}

// exitCode ends the program with a code and without a message.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run() error {
	fmt.Println("mailtura", version)
	return nil
}
