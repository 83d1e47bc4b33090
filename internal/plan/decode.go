package plan

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// What a file may have at most, so that a small one can not become a huge one by aliases.
const (
	maxSize  = 16 << 20
	maxNodes = 500_000
	maxDepth = 100
)

// decoder fills a value from a YAML document. It goes on after a problem, remembers where
// each value stands, and which values have a reference to the environment in them.
type decoder struct {
	src        Source
	anchors    map[string]ast.Node
	nodes      int
	positions  map[string]position // by path, "tenants[0].quotas.burst"
	references map[string]string   // by path: the text with the reference
	problems   Problems
}

func decode(text []byte, src Source, into any) *decoder {
	d := &decoder{src: src, anchors: map[string]ast.Node{}, positions: map[string]position{}, references: map[string]string{}}
	root, err := parseYAML(text)
	if err != nil {
		d.problems = append(d.problems, *err)
		return d
	}
	if root != nil {
		ast.Walk(anchorVisitor{d}, root)
		d.value(root, reflect.ValueOf(into).Elem(), "", 0)
	}
	return d
}

// parseYAML gives the root of the one document of a text; nil when it has nothing.
func parseYAML(text []byte) (root ast.Node, problem *Problem) {
	defer func() { // go-yaml panics on some texts
		if r := recover(); r != nil {
			root, problem = nil, &Problem{position: start, Message: "not readable as YAML"}
		}
	}()
	if p := unreadable(text); p != nil {
		return nil, p
	}
	file, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxProblem(err)
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			return nil, &Problem{position: at(doc.Body), Message: "a configuration file is one YAML document"}
		}
		root = doc.Body
	}
	return root, nil
}

func unreadable(text []byte) *Problem {
	if len(text) > maxSize {
		return &Problem{position: start, Message: "the file is larger than 16 MiB"}
	}
	if !utf8.Valid(text) {
		return &Problem{position: start, Message: "the file is not UTF-8"}
	}
	depth, most := 0, 0
	for _, c := range text { // the parser has no bound of its own; quotes make it count too much, never too little
		switch c {
		case '[', '{':
			depth++
			most = max(most, depth)
		case ']', '}':
			depth = max(0, depth-1)
		}
	}
	chain := func(mark string) bool { return bytes.Contains(text, bytes.Repeat([]byte(mark), 1000)) }
	if most > 10_000 || chain("- ") || chain("? ") {
		return &Problem{position: start, Message: "the file is nested too deeply"}
	}
	return nil
}

type anchorVisitor struct{ *decoder }

// Visit collects the anchors.
func (v anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if anchor, ok := n.(*ast.AnchorNode); ok {
		v.anchors[anchor.Name.GetToken().Value] = anchor.Value
	}
	return v
}

// resolve follows anchors and aliases; nil after a problem.
func (d *decoder) resolve(n ast.Node, path string, depth int) ast.Node {
	for range maxDepth {
		switch node := n.(type) {
		case *ast.AnchorNode:
			n = node.Value
		case *ast.AliasNode:
			name := node.Value.GetToken().Value
			if n = d.anchors[name]; n == nil {
				return d.fail(node, path, fmt.Sprintf("the alias *%s has no anchor", name))
			}
		case *ast.TagNode:
			return d.fail(node, path, "tags are not known here")
		default:
			if d.nodes > maxNodes {
				return nil // said already
			}
			if d.nodes++; d.nodes > maxNodes || depth > maxDepth {
				d.nodes = maxNodes + 1
				return d.fail(n, path, "aliases make the file too large, or it is nested too deeply")
			}
			return n
		}
	}
	return d.fail(n, path, "an alias that leads to itself")
}

func (d *decoder) fail(n ast.Node, path, message string) ast.Node {
	d.problems = append(d.problems, Problem{at(n), path, message})
	return nil
}

var timeType = reflect.TypeFor[time.Time]()

// value fills v from a node.
func (d *decoder) value(n ast.Node, v reflect.Value, path string, depth int) {
	if d.positions[path] == (position{}) {
		d.positions[path] = at(n)
	}
	if n = d.resolve(n, path, depth); n == nil {
		return
	}
	if _, null := n.(*ast.NullNode); null {
		return // absent
	}
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path, depth)
	case v.Type() == timeType:
		d.time(n, v, path)
	case v.Kind() == reflect.Struct:
		d.object(n, v, path, depth)
	case v.Kind() == reflect.Slice:
		d.list(n, v, path, depth)
	case v.Kind() == reflect.Map:
		if pairs, ok := d.pairs(n, path, depth); ok {
			v.Set(reflect.ValueOf(d.anyObject(pairs, path, depth)))
		}
	default:
		d.scalar(n, v, path)
	}
}

func (d *decoder) list(n ast.Node, v reflect.Value, path string, depth int) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fail(n, path, "must be a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(list.Values), len(list.Values)))
	for i, item := range list.Values {
		d.value(item, v.Index(i), fmt.Sprintf("%s[%d]", path, i), depth+1)
	}
}

func (d *decoder) object(n ast.Node, v reflect.Value, path string, depth int) {
	pairs, ok := d.pairs(n, path, depth)
	if !ok {
		return
	}
	known := membersOf(v)
	for _, p := range pairs {
		member, ok := known[p.key]
		switch {
		case ok:
			d.value(p.value, member, join(path, p.key), depth+1)
		case path == "" && strings.HasPrefix(p.key, "x-"):
		default:
			d.problems = append(d.problems, Problem{p.position, path, unknownKey(p.key, known)})
		}
	}
}

// membersOf are the members of a struct by their keys in the file.
func membersOf(v reflect.Value) map[string]reflect.Value {
	members := map[string]reflect.Value{}
	_, below := v.Interface().(Quotas)
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("json") == ",inline" {
			for key, member := range membersOf(v.Field(i)) {
				if !IsQuota(key) {
					members[key] = member
				}
			}
			continue
		}
		if key := jsonName(v.Type().Field(i)); key != "-" && (!below || IsQuota(key)) {
			members[key] = v.Field(i)
		}
	}
	return members
}

func unknownKey(key string, known map[string]reflect.Value) string {
	names := make([]string, 0, len(known))
	for name := range known {
		if strings.EqualFold(name, key) || oneEdit(name, key) {
			return fmt.Sprintf("unknown key %q; is it %q?", key, name)
		}
		names = append(names, name)
	}
	if IsQuota(key) {
		return fmt.Sprintf("unknown key %q here; it is below quotas", key)
	}
	slices.Sort(names)
	return fmt.Sprintf("unknown key %q; known are %s", key, strings.Join(names, ", "))
}

// oneEdit reports whether one letter more, less or other, or two letters exchanged, make b of a.
func oneEdit(a, b string) bool {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 1 && len(b) <= 1 || len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
