package template_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/template"
)

func compileSchema(t testing.TB, schema string) *template.Schema {
	t.Helper()
	compiled, err := template.CompileSchema(json.RawMessage(schema))
	require.NoError(t, err)
	return compiled
}

const orderSchema = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object",
	"required": ["user", "items"],
	"properties": {
		"user": {"type": "object", "required": ["name"], "properties": {
			"name": {"type": "string", "minLength": 1}, "mail": {"type": "string", "format": "email"}}},
		"items": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/item"}},
		"currency": {"enum": ["EUR", "USD"]},
		"note": {"type": ["string", "null"]}
	},
	"additionalProperties": false,
	"$defs": {"item": {"type": "object", "required": ["sku"], "properties": {
		"sku": {"type": "string", "pattern": "^[a-z][0-9]+$"}, "count": {"type": "integer", "minimum": 1}}}}
}`

func TestSchema_Validate(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t, orderSchema)
	for _, test := range []struct{ vars, want string }{
		{`{"user": {"name": "Ann"}, "items": [{"sku": "a1"}], "note": null}`, ""},
		{`{"user": {"name": "Ann", "mail": "ann@a.example"}, "items": [{"sku": "a1", "count": 2.0}]}`, ""},
		{`{}`, "missing_variable items, missing_variable user"},
		{``, "missing_variable items, missing_variable user"},
		{`null`, "missing_variable items, missing_variable user"},
		{`{"user": {}, "items": [{"sku": "a1"}]}`, "missing_variable user.name"},
		{
			`{"user": {"name": ""}, "items": [{"sku": "a1"}, {}, {"sku": 7}, {"sku": "A"}]}`,
			"missing_variable items[1].sku, invalid_variable items[2].sku: must be a string, is a number, " +
				"invalid_variable items[3].sku: must match the pattern ^[a-z][0-9]+$, " +
				"invalid_variable user.name: must have at least 1 character(s), has 0",
		},
		{
			`{"user": {"name": "Ann"}, "items": [], "currency": "XXX", "extra": 1}`,
			"invalid_variable currency: must be one of \"EUR\", \"USD\", invalid_variable extra: the schema does not know this variable, " +
				"invalid_variable items: must have at least 1 item(s), has 0",
		},
		{
			`{"user": {"name": "Ann", "mail": "nobody"}, "items": [{"sku": "a1", "count": 0}], "note": 5}`,
			"invalid_variable items[0].count: must be at least 1, invalid_variable note: must be null or a string, is a number, " +
				"invalid_variable user.mail: must be a valid email",
		},
	} {
		require.Equal(t, test.want, fieldsText(schema.Validate(json.RawMessage(test.vars))), test.vars)
	}
}

// fieldsText is "code path: message", without the message where the code says it all.
func fieldsText(fields []fault.Field) string {
	var all []string
	for _, f := range fields {
		one := f.Code + " " + strings.TrimPrefix(strings.TrimPrefix(f.Location, "body.variables"), ".")
		if f.Code != "missing_variable" {
			one += ": " + f.Message
		}
		all = append(all, one)
	}
	return strings.Join(all, ", ")
}

func TestSchema_Words(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ schema, value, want string }{
		{`{"type": "object"}`, `[]`, "must be an object, is an array"},
		{`{"type": ["integer", "boolean"]}`, `1.5`, "must be a boolean or an integer, is a number"},
		{`{"const": "a"}`, `"b"`, `must be "a"`},
		{`{"const": {"a": 1}}`, `1`, "must be an object"},
		{`{"enum": [1, null, [1], "x", true]}`, `2`, `must be one of 1, null, a list, "x", true`},
		{`{"enum": [1,2,3,4,5,6,7,8,9,10,11,12]}`, `0`, "must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …"},
		{`{"maxLength": 1}`, `"日本"`, "must have at most 1 character(s), has 2"},
		{`{"maxItems": 1}`, `[1, 2]`, "must have at most 1 item(s), has 2"},
		{`{"uniqueItems": true}`, `[1, 2, 1]`, "items 0 and 2 are equal"},
		{`{"contains": {"const": 1}}`, `[2, 3]`, "must contain an item of a certain kind, has none"},
		{`{"contains": {"const": 1}, "minContains": 2}`, `[1, 3]`, "must contain at least 2 item(s) of a certain kind, has 1"},
		{`{"minProperties": 2}`, `{"a": 1}`, "must have at least 2 member(s), has 1"},
		{`{"maxProperties": 0}`, `{"a": 1}`, "must have at most 0 member(s), has 1"},
		{`{"maximum": 1.5}`, `2`, "must be at most 1.5"},
		{`{"exclusiveMinimum": 2}`, `2`, "must be more than 2"},
		{`{"exclusiveMaximum": 2}`, `2`, "must be less than 2"},
		{`{"multipleOf": 0.01}`, `0.005`, "must be a multiple of 0.01"},
		{`{"anyOf": [{"type": "string"}, {"type": "null"}]}`, `2`, "fits none of the allowed alternatives"},
		{`{"oneOf": [{"type": "string"}, {"type": "null"}]}`, `2`, "fits none of the allowed alternatives"},
		{`{"oneOf": [{"type": "number"}, {"minimum": 1}]}`, `2`, "fits more than one of the alternatives, only one may fit"},
		{`{"not": {"type": "number"}}`, `2`, "is not allowed"},
		{`false`, `2`, "is not allowed"},
		{`{"format": "uri"}`, `"no uri"`, "must be a valid uri"},
		{`{"allOf": [{"type": "string"}, {"type": "string"}]}`, `2`, "must be a string, is a number"},
		{`{"if": {"type": "number"}, "then": {"minimum": 3}}`, `2`, "must be at least 3"},
	} {
		schema := compileSchema(t, `{"properties": {"x": `+test.schema+`}}`)
		got := schema.Validate(json.RawMessage(`{"x": ` + test.value + `}`))
		require.Equal(t, []fault.Field{{Location: "body.variables.x", Message: test.want, Code: "invalid_variable"}}, got, test.schema)
	}
}

func TestSchema_Locations(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ schema, vars, want string }{
		{`{"properties": {"1": {"items": {"properties": {"2": {"type": "string"}}}}}}`, `{"1": [{"2": 3}]}`, "invalid_variable 1[0].2: must be a string, is a number"},
		{`{"properties": {"o": {"propertyNames": {"maxLength": 3}}}}`, `{"o": {"long": 1}}`, "invalid_variable o.long: this name is not allowed"},
		{`{"dependentRequired": {"a": ["b"]}}`, `{"a": 1}`, "missing_variable b"},
		{`{"dependentSchemas": {"a": {"required": ["c"]}}}`, `{"a": 1}`, "missing_variable c"},
		{`{"patternProperties": {"^x": {"type": "string"}}}`, `{"xy": 1, "y": 1}`, "invalid_variable xy: must be a string, is a number"},
		{`{"properties": {"a": true}, "unevaluatedProperties": false}`, `{"b": 1}`, "invalid_variable b: is not allowed"},
		{`{"properties": {"a": {"prefixItems": [{"type": "string"}], "items": {"type": "number"}}}}`, `{"a": ["x", "y"]}`, "invalid_variable a[1]: must be a number, is a string"},
	} {
		require.Equal(t, test.want, fieldsText(compileSchema(t, test.schema).Validate(json.RawMessage(test.vars))), test.schema)
	}
}

func TestSchema_VariablesThatCanNotBeRead(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t, `{}`)
	for _, test := range []struct{ vars, want string }{
		{`{"a": `, "not JSON that can be read: unexpected end of JSON input (at byte 5)"},
		{`{"a": 1e999999}`, "not JSON that can be read: number 1e999999 at byte 15 is out of range"},
		{`[]`, "must be a JSON object"},
		{`"x"`, "must be a JSON object"},
		{`{"a": "` + strings.Repeat("x", 1<<20) + `"}`, "larger than 1048576 bytes"},
	} {
		got := schema.Validate(json.RawMessage(test.vars))
		require.Equal(t, []fault.Field{{Location: "body.variables", Message: test.want, Code: "invalid_variable"}}, got)
	}
}

func TestSchema_ManyViolationsAreCounted(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t, `{"properties": {"xs": {"items": {"type": "string"}}}}`)
	got := schema.Validate(json.RawMessage(`{"xs": ` + list("1", 1000) + `}`))
	require.Len(t, got, 101)
	require.Equal(t, fault.Field{Location: "body.variables", Message: "and 900 more", Code: "invalid_variable"}, got[100])
}

func TestCompileSchema_Refuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"items": `, 70) + "{}" + strings.Repeat("}", 70)
	for _, test := range []struct{ schema, want string }{
		{``, "not JSON that can be read: unexpected end of JSON input (at byte 0)"},
		{`{"type": }`, "not JSON that can be read: invalid character '}' looking for beginning of value (at byte 10)"},
		{`{"minimum": 1e999}`, "not JSON that can be read: number 1e999 at byte 18 is out of range"},
		{`[]`, "a schema must be a JSON object"},
		{`true`, "a schema must be a JSON object"},
		{`{"$schema": "http://json-schema.org/draft-07/schema#"}`, "$schema must be https://json-schema.org/draft/2020-12/schema"},
		{`{"$schema": 7}`, "$schema must be https://json-schema.org/draft/2020-12/schema"},
		{`{"$ref": "https://a.example/s.json"}`, `$ref "https://a.example/s.json": only references inside of the schema (#/…) are allowed`},
		{`{"properties": {"a": {"$ref": "file:///etc/passwd"}}}`, `$ref "file:///etc/passwd": only references inside of the schema (#/…) are allowed`},
		{`{"$ref": "other.json#/a"}`, `$ref "other.json#/a": only references inside of the schema (#/…) are allowed`},
		{`{"$ref": "#anchor"}`, `$ref "#anchor": only references inside of the schema (#/…) are allowed`},
		{`{"$ref": "#/$defs/none"}`, `$ref "#/$defs/none" points to nothing`},
		{`{"$ref": "#/allOf/7", "allOf": [{}]}`, `$ref "#/allOf/7" points to nothing`},
		{`{"$ref": "#"}`, `$ref "#" leads back to itself`},
		{`{"properties": {"child": {"$ref": "#/properties/child"}}}`, `$ref "#/properties/child" leads back to itself`},
		{`{"$id": "https://a.example/"}`, "$id is not supported"},
		{`{"$anchor": "a"}`, "$anchor is not supported"},
		{`{"$dynamicRef": "#a"}`, "$dynamicRef is not supported"},
		{`{"type": "strin"}`, "schema.type: fits none of the allowed alternatives"},
		{`{"required": "a"}`, "schema.required: must be an array, is a string"},
		{`{"properties": {"a": {"minLength": -1}}}`, "schema.properties.a.minLength: must be at least 0"},
		{`{"pattern": "(?=a)"}`, "schema.pattern: must be a regular expression in RE2 syntax that is not too large"},
		{`{"pattern": "(\\pL{1000}){5}"}`, "schema.pattern: must be a regular expression in RE2 syntax that is not too large"},
		{`{"enum": ` + list("1", 3000) + `}`, "it has more than 2000 values with every $ref written out"},
		{deep, "it nests deeper than 64 levels"},
		{`{"title": "` + strings.Repeat("x", 64<<10) + `"}`, "it is 65549 bytes long, at most 65536 are allowed"},
	} {
		_, err := template.CompileSchema(json.RawMessage(test.schema))
		f := requireFault(t, err, fault.Invalid, "invalid_variables_schema")
		require.Equal(t, []fault.Field{{Location: "body.variables", Message: test.want, Code: f.Code}}, f.Fields)
	}
}

// Twenty definitions, each with two references to the next, would be a million
// schemas when written out.
func TestCompileSchema_RefusesExponentialReferences(t *testing.T) {
	t.Parallel()
	var defs []string
	for i := range 20 {
		defs = append(defs, fmt.Sprintf(`"d%d": {"allOf": [{"$ref": "#/$defs/d%d"}, {"$ref": "#/%%24defs/d%d"}]}`, i, i+1, i+1))
	}
	defs = append(defs, `"d20": {}`)
	_, err := template.CompileSchema(json.RawMessage(`{"$ref": "#/$defs/d0", "$defs": {` + strings.Join(defs, ",") + `}}`))
	f := requireFault(t, err, fault.Invalid, "invalid_variables_schema")
	require.Equal(t, "it has more than 2000 values with every $ref written out", f.Fields[0].Message)
}

// Schemas and variables which fit their own limits, but not together.
func TestSchema_WorkIsBounded(t *testing.T) {
	t.Parallel()
	tooMuch := []fault.Field{{Location: "body.variables", Message: "too large to be checked against this schema", Code: "invalid_variable"}}
	ones := `{"a": ` + list("1", 30_000) + `}`
	long := `{"a": "` + strings.Repeat("x", 60_000) + `"}`
	names := `{"a": {` + func() string {
		all := make([]string, 3000)
		for i := range all {
			all[i] = fmt.Sprintf(`"name%d": 1`, i)
		}
		return strings.Join(all, ",")
	}() + `}}`
	for _, test := range []struct{ schema, vars string }{
		{`{"items": {"allOf": ` + list(`{"type": "string"}`, 300) + `}}`, ones},
		{`{"items": {"anyOf": ` + list(`{"type": "string"}`, 300) + `}}`, ones},
		{`{"allOf": ` + list(`{"items": {"type": "string"}}`, 300) + `}`, ones},
		{`{"allOf": ` + list(`{"contains": {"type": "string"}}`, 300) + `}`, ones},
		{`{"items": {"enum": ` + list(`"x"`, 1000) + `}}`, ones},
		{`{"allOf": ` + list(`{"minLength": 1}`, 300) + `}`, long},
		{`{"pattern": "(a?){1000}b"}`, long},
		{`{"allOf": ` + list(`{"additionalProperties": {"type": "string"}}`, 300) + `}`, names},
		{`{"patternProperties": {"(.?){1000}x": {"type": "string"}}}`, names},
		{`{"propertyNames": {"allOf": ` + list(`{"maxLength": 1}`, 300) + `}}`, names},
		{`{"unevaluatedProperties": {"allOf": ` + list(`{"type": "string"}`, 300) + `}}`, names},
		{`{"dependentSchemas": {"name1": {"additionalProperties": {"oneOf": ` + list(`{"type": "string"}`, 300) + `}}}}`, names},
	} {
		schema := compileSchema(t, `{"properties": {"a": `+test.schema+`}}`)
		require.Equal(t, tooMuch, schema.Validate(json.RawMessage(test.vars)), "%.40s", test.schema)
		require.Empty(t, schema.Validate(json.RawMessage(`{}`)))
	}
}

// A long list with a full schema is ordinary and is checked.
func TestSchema_LongListsAreChecked(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t, orderSchema)
	items := list(`{"sku": "a12345", "count": 3, "title": "A thing", "price": "12.00", "more": {"a": 1, "b": 2}}`, 2000)
	require.Empty(t, schema.Validate(json.RawMessage(`{"user": {"name": "Ann"}, "items": `+items+`}`)))
}
