package template

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"

	"modernc.org/quickjs"

	"github.com/mailtura/mailtura/internal/fault"
)

// Render fills src with vars, a JSON object; nil stands for {}. A variable that
// vars has not is empty, as Handlebars has it; see [MissingVariables].
//
// key identifies src among the compiled templates that are kept: the same key must
// always come with the same source, so it names an immutable version, such as
// "tpl_…@3". With an empty key nothing is kept.
//
// Errors are *fault.Error: Invalid "invalid_template" (as in Check), Invalid
// "render_failed" (the variables do not fit; the Field names the part), Invalid
// "render_limit_exceeded" (time, memory, depth or output) and those of the package.
func (e *Engine) Render(ctx context.Context, key string, src Source, vars json.RawMessage) (Rendered, error) {
	variables, failed := variablesObject(vars)
	if failed != nil {
		return Rendered{}, failed
	}
	var out [partCount]string
	err := e.with(ctx, func(s *sandbox) error {
		templates, release, err := e.load(ctx, s, key, src)
		if err != nil {
			return err
		}
		defer release()
		out, err = s.fill(ctx, templates, variables)
		return err
	})
	if f, ok := fault.As(err); ok {
		return Rendered{}, f
	}
	if err != nil {
		return Rendered{}, renderFault(err)
	}
	return e.rendered(out)
}

// load brings the template into the sandbox from the nearest place: the sandbox
// itself, the bytecode that the engine keeps, or the source.
func (e *Engine) load(ctx context.Context, s *sandbox, key string, src Source) (quickjs.Value, func(), error) {
	compiled, ok := e.cached(key)
	if !ok {
		var err error
		if compiled, err = compile(ctx, s, src); err != nil {
			return quickjs.Value{}, nil, err
		}
		e.keep(key, compiled)
	}
	return s.templates(ctx, key, compiled.bytecode)
}

// rendered checks the size in bytes, which the script could only do in UTF-16
// units, and makes the subject one line.
func (e *Engine) rendered(out [partCount]string) (Rendered, error) {
	for i, one := range out {
		if len(one) > e.limits.MaxOutput {
			return Rendered{}, renderFault(&partError{partNames[i], outputLimit(e.limits)})
		}
	}
	return Rendered{Subject: oneLine(out[subject]), HTML: out[html], Text: out[text]}, nil
}

// variablesObject gives vars as the text of a JSON object that is not too large.
// Whether the inside is valid JSON is left to the JavaScript side, which reads it anyway.
func variablesObject(vars json.RawMessage) (string, *fault.Error) {
	object := strings.Trim(string(vars), " \t\r\n")
	var wrong string
	switch {
	case object == "" || object == "null":
		return "{}", nil
	case len(object) > maxVariables:
		f := fault.New(fault.Invalid, "render_limit_exceeded", "The variables are larger than %d bytes.", maxVariables)
		f.Fields = []fault.Field{{Location: "body.variables", Message: "too large", Code: f.Code}}
		return "", f
	case object[0] != '{':
		wrong = "not a JSON object"
	default:
		return object, nil
	}
	f := fault.New(fault.Invalid, "render_failed", "The variables are %s.", wrong)
	f.Fields = []fault.Field{{Location: "body.variables", Message: wrong, Code: f.Code}}
	return "", f
}

// lineBreaks is white space with a control character or a Unicode line break in it.
// A header field has none of these (RFC 5322 section 2.2).
var lineBreaks = regexp.MustCompile(`[\s\p{Cc}\x{2028}\x{2029}]*[\p{Cc}\x{2028}\x{2029}][\s\p{Cc}\x{2028}\x{2029}]*`)

func oneLine(s string) string {
	return strings.TrimSpace(lineBreaks.ReplaceAllString(s, " "))
}
