// Command temporalite is a Temporal server and Temporal UI in one process, for one machine:
// development, tests and small installations. It keeps its data in PostgreSQL, in a SQLite
// file, or in memory.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// flags are the command line; each flag has an environment variable TEMPORALITE_….
type flags struct {
	IP               string            `default:"127.0.0.1" help:"Address to listen on."`
	Port             int               `default:"7233" help:"Port of the Temporal frontend; 0 takes a free one."`
	UIPort           int               `name:"ui-port" default:"8233" help:"Port of Temporal UI; 0 takes a free one."`
	Headless         bool              `help:"Run without Temporal UI."`
	PostgresURL      string            `name:"postgres-url" placeholder:"postgres://…" help:"Keep the data in this PostgreSQL; its databases are made where they are missing."`
	DatabasePrefix   string            `name:"postgres-database-prefix" default:"temporal" help:"Names the databases: PREFIX and PREFIX_visibility."`
	Shards           int32             `default:"4" help:"History shards of new PostgreSQL databases; existing ones keep theirs."`
	SQLiteFile       string            `name:"sqlite-file" type:"path" placeholder:"FILE" help:"Keep the data in this SQLite file. Without it and PostgreSQL, data is in memory."`
	Namespace        string            `default:"mailtura" help:"Namespace that is made where it is missing."`
	Retention        time.Duration     `default:"72h" help:"How long closed workflows are kept, for a new namespace."`
	SearchAttributes map[string]string `name:"search-attribute" placeholder:"NAME=TYPE" help:"Search attribute that is made where it is missing, such as TenantId=Keyword."`
	DynamicConfig    map[string]string `name:"dynamic-config" placeholder:"KEY=VALUE" help:"Further dynamic configuration of the server."`
	LogLevel         string            `default:"error" enum:"debug,info,warn,error" help:"What the server logs."`
	ReadyFile        string            `type:"path" placeholder:"FILE" help:"File with the addresses as JSON; it is there while the server can be used."`
	StopWithParent   bool              `help:"Stop at the end of standard input, so that a parent that ends takes this process with it."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("temporalite"), kong.Description("Temporal and its UI in one process."),
		kong.DefaultEnvars("TEMPORALITE"), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if f.StopWithParent {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
	}
	if err := run(ctx, f, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "temporalite:", err)
		os.Exit(1)
	}
}
