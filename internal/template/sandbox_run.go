package template

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"modernc.org/quickjs"
)

// compiledPart is what the script's compile answers.
type compiledPart struct {
	Problem  *Problem          `json:"problem"`
	Code     string            `json:"code"`
	Required []string          `json:"required"`
	Used     []Use             `json:"used"`
	Partials map[string]string `json:"partials"` // code by name
}

// compilePart parses and translates one part of a template.
func (s *sandbox) compilePart(ctx context.Context, p part, source string, src Source) (compiledPart, error) {
	partials, err := src.Partials.of(p)
	if err != nil {
		return compiledPart{}, err
	}
	var answer string
	err = s.call(ctx, compileShare*s.limits.Timeout, func() error {
		got, err := s.compile.Call(quickjs.UndefinedValue, source, !p.escaped(), partials, src.Self)
		answer, _ = got.(string)
		return err
	})
	if err != nil {
		return compiledPart{}, err
	}
	var out compiledPart
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		return compiledPart{}, fmt.Errorf("read compiled template: %w", err)
	}
	return out, nil
}

// of gives the sources for a part, as JSON.
func (all Partials) of(p part) (string, error) {
	sources := make(map[string]string, len(all))
	for name, one := range all {
		sources[name] = one.Text
		if p.escaped() {
			sources[name] = one.HTML
		}
	}
	text, err := json.Marshal(sources)
	return string(text), err
}

// assemble makes one script of the code of the parts and gives its bytecode. A part
// without code is absent.
func (s *sandbox) assemble(ctx context.Context, code [partCount]compiledPart) (bytecode []byte, err error) {
	var js, partials strings.Builder
	js.WriteString("({")
	for i, one := range code {
		fmt.Fprintf(&js, "%s:%s,", partNames[i], cmp.Or(one.Code, "null"))
		fmt.Fprintf(&partials, "%s:{", partNames[i])
		for _, name := range slices.Sorted(maps.Keys(one.Partials)) {
			key, _ := json.Marshal(name) //nolint:errchkjson // a string
			fmt.Fprintf(&partials, "%s:%s,", key, one.Partials[name])
		}
		partials.WriteString("},")
	}
	fmt.Fprintf(&js, "partials:{%s}})", partials.String())
	err = s.call(ctx, compileShare*s.limits.Timeout, func() (err error) {
		bytecode, err = s.vm.Compile(js.String(), quickjs.EvalGlobal)
		return err
	})
	return bytecode, err
}

// templates loads bytecode into the machine, or finds it there under key.
// release must be called after use.
func (s *sandbox) templates(ctx context.Context, key string, bytecode []byte) (t quickjs.Value, release func(), err error) {
	if kept, ok := s.kept.get(key); ok {
		return kept, func() {}, nil
	}
	err = s.call(ctx, s.limits.Timeout, func() error {
		specs, err := s.vm.EvalBytecodeValue(bytecode)
		if err != nil {
			return err
		}
		defer specs.Free()
		t, err = s.install.CallValue(quickjs.UndefinedValue, specs)
		return err
	})
	if err != nil {
		return t, nil, err
	}
	if key != "" && s.kept.add(key, t, len(bytecode)) {
		return t, func() {}, nil
	}
	return t, func() { t.Free() }, nil
}

// fill renders templates with the variables, which are JSON. Its error is a
// *partError where the part that failed can be told.
func (s *sandbox) fill(ctx context.Context, templates quickjs.Value, variables string) (out [partCount]string, err error) {
	s.renders++
	defer func() {
		if err != nil {
			err = &partError{s.workingPart(), err}
		}
	}()
	err = s.call(ctx, s.limits.Timeout, func() error {
		rendered, err := s.render.CallValue(quickjs.UndefinedValue, templates, variables, s.limits.MaxOutput)
		if err != nil {
			return err
		}
		defer rendered.Free()
		for i := range out {
			one, err := rendered.Property(s.index[i])
			if err != nil {
				return err
			}
			out[i], _ = one.(string)
		}
		return nil
	})
	return out, err
}

// workingPart asks for the part at which the last render was; "variables" before
// the first, "" when it can not be said any more.
func (s *sandbox) workingPart() string {
	var answer string
	_ = s.call(context.Background(), time.Second, func() error {
		got, err := s.at.Call(quickjs.UndefinedValue)
		answer, _ = got.(string)
		return err
	})
	return answer
}
