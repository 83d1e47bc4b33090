package plan

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Print writes changes as a person reads a diff.
func Print(w io.Writer, changes []Change) error {
	marks := map[Action]string{Create: "+", Update: "~", Delete: "-"}
	for _, c := range changes {
		if _, err := fmt.Fprintf(w, "%s %s: %s\n", marks[c.Action], c.Title(), c.Action); err != nil {
			return fmt.Errorf("print changes: %w", err)
		}
		if c.Action != Update {
			continue
		}
		for _, f := range c.Fields {
			if _, err := fmt.Fprintf(w, "    %s: %s\n", f.Name, f.text()); err != nil {
				return fmt.Errorf("print changes: %w", err)
			}
		}
	}
	return nil
}

// text is "5 -> 10", or the lines that differ where a value has several.
func (f Difference) text() string {
	if f.Hidden != "" {
		return "(not shown) -> " + f.Hidden
	}
	now, isText := f.Now.(string)
	next, isText2 := f.New.(string)
	if (isText || isText2) && strings.Contains(now+next, "\n") {
		return lineDiff(now, next)
	}
	return short(encode(f.Now)) + " -> " + short(encode(f.New))
}

const maxShown = 200

func short(s string) string {
	if runes := []rune(s); len(runes) > maxShown {
		return string(runes[:maxShown]) + fmt.Sprintf("… (%d bytes)", len(s))
	}
	return s
}

// lineDiff shows the lines between the first and the last that differ.
func lineDiff(now, next string) string {
	a, b := strings.Split(now, "\n"), strings.Split(next, "\n")
	first := 0
	for first < len(a) && first < len(b) && a[first] == b[first] {
		first++
	}
	end := 0
	for end < len(a)-first && end < len(b)-first && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	var out strings.Builder
	fmt.Fprintf(&out, "from line %d on", first+1)
	writeLines(&out, "-", a[first:len(a)-end])
	writeLines(&out, "+", b[first:len(b)-end])
	return out.String()
}

const maxLines = 10

func writeLines(out *strings.Builder, mark string, lines []string) {
	for i, line := range lines {
		if i == maxLines {
			fmt.Fprintf(out, "\n      %s … %d lines more", mark, len(lines)-i)
			return
		}
		fmt.Fprintf(out, "\n      %s %s", mark, short(printable(line)))
	}
}

// printable keeps a terminal from being told things by a template.
func printable(line string) string {
	quoted := encode(line)
	return strings.ReplaceAll(strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`), `\\`, `\`)
}

type jsonChange struct {
	Action   Action      `json:"action"`
	Kind     Kind        `json:"kind"`
	TenantID string      `json:"tenantId"`
	Name     string      `json:"name,omitempty"`
	Fields   []jsonField `json:"fields"`
}

type jsonField struct {
	Name      string `json:"name"`
	Now       any    `json:"now"`
	New       any    `json:"new"`
	Reference string `json:"reference,omitempty"`
}

// PrintJSON writes changes for a program: {"changes": [{action, kind, tenantId, name, fields}]}.
// A value from the environment is null, and has its reference instead.
func PrintJSON(w io.Writer, changes []Change) error {
	doc := struct {
		Changes []jsonChange `json:"changes"`
	}{make([]jsonChange, len(changes))}
	for i, c := range changes {
		doc.Changes[i] = jsonChange{c.Action, c.Kind, c.TenantID, c.shown(), make([]jsonField, len(c.Fields))}
		for k, f := range c.Fields {
			doc.Changes[i].Fields[k] = jsonField{f.Name, f.Now, f.New, f.Hidden}
			if f.Hidden != "" {
				doc.Changes[i].Fields[k].Now, doc.Changes[i].Fields[k].New = nil, nil
			}
		}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("print changes: %w", err)
	}
	return nil
}
