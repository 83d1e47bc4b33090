// Package fault is the one error type that crosses layers. A fault has a public
// half, which may be shown to any caller, and a private cause, which is only logged.
//
// The coarse Kind decides how a fault is answered (the HTTP status in apiserver,
// retryable or not in activities); the Code is stable, snake_case, documented in
// docs/errors.md, and the same word in a problem document, in a Temporal failure
// type, in a log line and in a metric label.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what sort of fault this is. Internal is the zero value, so that
// whatever nobody classified is never shown to a caller.
type Kind uint8

// The kinds, from the caller's point of view.
const (
	Internal           Kind = iota // our fault; the text is not shown
	Malformed                      // the request can not be read at all
	Invalid                        // the request is well-formed, its content is not acceptable
	Unauthenticated                // no credential, or not a valid one
	Forbidden                      // a valid credential that may not do this
	NotFound                       // no such thing, or not the caller's
	Conflict                       // contradicts the present state
	PreconditionFailed             // If-Match named another version
	TooLarge                       // over a size limit
	Exhausted                      // over a quota; RetryAfter says when it opens
	TimedOut                       // the caller did not go on in time
	Unavailable                    // try again later, nothing was done
)

// Field is one thing that is wrong, at one place of the request.
type Field struct {
	Location string // path into the request, such as "body.to[1]" or "query.limit"
	Message  string // what is wrong, for a person
	Code     string // snake_case, stable; may be empty
}

// Error is a fault. Kind, Code and Detail are always set by the constructors.
type Error struct {
	Kind       Kind
	Code       string
	Detail     string         // one public sentence
	Fields     []Field        // what is wrong where, for Invalid and Malformed
	RetryAfter time.Duration  // when trying again makes sense; 0 = not said
	Extra      map[string]any // further public members of the problem document
	Cause      error          // private; logged, never shown
}

var _ error = (*Error)(nil)

// New makes a fault with a public detail in fmt.Sprintf form.
func New(kind Kind, code, format string, args ...any) *Error {
	return &Error{Kind: kind, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault around a private cause. A nil cause gives a fault without one.
func Wrap(cause error, kind Kind, code, format string, args ...any) *Error {
	f := New(kind, code, format, args...)
	f.Cause = cause
	return f
}

// InvalidFields makes the fault of a request whose fields are not acceptable.
func InvalidFields(fields ...Field) *Error {
	f := New(Invalid, "validation_failed", "The request has %d invalid value(s).", len(fields))
	f.Fields = fields
	return f
}

// Error has code, detail and cause, for logs. It is not what a caller sees.
func (e *Error) Error() string {
	s := e.Code
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap gives the private cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Cause }

// As finds the fault in err's chain.
func As(err error) (*Error, bool) {
	var f *Error
	ok := errors.As(err, &f)
	return f, ok
}

// KindOf is the kind of the fault in err's chain; Internal when there is none.
func KindOf(err error) Kind {
	if f, ok := As(err); ok {
		return f.Kind
	}
	return Internal
}

// CodeOf is the code of the fault in err's chain; "internal" when there is none.
func CodeOf(err error) string {
	if f, ok := As(err); ok {
		return f.Code
	}
	return "internal"
}
