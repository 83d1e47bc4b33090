package template

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/mailtura/mailtura/internal/fault"
)

// More violations than this are only counted: nobody reads them, and a list of
// 30,000 wrong items would make an answer of megabytes.
const maxViolations = 100

// violations turns the library's tree of errors into fields.
func violations(root *jsonschema.ValidationError, vars any) []fault.Field {
	var fields []fault.Field
	for _, leaf := range leaves(root) {
		fields = append(fields, describe(leaf, vars)...)
	}
	slices.SortFunc(fields, func(a, b fault.Field) int {
		return cmp.Or(cmp.Compare(a.Location, b.Location), cmp.Compare(a.Message, b.Message))
	})
	fields = slices.Compact(fields) // two branches can find the same
	if more := len(fields) - maxViolations; more > 0 {
		fields = append(fields[:maxViolations:maxViolations], violation(variablesLocation, fmt.Sprintf("and %d more", more)))
	}
	return fields
}

// leaves are the errors that have a message of their own. What stands under an
// alternative (anyOf, oneOf) is not among them: which branch was meant is not known.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.PropertyNames,
		*kind.Contains, *kind.MinContains, *kind.MaxContains:
		return []*jsonschema.ValidationError{e}
	}
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var all []*jsonschema.ValidationError
	for _, cause := range e.Causes {
		all = append(all, leaves(cause)...)
	}
	return all
}

// describe gives the fields of one error; several where it lists several names.
func describe(e *jsonschema.ValidationError, vars any) []fault.Field {
	at := instanceLocation(e.InstanceLocation, vars)
	var fields []fault.Field
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			fields = append(fields, missingField(at+"."+name, name))
		}
	case *kind.DependentRequired:
		for _, name := range k.Missing {
			fields = append(fields, missingField(at+"."+name, name))
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			fields = append(fields, violation(at+"."+name, "the schema does not know this variable"))
		}
	case *kind.PropertyNames:
		fields = append(fields, violation(at+"."+k.Property, "this name is not allowed"))
	default:
		fields = append(fields, violation(at, messageOf(k)))
	}
	return fields
}

// instanceLocation writes a path as "body.variables.items[2].sku". Only the
// variables themselves tell an index from a name that is a number.
func instanceLocation(path []string, vars any) string {
	var at strings.Builder
	at.WriteString(variablesLocation)
	for _, token := range path {
		if _, isList := vars.([]any); isList {
			fmt.Fprintf(&at, "[%s]", token)
		} else {
			at.WriteString("." + token)
		}
		vars, _ = member(vars, token)
	}
	return at.String()
}

// firstViolation is for an invalid schema: where in it, and what.
func firstViolation(e *jsonschema.ValidationError) (place, text string) {
	leaf := leaves(e)[0]
	for _, token := range leaf.InstanceLocation {
		place += "." + token
	}
	return place, messageOf(leaf.ErrorKind)
}
