package template

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"modernc.org/quickjs"

	"github.com/mailtura/mailtura/internal/fault"
)

// MJML is compiled when a template is saved, seldom, by a program that is ten times as large
// as Handlebars. So each compilation has a machine of its own, which is gone afterwards, and
// only so many are at work at once.
const (
	mjmlMachines = 1
	mjmlMemory   = 256 << 20
	mjmlShare    = 10 // times Config.Timeout that compiling may take
)

const mjmlFile = "js/mjml.js.gz"

var errNoMJML = errors.New(mjmlFile + " is not part of this build: run `npm ci` and `node build.mjs` in web/, then build again")

// mjmlCompiler is MJML's own compiler as bytecode, made when it is first needed.
type mjmlCompiler struct {
	bytecode func() ([]byte, error)
	turns    chan struct{} // one for each machine
}

func newMJMLCompiler() mjmlCompiler {
	return mjmlCompiler{
		bytecode: sync.OnceValues(func() ([]byte, error) { return compileMJMLScript(scripts) }),
		turns:    make(chan struct{}, mjmlMachines),
	}
}

// compileMJMLScript unpacks and translates the compiler, which takes half a second.
func compileMJMLScript(files fs.FS) ([]byte, error) {
	packed, err := fs.ReadFile(files, mjmlFile)
	if err != nil {
		return nil, errNoMJML
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", mjmlFile, err)
	}
	var js strings.Builder
	js.WriteString("globalThis.window = globalThis;\n")
	if _, err := io.Copy(&js, unpacked); err != nil { //nolint:gosec // of our own build
		return nil, fmt.Errorf("unpack %s: %w", mjmlFile, err)
	}
	own, err := fs.ReadFile(files, "script/mjml.js")
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	js.WriteString("\n;const mjml2html = window.mjml.default || window.mjml;\n")
	js.Write(own)
	js.WriteString("\n;compileMJML")
	vm, err := quickjs.NewVM()
	if err != nil {
		return nil, err
	}
	defer func() { _ = vm.Close() }()
	return vm.Compile(js.String(), quickjs.EvalGlobal)
}

// CompileMJML makes HTML of MJML 4 with Handlebars in it. Handlebars may stand wherever
// text may, and between the elements of the body, around sections and columns; in an
// attribute, its value is not checked.
//
// What is wrong with the source is a *fault.Error, Invalid "invalid_template", with Fields
// for "body.mjml" that have the line, and the column where it is known.
func (e *Engine) CompileMJML(ctx context.Context, source string) (string, error) {
	if err := e.checkMJML(ctx, source); err != nil {
		return "", err
	}
	wrapped, wrong := wrapBlocks(source)
	if wrong != nil {
		return "", invalidTemplate([]Problem{*wrong})
	}
	select {
	case e.mjml.turns <- struct{}{}:
		defer func() { <-e.mjml.turns }()
	case <-ctx.Done():
		return "", engineFault(ctx.Err())
	}
	html, wrongs, err := e.mjml.run(ctx, mjmlShare*e.limits.Timeout, wrapped)
	switch {
	case err != nil:
		return "", checkFault(&partError{mjmlPart, err})
	case len(wrongs) > 0:
		return "", invalidTemplate(wrongs)
	}
	return html, nil
}

const mjmlPart = "mjml"

// checkMJML reads the Handlebars of a source, so that what is wrong with it is found where
// its author wrote it. Which partials there are is for later.
func (e *Engine) checkMJML(ctx context.Context, source string) error {
	if len(source) > MaxSource {
		tooLong := fmt.Sprintf("it is %d bytes long, at most %d are allowed", len(source), MaxSource)
		return invalidTemplate([]Problem{{Part: mjmlPart, Message: tooLong}})
	}
	called := Partials{}
	for _, name := range (Source{HTML: source}).PartialNames() {
		called[name] = Partial{HTML: "{{#> @partial-block}}{{/@partial-block}}"}
	}
	_, err := e.Check(ctx, Source{HTML: source, Partials: called})
	return InMJML(err)
}

// InMJML says of the problems of HTML that was compiled from MJML that they are in that.
func InMJML(err error) error {
	f, ok := fault.As(err)
	if !ok || len(f.Fields) == 0 {
		return err
	}
	moved := *f
	moved.Fields = append([]fault.Field(nil), f.Fields...)
	for i, field := range moved.Fields {
		if field.Location == html.location() {
			moved.Fields[i].Location = "body." + mjmlPart
		}
	}
	if found := Problems(err); found != nil {
		found = append(problems(nil), found...)
		for i, p := range found {
			if p.Part == partNames[html] {
				found[i].Part = mjmlPart
			}
		}
		moved.Cause = problems(found)
	}
	return &moved
}

// run compiles in a machine of its own.
func (c *mjmlCompiler) run(ctx context.Context, limit time.Duration, source string) (html string, wrong []Problem, err error) {
	bytecode, err := c.bytecode()
	if err != nil {
		return "", nil, err
	}
	vm, err := quickjs.NewVM()
	if err != nil {
		return "", nil, err
	}
	s := &sandbox{vm: vm, limits: Config{MemoryLimit: mjmlMemory}}
	defer func() { _ = vm.Close() }()
	vm.SetMemoryLimit(mjmlMemory)
	var answer string
	err = s.call(ctx, limit, func() error {
		compile, err := vm.EvalBytecodeValue(bytecode)
		if err != nil {
			return err
		}
		defer compile.Free()
		got, err := compile.Call(quickjs.UndefinedValue, source)
		answer, _ = got.(string)
		return err
	})
	if err != nil {
		return "", nil, err
	}
	var out struct {
		HTML     string    `json:"html"`
		Problems []Problem `json:"problems"`
	}
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		return "", nil, fmt.Errorf("read compiled mjml: %w", err)
	}
	for i := range out.Problems {
		out.Problems[i].Part = mjmlPart
	}
	return out.HTML, out.Problems, nil
}
