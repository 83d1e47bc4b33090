package plan

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"github.com/mailtura/mailtura/internal/tenant"
)

// Export writes tenants as a file in which Diff finds no difference to them. Values that are
// defaults are left out, and so are tenants that are being deleted. Secrets are not there.
func Export(tenants []Tenant) ([]byte, error) {
	sorted := slices.SortedFunc(slices.Values(tenants), func(a, b Tenant) int { return cmp.Compare(a.TenantID, b.TenantID) })
	entries := []any{}
	for _, t := range sorted {
		if !t.Deleting {
			entries = append(entries, exportTenant(t))
		}
	}
	doc := yaml.MapSlice{{Key: "tenants", Value: entries}}
	out, err := yaml.MarshalWithOptions(doc, yaml.IndentSequence(true), yaml.UseLiteralStyleIfMultiline(true))
	if err != nil {
		return nil, fmt.Errorf("export tenants: %w", err)
	}
	return out, nil
}

func exportTenant(t Tenant) yaml.MapSlice {
	entry := yaml.MapSlice{{Key: "id", Value: exportText(t.TenantID)}}
	if t.Fields["name"] != t.TenantID {
		entry = append(entry, yaml.MapItem{Key: "name", Value: exported(t.Fields["name"])})
	}
	entry = append(entry, yaml.MapItem{Key: "domain", Value: exported(t.Fields["domain"])})
	var quotas yaml.MapSlice
	preset := fieldsOf(tenant.Settings{}.WithDefaults())
	for _, field := range reflect.VisibleFields(reflect.TypeFor[tenant.Settings]()) {
		name := jsonName(field)
		value := t.Fields[name]
		if encode(value) == encode(preset[name]) {
			continue
		}
		item := yaml.MapItem{Key: name, Value: exported(value)}
		if IsQuota(name) {
			quotas = append(quotas, item)
		} else {
			entry = append(entry, item)
		}
	}
	if quotas != nil {
		entry = append(entry, yaml.MapItem{Key: "quotas", Value: quotas})
	}
	for _, s := range sections() {
		entry = exportSection(entry, s, t.Sections[s.kind])
	}
	return entry
}

// exportSection appends what a tenant has, with its fields in an order for people.
func exportSection(entry yaml.MapSlice, s section, resources []Resource) yaml.MapSlice {
	var list []any
	seen := map[string]bool{} // a key and the one that replaces it have one name
	for _, r := range resources {
		if seen[r.Name] {
			continue
		}
		seen[r.Name] = true
		item := yaml.MapSlice{{Key: cmp.Or(s.named, "name"), Value: exportText(r.Name)}}
		for _, field := range s.fields {
			if value, ok := r.Fields[field]; ok && encode(value) != encode(s.preset[field]) {
				item = append(item, yaml.MapItem{Key: field, Value: exported(value)})
			}
		}
		list = append(list, item)
	}
	if list == nil {
		return entry
	}
	return append(entry, yaml.MapItem{Key: s.key, Value: list})
}

// exported is a value of JSON as it is written in a file.
func exported(v any) any {
	switch value := v.(type) {
	case string:
		return exportText(value)
	case float64:
		return exportNumber(value)
	case []any:
		list := make([]any, len(value))
		for i, item := range value {
			list[i] = exported(item)
		}
		return list
	case map[string]any:
		return exportObject(value)
	}
	return v
}

var plainKey = regexp.MustCompile(`^[$_A-Za-z][$_A-Za-z0-9-]+$`)

// exportObject is an object as a mapping, or where its keys are odd as JSON, which is YAML too.
func exportObject(object map[string]any) any {
	out := yaml.MapSlice{}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if !plainKey.MatchString(key) || len(key) < 6 && wordOfYAML(key) {
			return quoted(flow(object))
		}
		out = append(out, yaml.MapItem{Key: key, Value: exported(object[key])})
	}
	if len(out) == 0 {
		return quoted("{}")
	}
	return out
}

// wordOfYAML reports whether a word means something else than itself in one of YAML's versions.
func wordOfYAML(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off":
		return true
	}
	return false
}

// flow is a value in YAML's other form, which is that of JSON.
func flow(v any) string {
	switch value := v.(type) {
	case string:
		return encode(escapeReferences(value))
	case float64:
		return string(exportNumber(value))
	case []any:
		list := make([]string, len(value))
		for i, item := range value {
			list[i] = flow(item)
		}
		return "[" + strings.Join(list, ", ") + "]"
	case map[string]any:
		members := make([]string, 0, len(value))
		for _, key := range slices.Sorted(maps.Keys(value)) {
			members = append(members, encode(key)+": "+flow(value[key]))
		}
		return "{" + strings.Join(members, ", ") + "}"
	}
	return encode(v)
}

func escapeReferences(s string) string { return strings.ReplaceAll(s, "${", "$${") }

// exportNumber is a number in digits as far as the parser takes digits for one: to 64 bits.
func exportNumber(f float64) quoted {
	if math.Abs(f) < 1e15 {
		return quoted(encode(f))
	}
	return quoted(strconv.FormatFloat(f, 'e', -1, 64))
}

// quoted is YAML that is written as it is.
type quoted string

// MarshalYAML gives the text.
func (q quoted) MarshalYAML() ([]byte, error) { return []byte(q), nil }

// exportText is a text: plain or as a block where it comes back the same, else quoted.
func exportText(s string) any {
	s = escapeReferences(s)
	if plain(s) {
		return s
	}
	return quoted(encode(s))
}

// odd are characters that YAML does not take as they are, or takes for the end of a line.
func odd(r rune) bool {
	return r != '\n' && unicode.IsControl(r) || r == 0x2028 || r == 0x2029 || r == 0xfeff
}

// plain reports whether the block of lines that the encoder makes of a text is read as the same
// text, which it is not with odd spaces at the ends of it or of its lines.
func plain(s string) bool {
	if strings.ContainsFunc(s, odd) {
		return false
	}
	first, _ := utf8.DecodeRuneInString(s)
	if !unicode.IsLetter(first) && !unicode.IsDigit(first) && first != '<' {
		return false
	}
	if !strings.Contains(s, "\n") {
		return s == strings.TrimSpace(s)
	}
	if strings.HasSuffix(s, "\n\n") {
		return false
	}
	return !strings.Contains(s, " \n") && !strings.HasSuffix(s, " ")
}
