package template

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/puddle/v2"
	"modernc.org/quickjs"

	"github.com/mailtura/mailtura/internal/fault"
)

// limitError says which limit stopped the machine.
type limitError struct{ reason string }

func (e *limitError) Error() string { return e.reason }

// partError says which part, or the variables, an error is about.
type partError struct {
	part string // of partNames, or "variables", or "" when it is not known
	err  error
}

func (e *partError) Error() string { return e.part + ": " + e.err.Error() }
func (e *partError) Unwrap() error { return e.err }

const tookTooLong = "it takes too long"

// limitOf recognises the errors by which QuickJS reports its limits, and the one
// of script/engine.js. Nil for every other error.
func limitOf(thrown *quickjs.Error, limits Config) *limitError {
	switch {
	case strings.Contains(thrown.Message, "stack overflow"): // InternalError, or SyntaxError from a parser
		return &limitError{"it nests too deep"}
	case thrown.Name == "OutputLimit":
		return outputLimit(limits)
	case thrown.Name == "InternalError" && thrown.Message == "interrupted":
		return &limitError{tookTooLong}
	case thrown.Name == "InternalError", thrown.Name == "":
		// Out of memory; without a name when there was none left for the error either.
		return &limitError{fmt.Sprintf("it needs more than %d MiB of memory", limits.MemoryLimit>>20)}
	}
	return nil
}

func outputLimit(limits Config) *limitError {
	return &limitError{fmt.Sprintf("its output is larger than %d bytes", limits.MaxOutput)}
}

// Problem is what is wrong with a part of a template, and where.
type Problem struct {
	Part         string `json:"-"` // "subject", "html", "text" or "mjml"
	Message      string `json:"message"`
	Line, Column int    // from 1; 0: it is not known
}

// problems are the private cause of an invalid_template fault.
type problems []Problem

func (p problems) Error() string { return fmt.Sprintf("%d problem(s)", len(p)) }

// Problems are what an invalid_template fault of this package is about; nil for another error.
func Problems(err error) []Problem {
	var found problems
	_ = errors.As(err, &found)
	return found
}

// invalidTemplate is the fault of a source with a problem in one or more parts.
func invalidTemplate(wrong problems) *fault.Error {
	f := fault.Wrap(wrong, fault.Invalid, "invalid_template", "The template can not be compiled: %d part(s) have an error.", len(wrong))
	for _, p := range wrong {
		f.Fields = append(f.Fields, fault.Field{Location: "body." + p.Part, Message: p.String(), Code: "invalid_template"})
	}
	return f
}

func (p Problem) String() string {
	switch {
	case p.Line == 0:
		return p.Message
	case p.Column == 0:
		return fmt.Sprintf("line %d: %s", p.Line, p.Message)
	}
	return fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, p.Message)
}

// renderFault makes the fault of a failed render.
func renderFault(err error) *fault.Error {
	var limit *limitError
	var thrown *quickjs.Error
	switch {
	case errors.As(err, &limit):
		f := fault.Wrap(err, fault.Invalid, "render_limit_exceeded", "Rendering was stopped: %s.", limit.reason)
		return withPart(f, err, limit.reason)
	case errors.As(err, &thrown):
		f := fault.Wrap(err, fault.Invalid, "render_failed", "The template can not be rendered with these variables.")
		return withPart(f, err, thrown.Message)
	}
	return engineFault(err)
}

func withPart(f *fault.Error, err error, message string) *fault.Error {
	var at *partError
	if errors.As(err, &at) && at.part != "" {
		f.Fields = []fault.Field{{Location: "body." + at.part, Message: message, Code: f.Code}}
	}
	return f
}

// engineFault makes the fault of an error that is neither the template's nor
// the variables'.
func engineFault(err error) *fault.Error {
	interrupted := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, puddle.ErrClosedPool)
	if interrupted {
		return fault.Wrap(err, fault.Unavailable, "render_interrupted", "Rendering was interrupted; try again.")
	}
	return fault.Wrap(err, fault.Internal, "internal", "The template engine has failed.")
}
