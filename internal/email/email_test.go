package email_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
)

func TestOverall(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		recipients []email.Status
		want       email.Status
	}{
		{nil, email.Queued},
		{[]email.Status{email.Sent, email.Sent}, email.Sent},
		{[]email.Status{email.Sent, email.Queued}, email.Queued},
		{[]email.Status{email.Deferred, email.Sending, email.Sent}, email.Sending},
		{[]email.Status{email.Sent, email.Bounced}, email.Bounced},
		{[]email.Status{email.Bounced, email.Deferred}, email.Deferred},
		{[]email.Status{email.Bounced, email.Failed, email.Unknown}, email.Unknown},
		{[]email.Status{email.Scheduled, email.Scheduled}, email.Scheduled},
		{[]email.Status{email.Held, email.Sent}, email.Held},
		{[]email.Status{email.Cancelled, email.Sent}, email.Cancelled},
		{[]email.Status{email.Cancelled, email.Expired}, email.Expired},
		{[]email.Status{email.Cancelled, email.Deferred}, email.Deferred},
	} {
		require.Equal(t, tc.want, email.Overall(tc.recipients), "%v", tc.recipients)
	}
}

func TestStatus_Final(t *testing.T) {
	t.Parallel()
	for s, want := range map[email.Status]bool{
		email.Scheduled: false, email.Held: false, email.Queued: false, email.Sending: false, email.Deferred: false,
		email.Sent: true, email.Bounced: true, email.Failed: true, email.Cancelled: true, email.Expired: true, email.Unknown: true,
	} {
		require.Equal(t, want, s.Final(), s)
	}
}
