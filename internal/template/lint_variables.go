package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// LintVariables compares what a template uses with what its schema has.
func LintVariables(schema json.RawMessage, uses []Use) (findings []Finding) {
	document, err := readSchema(schema)
	if err != nil {
		return nil
	}
	known := schemaNames{document: document, names: map[string]bool{}}
	known.add(document)
	severity, consequence := Warns, "an email need not have it"
	if document["additionalProperties"] == false {
		severity, consequence = Fails, "no email can have it"
	}
	used := map[string]bool{}
	for _, use := range uses {
		if used[use.Name] = true; known.names[use.Name] {
			continue
		}
		findings = append(findings, Finding{
			Severity: severity, Code: "unknown_variable", Part: use.Part, Line: use.Line, Column: use.Column,
			Message: fmt.Sprintf("the variable %q is not in the schema: %s", use.Name, consequence),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(known.names)) {
		if !used[name] {
			findings = append(findings, Finding{
				Severity: Notes, Code: "unused_variable", Part: "variables",
				Message: fmt.Sprintf("the variable %q is in the schema, and nothing uses it", name),
			})
		}
	}
	return findings
}

// schemaNames are the names that a schema gives to variables.
type schemaNames struct {
	document map[string]any
	names    map[string]bool
}

// add walks what is about the same value. The guard has seen to it that it ends.
func (n *schemaNames) add(schema any) {
	s, ok := schema.(map[string]any)
	if !ok {
		return
	}
	properties, _ := s["properties"].(map[string]any)
	for name := range properties {
		n.names[name] = true
	}
	required, _ := s["required"].([]any)
	for _, name := range required {
		if text, ok := name.(string); ok {
			n.names[text] = true
		}
	}
	if ref, ok := s["$ref"].(string); ok && strings.HasPrefix(ref, "#") {
		maker := exampleMaker{document: n.document}
		n.add(maker.at(ref))
	}
	for _, word := range []string{"allOf", "anyOf", "oneOf"} {
		all, _ := s[word].([]any)
		for _, one := range all {
			n.add(one)
		}
	}
	for _, word := range []string{"then", "else"} {
		n.add(s[word])
	}
}
