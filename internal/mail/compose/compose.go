// Package compose puts an email into the form that goes over the wire: RFC 5322 with MIME
// (RFC 2045, 2046, 2047, 2231), in lines of at most 76 characters of 7-bit text. The same
// Message always gives the same bytes, so that a message that is sent again is the same.
package compose

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"mime/multipart"
	"mime/quotedprintable"
	"net/textproto"
	"strings"
	"time"

	"github.com/mailtura/mailtura/internal/mail/address"
)

// Limits of a message.
const (
	MaxEncodedBytes = 25 << 20 // of what Compose gives
	MaxAttachments  = 20
)

// Attachment is a file. With a ContentID it is shown inside the HTML.
type Attachment struct {
	Filename    string
	ContentType string
	ContentID   string // without <>
	Content     []byte
}

// Header is a header field.
type Header struct{ Name, Value string }

// Message is an email in parts.
type Message struct {
	MessageID   string // without <>
	Date        time.Time
	From        address.Address
	ReplyTo     *address.Address
	To, Cc      []address.Address
	Subject     string
	HTML, Text  string
	Headers     []Header // further fields, in their order
	Attachments []Attachment
}

// Compose writes the message. It fails only for a message that no check should have let
// through: a line break in a header, or no content.
func Compose(m Message) ([]byte, error) {
	if m.HTML == "" && m.Text == "" {
		return nil, errors.New("compose: a message has html or text")
	}
	w := &writer{seed: m.MessageID}
	w.buf.Grow(EncodedSize(m))
	if err := w.headers(m); err != nil {
		return nil, err
	}
	if err := w.body(m); err != nil {
		return nil, fmt.Errorf("compose: %w", err)
	}
	return w.buf.Bytes(), nil
}

type writer struct {
	buf  bytes.Buffer
	seed string
	part int
}

func (w *writer) headers(m Message) error {
	w.field("Date", m.Date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	w.field("Message-ID", "<"+m.MessageID+">")
	w.addresses("From", []address.Address{m.From})
	if m.ReplyTo != nil {
		w.addresses("Reply-To", []address.Address{*m.ReplyTo})
	}
	w.addresses("To", m.To)
	w.addresses("Cc", m.Cc)
	w.text("Subject", m.Subject)
	for _, h := range m.Headers {
		if code, message := CheckHeader(h.Name, h.Value); code != "" {
			return fmt.Errorf("compose: header %s: %s", h.Name, message)
		}
		w.text(h.Name, h.Value)
	}
	for _, line := range append([]string{m.MessageID, m.Subject}, names(m)...) {
		if code, message := CheckLine(line); code != "" {
			return fmt.Errorf("compose: %s", message)
		}
	}
	w.field("MIME-Version", "1.0")
	return nil
}

func names(m Message) []string {
	var all []string
	for _, a := range mailboxes(m) {
		all = append(all, a.Name, a.Addr)
	}
	for _, a := range m.Attachments {
		all = append(all, a.Filename, a.ContentType, a.ContentID)
	}
	return all
}

// mailboxes are all the addresses that the header shows.
func mailboxes(m Message) []address.Address {
	all := []address.Address{m.From}
	if m.ReplyTo != nil {
		all = append(all, *m.ReplyTo)
	}
	return append(append(all, m.To...), m.Cc...)
}

// body nests what there is: mixed( related( alternative(text, html), inline… ), files… ).
func (w *writer) body(m Message) error {
	var inline, files []Attachment
	for _, a := range m.Attachments {
		if a.ContentID != "" && m.HTML != "" {
			inline = append(inline, a)
		} else {
			files = append(files, a)
		}
	}
	node := w.text2part(m)
	if len(inline) > 0 {
		node = w.multi("related", append([]part{node}, attachments(inline, "inline")...))
	}
	if len(files) > 0 {
		node = w.multi("mixed", append([]part{node}, attachments(files, "attachment")...))
	}
	for _, h := range node.header {
		w.field(h.Name, h.Value)
	}
	w.buf.WriteString("\r\n")
	return node.write(&w.buf)
}

func (w *writer) text2part(m Message) part {
	switch {
	case m.HTML == "":
		return textPart("plain", m.Text)
	case m.Text == "":
		return textPart("html", m.HTML)
	}
	return w.multi("alternative", []part{textPart("plain", m.Text), textPart("html", m.HTML)})
}

// part is a MIME entity: its header and what writes its body.
type part struct {
	header []Header
	write  func(*bytes.Buffer) error
}

func (w *writer) multi(subtype string, children []part) part {
	w.part++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", w.seed, w.part))
	boundary := hex.EncodeToString(sum[:15])
	return part{
		header: []Header{{"Content-Type", `multipart/` + subtype + `; boundary="` + boundary + `"`}},
		write: func(b *bytes.Buffer) error {
			mw := multipart.NewWriter(b)
			if err := mw.SetBoundary(boundary); err != nil {
				return err
			}
			for _, child := range children {
				header := textproto.MIMEHeader{}
				for _, h := range child.header {
					header[h.Name] = []string{h.Value}
				}
				if _, err := mw.CreatePart(header); err != nil {
					return err
				}
				if err := child.write(b); err != nil {
					return err
				}
			}
			return mw.Close()
		},
	}
}

func textPart(subtype, text string) part {
	return part{
		header: []Header{
			{"Content-Type", "text/" + subtype + "; charset=utf-8"},
			{"Content-Transfer-Encoding", "quoted-printable"},
		},
		write: func(b *bytes.Buffer) error {
			qp := quotedprintable.NewWriter(b)
			if _, err := qp.Write([]byte(strings.ToValidUTF8(text, "\uFFFD"))); err != nil {
				return err
			}
			return qp.Close()
		},
	}
}

func attachments(all []Attachment, disposition string) []part {
	parts := make([]part, len(all))
	for i, a := range all {
		parts[i] = attachmentPart(a, disposition)
	}
	return parts
}

func attachmentPart(a Attachment, disposition string) part {
	header := []Header{
		{"Content-Type", contentType(a.ContentType)},
		{"Content-Transfer-Encoding", "base64"},
		{"Content-Disposition", contentDisposition(disposition, a.Filename)},
	}
	if a.ContentID != "" {
		header = append(header, Header{"Content-Id", "<" + a.ContentID + ">"})
	}
	return part{header: header, write: func(b *bytes.Buffer) error {
		writeBase64(b, a.Content)
		return nil
	}}
}

// writeBase64 writes lines of 76 characters (RFC 2045 §6.8).
func writeBase64(b *bytes.Buffer, content []byte) {
	const line = 57 // bytes that make 76 characters
	var encoded [76]byte
	for len(content) > 0 {
		n := min(line, len(content))
		base64.StdEncoding.Encode(encoded[:], content[:n])
		b.Write(encoded[:base64.StdEncoding.EncodedLen(n)])
		b.WriteString("\r\n")
		content = content[n:]
	}
}
