package plan

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// scalar fills text, a whole number or a boolean. No type becomes another: "5" is no number
// and 1.5 no whole one. Only a reference to the environment, which is always text, is read
// as what the place wants.
func (d *decoder) scalar(n ast.Node, v reflect.Value, path string) {
	if v.Kind() == reflect.String {
		if text, ok := d.text(n, path); ok {
			v.SetString(text)
		}
		return
	}
	written := n.GetToken().Value
	if s, ok := n.(*ast.StringNode); ok && strings.Contains(s.Value, "${") {
		if written, ok = d.text(n, path); !ok {
			return
		}
	} else if !plainlyIs(n, v.Kind()) {
		d.fail(n, path, wantedKind(v.Kind())+", not "+kindOf(n))
		return
	}
	switch v.Kind() {
	case reflect.Int:
		number, err := strconv.ParseInt(written, 10, 64)
		if err != nil {
			d.fail(n, path, "must be a whole number in decimal digits")
			return
		}
		v.SetInt(number)
	case reflect.Bool:
		truth := written == "true" || written == "True" || written == "TRUE"
		if !truth && !strings.EqualFold(written, "false") {
			d.fail(n, path, "must be true or false")
			return
		}
		v.SetBool(truth)
	default:
		d.fail(n, path, "can not be set in a file")
	}
}

func plainlyIs(n ast.Node, kind reflect.Kind) bool {
	switch n.(type) {
	case *ast.IntegerNode:
		return kind == reflect.Int
	case *ast.BoolNode:
		return kind == reflect.Bool
	}
	return false
}

func wantedKind(kind reflect.Kind) string {
	if kind == reflect.Int {
		return "must be a whole number"
	}
	return "must be true or false"
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode:
		return "a number"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number with a fraction"
	case *ast.BoolNode:
		return "true or false"
	case *ast.SequenceNode:
		return "a list"
	}
	return "a mapping"
}

func (d *decoder) time(n ast.Node, v reflect.Value, path string) {
	text, ok := d.text(n, path)
	if !ok {
		return
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		d.fail(n, path, "must be a time as 2030-01-31T12:00:00Z (RFC 3339)")
		return
	}
	v.Set(reflect.ValueOf(t))
}

// text is the text of a node with its references replaced.
func (d *decoder) text(n ast.Node, path string) (string, bool) {
	var text string
	switch node := n.(type) {
	case *ast.StringNode:
		text = node.Value
	case *ast.LiteralNode:
		text = node.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		d.fail(n, path, "must be text, not "+kindOf(n)+"; put it in quotes")
		return "", false
	default:
		d.fail(n, path, "must be text, not "+kindOf(n))
		return "", false
	}
	return d.expand(n, text, path)
}

// reference is ${NAME} or ${NAME:-default}; $${ stands for ${.
var (
	opening   = regexp.MustCompile(`\$?\$\{`)
	reference = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}`)
)

// expand replaces references to the environment. No message shows what a variable holds.
func (d *decoder) expand(n ast.Node, text, path string) (string, bool) {
	var out strings.Builder
	whole := text
	for {
		at := opening.FindStringIndex(text)
		if at == nil {
			out.WriteString(text)
			return out.String(), true
		}
		out.WriteString(text[:at[0]])
		if at[1]-at[0] == len("$${") {
			out.WriteString("${")
			text = text[at[1]:]
			continue
		}
		m := reference.FindStringSubmatch(text[at[0]:])
		if m == nil {
			d.fail(n, path, "a reference is ${NAME} or ${NAME:-default}; write $${ for ${ itself")
			return "", false
		}
		value, ok := d.variable(m[1], strings.Contains(m[0], ":-"), m[2])
		if !ok {
			d.fail(n, path, fmt.Sprintf("the environment variable %s is not set", m[1]))
			return "", false
		}
		out.WriteString(value)
		d.references[path] = whole
		text = text[at[0]+len(m[0]):]
	}
}

// variable is the value of a variable; the default is also for one that is empty, as in a shell.
func (d *decoder) variable(name string, hasDefault bool, preset string) (string, bool) {
	value, ok := "", false
	if d.src.Env != nil {
		value, ok = d.src.Env(name)
	}
	if hasDefault && value == "" {
		return preset, true
	}
	return value, ok
}

// referencesBelow are the references in the values of one resource, by field.
func (d *decoder) referencesBelow(path string) map[string]string {
	var found map[string]string
	for at, text := range d.references {
		field, below := strings.CutPrefix(at, path+".")
		field = strings.TrimPrefix(field, "quotas.")
		if !below {
			continue
		}
		if found == nil {
			found = map[string]string{}
		}
		if end := strings.IndexAny(field, ".["); end >= 0 {
			field = field[:end]
			text = "${…}"
		}
		found[field] = text
	}
	return found
}
