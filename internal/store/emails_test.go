package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

func TestEmail_AsAccepted(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := newEmail(acme, "ada@example.com", "bob@example.com", "eve@example.com")
	e.Recipients[0].Address.Name = "Ada"
	e.Recipients[1].Kind, e.Recipients[2].Kind = email.CC, email.BCC
	e.Tags, e.Metadata = []string{"invoice", "a,b \"c\" {d}"}, json.RawMessage(`{"order": 4711}`)
	at := time.Now().Truncate(time.Microsecond)
	_, err := acceptAt(t.Context(), b.Store, at, []email.Email{e})
	require.NoError(t, err)

	got, err := b.Email(t.Context(), acme, e.ID)
	require.NoError(t, err)
	require.Equal(t, e.From, got.From)
	require.Equal(t, e.Subject, got.Subject)
	require.Equal(t, e.Tags, got.Tags)
	require.JSONEq(t, `{"order": 4711}`, string(got.Metadata))
	require.True(t, at.Equal(got.CreatedAt))
	require.Nil(t, got.TemplateID)
	require.Nil(t, got.TemplateVersion)
	require.Nil(t, got.DispatchID)
	require.Empty(t, got.RunID)
	require.Equal(t, email.Queued, got.Status())
	require.Len(t, got.Recipients, 3)
	for i, r := range got.Recipients {
		require.Equal(t, e.Recipients[i], r.Recipient, "in the order of the request")
		require.Equal(t, email.Queued, r.Status)
		require.Zero(t, r.Attempts)
		require.Nil(t, r.NextAttemptAt)
	}
}

func TestEmail_FollowsItsDispatch(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	e := newEmail(acme, "ada@example.com")
	dispatch := b.dispatch(e)
	got, err := b.Email(t.Context(), acme, e.ID)
	require.NoError(t, err)
	require.Equal(t, dispatch, *got.DispatchID)
	require.Empty(t, got.RunID)
	require.Equal(t, []string{}, got.Tags)
	require.JSONEq(t, `{}`, string(got.Metadata))
	require.NoError(t, b.SetDispatchRun(t.Context(), acme, dispatch, "run"))
	got, err = b.Email(t.Context(), acme, e.ID)
	require.NoError(t, err)
	require.Equal(t, "run", got.RunID)
}

func TestEmail_NotFound(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	e := newEmail(acme, "ada@example.com")
	b.accept(e)
	_, err := b.Email(t.Context(), acme, id.New())
	requireFault(t, err, fault.NotFound, "email_not_found")
	_, err = b.Email(t.Context(), other, e.ID)
	requireFault(t, err, fault.NotFound, "email_not_found")
	letters, err := b.LoadLetters(t.Context(), other, idsOf([]email.Email{e}))
	require.NoError(t, err)
	require.Empty(t, letters)
}

func TestListEmails_PagesNewestFirst(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	var ids []uuid.UUID // newest first
	for range 5 {
		e := newEmail(acme, "ada@example.com", "bob@example.com")
		b.accept(e, newEmail(other, "ada@example.com"))
		ids = append([]uuid.UUID{e.ID}, ids...)
	}
	got := pages(t, func(after string) ([]store.EmailRecord, string, error) {
		return b.ListEmails(t.Context(), acme, store.EmailFilter{}, after, 2)
	})
	var shown []uuid.UUID
	for _, page := range got {
		require.LessOrEqual(t, len(page), 2)
		for _, item := range page {
			require.Len(t, item.Recipients, 2)
			shown = append(shown, item.ID)
		}
	}
	require.Len(t, got, 3)
	require.Equal(t, ids, shown)
	for _, after := range strangeCursors {
		_, _, err := b.ListEmails(t.Context(), acme, store.EmailFilter{}, after, 2)
		requireCursorRefused(t, err)
	}
}

// A cursor names a place in the list, not an email of it: that it is another tenant's shows nothing of that tenant.
func TestListEmails_CursorOfAnotherTenant(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	mine := newEmail(acme, "ada@example.com")
	b.accept(mine)
	b.accept(newEmail(other, "ada@example.com"))
	b.accept(newEmail(other, "ada@example.com"))
	_, cursor, err := b.ListEmails(t.Context(), other, store.EmailFilter{}, "", 1)
	require.NoError(t, err)
	require.NotEmpty(t, cursor)
	items, next, err := b.ListEmails(t.Context(), acme, store.EmailFilter{}, cursor, 10)
	require.NoError(t, err)
	require.Empty(t, next)
	require.Len(t, items, 1)
	require.Equal(t, mine.ID, items[0].ID)
}

func TestListEmails_Filters(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	invoice := newEmail(acme, "ada@example.com", "bob@example.com")
	receipt, plain := newEmail(acme, "bob@example.com"), newEmail(acme, "eve@example.com")
	invoice.Tags, receipt.Tags = []string{"invoice", "paper"}, []string{"receipt", "paper"}
	b.accept(invoice, receipt, plain)
	b.exec(`UPDATE recipients SET status = 'bounced' WHERE address = 'ada@example.com'`)
	foreign := newEmail(other, "ada@example.com")
	foreign.Tags = []string{"invoice"}
	b.accept(foreign)

	for f, want := range map[store.EmailFilter][]uuid.UUID{
		{}:                                {plain.ID, receipt.ID, invoice.ID},
		{Tag: "invoice"}:                  {invoice.ID},
		{Tag: "paper"}:                    {receipt.ID, invoice.ID},
		{Tag: "pap"}:                      nil,
		{Recipient: "bob@example.com"}:    {receipt.ID, invoice.ID},
		{Recipient: "BOB@example.com"}:    nil,
		{Status: "bounced"}:               {invoice.ID},
		{Status: "queued"}:                {plain.ID, receipt.ID, invoice.ID},
		{Status: "sent"}:                  nil,
		{Tag: "paper", Status: "bounced"}: {invoice.ID},
		{Tag: "receipt", Recipient: "eve@example.com"}:    nil,
		{Recipient: "bob@example.com", Status: "bounced"}: {invoice.ID}, // whichever recipient has it
	} {
		items, next, err := b.ListEmails(t.Context(), acme, f, "", 10)
		require.NoError(t, err)
		require.Empty(t, next)
		var got []uuid.UUID
		for _, item := range items {
			got = append(got, item.ID)
		}
		require.Equal(t, want, got, "%+v", f)
	}
}

func TestListEmails_TextThatCanNotBeStored(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	for _, tag := range []string{"a\x00b", "a\xffb"} {
		_, _, err := b.ListEmails(t.Context(), acme, store.EmailFilter{Tag: tag}, "", 10)
		requireFault(t, err, fault.Invalid, "validation_failed")
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	// Where it is the 24th in UTC it is the 25th in Auckland already.
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	limit := 10
	b.activate("auckland", tenant.Settings{DailyLimit: &limit, Timezone: "Pacific/Auckland"})
	far, err := b.Tenant(t.Context(), "auckland")
	require.NoError(t, err)

	u, err := b.Usage(t.Context(), far, at)
	require.NoError(t, err)
	require.Equal(t, "2026-11-25", u.Day)
	require.Equal(t, time.Date(2026, 11, 25, 11, 0, 0, 0, time.UTC), u.Standing.ResetsAt.UTC())
	require.Equal(t, &limit, u.Standing.Limit)
	require.Zero(t, u.Standing.Used)
	require.Zero(t, u.Backlog)
	require.True(t, u.OldestSince.IsZero())

	first := []email.Email{newEmail("auckland", "a@example.com", "b@example.com"), newEmail(acme, "a@example.com")}
	_, err = acceptAt(t.Context(), b.Store, at, first)
	require.NoError(t, err)
	_, err = acceptAt(t.Context(), b.Store, at.Add(time.Minute), []email.Email{newEmail("auckland", "c@example.com", "d@example.com")})
	require.NoError(t, err)
	b.exec(`UPDATE recipients SET status = 'sent' WHERE address = 'c@example.com'`)
	b.exec(`UPDATE recipients SET status = 'deferred' WHERE address = 'd@example.com'`)
	u, err = b.Usage(t.Context(), far, at.Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, 4, u.Standing.Used)
	require.Equal(t, 6, *u.Standing.Remaining())
	require.Equal(t, 3, u.Backlog)
	require.True(t, at.Equal(u.OldestSince))

	u, err = b.Usage(t.Context(), far, at.Add(24*time.Hour))
	require.NoError(t, err)
	require.Zero(t, u.Standing.Used, "a new day")
	require.Equal(t, 3, u.Backlog)
}
