package apiserver_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// inventor makes up values and requests, always the same from the same seed.
type inventor struct {
	*rand.Rand
	doc *document
	// strange is how often, in percent, a part of a value is not what the schema says.
	strange int
	// known are ids and names that there are, by the path under which they are.
	known map[string][]string
}

// chance is true so often, in percent.
func (v *inventor) chance(percent int) bool { return v.IntN(100) < percent }

func oneOf[T any](v *inventor, all ...T) T { return all[v.IntN(len(all))] }

// long is a text that is longer than anything allows, or nearly.
func (v *inventor) long() string {
	return strings.Repeat(oneOf(v, "x", "ü", "💣", "a@", "{{a}}", "\n"), oneOf(v, 64, 255, 256, 1000, 5000, 70_000))
}

// oddTexts are texts that have broken programs before.
var oddTexts = []string{ //nolint:gochecknoglobals // a table
	"", " ", "\x00", "a\x00b", "\r\nBcc: x@example.com", "\u2028", "\u202e", "\ufeff", "ﷺ", "💣", "a\u0301", "null", "undefined", "NaN", "-1", "1e400",
	"../../etc/passwd", "%00", "%s%n", "' OR '1'='1", `\`, `"`, "<script>", "${7*7}", "{{#each", "{{> x}}", "{{a.b.c.[0]}}", "{{{{raw}}}}",
	"@", "a@", "@b", "a@b@c", `"a b"@example.com`, "<>", "a@[127.0.0.1]", "a@xn--", "Ada <ada@example.com", "ä@ö.example", "a@example.com, b@example.com",
	"0000-00-00T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2030-02-30T00:00:00Z", "-0001-01-01T00:00:00Z", "2030-01-01T00:00:00+99:99",
	"0001-01-01T00:00:00Z", "2030-01-01", "Mars/Olympus", "9999d", "0s", "mt_live_", "msg_7zzzzzzzzzzzzzzzzzzzzzzzzz", "msg_00000000000000000000000000",
	"__proto__", "constructor", "http://[::1", "javascript:alert(1)", strings.Repeat("a", 64) + "@example.com",
}

// oddJSON are values that are hardly ever what belongs to a place.
var oddJSON = []string{ //nolint:gochecknoglobals // a table
	`null`, `true`, `false`, `0`, `-1`, `1`, `1.5`, `-0.0`, `1e400`, `-1e400`, `1e-400`, `9223372036854775807`, `9223372036854775808`,
	`-9223372036854775809`, `2147483648`, `123456789012345678901234567890`, `""`, `"\u0000"`, `"\ud800"`, `"\udc00\ud800"`, `"\uffff"`,
	`[]`, `{}`, `[null]`, `[[]]`, `{"":""}`, `{"a":{"a":{"a":{}}}}`, "\"\xff\"", "\"\xc3\x28\"",
}

// deep is nested deeper than anybody means it.
func (v *inventor) deep() json.RawMessage {
	n := oneOf(v, 10, 100, 1000, 9990)
	if v.chance(50) {
		return json.RawMessage(strings.Repeat("[", n) + strings.Repeat("]", n))
	}
	return json.RawMessage(strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n))
}

// odd is a value that does not care for a schema.
func (v *inventor) odd() any {
	switch v.IntN(10) {
	case 0:
		return v.deep()
	case 1:
		return v.long()
	case 2, 3, 4:
		return oneOf(v, oddTexts...)
	}
	return json.RawMessage(oneOf(v, oddJSON...))
}

// value is a value for a member, mostly as its schema has it.
func (v *inventor) value(name string, s schema, depth int) any {
	if v.chance(v.strange) {
		return v.odd()
	}
	s = v.doc.resolve(s)
	if len(s) == 0 && depth < 3 { // the emails of a batch, which are read one by one
		s = v.doc.Components.Schemas["SendEmail"]
	}
	for _, word := range []string{"oneOf", "anyOf"} {
		if all, ok := s[word].([]any); ok {
			one, _ := oneOf(v, all...).(map[string]any)
			return v.value(name, one, depth+1)
		}
	}
	if all, ok := s["enum"].([]any); ok {
		return oneOf(v, all...)
	}
	switch typeOf(s) {
	case "object":
		return v.object(s, depth)
	case "array":
		items, _ := s["items"].(map[string]any)
		list := make([]any, oneOf(v, 0, 1, 1, 1, 2, 3, v.IntN(60)))
		for i := range list {
			list[i] = v.value(name, items, depth+1)
		}
		return list
	case "integer", "number":
		return v.number(s)
	case "boolean":
		return v.chance(50)
	}
	return v.text(name, s)
}

func (v *inventor) object(s schema, depth int) any {
	value := map[string]any{}
	properties, required := v.doc.object(s)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		needed := slices.Contains(required, name)
		if (needed && !v.chance(v.strange/2)) || (!needed && v.chance(max(5, 40-10*depth))) {
			value[name] = v.value(name, properties[name], depth+1)
		}
	}
	more, free := s["additionalProperties"].(map[string]any)
	if (free && depth < 5) || v.chance(v.strange/2) {
		for range v.IntN(4) {
			value[oneOf(v, "name", "X-Thing", "list-id", "a", oneOf(v, oddTexts...))] = v.value("", more, depth+2)
		}
	}
	return value
}

func (v *inventor) number(s schema) any {
	least, _ := s["minimum"].(float64)
	most, limited := s["maximum"].(float64)
	if !limited {
		most = oneOf(v, 10, 1e6, 1<<31-1, 1<<53)
	}
	if v.chance(v.strange) {
		return oneOf(v, least-1, most+1)
	}
	return int64(oneOf(v, least, most, least+1, least+float64(v.IntN(1+int(min(most-least, 1e6))))))
}

// words are what belongs to members by their names, where a schema can only say that it is a text.
var words = map[string][]string{ //nolint:gochecknoglobals // a table
	"to": {"ada@example.com", "Ada <ada@example.com>", "bob@example.org"}, "cc": {"cc@example.com"}, "bcc": {"bcc@example.com"},
	"from": {"a@acme.com", "Acme <b@acme.com>"}, "fromEmail": {"a@acme.com"}, "replyTo": {"r@example.com"}, "domain": {"acme.com", "b.example"},
	"subject": {"Hi", "Hi {{name}}", "Grüße"}, "html": {"<p>Hi {{name}}</p>", "<b>Hi"}, "text": {"Hi", "Hi {{name}}{{#if a}}!{{/if}}"},
	"timezone": {"UTC", "Europe/Berlin"}, "content": {"SGk=", ""}, "filename": {"a.txt", "ü.pdf"}, "contentType": {"text/plain"}, "overlap": {"1h", "0s"},
}

func (v *inventor) text(name string, s schema) string {
	switch s["format"] {
	case "date-time":
		return oneOf(v, "2026-12-24T18:00:00Z", "2027-01-01T00:00:00+01:00", "2020-01-01T00:00:00Z", "2126-01-01T00:00:00Z")
	case "date":
		return "2026-12-24"
	}
	if all := words[name]; len(all) > 0 && v.chance(90) {
		return oneOf(v, all...)
	}
	if all, ok := s["examples"].([]any); ok && v.chance(30) {
		return fmt.Sprint(all[0])
	}
	if all := v.known[v1+"/"+name+"s"]; len(all) > 0 && v.chance(60) {
		return oneOf(v, all...)
	}
	return fmt.Sprintf("n%d", v.IntN(1000))
}

// mangled is JSON that somebody has cut, bent or stuffed.
func (v *inventor) mangled(body []byte) []byte {
	if len(body) == 0 {
		return []byte(oneOf(v, oddJSON...))
	}
	at := v.IntN(len(body))
	insert := func(what string) []byte { return slices.Concat(body[:at], []byte(what), body[at:]) }
	switch v.IntN(9) {
	case 0:
		return body[:at]
	case 1:
		return insert("\x00")
	case 2:
		return insert("\xff\xfe")
	case 3:
		return insert(oneOf(v, `"`, `{`, `}`, `[`, `,`, `:`, `\`, "\u2028", "//", "0", "-", "\n"))
	case 4: // every member twice
		inner := strings.TrimSuffix(strings.TrimPrefix(string(body), "{"), "}")
		return []byte("{" + inner + "," + inner + "}")
	case 5:
		return slices.Concat([]byte("\ufeff"), body)
	case 6:
		return slices.Concat(body, body)
	case 7:
		bent := slices.Clone(body)
		bent[at] ^= 1 << v.IntN(8)
		return bent
	}
	return v.deep()
}
