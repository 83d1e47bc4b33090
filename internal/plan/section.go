package plan

// section is a list of what a tenant has. A new one has a file of its own, section_*.go, with
// the struct that it is read into, a field in Entry and a place in sections; and in
// cmd/mailtura, how the API has it.
type section struct {
	kind   Kind
	label  string         // of one of it, in a sentence
	key    string         // in the file
	named  string         // the field that it is known by; "": name
	fields []string       // in the order of an export
	preset map[string]any // what an export leaves out
	read   func(r *reader, tenantID string, e Entry, at string) []Resource
	has    func(e Entry) bool // the file speaks of it
}

// sections are in the order in which they are made: a later one may need an earlier one.
func sections() []section {
	return []section{templatesSection(), apiKeysSection(), webhooksSection(), domainsSection()}
}

// SectionKinds are the kinds of what a tenant has.
func SectionKinds() []Kind {
	all := sections()
	kinds := make([]Kind, len(all))
	for i, s := range all {
		kinds[i] = s.kind
	}
	return kinds
}

// readSections reads what the file speaks of.
func (p *reader) readSections(tenantID string, e Entry, at string) map[Kind][]Resource {
	found := map[Kind][]Resource{}
	for _, s := range sections() {
		if s.has(e) {
			found[s.kind] = s.read(p, tenantID, e, at+"."+s.key)
		}
	}
	return found
}
