package template

import (
	"strings"

	markup "golang.org/x/net/html"
)

// mjmlHolds are the elements of MJML that hold elements and no text, and whether they hold
// mj-raw. What else there is holds text, in which Handlebars needs no help.
var mjmlHolds = map[string]bool{
	"mjml": false, "mj-head": true, "mj-attributes": false, "mj-body": true, "mj-wrapper": true, "mj-section": true, "mj-group": true,
	"mj-column": true, "mj-hero": true, "mj-social": true, "mj-navbar": true, "mj-accordion": true, "mj-accordion-element": true,
	"mj-carousel": false, "mj-html-attributes": false, "mj-selector": false,
}

// wrapBlocks puts the Handlebars that stands between elements of MJML into mj-raw. MJML
// drops all other text there without a word, and with it the {{#each}} around a section.
// No line becomes another.
func wrapBlocks(source string) (wrapped string, wrong *Problem) {
	var out strings.Builder
	w := blockWrapper{out: &out, line: 1, column: 1}
	tokens := markup.NewTokenizer(strings.NewReader(source))
	for {
		kind := tokens.Next()
		raw := string(tokens.Raw())
		if kind == markup.ErrorToken { // the end, maybe within a tag
			out.WriteString(raw)
			return out.String(), w.unclosed()
		}
		if wrong := w.token(tokens, kind, raw); wrong != nil {
			return "", wrong
		}
		w.pass(raw)
	}
}

type blockWrapper struct {
	out          *strings.Builder
	open         []openElement // those around, the outermost first
	line, column int
}

type openElement struct {
	name         string
	line, column int
}

// token writes one token.
func (w *blockWrapper) token(tokens *markup.Tokenizer, kind markup.TokenType, raw string) *Problem {
	if kind == markup.TextToken && strings.Contains(raw, "{{") {
		if around, holds := w.around(); holds && !mjmlHolds[around] {
			return &Problem{mjmlPart, "Handlebars can not stand between the elements of <" + around + ">", w.line, w.column}
		} else if holds {
			w.out.WriteString("<mj-raw>" + raw + "</mj-raw>")
			return nil
		}
	}
	w.out.WriteString(raw)
	name, _ := tokens.TagName()
	if string(name) == "mj-include" { // MJML leaves it out without a word
		return &Problem{mjmlPart, "<mj-include> has no files to include; call a partial, {{> name}}", w.line, w.column}
	}
	if kind == markup.StartTagToken {
		w.enter(string(name))
	}
	if kind == markup.EndTagToken {
		return w.leave(string(name))
	}
	return nil
}

// around is the element in work, and whether it holds elements only.
func (w *blockWrapper) around() (name string, holds bool) {
	if len(w.open) == 0 {
		return "", false
	}
	name = w.open[len(w.open)-1].name
	_, holds = mjmlHolds[name]
	return name, holds
}

// enter notes an element; within one that holds text only another of its name matters.
func (w *blockWrapper) enter(name string) {
	around, holds := w.around()
	if len(w.open) == 0 || holds || name == around {
		w.open = append(w.open, openElement{name, w.line, w.column})
	}
}

// leave notes the end of an element. MJML itself closes whatever is open, without a word.
func (w *blockWrapper) leave(name string) *Problem {
	around, holds := w.around()
	switch {
	case len(w.open) == 0:
		return &Problem{mjmlPart, "</" + name + "> closes nothing", w.line, w.column}
	case name == around:
		w.open = w.open[:len(w.open)-1]
	case holds:
		return &Problem{mjmlPart, "</" + name + "> stands where <" + around + "> is open", w.line, w.column}
	}
	return nil
}

func (w *blockWrapper) unclosed() *Problem {
	if len(w.open) == 0 {
		return nil
	}
	last := w.open[len(w.open)-1]
	return &Problem{mjmlPart, "<" + last.name + "> is never closed", last.line, last.column}
}

func (w *blockWrapper) pass(raw string) {
	if n := strings.Count(raw, "\n"); n > 0 {
		w.line += n
		w.column = len([]rune(raw[strings.LastIndexByte(raw, '\n'):]))
		return
	}
	w.column += len([]rune(raw))
}
