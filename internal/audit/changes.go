package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"

	"github.com/mailtura/mailtura/internal/apikey"
)

// secretName are names of members whose values are never written down.
var secretName = regexp.MustCompile(`(?i)(secret|password|passphrase|token|private_?key|credential)s?$`)

const hidden = "(secret)"

// changes gives what an act has changed, each side in JSON; nil: there is no such side.
func changes(before, after any) (was, is json.RawMessage, err error) {
	b, err := plain(before)
	if err != nil {
		return nil, nil, err
	}
	a, err := plain(after)
	if err != nil {
		return nil, nil, err
	}
	if b != nil && a != nil {
		b, a = differing(b, a)
	}
	if was, err = encode(hide(b)); err != nil {
		return nil, nil, err
	}
	is, err = encode(hide(a))
	return was, is, err
}

// plain is v as JSON sees it.
func plain(v any) (out any, err error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode act: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("encode act: %w", err)
	}
	return out, nil
}

// differing leaves of two objects the members that differ, and of those that are objects
// again what differs in them.
func differing(before, after any) (b, a any) {
	from, ok := before.(map[string]any)
	to, both := after.(map[string]any)
	if !ok || !both {
		return before, after
	}
	was, is := map[string]any{}, map[string]any{}
	for name, value := range from {
		other, there := to[name]
		switch {
		case !there:
			was[name] = value
		case !reflect.DeepEqual(value, other):
			was[name], is[name] = differing(value, other)
		}
	}
	for name, value := range to {
		if _, there := from[name]; !there {
			is[name] = value
		}
	}
	return was, is
}

// hide replaces the values of members that are named like secrets.
func hide(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if v[name] = hide(value); secretName.MatchString(name) && value != nil && value != "" {
				v[name] = hidden
			}
		}
	case []any:
		for i := range v {
			v[i] = hide(v[i])
		}
	}
	return v
}

// encode is v in JSON without a key in it, wherever somebody has put one.
func encode(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode act: %w", err)
	}
	return apikey.Redact(raw), nil
}
