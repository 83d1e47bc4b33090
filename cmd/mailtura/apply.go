package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-isatty"

	"github.com/mailtura/mailtura/internal/plan"
)

type applyCmd struct {
	target
	Yes bool `help:"Delete what --prune finds without asking."`
}

// Run makes the changes, one after the other.
func (c applyCmd) Run(ctx context.Context) error {
	want, api, err := c.open()
	if err != nil {
		return err
	}
	a := applier{api: api, want: want, prune: c.Prune, out: os.Stdout, show: func(what, secret string) error {
		_, err := fmt.Printf("    %s, shown this once: %s\n", what, secret)
		return err
	}}
	if !c.Yes {
		a.confirm = func(changes []plan.Change, seen int) error {
			return confirmDeletions(changes, seen, os.Stdin, os.Stderr, isatty.IsTerminal(os.Stdin.Fd()))
		}
	}
	return a.run(ctx)
}

// applier makes an installation what a file says. Several may be at it at the same time: each
// change holds only for what it was planned for (If-Match), and is planned anew otherwise.
type applier struct {
	api     *operatorAPI
	want    []plan.Tenant
	prune   bool
	out     io.Writer
	confirm func(changes []plan.Change, seen int) error // nil: deletions are agreed to
	show    func(what, secret string) error             // for a secret without a file; nil: every one has one

	made   int
	agreed map[string]bool // deletions that were asked about; nil: not yet
}

// rounds is how often changes are planned, while others change the same.
const rounds = 10

func (a *applier) run(ctx context.Context) error {
	for round := 1; ; round++ {
		changes, have, err := a.api.compare(ctx, a.want, a.prune)
		if err != nil {
			return err
		}
		if err := a.ask(changes, have); err != nil {
			return err
		}
		left, err := a.makeAll(ctx, changes)
		switch {
		case err == nil:
			_, err = fmt.Fprintf(a.out, "%d of %d changes made.\n", a.made, a.made)
			return err
		case !errors.Is(err, errMovedOn) || round == rounds:
			return fmt.Errorf("%w\n%d of %d changes made; once the cause is gone, apply makes the rest", err, a.made, a.made+left)
		}
	}
}

// ask has the deletions agreed to, once: what turns up later was not asked about.
func (a *applier) ask(changes []plan.Change, have []plan.Tenant) error {
	if a.agreed == nil {
		a.agreed = map[string]bool{}
		if a.confirm != nil {
			if err := a.confirm(changes, alive(have)); err != nil {
				return err
			}
		}
		for _, c := range changes {
			a.agreed[c.Title()] = true
		}
	}
	for _, c := range changes {
		if c.Action == plan.Delete && !a.agreed[c.Title()] {
			return fmt.Errorf("%s came up meanwhile; apply again", c.Title())
		}
	}
	return nil
}

func alive(tenants []plan.Tenant) (n int) {
	for _, t := range tenants {
		if !t.Deleting {
			n++
		}
	}
	return n
}

// makeAll makes changes until one fails, and says how many are left then.
func (a *applier) makeAll(ctx context.Context, changes []plan.Change) (left int, err error) {
	for i, c := range changes {
		if err := a.make(ctx, c); err != nil {
			return len(changes) - i, fmt.Errorf("%s %s: %w", c.Action, c.Title(), err)
		}
		a.made++
	}
	return 0, nil
}

func (a *applier) make(ctx context.Context, c plan.Change) error {
	switch {
	case c.Action != plan.Create:
	case c.Kind == plan.KindAPIKey:
		return a.makeKey(ctx, c)
	case c.Kind == plan.KindWebhook:
		return a.makeWebhook(ctx, c)
	}
	if err := a.api.sections()[c.Kind].make(ctx, c); err != nil {
		return err
	}
	return plan.Print(a.out, []plan.Change{c})
}

// makeKey sees to it that there is a place for the key before there is a key.
func (a *applier) makeKey(ctx context.Context, c plan.Change) error {
	if c.SecretFile == "" && a.show == nil {
		return errors.New("without a terminal to show the key on, it needs a secretFile")
	}
	keep := func(secret string) error { return a.show(c.Title(), secret) }
	if c.SecretFile != "" {
		file, err := newSecretFile(c.SecretFile)
		if err != nil {
			return err
		}
		defer file.close()
		keep = file.keep
	}
	secret, err := a.api.createKey(ctx, c)
	if err != nil {
		return err
	}
	if err := plan.Print(a.out, []plan.Change{c}); err != nil {
		return err
	}
	if err := keep(secret); err != nil {
		return fmt.Errorf("the key is made, but not kept (rotate it): %w", err)
	}
	return nil
}

// confirmDeletions has a person agree to the deletions among the changes, before the first
// change is made. Without a person there is no agreement.
func confirmDeletions(changes []plan.Change, seen int, in io.Reader, out io.Writer, interactive bool) error {
	which := deletions(changes, seen)
	if which == "" {
		return nil
	}
	if !interactive {
		return fmt.Errorf("--prune would delete %s; nothing was changed, say --yes to do it", which)
	}
	_, _ = fmt.Fprintf(out, "This deletes %s. Type yes to go on: ", which)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

// deletions lists what would be deleted.
func deletions(changes []plan.Change, seen int) string {
	var tenants, others []string
	for _, c := range changes {
		switch {
		case c.Action != plan.Delete:
		case c.Kind == plan.KindTenant:
			tenants = append(tenants, c.TenantID)
		default:
			others = append(others, c.Title())
		}
	}
	if len(tenants) > 0 {
		which := fmt.Sprintf("%d of %d tenants with all their mail: %s", len(tenants), seen, strings.Join(tenants, ", "))
		if len(tenants) == seen {
			which += " (every tenant there is)"
		}
		others = append([]string{which}, others...)
	}
	return strings.Join(others, "; ")
}
