package template

import (
	"regexp"
	"slices"
)

// partialTag is the start of a tag that calls a partial: {{> name}}, {{#> name}}, {{~> "name"}}.
var partialTag = regexp.MustCompile(`\{\{~?#?>\s*["'\[]?([A-Za-z0-9][A-Za-z0-9._-]*)`)

// PartialNames are the names after every {{> and {{#> of a source, sorted: those of all
// partials that it calls, and maybe some of what only looks like a call. It takes no
// virtual machine, so a source that calls none costs nothing.
func (s Source) PartialNames() []string {
	var found []string
	for _, source := range s.parts() {
		for _, tag := range partialTag.FindAllStringSubmatch(source, -1) {
			found = append(found, tag[1])
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}
