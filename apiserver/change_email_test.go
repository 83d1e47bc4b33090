package apiserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
)

// change does something to an email, and gives how it is then.
func (b *bundle) change(key, emailID, verb string) apiserver.Email {
	b.t.Helper()
	e := must[apiserver.Email](b, http.StatusOK, http.MethodPost, emailsPath+"/"+emailID+"/"+verb, key, nil)
	require.Equal(b.t, e, b.email(key, emailID))
	return e
}

// reschedule asks for another time.
func (b *bundle) reschedule(key, emailID string, when time.Time) answer {
	b.t.Helper()
	return b.ask(http.MethodPatch, emailsPath+"/"+emailID, key, map[string]any{"scheduledAt": when})
}

func statusesOf(e apiserver.Email) []string {
	all := make([]string, len(e.Recipients))
	for i, r := range e.Recipients {
		all[i] = r.Status
	}
	return all
}

func TestCancelEmail_BeforeItIsSent(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(1), OverLimit: tenant.Queue})
	made := map[string]apiserver.Accepted{
		"queued": b.post(key, hi), "held": b.post(key, at("held", none, none)), "scheduled": b.post(key, at("scheduled", in(100), none)),
	}
	for status, e := range made {
		require.Equal(t, status, e.Status)
		cancelled := b.change(key, e.ID, "cancel")
		require.Equal(t, "cancelled", cancelled.Status)
		require.Nil(t, cancelled.ReleaseAt)
		b.ask(http.MethodPost, emailsPath+"/"+e.ID+"/cancel", key, nil).problem(http.StatusConflict, "nothing_to_cancel")
		b.ask(http.MethodPost, emailsPath+"/"+e.ID+"/retry", key, nil).problem(http.StatusConflict, "nothing_to_retry")
		b.reschedule(key, e.ID, in(1)).problem(http.StatusConflict, "email_not_scheduled")
	}
	require.Empty(t, b.released(key, in(1000)), "no time comes for them")
	b.patch(`{"settings":{"dailyLimit":50}}`)
	require.Empty(t, b.released(key, in(1000)), "nor a day with room")
	usage := b.usage(key)
	require.Zero(t, usage.Used+usage.Held+usage.Backlog, "and they do not count")
	claimed, err := b.store.ClaimDispatch(t.Context(), acme, "transactional", id.New(), []uuid.UUID{emailUUID(t, made["queued"].ID)})
	require.NoError(t, err)
	require.Zero(t, claimed, "also not for a dispatcher that has it in hand")
}

func TestCancelEmail_GivesTheDayBack(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(1)})
	for _, when := range []time.Time{none, in(100)} {
		for range 3 {
			b.change(key, b.post(key, at("x", when, none)).ID, "cancel")
		}
		b.post(key, at("x", when, none))
		b.ask(http.MethodPost, emailsPath, key, at("x", when, none)).problem(http.StatusTooManyRequests, "daily_limit_reached")
	}
}

// What is under way goes on, what has ended stays as it is, and what was tried counts.
func TestCancelEmail_HalfSent(t *testing.T) {
	t.Parallel()
	temporal := &fakeTemporal{}
	b := newBundleOn(t, temporal)
	key := b.tenant(acme, tenant.Settings{FromEmail: "noreply@acme.com", DailyLimit: ptr(10)})
	made := b.post(key, `{"to":["sent@example.com","sending@example.com","deferred@example.com","queued@example.com"],"subject":"Hi","text":"Hi"}`)
	dispatch := id.New()
	b.dispatch(acme, dispatch, "run", emailUUID(t, made.ID))
	for _, status := range []string{"sent", "sending", "deferred"} {
		b.setRecipient(status+"@example.com", status, "", ptr(in(1)))
	}
	cancelled := b.change(key, made.ID, "cancel")
	require.Equal(t, []string{"sent", "sending", "cancelled", "cancelled"}, statusesOf(cancelled))
	require.Equal(t, "sending", cancelled.Status)
	require.Nil(t, cancelled.Recipients[2].NextAttemptAt)
	require.Equal(t, 3, b.usage(key).Used)
	require.Equal(t, []string{flow.SendEmailsID(acme, dispatch) + " " + flow.RecheckSignal}, temporal.sent, "its workflow need not wait any more")

	b.ask(http.MethodPost, emailsPath+"/"+made.ID+"/cancel", key, nil).problem(http.StatusConflict, "nothing_to_cancel")
	b.setRecipient("sending@example.com", "sent", "", nil)
	require.Equal(t, "cancelled", b.email(key, made.ID).Status)
}

func TestChangeEmail_TemporalAway(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for verb, want := range map[string]string{"cancel": "cancelled", "retry": "queued"} {
		made := b.post(key, hi)
		b.dispatch(acme, id.New(), "run", emailUUID(t, made.ID))
		b.exec(`UPDATE recipients SET status = 'deferred' WHERE email_id = $1`, emailUUID(t, made.ID))
		require.Equal(t, want, b.change(key, made.ID, verb).Status)
	}
	require.Contains(t, b.log.String(), "send workflow finds out later")
}

func TestRescheduleEmail(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(1)})
	made := b.post(key, at("moved", in(100), in(300)))
	later := in(200)
	moved := read[apiserver.Email](b.reschedule(key, made.ID, later))
	require.Equal(t, "scheduled", moved.Status)
	require.True(t, later.Equal(*moved.ScheduledAt))
	require.True(t, later.Equal(*moved.ReleaseAt))
	require.Equal(t, moved, b.email(key, made.ID))
	require.Empty(t, b.released(key, in(150)))
	require.Equal(t, "scheduled", b.post(key, at("other", in(100), none)).Status, "the day that it left has room")
	b.ask(http.MethodPost, emailsPath, key, at("third", later, none)).problem(http.StatusTooManyRequests, "daily_limit_reached")
	b.reschedule(key, made.ID, in(100)).problem(http.StatusTooManyRequests, "daily_limit_reached")
	require.True(t, later.Equal(*b.email(key, made.ID).ReleaseAt), "a refusal changes nothing")

	a := b.reschedule(key, made.ID, in(-1))
	require.Equal(t, http.StatusOK, a.Status, a.Body)
	require.Equal(t, 1, b.usage(key).Used, "it counts today")
	require.Equal(t, []string{"moved"}, b.released(key, time.Now()), "the past means at once")
	b.reschedule(key, made.ID, in(1)).problem(http.StatusConflict, "email_not_scheduled")
}

func TestRescheduleEmail_NotAllowed(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	scheduled := b.post(key, at("x", in(1), in(10))).ID
	for name, tc := range map[string]struct {
		body any
		want string
	}{
		"more than 30 days": {map[string]any{"scheduledAt": in(30*24 + 1)}, "body.scheduledAt out_of_range"},
		"after it expires":  {map[string]any{"scheduledAt": in(11)}, "body.scheduledAt out_of_range"},
		"no time":           {`{}`, "body required"},
		"null":              {`{"scheduledAt":null}`, "body.scheduledAt invalid_value"},
		"something else":    {`{"scheduledAt":"2026-01-01T00:00:00Z","subject":"x"}`, "body.subject unknown_field"},
	} {
		require.Equal(t, []string{tc.want}, b.ask(http.MethodPatch, emailsPath+"/"+scheduled, key, tc.body).fields(422, "validation_failed"), name)
	}
	queued := b.post(key, hi).ID
	b.reschedule(key, queued, in(1)).problem(http.StatusConflict, "email_not_scheduled")
	for _, status := range []string{"sending", "deferred", "sent", "bounced", "failed", "cancelled", "expired", "unknown"} {
		b.exec(`UPDATE recipients SET status = $2 WHERE email_id = $1`, emailUUID(t, queued), status)
		b.reschedule(key, queued, in(1)).problem(http.StatusConflict, "email_not_scheduled")
	}
}

func TestRescheduleEmail_Held(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(1), OverLimit: tenant.Queue})
	b.post(key, hi)
	held := b.post(key, at("held", none, none))
	require.Equal(t, "held", held.Status)
	later := in(72)
	moved := read[apiserver.Email](b.reschedule(key, held.ID, later))
	require.Equal(t, "scheduled", moved.Status)
	require.True(t, later.Equal(*moved.ReleaseAt))
	require.Zero(t, b.usage(key).Held)
	moved = read[apiserver.Email](b.reschedule(key, held.ID, in(-1)))
	require.Equal(t, "held", moved.Status, "today is full")
	require.True(t, held.ReleaseAt.Equal(*moved.ReleaseAt))
}

func TestRetryEmail(t *testing.T) {
	t.Parallel()
	temporal := &fakeTemporal{}
	b := newBundleOn(t, temporal)
	key := b.tenant(acme, tenant.Settings{FromEmail: "noreply@acme.com", DailyLimit: ptr(6), Weight: ptr(3)})
	made := b.post(key, `{"to":["sent@example.com","bounced@example.com","deferred@example.com","failed@example.com","unknown@example.com",
		"cancelled@example.com"],"subject":"Hi","text":"Hi","class":"bulk"}`)
	retryPath := emailsPath + "/" + made.ID + "/retry"
	b.ask(http.MethodPost, retryPath, key, nil).problem(http.StatusConflict, "nothing_to_retry")
	dispatch := id.New()
	b.exec(`UPDATE emails SET class = 'transactional'`)
	b.dispatch(acme, dispatch, "run", emailUUID(t, made.ID))
	b.exec(`UPDATE emails SET class = 'bulk'`)
	for _, status := range []string{"sent", "bounced", "deferred", "failed", "unknown", "cancelled"} {
		b.setRecipient(status+"@example.com", status, "", nil)
	}
	b.setRecipient("cancelled@example.com", "sending", "", nil)
	a := b.ask(http.MethodPost, retryPath, key, nil)
	a.problem(http.StatusConflict, "email_being_sent")
	require.Equal(t, "1", a.Header.Get("Retry-After"))
	require.Len(t, b.pending(), 1)
	b.setRecipient("cancelled@example.com", "cancelled", "", nil)
	retried := b.change(key, made.ID, "retry")
	require.Equal(t, []string{"sent", "bounced", "queued", "queued", "queued", "cancelled"}, statusesOf(retried))
	require.Nil(t, retried.Workflow, "a new one will carry it")
	require.Equal(t, []string{flow.SendEmailsID(acme, dispatch) + " " + flow.RecheckSignal}, temporal.sent, "and not the old one")
	pending := b.pending()
	require.Len(t, pending, 2)
	again := pending[1]
	require.Equal(t, []any{acme, emailUUID(t, made.ID), "bulk", float32(3)}, []any{again.TenantID, again.EmailID, string(again.Class), again.Weight})
	require.Equal(t, 6, b.usage(key).Used, "it counts once")
	b.ask(http.MethodPost, retryPath, key, nil).problem(http.StatusConflict, "nothing_to_retry")
}

func TestChangeEmail_NotThere(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	theirs := b.post(b.tenant("other", tenant.Settings{FromEmail: "a@acme.com"}), at("theirs", in(1), none)).ID
	for _, emailID := range []string{theirs, id.Email.NewString(), id.Template.NewString(), "x", "%00"} {
		path := emailsPath + "/" + emailID
		b.ask(http.MethodPost, path+"/cancel", key, nil).problem(http.StatusNotFound, "email_not_found")
		b.ask(http.MethodPost, path+"/retry", key, nil).problem(http.StatusNotFound, "email_not_found")
		b.reschedule(key, emailID, in(1)).problem(http.StatusNotFound, "email_not_found")
		b.ask(http.MethodGet, path+"/timeline", key, nil).problem(http.StatusNotFound, "email_not_found")
		b.ask(http.MethodGet, path+"/content", key, nil).problem(http.StatusNotFound, "email_not_found")
	}
	require.Equal(t, []string{"scheduled"}, b.values(`SELECT status FROM recipients`))
}
