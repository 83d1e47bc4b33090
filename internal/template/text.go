package template

import (
	"github.com/inbucket/html2text"

	"github.com/mailtura/mailtura/internal/fault"
)

// TextFromHTML derives the text part of a mail from its rendered HTML: headings,
// lists and tables as lines, links with their address in brackets. Use it after
// rendering; on a template it would tear the blocks apart.
//
// HTML that nests deeper than 512 elements is Invalid "render_failed".
func TextFromHTML(rendered string) (string, error) {
	plain, err := html2text.FromString(rendered)
	if err != nil {
		f := fault.Wrap(err, fault.Invalid, "render_failed", "The text part can not be derived from the HTML part.")
		f.Fields = []fault.Field{{Location: html.location(), Message: "nests too deep to derive a text from it", Code: f.Code}}
		return "", f
	}
	return plain, nil
}
