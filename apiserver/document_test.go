package apiserver_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
)

// operation is an operation of the OpenAPI document.
type operation struct {
	method, path string
	OperationID  string                `json:"operationId"`
	Description  string                `json:"description"`
	Parameters   []parameter           `json:"parameters"`
	RequestBody  *content              `json:"requestBody"`
	Security     []map[string][]string `json:"security"`
	Responses    map[string]content    `json:"responses"`
}

type parameter struct {
	Name   string `json:"name"`
	In     string `json:"in"`
	Schema schema `json:"schema"`
}

// content is a body by its media types.
type content struct {
	Required bool `json:"required"`
	Content  map[string]struct {
		Schema schema `json:"schema"`
	} `json:"content"`
	Headers map[string]any `json:"headers"`
}

// schema is a JSON Schema as it stands in the document.
type schema map[string]any

// document is the OpenAPI document of the program.
type document struct {
	Paths      map[string]map[string]operation `json:"paths"`
	Components struct {
		Schemas map[string]schema `json:"schemas"`
	} `json:"components"`

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

// doc is read once for all tests.
var doc = sync.OnceValues(func() (*document, error) { //nolint:gochecknoglobals // it does not change
	text, err := apiserver.New(apiserver.Config{}).OpenAPI()
	if err != nil {
		return nil, err
	}
	raw, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, err
	}
	d := &document{compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
	if err := json.Unmarshal(raw, d); err != nil {
		return nil, err
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	return d, d.compiler.AddResource("doc:api", whole)
})

// readDocument is the document of the program.
func readDocument(t *testing.T) *document {
	t.Helper()
	d, err := doc()
	require.NoError(t, err)
	return d
}

// operations are all that the document has, always in the same order.
func operations(t *testing.T) []operation {
	t.Helper()
	var all []operation
	for path, methods := range readDocument(t).Paths {
		for method, op := range methods {
			op.method, op.path = strings.ToUpper(method), path
			all = append(all, op)
		}
	}
	require.Greater(t, len(all), 20)
	slices.SortFunc(all, func(a, b operation) int { return cmp.Compare(a.OperationID, b.OperationID) })
	return all
}

func (op operation) has(in, name string) bool {
	return slices.ContainsFunc(op.Parameters, func(p parameter) bool { return p.In == in && p.Name == name })
}

// ofTenants reports whether it is an operation of a tenant; else it is one of operators.
func (op operation) ofTenants() bool { return op.has("header", "X-Tenant-ID") }

// acting reports whether only an operator key may speak for a tenant there.
func (op operation) acting() bool { return op.OperationID == "copy-template" }

// mediaType is that of the operation's body.
func (op operation) mediaType() string {
	if op.RequestBody == nil {
		return ""
	}
	return slices.Sorted(maps.Keys(op.RequestBody.Content))[0]
}

// bodies has a good body for the operations for whose body the schema alone does not say enough.
var bodies = map[string]string{ //nolint:gochecknoglobals // a table
	"create-tenant":    `{"name":"mine","domain":"b.example"}`,
	"create-template":  `{"name":"mine","subject":"mine","text":"mine"}`,
	"update-template":  `{"subject":"mine","text":"mine"}`,
	"send-email":       `{"to":"a@example.com","subject":"mine","text":"mine"}`,
	"create-bulk-send": `{"subject":"mine","text":"mine"}` + "\n" + `{"to":"a@example.com"}`,
	"send-email-batch": `{"emails":[{"to":"a@example.com","subject":"mine","text":"mine"}]}`,
	"reschedule-email": `{"scheduledAt":"2026-01-01T00:00:00Z"}`,
	"copy-template":    `{"tenantId":"staying"}`,
	"preview-draft":    `{"template":{"text":"mine"}}`,
	"validate-draft":   `{"template":{"text":"mine"}}`,
	"create-domain":    `{"name":"mine.example"}`,
	"replay-webhook":   `{"after":"evt_00000000000000000000000000"}`,
}

// body is a good body for the operation, of the table or as the schema has it; nil for one that takes none.
func (op operation) body(t *testing.T) any {
	t.Helper()
	if op.RequestBody == nil {
		require.NotContains(t, bodies, op.OperationID)
		return nil
	}
	if body, ok := bodies[op.OperationID]; ok {
		return body
	}
	body, err := json.Marshal(readDocument(t).example(op.RequestBody.Content[op.mediaType()].Schema))
	require.NoError(t, err)
	return string(body)
}

// resolve follows references.
func (d *document) resolve(s schema) schema {
	for {
		ref, ok := s["$ref"].(string)
		if !ok {
			return s
		}
		s = d.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
	}
}

// object gives a schema's properties, and which of them are required.
func (d *document) object(s schema) (properties map[string]schema, required []string) {
	properties = map[string]schema{}
	members, _ := s["properties"].(map[string]any)
	for name, member := range members {
		properties[name], _ = member.(map[string]any)
	}
	names, _ := s["required"].([]any)
	for _, name := range names {
		required = append(required, name.(string)) //nolint:forcetypeassert // JSON Schema
	}
	return properties, required
}

// example is a value that a schema describes: with what is required, by its examples where it has some.
func (d *document) example(s schema) any {
	s = d.resolve(s)
	for _, word := range []string{"examples", "enum"} {
		if all, ok := s[word].([]any); ok && len(all) > 0 {
			return all[0]
		}
	}
	if value, ok := s["default"]; ok {
		return value
	}
	for _, word := range []string{"oneOf", "anyOf", "allOf"} {
		if all, ok := s[word].([]any); ok {
			one, _ := all[0].(map[string]any)
			return d.example(one)
		}
	}
	switch typeOf(s) {
	case "object":
		value := map[string]any{}
		properties, required := d.object(s)
		for _, name := range required {
			value[name] = d.example(properties[name])
		}
		return value
	case "array":
		items, _ := s["items"].(map[string]any)
		return []any{d.example(items)}
	case "integer", "number":
		least, _ := s["minimum"].(float64)
		return least
	case "boolean":
		return true
	}
	return exampleText(s)
}

func exampleText(s schema) string {
	switch s["format"] {
	case "date-time":
		return "2030-01-01T00:00:00Z"
	case "date":
		return "2030-01-01"
	case "uri":
		return "https://example.com/"
	}
	return "mine"
}

// typeOf is the first type of a schema that is not null.
func typeOf(s schema) string {
	types, ok := s["type"].([]any)
	if !ok {
		name, _ := s["type"].(string)
		return name
	}
	for _, name := range types {
		if name != "null" {
			return name.(string) //nolint:forcetypeassert // JSON Schema
		}
	}
	return ""
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D", "+", "%2B")

// check requires that an answer to an operation is as the document says.
func (d *document) check(t *testing.T, op operation, a answer) {
	t.Helper()
	require.NoError(t, d.mismatch(op, a), "%s: %d %s", op.OperationID, a.Status, a.Body)
}

// mismatch is what in an answer is not as the document says: its status, its media type, its headers, or its body.
func (d *document) mismatch(op operation, a answer) error {
	status := strconv.Itoa(a.Status)
	documented, ok := op.Responses[status]
	if !ok {
		return fmt.Errorf("the status %s is not documented", status)
	}
	if a.Header.Get("X-Request-Id") == "" {
		return errors.New("it has no X-Request-Id")
	}
	if len(documented.Content) == 0 {
		if a.Body != "" {
			return errors.New("it has a body that is not documented")
		}
		return nil
	}
	mediaType, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	if _, ok := documented.Content[mediaType]; !ok || (a.Status >= http.StatusBadRequest && mediaType != "application/problem+json") {
		return fmt.Errorf("the media type %q is not documented", mediaType)
	}
	if mediaType == "application/x-ndjson" || mediaType == "text/event-stream" || mediaType == "text/csv" || mediaType == "text/html" {
		return nil // no one JSON value
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(a.Body))
	if err != nil {
		return err
	}
	pointer := strings.Join([]string{
		"doc:api#/paths", pointerEscape.Replace(op.path), strings.ToLower(op.method), "responses", status, "content",
		pointerEscape.Replace(mediaType), "schema",
	}, "/")
	described, err := d.schema(pointer)
	if err != nil {
		return err
	}
	return described.Validate(value)
}

func (d *document) schema(pointer string) (described *jsonschema.Schema, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if described = d.compiled[pointer]; described == nil {
		described, err = d.compiler.Compile(pointer)
		d.compiled[pointer] = described
	}
	return described, err
}
