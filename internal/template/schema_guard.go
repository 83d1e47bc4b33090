package template

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Limits of a schema. Without cycles each of its values, written out, meets each
// place of the variables at most once; see maxCheckCost for the product.
const (
	maxSchemaBytes  = 64 << 10
	maxSchemaDepth  = 64
	maxSchemaValues = 2000
)

// guardError says why a schema is not even given to the library.
type guardError struct{ message string }

func (e *guardError) Error() string { return e.message }

func guardErrorf(format string, args ...any) error {
	return &guardError{fmt.Sprintf(format, args...)}
}

// readSchema decodes a schema and checks everything that would make validation
// expensive or reach outside.
func readSchema(schema json.RawMessage) (map[string]any, error) {
	if len(schema) > maxSchemaBytes {
		return nil, guardErrorf("it is %d bytes long, at most %d are allowed", len(schema), maxSchemaBytes)
	}
	var value any
	if err := json.Unmarshal(schema, &value); err != nil {
		return nil, guardErrorf("not JSON that can be read: %s", readableJSONError(err))
	}
	document, ok := value.(map[string]any)
	if !ok {
		return nil, guardErrorf("a schema must be a JSON object")
	}
	const draft = "https://json-schema.org/draft/2020-12/schema"
	if named, ok := document["$schema"]; ok && named != draft && named != draft+"#" {
		return nil, guardErrorf("$schema must be %s", draft)
	}
	guard := schemaGuard{document: document, sizes: map[string]int{}}
	if _, err := guard.size(document, 0); err != nil {
		return nil, err
	}
	return document, nil
}

// schemaGuard counts the values of a schema as if every $ref were written out.
type schemaGuard struct {
	document map[string]any
	sizes    map[string]int // by $ref; 0 while it is being counted
}

// Keywords that would let a reference mean something that the guard does not see.
var refusedKeywords = []string{"$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$anchor", "$id"}

// size counts value and all that it leads to. A member named like a keyword is
// taken for one wherever it stands, even where it is only data: too strict there
// is better than fooled.
func (g *schemaGuard) size(value any, depth int) (int, error) {
	if depth > maxSchemaDepth {
		return 0, guardErrorf("it nests deeper than %d levels", maxSchemaDepth)
	}
	total := 1
	add := func(more int, err error) error {
		total += more
		if err == nil && total > maxSchemaValues {
			err = guardErrorf("it has more than %d values with every $ref written out", maxSchemaValues)
		}
		return err
	}
	switch value := value.(type) {
	case map[string]any:
		if err := add(g.reference(value)); err != nil {
			return 0, err
		}
		for _, member := range value {
			if err := add(g.size(member, depth+1)); err != nil {
				return 0, err
			}
		}
	case []any:
		for _, item := range value {
			if err := add(g.size(item, depth+1)); err != nil {
				return 0, err
			}
		}
	}
	return total, nil
}

// reference is the size of what object's $ref points to; 0 without one.
func (g *schemaGuard) reference(object map[string]any) (int, error) {
	for _, keyword := range refusedKeywords {
		if _, ok := object[keyword].(string); ok {
			return 0, guardErrorf("%s is not supported", keyword)
		}
	}
	ref, ok := object["$ref"].(string)
	if !ok {
		return 0, nil
	}
	if size, seen := g.sizes[ref]; seen {
		if size == 0 {
			return 0, guardErrorf("$ref %q leads back to itself", ref)
		}
		return size, nil
	}
	target, err := g.resolve(ref)
	if err != nil {
		return 0, err
	}
	g.sizes[ref] = 0
	size, err := g.size(target, 0)
	g.sizes[ref] = size
	return size, err
}

// resolve follows a JSON pointer (RFC 6901) in a URI fragment.
func (g *schemaGuard) resolve(ref string) (any, error) {
	pointer, err := url.PathUnescape(strings.TrimPrefix(ref, "#"))
	if err != nil || !strings.HasPrefix(ref, "#") || (pointer != "" && pointer[0] != '/') {
		return nil, guardErrorf("$ref %q: only references inside of the schema (#/…) are allowed", ref)
	}
	var at any = g.document
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		next, ok := member(at, token)
		if !ok {
			return nil, guardErrorf("$ref %q points to nothing", ref)
		}
		at = next
	}
	return at, nil
}

// member is a value's member or item by the token of a JSON pointer.
func member(value any, token string) (any, bool) {
	switch value := value.(type) {
	case map[string]any:
		found, ok := value[token]
		return found, ok
	case []any:
		if i, err := strconv.Atoi(token); err == nil && i >= 0 && i < len(value) {
			return value[i], true
		}
	}
	return nil, false
}
