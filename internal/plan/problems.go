package plan

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// position is a place in the file, both from 1.
type position struct{ Line, Column int }

var start = position{1, 1}

// at is where a node begins.
func at(n ast.Node) position {
	for {
		mapping, ok := n.(*ast.MappingNode)
		if !ok || len(mapping.Values) == 0 || mapping.IsFlowStyle {
			break
		}
		n = mapping.Values[0]
	}
	if value, ok := n.(*ast.MappingValueNode); ok {
		n = value.Key
	}
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return start
	}
	p := n.GetToken().Position
	return position{max(p.Line, 1), max(p.Column, 1)}
}

// Problem is something that is wrong in a file.
type Problem struct {
	position
	Path    string // of the value, "tenants[0].quotas.burst"
	Message string
}

// Problems are all that is wrong in a file, as an error.
type Problems []Problem

// Error has a line for each: "[12:7] quotas.burst: must be 1 to 1000000".
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = fmt.Sprintf("[%d:%d] %s", one.Line, one.Column, one.Message)
		if name := shortPath(one.Path); name != "" {
			lines[i] = fmt.Sprintf("[%d:%d] %s: %s", one.Line, one.Column, name, one.Message)
		}
	}
	return strings.Join(lines, "\n")
}

// shortPath leaves out which tenant it is: line and column say it.
func shortPath(path string) string {
	if !strings.HasPrefix(path, "tenants[") {
		return path
	}
	_, path, _ = strings.Cut(path, "].")
	return path
}

func (d *decoder) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	d.problems = slices.Compact(d.problems) // by an alias, a value is read more than once
	return d.problems
}

// problem is one with the value at a path, or where that is absent with what it is missing in.
func (d *decoder) problem(path, message string) {
	place, ok := d.positions[path]
	for above := path; !ok && above != ""; place, ok = d.positions[above] {
		above = above[:max(0, strings.LastIndexAny(above, ".["))]
	}
	d.problems = append(d.problems, Problem{place, path, message})
}

// blamed reports whether there is a problem with the value at a path already.
func (d *decoder) blamed(path string) bool {
	return slices.ContainsFunc(d.problems, func(p Problem) bool { return p.Path == path })
}

func syntaxProblem(err error) *Problem {
	var syntax yaml.Error
	if !errors.As(err, &syntax) || syntax.GetToken() == nil {
		return &Problem{position: start, Message: "not readable as YAML"}
	}
	p := syntax.GetToken().Position
	return &Problem{position: position{max(p.Line, 1), max(p.Column, 1)}, Message: syntax.GetMessage()}
}

// blamedBelow reports whether there is a problem with the value at a path or within it.
func (d *decoder) blamedBelow(path string) bool {
	return slices.ContainsFunc(d.problems, func(p Problem) bool { return strings.HasPrefix(p.Path, path) })
}

// cause is why a file can not be read, without its path, which the reader knows.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}
