package template

import (
	"encoding/json"
	"slices"
	"strings"
)

// Example makes variables as a schema wants them, to show what a template looks like: of
// each value its first example, else its default, const or first enum member, else something
// of its type, and for a text its own name. Patterns and other constraints are not heeded.
//
// The schema is one that CompileSchema takes, which bounds the work; of any other the
// example is empty.
func Example(schema json.RawMessage) map[string]any {
	document, err := readSchema(schema)
	if err != nil {
		return map[string]any{}
	}
	m := &exampleMaker{document: document, left: maxExample}
	object, _ := m.value(document, "").(map[string]any)
	if object == nil {
		object = map[string]any{}
	}
	return object
}

// ExampleOf makes a text for each variable: its name.
func ExampleOf(names []string) map[string]any {
	object := map[string]any{}
	for _, name := range names {
		object[name] = name
	}
	return object
}

// Bytes that the values which a schema gives as examples may have altogether: a $ref can
// name one many times.
const maxExample = 32 << 10

type exampleMaker struct {
	document map[string]any
	left     int // of maxExample
	lists    int // around the value in work
}

func (m *exampleMaker) value(schema any, name string) any {
	s, ok := schema.(map[string]any)
	if !ok {
		return name
	}
	if said, ok := saidExample(s); ok && m.affords(said) {
		return said
	}
	if ref, ok := s["$ref"].(string); ok {
		return m.value(m.at(ref), name)
	}
	for _, word := range []string{"allOf", "oneOf", "anyOf"} {
		if all, ok := s[word].([]any); ok && len(all) > 0 {
			return m.joined(s, all, word == "allOf", name)
		}
	}
	return m.typed(s, name)
}

func (m *exampleMaker) affords(value any) bool {
	text, err := json.Marshal(value)
	m.left -= len(text)
	return err == nil && m.left >= 0
}

// saidExample is a value that the schema itself has.
func saidExample(s map[string]any) (any, bool) {
	first := func(word string) (any, bool) {
		list, ok := s[word].([]any)
		if !ok || len(list) == 0 {
			return nil, false
		}
		return list[0], true
	}
	if v, ok := first("examples"); ok {
		return v, true
	}
	for _, word := range []string{"default", "const"} {
		if v, ok := s[word]; ok {
			return v, true
		}
	}
	return first("enum")
}

// joined is an example of the first alternative, or of all, and of what stands beside them.
func (m *exampleMaker) joined(s map[string]any, alternatives []any, all bool, name string) any {
	if !all {
		alternatives = alternatives[:1]
	}
	object := map[string]any{}
	for _, one := range append(slices.Clone(alternatives), map[string]any{"type": "object", "properties": s["properties"]}) {
		value := m.value(one, name)
		members, ok := value.(map[string]any)
		if !ok {
			return value
		}
		for key, member := range members {
			object[key] = member
		}
	}
	return object
}

func (m *exampleMaker) typed(s map[string]any, name string) any {
	switch typeOf(s) {
	case "object":
		object := map[string]any{}
		properties, _ := s["properties"].(map[string]any)
		for key, property := range properties {
			object[key] = m.value(property, key)
		}
		return object
	case "array":
		return m.list(s, name)
	case "integer", "number":
		for _, word := range []string{"minimum", "maximum"} {
			if bound, ok := s[word]; ok {
				return bound
			}
		}
		return 1
	case "boolean":
		return true
	case "null":
		return nil
	}
	return textExample(s, name)
}

func (m *exampleMaker) list(s map[string]any, name string) any {
	if fixed, ok := s["prefixItems"].([]any); ok {
		items := make([]any, len(fixed))
		for i, item := range fixed {
			items[i] = m.value(item, name)
		}
		return items
	}
	m.lists++
	item := m.value(s["items"], strings.TrimSuffix(name, "s"))
	m.lists--
	if m.lists > 0 { // a list of lists of lists does not double with each
		return []any{item}
	}
	return []any{item, item}
}

// typeOf is the type that a schema asks for, or what its words are about.
func typeOf(s map[string]any) string {
	switch t := s["type"].(type) {
	case string:
		return t
	case []any:
		for _, one := range t {
			if word, ok := one.(string); ok && word != "null" {
				return word
			}
		}
	}
	switch {
	case s["properties"] != nil, s["required"] != nil:
		return "object"
	case s["items"] != nil, s["prefixItems"] != nil:
		return "array"
	}
	return "string"
}

var formatExamples = map[string]string{
	"email": "ada@example.com", "uri": "https://example.com/", "url": "https://example.com/", "date": "2026-01-31",
	"date-time": "2026-01-31T12:00:00Z", "time": "12:00:00Z", "uuid": "0190163d-8694-739b-aea5-966c26f8ad91", "hostname": "example.com",
}

func textExample(s map[string]any, name string) string {
	if format, ok := s["format"].(string); ok && formatExamples[format] != "" {
		return formatExamples[format]
	}
	return name
}

// at is the schema that a local reference leads to.
func (m *exampleMaker) at(ref string) any {
	var here any = m.document
	for token := range strings.SplitSeq(strings.TrimPrefix(strings.TrimPrefix(ref, "#"), "/"), "/") {
		if token == "" {
			continue
		}
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		here, _ = member(here, token)
	}
	return here
}
