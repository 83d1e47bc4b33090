package e2e

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// A scheduled email comes at its time and not before, one that was cancelled never, and
// one that was moved at its new time.
func TestSchedule_ArrivesAtItsTime(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, mailtura.Settings{})
	schedule := func(recipient string, at time.Time) string {
		accepted := send(t, c, mailtura.SendEmail{To: to(recipient), Subject: ptr("Hi"), Text: ptr("Hi"), ScheduledAt: &at})
		require.EqualValues(t, "scheduled", accepted.Status)
		require.True(t, at.Equal(*accepted.ReleaseAt))
		return accepted.Id
	}
	now := time.Now().Truncate(time.Millisecond)
	kept, cancelled, moved, last := address(t, "kept"), address(t, "cancelled"), address(t, "moved"), address(t, "last")
	keptAt, lastAt := now.Add(10*time.Second), now.Add(12*time.Second) // when all of this is asked for
	keptID, cancelledID := schedule(kept, keptAt), schedule(cancelled, keptAt)
	movedID, lastID := schedule(moved, now.Add(time.Hour)), schedule(last, lastAt)

	answer, err := c.CancelEmailWithResponse(t.Context(), cancelledID, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode(), string(answer.Body))
	require.EqualValues(t, "cancelled", answer.JSON200.Status)
	rescheduled, err := c.RescheduleEmailWithResponse(t.Context(), movedID, nil, mailtura.RescheduleEmail{ScheduledAt: keptAt})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, rescheduled.StatusCode(), string(rescheduled.Body))

	for recipient, tc := range map[string]struct {
		id string
		at time.Time
	}{kept: {keptID, keptAt}, moved: {movedID, keptAt}, last: {lastID, lastAt}} {
		awaitStatus(t, c, tc.id, "sent", 60*time.Second)
		mails := shared.await(t, recipient, 1, 60*time.Second)
		require.Len(t, mails, 1)
		require.False(t, mails[0].ReceivedAt.Before(tc.at), "%s came %v early", recipient, tc.at.Sub(mails[0].ReceivedAt))
		require.WithinDuration(t, tc.at, mails[0].ReceivedAt, 30*time.Second)
	}
	require.Empty(t, shared.received(t, cancelled), "others that were due after it have come")
	require.EqualValues(t, "cancelled", email(t, c, cancelledID).Status)
}

// Mail over the daily limit is held, and comes in the order in which it was accepted as
// soon as a changed limit has room for it.
func TestHeld_ReleasedWhenTheLimitIsRaised(t *testing.T) {
	t.Parallel()
	tenant, c := shared.newTenant(t, mailtura.Settings{
		DailyLimit: ptr(int64(1)), OverLimit: ptr(mailtura.SettingsOverLimit("queue")),
	})
	recipient := address(t, "held")
	var ids []string
	for i := range 6 {
		accepted := send(t, c, mailtura.SendEmail{To: to(recipient), Subject: ptr(strconv.Itoa(i)), Text: ptr("Hi")})
		require.EqualValues(t, map[bool]string{true: "queued", false: "held"}[i == 0], accepted.Status)
		ids = append(ids, accepted.Id)
	}
	raise := func(limit string) {
		patched, err := shared.client(t, shared.Key, "").UpdateTenantWithBodyWithResponse(t.Context(), tenant, nil, "application/json",
			reader(`{"settings":{"dailyLimit":`+limit+`}}`))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, patched.StatusCode(), string(patched.Body))
	}
	require.Equal(t, "0", shared.await(t, recipient, 1, 60*time.Second)[0].Subject)
	for i := 1; i < 4; i++ { // a place more, and the one that has waited longest has it
		raise(strconv.Itoa(i + 1))
		mails := shared.await(t, recipient, i+1, 60*time.Second)
		require.Equal(t, strconv.Itoa(i), mails[0].Subject)
	}
	require.EqualValues(t, "held", email(t, c, ids[4]).Status)
	raise("null")
	shared.await(t, recipient, 6, 60*time.Second)
	for _, id := range ids {
		awaitStatus(t, c, id, "sent", 60*time.Second)
	}
	usage, err := c.GetUsageWithResponse(t.Context(), nil)
	require.NoError(t, err)
	require.EqualValues(t, 0, usage.JSON200.Held)
	require.EqualValues(t, 6, usage.JSON200.Used)
}

func TestBatch_ArrivesComplete(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, mailtura.Settings{})
	recipient := address(t, "batch")
	const count = 300
	emails := make([]mailtura.SendEmail, count)
	for i := range emails {
		emails[i] = mailtura.SendEmail{To: to(recipient), Subject: ptr(strconv.Itoa(i)), Text: ptr("Hi"), Class: ptr(mailtura.SendEmailClass("bulk"))}
	}
	emails[100].To = to("nonsense")
	answer, err := c.SendEmailBatchWithResponse(t.Context(), nil, mailtura.SendBatch{Emails: emails})
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, answer.StatusCode(), string(answer.Body))
	require.EqualValues(t, count-1, answer.JSON202.Accepted)
	require.Equal(t, "validation_failed", answer.JSON202.Results[100].Error.Code)

	arrived := map[string]string{} // Message-ID by subject
	for _, m := range shared.await(t, recipient, count-1, 60*time.Second) {
		arrived[m.Subject] = m.MessageID
	}
	for i, result := range answer.JSON202.Results {
		if i != 100 {
			require.Equal(t, result.Email.Id+"@acme.com", arrived[strconv.Itoa(i)])
		}
	}
	awaitStatus(t, c, answer.JSON202.Results[count-1].Email.Id, "sent", 60*time.Second)
}
