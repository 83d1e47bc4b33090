package activities_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/tenant"
)

// An attachment that fits alone does not with what the template prints, which is known only now.
func TestDeliver_MessageThatBecomesTooLarge(t *testing.T) {
	t.Parallel()
	b := newBundle(t, tenant.Settings{})
	large := newEmail("large@example.com")
	large.Content = email.Content{
		Text: "{{#each lines}}" + strings.Repeat("x", 70) + "\n{{/each}}", Variables: json.RawMessage(`{"lines":[` + strings.Repeat("1,", 29_999) + `1]}`),
		Attachments: []email.Attachment{{Filename: "a.bin", ContentType: "application/octet-stream", Content: make([]byte, 17<<20)}},
	}

	result := b.deliver(b.dispatch(large))

	require.Equal(t, [2]int{1, 0}, [2]int{result.Failed, result.Open()}, "it is not tried again")
	r := b.recipients(large)["large@example.com"]
	require.Equal(t, email.Failed, r.Status)
	require.Equal(t, "message_too_large", r.Reason)
	require.Regexp(t, `^The message has \d{8} bytes; at most 26214400 are allowed\.$`, r.Detail)
	require.Empty(t, b.mails())
}
