package smtpout

import "strings"

// maxDialogue is how many lines of a dialogue are kept.
const maxDialogue = 60

// dialogue is what both sides of a connection said.
type dialogue struct {
	lines  []string
	secret bool // what the client says is a credential
}

func (d *dialogue) client(line string) {
	if d.secret {
		verb, _, _ := strings.Cut(line, " ")
		if verb != "AUTH" {
			verb = ""
		}
		line = strings.TrimSpace(verb + " (credentials)")
	}
	d.add("C: " + line)
}

func (d *dialogue) server(line string) { d.add("S: " + clean(line)) }

func (d *dialogue) add(line string) {
	if len(d.lines) < maxDialogue {
		d.lines = append(d.lines, line)
	}
}

// take gives what was said since it was last taken.
func (d *dialogue) take() string {
	text := strings.Join(d.lines, "\n")
	d.lines = d.lines[:0]
	return text
}
