package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/mailtura/mailtura/internal/tenant"
)

// Action is what is done to a tenant.
type Action string

// The actions of a change.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
)

// Change is what has to be done to one tenant.
type Change struct {
	Action   Action
	TenantID string
	Want     tenant.Tenant // for Create and Update
	Fields   []Difference  // for Update
}

// Difference is one value that is not as it should be, in JSON.
type Difference struct {
	Name     string
	Now, New string
}

// Diff says what to change so that the tenants that are there become those that are
// wanted. Tenants that are not wanted are deleted only with prune.
func Diff(want, have []tenant.Tenant, prune bool) ([]Change, error) {
	byID := make(map[string]tenant.Tenant, len(have))
	for _, t := range have {
		byID[t.ID] = t
	}
	var changes []Change
	wanted := map[string]bool{}
	for _, w := range want {
		wanted[w.ID] = true
		h, there := byID[w.ID]
		if !there {
			changes = append(changes, Change{Action: Create, TenantID: w.ID, Want: w})
			continue
		}
		fields, err := differences(h, w)
		if err != nil {
			return nil, err
		}
		if len(fields) > 0 {
			changes = append(changes, Change{Action: Update, TenantID: w.ID, Want: w, Fields: fields})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		if prune && !wanted[id] && byID[id].Status != tenant.Deleting {
			changes = append(changes, Change{Action: Delete, TenantID: id})
		}
	}
	return changes, nil
}

func differences(have, want tenant.Tenant) ([]Difference, error) {
	h, err := values(have)
	if err != nil {
		return nil, err
	}
	w, err := values(want)
	if err != nil {
		return nil, err
	}
	names := maps.Clone(h)
	maps.Copy(names, w)
	var fields []Difference
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if h[name] != w[name] {
			fields = append(fields, Difference{Name: name, Now: orNull(h[name]), New: orNull(w[name])})
		}
	}
	return fields, nil
}

// values are a tenant's name, domain and settings as JSON by name.
func values(t tenant.Tenant) (map[string]string, error) {
	raw, err := encode(t.Settings.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("compare tenant %s: %w", t.ID, err)
	}
	var settings map[string]json.RawMessage
	if err := json.Unmarshal([]byte(raw), &settings); err != nil {
		return nil, fmt.Errorf("compare tenant %s: %w", t.ID, err)
	}
	out := map[string]string{"name": quote(t.Name), "domain": quote(t.Domain)}
	for name, value := range settings {
		if string(value) != "null" {
			out[name] = string(value)
		}
	}
	return out, nil
}

// encode is v in JSON for people: "<" is no "\u003c".
func encode(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func quote(s string) string {
	raw, _ := encode(s) // a string can always be encoded
	return raw
}

func orNull(s string) string {
	if s == "" {
		return "null"
	}
	return s
}

// Print writes changes as a person reads a diff.
func Print(w io.Writer, changes []Change) error {
	marks := map[Action]string{Create: "+", Update: "~", Delete: "-"}
	for _, c := range changes {
		if _, err := fmt.Fprintf(w, "%s tenant %s: %s\n", marks[c.Action], c.TenantID, c.Action); err != nil {
			return fmt.Errorf("print changes: %w", err)
		}
		for _, f := range c.Fields {
			if _, err := fmt.Fprintf(w, "    %s: %s -> %s\n", f.Name, f.Now, f.New); err != nil {
				return fmt.Errorf("print changes: %w", err)
			}
		}
	}
	return nil
}
