package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
)

func TestStory_WithItsAttempts(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	e := newEmail(acme, "a@example.com", "b@example.com")
	b.accept(e)
	story, err := b.Story(t.Context(), acme, e.ID)
	require.NoError(t, err)
	require.True(t, story.DispatchedAt.IsZero())
	require.Empty(t, story.Attempts)
	require.False(t, story.Held)

	dispatch := id.New()
	_, err = b.ClaimDispatch(t.Context(), acme, email.Transactional, dispatch, idsOf([]email.Email{e}))
	require.NoError(t, err)
	due := b.start(dispatch)
	outcome := deferred(due[0].RecipientID, 1, time.Now().Add(-time.Second))
	outcome.FinishedAt, outcome.Dialogue = time.Now().Truncate(time.Microsecond), "C: EHLO acme.com\nS: 250 hello"
	require.NoError(t, b.FinishAttempts(t.Context(), acme, []store.Outcome{outcome}))
	_, err = b.StartAttempts(t.Context(), acme, b.due(dispatch, time.Now())[:1], time.Now())
	require.NoError(t, err)

	story, err = b.Story(t.Context(), acme, e.ID)
	require.NoError(t, err)
	record, err := b.Email(t.Context(), acme, e.ID)
	require.NoError(t, err)
	require.Equal(t, record, story.EmailRecord)
	require.WithinDuration(t, time.Now(), story.DispatchedAt, time.Minute)
	first, second := story.Attempts[due[0].RecipientID], story.Attempts[due[1].RecipientID]
	require.Len(t, first, 2)
	require.True(t, outcome.FinishedAt.Equal(*first[0].FinishedAt))
	require.True(t, first[0].StartedAt.Before(first[1].StartedAt))
	require.WithinDuration(t, time.Now().Add(-time.Second), first[0].NextAt, time.Minute, "when it was to be tried again")
	first[0].StartedAt, first[0].FinishedAt, first[0].NextAt = time.Time{}, nil, time.Time{}
	require.Equal(t, store.AttemptRecord{
		Number: 1, Verdict: "deferred", Phase: "rcpt", Code: 451, Enhanced: "4.7.1", Reply: "greylisted, come back", Dialogue: outcome.Dialogue,
	}, first[0])
	for i, underWay := range []store.AttemptRecord{second[0], first[1]} {
		require.WithinDuration(t, time.Now(), underWay.StartedAt, time.Minute)
		underWay.StartedAt = time.Time{}
		require.Equal(t, store.AttemptRecord{Number: i + 1}, underWay)
	}

	_, err = b.Story(t.Context(), other, e.ID)
	requireFault(t, err, fault.NotFound, "email_not_found")
	_, err = b.Story(t.Context(), acme, id.New())
	requireFault(t, err, fault.NotFound, "email_not_found")
}

func TestStory_OfWhatWaits(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.queueing(acme, 1)
	later, held := scheduled(noon.AddDate(0, 0, 3)), to(1)
	later.ExpiresAt, held.Class = noon.AddDate(0, 0, 5), email.Bulk
	b.acceptAll(noon, to(1), later, held)
	story, err := b.Story(t.Context(), acme, later.ID)
	require.NoError(t, err)
	require.False(t, story.Held)
	require.True(t, later.ScheduledAt.Equal(*story.ScheduledAt))
	require.True(t, later.ScheduledAt.Equal(*story.ReleaseAt))
	require.True(t, later.ExpiresAt.Equal(*story.ExpiresAt))
	b.release(midnight(1), 10)
	story, err = b.Story(t.Context(), acme, held.ID)
	require.NoError(t, err)
	require.True(t, story.Held, "also when it waits no longer")
	require.Nil(t, story.ReleaseAt)
	require.Nil(t, story.ScheduledAt)
	require.Nil(t, story.ExpiresAt)
	require.Equal(t, email.Bulk, story.Class)
}

func TestLetter(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	made, err := b.CreateTemplate(t.Context(), acme, newTemplate("welcome"))
	require.NoError(t, err)
	own, pinned := newEmail(acme, "a@example.com"), newEmail(acme, "b@example.com")
	own.Content = email.Content{HTML: "<p>own</p>", Text: "own", Variables: json.RawMessage(`{"name":"Ada"}`)}
	pinned.TemplateID, pinned.TemplateVersion, pinned.Content = &made.ID, &made.Version, email.Content{}
	b.accept(own, pinned)

	l, err := b.Letter(t.Context(), acme, own.ID)
	require.NoError(t, err)
	in := l.Rendering()
	require.Empty(t, in.Key)
	require.Nil(t, in.Pinned)
	require.Equal(t, [4]string{"Hello", "<p>own</p>", "own", `{"name":"Ada"}`},
		[4]string{in.Own.Subject, in.Own.HTML, in.Own.Text, string(in.Variables)})
	require.Equal(t, own.Recipients, l.Recipients)

	l, err = b.Letter(t.Context(), acme, pinned.ID)
	require.NoError(t, err)
	in = l.Rendering()
	require.Equal(t, newTemplate("welcome").Source, *in.Pinned)
	require.Equal(t, acme+"/"+id.Template.Format(made.ID)+"@1", in.Key, "what the engine may keep for it is of this version")
	_, err = b.Letter(t.Context(), other, own.ID)
	requireFault(t, err, fault.NotFound, "email_not_found")
}
