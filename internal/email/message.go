package email

import (
	"fmt"

	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/mail/compose"
)

// Message is the email in the parts that are composed, with what rendering has made of its
// subject, HTML and text.
func (e *Email) Message(subject, html, text string) (compose.Message, error) {
	m := compose.Message{
		MessageID: MessageID(id.Email.Format(e.ID), e.From),
		Date:      e.CreatedAt,
		From:      e.From,
		Subject:   subject,
		HTML:      html,
		Text:      text,
	}
	if err := e.addAddresses(&m); err != nil {
		return m, err
	}
	for _, h := range e.Content.Headers {
		m.Headers = append(m.Headers, compose.Header{Name: h.Name, Value: h.Value})
	}
	for _, a := range e.Content.Attachments {
		m.Attachments = append(m.Attachments, compose.Attachment{
			Filename: a.Filename, ContentType: a.ContentType, ContentID: a.ContentID, Content: a.Content,
		})
	}
	return m, nil
}

func (e *Email) addAddresses(m *compose.Message) error {
	for _, r := range e.Recipients {
		switch r.Kind {
		case To:
			m.To = append(m.To, r.Address)
		case CC:
			m.Cc = append(m.Cc, r.Address)
		case BCC: // known to the envelope alone
		}
	}
	if e.Content.ReplyTo != "" {
		replyTo, err := address.Parse(e.Content.ReplyTo)
		if err != nil {
			return fmt.Errorf("read reply-to: %w", err)
		}
		m.ReplyTo = &replyTo
	}
	return nil
}
