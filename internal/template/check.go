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
type Analysis struct{ Required, Optional []string }

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
	var code [partCount]string
	var fields []fault.Field
	required, used := map[string]bool{}, map[string]bool{}
	for i, source := range src.parts() {
		if source == "" {
			continue
		}
		compiled, wrong, err := compileOne(ctx, s, part(i), source)
		switch {
		case err != nil:
			return nil, &partError{partNames[i], err}
		case wrong != "":
			fields = append(fields, fault.Field{Location: part(i).location(), Message: wrong, Code: "invalid_template"})
			continue
		}
		code[i] = compiled.Code
		addNames(required, compiled.Required)
		addNames(used, compiled.Used)
	}
	if len(fields) > 0 {
		return nil, invalidTemplate(fields)
	}
	bytecode, err := s.assemble(ctx, code)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(used, func(name string, _ bool) bool { return required[name] })
	return &program{bytecode, Analysis{Required: names(required), Optional: names(used)}}, nil
}

// compileOne gives the code of a part, or what is wrong with its source.
func compileOne(ctx context.Context, s *sandbox, p part, source string) (c compiledPart, wrong string, err error) {
	if len(source) > maxSource {
		return c, fmt.Sprintf("it is %d bytes long, at most %d are allowed", len(source), maxSource), nil
	}
	c, err = s.compilePart(ctx, p, source)
	var thrown *quickjs.Error
	switch {
	case errors.As(err, &thrown): // Handlebars stumbled in a way that the script does not know
		return c, "it can not be compiled: " + thrown.Message, nil
	case err == nil && c.Problem != nil:
		return c, c.Problem.String(), nil
	}
	return c, "", err
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
