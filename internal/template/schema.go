package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mailtura/mailtura/internal/fault"
)

// Schema describes the variables of a template: JSON Schema 2020-12
// (https://json-schema.org/draft/2020-12), with `format` asserted. A Schema is safe for
// concurrent use.
type Schema struct{ compiled *jsonschema.Schema }

const schemaURL = "mailtura:variables"

// CompileSchema reads a schema. A tenant writes it, so it is kept small: at most 64 kB,
// 64 levels deep, and 2,000 values when every $ref is written out. A $ref must be
// local (#/…) and must not lead back to itself. Patterns are RE2 (no look-around).
//
// Its error is a *fault.Error, Invalid "invalid_variables_schema", with one Field.
func CompileSchema(schema json.RawMessage) (*Schema, error) {
	document, err := readSchema(schema)
	if err != nil {
		return nil, schemaFault(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.UseLoader(refuseLoading{})
	compiler.UseRegexpEngine(compilePattern)
	if err := compiler.AddResource(schemaURL, document); err != nil {
		return nil, schemaFault(err)
	}
	compiled, err := compiler.Compile(schemaURL)
	if err != nil {
		return nil, schemaFault(err)
	}
	return &Schema{compiled}, nil
}

// refuseLoading stands where the library would read files and addresses.
type refuseLoading struct{}

var errRemote = errors.New("other documents can not be referred to")

func (refuseLoading) Load(string) (any, error) { return nil, errRemote }

func schemaFault(err error) *fault.Error {
	f := fault.Wrap(err, fault.Invalid, "invalid_variables_schema", "The schema of the variables is not a usable JSON Schema 2020-12.")
	f.Fields = []fault.Field{{Location: variablesLocation, Message: schemaProblem(err), Code: f.Code}}
	return f
}

// schemaProblem is one line about an error of readSchema or of the library, whose
// own text names the address that we made up.
func schemaProblem(err error) string {
	var invalid *jsonschema.SchemaValidationError
	var violations *jsonschema.ValidationError
	if errors.As(err, &invalid) && errors.As(invalid.Err, &violations) {
		place, message := firstViolation(violations)
		return fmt.Sprintf("schema%s: %s", place, message)
	}
	var pattern *jsonschema.InvalidRegexError
	if errors.As(err, &pattern) {
		return fmt.Sprintf("%q is not a regular expression that is supported: %v", pattern.Regex, pattern.Err)
	}
	if errors.As(err, new(*guardError)) {
		return err.Error()
	}
	if errors.Is(err, errRemote) {
		return errRemote.Error()
	}
	return "it can not be compiled"
}

// Validate gives one Field for each place where vars, a JSON object, does not fit the
// schema, sorted by location: "missing_variable" for a required variable, else
// "invalid_variable". Nil vars stand for {}. Of more than 100 the rest is only counted.
// Variables that are too much work to check get a single field.
func (s *Schema) Validate(vars json.RawMessage) []fault.Field {
	object, wrong := readVariables(vars)
	if wrong != "" {
		return []fault.Field{violation(variablesLocation, wrong)}
	}
	cost := checkCost{left: maxCheckCost}
	if cost.spend(s.compiled, object, 0); cost.left < 0 {
		return []fault.Field{violation(variablesLocation, "too large to be checked against this schema")}
	}
	var invalid *jsonschema.ValidationError
	if err := s.compiled.Validate(object); errors.As(err, &invalid) {
		return violations(invalid, object)
	} else if err != nil {
		return []fault.Field{violation(variablesLocation, "can not be checked against the schema")}
	}
	return nil
}

// readVariables decodes vars, or says why it can not. Numbers become float64, as in
// the renderer; the library's own exact numbers can be made to take a gigabyte by
// a few bytes (1e999999).
func readVariables(vars json.RawMessage) (map[string]any, string) {
	vars = bytes.TrimSpace(vars)
	if len(vars) == 0 || string(vars) == "null" {
		return map[string]any{}, ""
	}
	if len(vars) > maxVariables {
		return nil, fmt.Sprintf("larger than %d bytes", maxVariables)
	}
	var value any
	if err := json.Unmarshal(vars, &value); err != nil {
		return nil, "not JSON that can be read: " + readableJSONError(err)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, "must be a JSON object"
	}
	return object, ""
}

func violation(location, message string) fault.Field {
	return fault.Field{Location: location, Message: message, Code: "invalid_variable"}
}

// readableJSONError says what is wrong in words that do not speak of Go.
func readableJSONError(err error) string {
	var number *json.UnmarshalTypeError
	if errors.As(err, &number) {
		return fmt.Sprintf("%s at byte %d is out of range", number.Value, number.Offset)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%s (at byte %d)", syntax, syntax.Offset)
	}
	return err.Error()
}
