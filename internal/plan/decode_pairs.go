package plan

import (
	"fmt"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// pair is a key with its value.
type pair struct {
	key      string
	value    ast.Node
	position position
}

// pairs are what a mapping has, with what it merges ("<<: *defaults") behind it.
func (d *decoder) pairs(n ast.Node, path string, depth int) (own []pair, ok bool) {
	var values []*ast.MappingValueNode
	switch node := n.(type) {
	case *ast.MappingNode:
		values = node.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{node}
	default:
		d.fail(n, path, "must be a mapping of keys to values")
		return nil, false
	}
	seen := map[string]bool{}
	var merged []pair
	for _, value := range values {
		if _, merge := value.Key.(*ast.MergeKeyNode); merge {
			merged = append(merged, d.merged(value.Value, path, depth+1)...)
			continue
		}
		p := pair{keyText(value.Key), value.Value, at(value.Key)}
		if seen[p.key] {
			d.problems = append(d.problems, Problem{p.position, path, fmt.Sprintf("key %q is there already", p.key)})
			continue
		}
		seen[p.key] = true
		own = append(own, p)
	}
	for _, p := range merged {
		if !seen[p.key] {
			seen[p.key] = true
			own = append(own, p)
		}
	}
	return own, true
}

// merged are the pairs of a mapping, or of several in a list.
func (d *decoder) merged(n ast.Node, path string, depth int) (all []pair) {
	if n = d.resolve(n, path, depth); n == nil {
		return nil
	}
	if list, ok := n.(*ast.SequenceNode); ok {
		for _, item := range list.Values {
			all = append(all, d.merged(item, path, depth+1)...)
		}
		return all
	}
	all, _ = d.pairs(n, path, depth)
	return all
}

func keyText(key ast.MapKeyNode) string {
	if s, ok := key.(*ast.StringNode); ok {
		return s.Value
	}
	if wrapped, ok := key.(*ast.MappingKeyNode); ok && wrapped.Value != nil {
		return wrapped.Value.GetToken().Value
	}
	return key.GetToken().Value
}

// anyObject is a mapping whose keys are free, such as a JSON Schema.
func (d *decoder) anyObject(pairs []pair, path string, depth int) map[string]any {
	out := make(map[string]any, len(pairs))
	for _, p := range pairs {
		out[p.key] = d.any(p.value, join(path, p.key), depth+1)
	}
	return out
}

// any is a node as JSON has it: numbers are float64.
func (d *decoder) any(n ast.Node, path string, depth int) any {
	if n = d.resolve(n, path, depth); n == nil {
		return nil
	}
	switch node := n.(type) {
	case *ast.NullNode:
		return nil
	case *ast.BoolNode:
		return node.Value
	case *ast.IntegerNode, *ast.FloatNode:
		f, err := strconv.ParseFloat(n.GetToken().Value, 64)
		if err != nil {
			d.fail(n, path, "must be a number as JSON has them")
		}
		return f
	case *ast.StringNode, *ast.LiteralNode:
		text, _ := d.text(n, path)
		return text
	case *ast.SequenceNode:
		list := make([]any, len(node.Values))
		for i, item := range node.Values {
			list[i] = d.any(item, fmt.Sprintf("%s[%d]", path, i), depth+1)
		}
		return list
	case *ast.MappingNode, *ast.MappingValueNode:
		pairs, _ := d.pairs(n, path, depth)
		return d.anyObject(pairs, path, depth)
	}
	d.fail(n, path, "must be a value as JSON has them")
	return nil
}
