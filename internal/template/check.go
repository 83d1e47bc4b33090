package template

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"modernc.org/quickjs"

	"github.com/mailtura/mailtura/internal/fault"
)

// Analysis names the variables of a template: the first segment of each path that
// starts at the root, sorted. {{user.name}} and {{@root.user.id}} name "user";
// {{this.sku}} in an {{#each}}, block parameters and {{@index}} name none.
//
// A variable is Required if the mail would have a hole without it: it is printed
// whichever way the blocks go. {{name}} outside of blocks is; inside of {{#if x}} it is
// only when the {{else}} prints it too. What a block asks for ({{#if x}}, {{#each x}})
// and what only one of its ways prints is Optional.
type Analysis struct {
	Required, Optional []string
	Partials           []string // those that the parts call, and that these call
	Uses               []Use
}

// Use is where a part names a variable first; in a partial, where that is called.
type Use struct {
	Part         string // "subject", "html" or "text"
	Name         string
	Line, Column int // from 1
}

// Check compiles all parts and tells which variables they use. What it accepts,
// Render compiles.
//
// A template that does not compile is a *fault.Error of kind Invalid and code
// "invalid_template" with one Field per broken part ("body.subject", "body.html",
// "body.text"), whose message has the line and the column. The other error is
// "render_interrupted", see the package.
func (e *Engine) Check(ctx context.Context, src Source) (Analysis, error) {
	var done *program
	err := e.with(ctx, func(s *sandbox) (err error) {
		done, err = compile(ctx, s, src)
		return err
	})
	if err != nil {
		return Analysis{}, checkFault(err)
	}
	return done.analysis, nil
}

// compile translates all parts of src. Its error is an invalid_template fault, or
// the sandbox's, in a *partError where it belongs to one part.
func compile(ctx context.Context, s *sandbox, src Source) (*program, error) {
	var code [partCount]compiledPart
	var wrong []Problem
	found := newFindings()
	for i, source := range src.parts() {
		if source == "" {
			continue
		}
		compiled, problem, err := compileOne(ctx, s, part(i), source, src)
		switch {
		case err != nil:
			return nil, &partError{partNames[i], err}
		case problem != nil:
			problem.Part = partNames[i]
			wrong = append(wrong, *problem)
			continue
		}
		code[i] = compiled
		found.add(part(i), compiled)
	}
	if len(wrong) > 0 {
		return nil, invalidTemplate(wrong)
	}
	bytecode, err := s.assemble(ctx, code)
	if err != nil {
		return nil, err
	}
	return &program{bytecode, found.analysis()}, nil
}

// findings are what the parts have in common.
type findings struct {
	required, used, partials map[string]bool
	uses                     []Use
}

func newFindings() *findings {
	return &findings{required: map[string]bool{}, used: map[string]bool{}, partials: map[string]bool{}}
}

func (f *findings) add(p part, c compiledPart) {
	addNames(f.required, c.Required)
	for _, use := range c.Used {
		use.Part = partNames[p]
		f.used[use.Name] = true
		f.uses = append(f.uses, use)
	}
	for name := range c.Partials {
		f.partials[name] = true
	}
}

func (f *findings) analysis() Analysis {
	maps.DeleteFunc(f.used, func(name string, _ bool) bool { return f.required[name] })
	return Analysis{Required: names(f.required), Optional: names(f.used), Partials: names(f.partials), Uses: f.uses}
}

// compileOne gives the code of a part, or what is wrong with its source.
func compileOne(ctx context.Context, s *sandbox, p part, source string, src Source) (c compiledPart, wrong *Problem, err error) {
	if len(source) > MaxSource {
		return c, &Problem{Message: fmt.Sprintf("it is %d bytes long, at most %d are allowed", len(source), MaxSource)}, nil
	}
	c, err = s.compilePart(ctx, p, source, src)
	var thrown *quickjs.Error
	if errors.As(err, &thrown) { // Handlebars stumbled in a way that the script does not know
		return c, &Problem{Message: "it can not be compiled: " + thrown.Message}, nil
	}
	return c, c.Problem, err
}

// checkFault gives every failure of compile that the source is to blame for the
// code invalid_template.
func checkFault(err error) *fault.Error {
	if f, ok := fault.As(err); ok {
		return f
	}
	var limit *limitError
	var thrown *quickjs.Error
	reason := ""
	switch {
	case errors.As(err, &limit):
		reason = limit.reason
	case errors.As(err, &thrown):
		reason = thrown.Message
	default:
		return engineFault(err)
	}
	f := fault.Wrap(err, fault.Invalid, "invalid_template", "The template can not be compiled: %s.", reason)
	return withPart(f, err, reason)
}

func addNames(set map[string]bool, names []string) {
	for _, name := range names {
		set[name] = true
	}
}

func names(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
