package plan

import (
	"cmp"
	"maps"
	"slices"
)

// Action is what is done to a resource.
type Action string

// The actions of a change.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
)

// Change is what has to be done to one resource.
type Change struct {
	Action Action
	Resource
	Fields []Difference // for Create and Update
	Have   Resource     // for Update and Delete: what was there when the change was planned
	Want   Resource     // for Create and Update
}

// Difference is one value that is not as it should be. A value that is nil is absent.
type Difference struct {
	Name     string
	Now, New any
	Hidden   string // not empty: it comes from the environment, by this reference, and is not shown
}

// Diff says what to change so that what is there becomes what is wanted: first what is to be
// made and changed, in the order of the file, then what is to be deleted. What is not wanted is
// deleted only with prune, and of a tenant only in the sections that its entry has.
func Diff(want, have []Tenant, prune bool) []Change {
	there := make(map[string]Tenant, len(have))
	for _, h := range have {
		if !h.Deleting {
			there[h.TenantID] = h
		}
	}
	var changes, deletions []Change
	wanted := map[string]bool{}
	for _, w := range want {
		wanted[w.TenantID] = true
		h, ok := there[w.TenantID]
		changes = appendChange(changes, w.Resource, h.Resource, ok)
		for _, kind := range SectionKinds() {
			section, spokenOf := w.Sections[kind]
			if !spokenOf {
				continue
			}
			made, gone := diffSection(section, h.Sections[kind])
			changes = append(changes, made...)
			deletions = append(deletions, gone...)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(there)) {
		if !wanted[id] {
			deletions = append(deletions, deletion(there[id].Resource))
		}
	}
	if prune {
		changes = append(changes, deletions...)
	}
	return changes
}

// diffSection compares a section. Of several by one name the first counts, and the others stay.
func diffSection(want, have []Resource) (changes, deletions []Change) {
	there := make(map[string]Resource, len(have))
	for _, h := range have {
		if _, double := there[h.Name]; !double {
			there[h.Name] = h
		}
	}
	wanted := map[string]bool{}
	for _, w := range want {
		wanted[w.Name] = true
		h, ok := there[w.Name]
		changes = appendChange(changes, w, h, ok)
	}
	for _, h := range have {
		if !wanted[h.Name] {
			deletions = append(deletions, deletion(h))
		}
	}
	slices.SortStableFunc(deletions, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	return changes, deletions
}

func deletion(r Resource) Change { return Change{Action: Delete, Resource: r, Have: r} }

func appendChange(changes []Change, want, have Resource, there bool) []Change {
	if want.Kind == KindAPIKey && (there || want.Ended) { // a key can not be changed
		return changes
	}
	fields := Differences(have.Fields, want)
	if !there {
		return append(changes, Change{Action: Create, Resource: want, Fields: fields, Want: want})
	}
	if len(fields) == 0 {
		return changes
	}
	return append(changes, Change{Action: Update, Resource: want, Fields: fields, Have: have, Want: want})
}

// Differences are the values that are not as wanted, by name.
func Differences(have map[string]any, want Resource) (fields []Difference) {
	names := maps.Clone(want.Fields)
	if names == nil {
		names = map[string]any{}
	}
	maps.Copy(names, have)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if now, next := have[name], want.Fields[name]; encode(now) != encode(next) {
			fields = append(fields, Difference{name, now, next, want.References[name]})
		}
	}
	return fields
}
