package email_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/mail/compose"
)

func TestMessage(t *testing.T) {
	t.Parallel()
	at := func(addr string) address.Address { return address.Address{Addr: addr} }
	e := email.Email{
		ID: uuid.Nil, From: at("noreply@acme.com"), CreatedAt: time.Unix(1, 0),
		Recipients: []email.Recipient{
			{Kind: email.BCC, Address: at("c@example.com")}, {Kind: email.CC, Address: at("b@example.com")}, {Kind: email.To, Address: at("a@example.com")},
		},
		Content: email.Content{
			ReplyTo: "Help <help@acme.com>", Headers: []email.Header{{Name: "X-Order", Value: "1"}},
			Attachments: []email.Attachment{{Filename: "a.pdf", ContentType: "application/pdf", ContentID: "a", Content: []byte("x")}},
		},
	}
	m, err := e.Message("Hi", "<p>Hi</p>", "Hi")
	require.NoError(t, err)
	require.Equal(t, compose.Message{
		MessageID: "msg_00000000000000000000000000@acme.com", Date: time.Unix(1, 0), From: at("noreply@acme.com"),
		ReplyTo: &address.Address{Name: "Help", Addr: "help@acme.com"},
		To:      []address.Address{at("a@example.com")}, Cc: []address.Address{at("b@example.com")},
		Subject: "Hi", HTML: "<p>Hi</p>", Text: "Hi", Headers: []compose.Header{{Name: "X-Order", Value: "1"}},
		Attachments: []compose.Attachment{{Filename: "a.pdf", ContentType: "application/pdf", ContentID: "a", Content: []byte("x")}},
	}, m)

	e.Content.ReplyTo = "nobody"
	_, err = e.Message("Hi", "", "Hi")
	require.ErrorContains(t, err, "read reply-to")
}
