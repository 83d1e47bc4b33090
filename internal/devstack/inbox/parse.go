package inbox

import (
	"bytes"
	"mime"
	"net/mail"
	"strings"

	"github.com/jhillyerd/enmime/v2"
)

// summarize reads what a list needs from the header. Mail that can not be read is shown
// as well, with what there is.
func summarize(raw []byte) summary {
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return summary{Subject: "(this message can not be read)"}
	}
	subject := m.Header.Get("Subject")
	if decoded, err := new(mime.WordDecoder).DecodeHeader(subject); err == nil {
		subject = decoded
	}
	return summary{
		Subject: subject, MessageID: strings.Trim(m.Header.Get("Message-Id"), "<> "),
		Attachments: strings.HasPrefix(strings.ToLower(m.Header.Get("Content-Type")), "multipart/mixed"),
	}
}

// message is a message in parts.
type message struct {
	summary
	Headers []header     `json:"headers"`
	HTML    string       `json:"html"`
	Text    string       `json:"text"`
	Files   []attachment `json:"files"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type attachment struct {
	Filename    string `json:"filename"`
	ContentType string `json:"contentType"`
	ContentID   string `json:"contentId,omitempty"`
	Size        int    `json:"size"`

	content []byte
}

func parse(s summary, raw []byte) (message, error) {
	envelope, err := enmime.ReadEnvelope(bytes.NewReader(raw))
	if err != nil {
		return message{}, err
	}
	m := message{summary: s, HTML: envelope.HTML, Text: envelope.Text, Files: []attachment{}, Headers: headers(raw)}
	for _, group := range [][]*enmime.Part{envelope.Attachments, envelope.Inlines, envelope.OtherParts} {
		for _, part := range group {
			m.Files = append(m.Files, attachment{
				Filename: part.FileName, ContentType: part.ContentType, ContentID: part.ContentID,
				Size: len(part.Content), content: part.Content,
			})
		}
	}
	return m, nil
}

// headers are the fields in their order, unfolded and decoded.
func headers(raw []byte) []header {
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	var all []header
	decoder := new(mime.WordDecoder)
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t") {
			if len(all) > 0 {
				all[len(all)-1].Value += line
			}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		all = append(all, header{Name: name, Value: strings.TrimSpace(value)})
	}
	for i := range all {
		if decoded, err := decoder.DecodeHeader(all[i].Value); err == nil {
			all[i].Value = strings.ToValidUTF8(decoded, "\uFFFD")
		}
	}
	return all
}
