// Package template renders the Handlebars templates that tenants write.
//
// A template is a program by a stranger, so it runs in a room of its own: the
// official handlebars.js inside QuickJS, a JavaScript engine in pure Go. Each
// engine is a small virtual machine with a memory limit, a limit of its stack and
// a clock that stops it; every one of these ends as an ordinary error here. What
// runs inside can reach nothing of the process: no files, no network, no Go
// function, not even the JavaScript functions that make code from text, and all
// that it shares with the next render is frozen.
//
// An [Engine] keeps a pool of such machines. The way of a template:
//
//	engine, err := template.NewEngine(template.Config{})
//	analysis, err := engine.Check(ctx, src)            // when a tenant saves it
//	missing := template.MissingVariables(analysis.Required, vars) // when an email is accepted
//	out, err := engine.Render(ctx, "tpl_1@3", src, vars)          // when it is sent
//
// The language is Handlebars 4 with its built-in helpers if, unless, each, with
// and lookup, raw blocks ({{{{raw}}}}), partials ({{> footer}}) and partial blocks,
// which make layouts ({{#> page}} … {{/page}} around {{> @partial-block}}). Decorators,
// inline partials, computed names of partials and helpers of one's own are refused by
// Check. See https://handlebarsjs.com/guide/.
//
// Every error is a [fault.Error] of one of these codes: invalid_template (does not
// compile), render_failed (does not fit its variables), render_limit_exceeded
// (took too much time, memory, depth or room), render_interrupted (the context
// ended or the engine was closed; try again) and internal.
package template

import "time"

// Source is what a tenant writes. Each part may be empty; an empty part renders
// to an empty string.
type Source struct {
	Subject, HTML, Text string
	// Partials are those that the parts may call, and that these may call.
	Partials Partials
	// Self is the name of the partial whose source this is; empty: it is a template.
	Self string
	// InlineCSS moves the rules of <style> to the elements of the rendered HTML.
	InlineCSS bool
}

// Partials are partials by name.
type Partials map[string]Partial

// Partial is a piece of templates: HTML for their HTML, Text for their subject and text.
type Partial struct {
	Version int32  `json:"version"`
	HTML    string `json:"html,omitempty"`
	Text    string `json:"text,omitempty"`
}

// Rendered is a Source with its variables filled in. Subject and Text are
// rendered without HTML escaping, HTML with it. Subject is one line.
type Rendered struct{ Subject, HTML, Text string }

// Config sets the limits of an Engine. The zero value is what a server wants.
type Config struct {
	VMs         int           // virtual machines at work at once; 0 = GOMAXPROCS
	Timeout     time.Duration // wall clock of one render; 0 = 500 ms. Compiling may take 4 × as long per part
	MaxOutput   int           // bytes of one rendered part; 0 = 5 MiB
	MemoryLimit uint64        // bytes of one virtual machine; 0 = 64 MiB
}

// MaxSource is how many bytes the source of one part may have.
const MaxSource = 512 << 10

// What no configuration changes.
const (
	maxVariables = 1 << 20 // bytes of the variables of one render
	compileShare = 4       // times Config.Timeout that compiling one part may take
)

func (c Config) withDefaults(processors int) Config {
	if c.VMs <= 0 {
		c.VMs = processors
	}
	if c.Timeout <= 0 {
		c.Timeout = 500 * time.Millisecond
	}
	if c.MaxOutput <= 0 {
		c.MaxOutput = 5 << 20
	}
	if c.MemoryLimit == 0 {
		c.MemoryLimit = 64 << 20
	}
	return c
}

// part is one of the three parts of a Source, in the order of the JavaScript side.
type part uint8

const (
	subject part = iota
	html
	text
	partCount
)

var partNames = [partCount]string{"subject", "html", "text"}

// location is where the part stands in a request.
func (p part) location() string { return "body." + partNames[p] }

// escaped tells whether {{x}} is escaped for HTML in this part.
func (p part) escaped() bool { return p == html }

// Empty reports whether no part has anything.
func (s Source) Empty() bool { return s.Subject == "" && s.HTML == "" && s.Text == "" }

func (s Source) parts() [partCount]string { return [partCount]string{s.Subject, s.HTML, s.Text} }
