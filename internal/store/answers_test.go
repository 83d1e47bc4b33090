package store_test

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/tenant"
)

// newAnswer is the answer to a request that said body.
func newAnswer(body string) store.Answer {
	hash := sha256.Sum256([]byte(body))
	return store.Answer{Hash: hash[:], Status: http.StatusCreated, Location: "/api/v1/things/1", Body: []byte(body)}
}

// keyed is a request with an idempotency key that is answered how many of its emails were accepted.
func keyed(key string, emails ...email.Email) intake.Request {
	hash := sha256.Sum256([]byte(key))
	return intake.Request{Emails: emails, Answer: &intake.Answer{
		Key: key, Hash: hash[:], Render: func(receipts []intake.Receipt) (int, []byte, error) {
			accepted := 0
			for _, r := range receipts {
				if r.Err == nil {
					accepted++
				}
			}
			return http.StatusAccepted, []byte("accepted " + strconv.Itoa(accepted)), nil
		},
	}}
}

func (b *bundle) requireNoAnswer(tenantID, key string, now time.Time) {
	b.t.Helper()
	_, err := b.Answer(b.t.Context(), tenantID, key, now)
	requireFault(b.t, err, fault.NotFound, "not_found")
}

func TestAnswer_OfItsTenantAndKeyOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	now := time.Now()
	for _, tenantID := range []string{acme, ""} { // "": an operator
		require.NoError(t, b.KeepAnswer(t.Context(), tenantID, "key", newAnswer("of "+tenantID), now))
	}
	for _, tenantID := range []string{acme, ""} {
		got, err := b.Answer(t.Context(), tenantID, "key", now)
		require.NoError(t, err)
		require.Equal(t, newAnswer("of "+tenantID), got)
	}
	b.requireNoAnswer(other, "key", now)
	b.requireNoAnswer(acme, "KEY", now)
}

func TestKeepAnswer_TheFirstStays(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	now := time.Now()
	require.NoError(t, b.KeepAnswer(t.Context(), acme, "key", newAnswer("first"), now))
	require.NoError(t, b.KeepAnswer(t.Context(), acme, "key", newAnswer("second"), now))
	got, err := b.Answer(t.Context(), acme, "key", now)
	require.NoError(t, err)
	require.Equal(t, newAnswer("first"), got)
}

func TestAnswer_For24Hours(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	now := time.Now()
	late := now.Add(24*time.Hour + time.Minute)
	require.NoError(t, b.KeepAnswer(t.Context(), acme, "key", newAnswer("first"), now))
	_, err := b.Answer(t.Context(), acme, "key", now.Add(24*time.Hour-time.Minute))
	require.NoError(t, err)
	b.requireNoAnswer(acme, "key", late)

	require.NoError(t, b.KeepAnswer(t.Context(), acme, "key", newAnswer("a day later"), late))
	got, err := b.Answer(t.Context(), acme, "key", now)
	require.NoError(t, err)
	require.Equal(t, newAnswer("a day later"), got)
}

func TestForgetAnswers_LeavesTheYoung(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	now := time.Now()
	for _, key := range []string{"old", "young"} {
		require.NoError(t, b.KeepAnswer(t.Context(), acme, key, newAnswer(key), now))
	}
	b.exec(`UPDATE idempotency_keys SET created_at = created_at - interval '25 hours' WHERE key = 'old'`)
	require.NoError(t, b.ForgetAnswers(t.Context(), now))
	require.Equal(t, []string{"young"}, ask[[]string](b, `SELECT array_agg(key::text) FROM idempotency_keys`))
}

func TestAccept_KeepsTheAnswerWithTheEmails(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	limit := 2
	b.activate(acme, tenant.Settings{DailyLimit: &limit})
	r := keyed("key", newEmail(acme, "a@example.com"), newEmail(acme, "b@example.com", "c@example.com"), newEmail(acme, "d@example.com"))
	receipts, err := b.Accept(t.Context(), time.Now(), []intake.Request{r})
	require.NoError(t, err)
	require.NoError(t, receipts[0][0].Err)
	requireFault(t, receipts[0][1].Err, fault.Exhausted, "daily_limit_reached")
	require.NoError(t, receipts[0][2].Err)
	got, err := b.Answer(t.Context(), acme, "key", time.Now())
	require.NoError(t, err)
	require.Equal(t, store.Answer{Hash: r.Answer.Hash, Status: http.StatusAccepted, Body: []byte("accepted 2")}, got)
}

// Neither is there without the other.
func TestAccept_AnswerThatCanNotBeMade(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	r := keyed("key", newEmail(acme, "a@example.com"))
	broken := errors.New("broken")
	r.Answer.Render = func([]intake.Receipt) (int, []byte, error) { return 0, nil, broken }
	_, err := b.Accept(t.Context(), time.Now(), []intake.Request{{Emails: []email.Email{newEmail(acme, "b@example.com")}}, r})
	require.ErrorIs(t, err, broken)
	require.Zero(t, ask[int64](b, `SELECT count(*) FROM emails`))
	require.Zero(t, ask[int64](b, `SELECT count(*) FROM daily_usage`))
	b.requireNoAnswer(acme, "key", time.Now())
}

// What was refused as a whole can be tried again with the same key.
func TestAccept_NothingAcceptedKeepsNoAnswer(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	limit := 0
	b.activate(acme, tenant.Settings{DailyLimit: &limit})
	r := keyed("key", newEmail(acme, "a@example.com"))
	receipts, err := b.Accept(t.Context(), time.Now(), []intake.Request{r})
	require.NoError(t, err)
	requireFault(t, receipts[0][0].Err, fault.Exhausted, "daily_limit_reached")
	b.requireNoAnswer(acme, "key", time.Now())
	b.setLimit(acme, 1)
	receipts, err = b.Accept(t.Context(), time.Now(), []intake.Request{r})
	require.NoError(t, err)
	require.NoError(t, receipts[0][0].Err)
}

// Whether the request has the same hash or another, which the caller of Accept has to tell.
func TestAccept_AnsweredKeyAcceptsNothing(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	first := keyed("key", newEmail(acme, "a@example.com"))
	second := keyed("key", newEmail(acme, "b@example.com"), newEmail(acme, "c@example.com"))
	second.Answer.Hash = newAnswer("another request").Hash
	_, err := b.Accept(t.Context(), time.Now(), []intake.Request{first})
	require.NoError(t, err)
	receipts, err := b.Accept(t.Context(), time.Now(), []intake.Request{
		second, keyed("key", newEmail(other, "a@example.com")), keyed("twice", newEmail(acme, "d@example.com")),
		keyed("twice", newEmail(acme, "e@example.com")),
	})
	require.NoError(t, err)
	for _, refused := range []intake.Receipt{receipts[0][0], receipts[0][1], receipts[3][0]} {
		f := requireFault(t, refused.Err, fault.Conflict, "idempotency_key_in_progress")
		require.Equal(t, time.Second, f.RetryAfter)
	}
	require.NoError(t, receipts[1][0].Err, "another tenant's key")
	require.NoError(t, receipts[2][0].Err)
	require.Equal(t, map[string]int{today(): 2}, b.reserved(acme), "a and d")
	got, err := b.Answer(t.Context(), acme, "key", time.Now())
	require.NoError(t, err)
	require.Equal(t, first.Answer.Hash, got.Hash)
}

func TestAccept_KeyIsFreeAfter24Hours(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	for i, at := range []time.Time{time.Now(), time.Now().Add(25 * time.Hour)} {
		receipts, err := b.Accept(t.Context(), at, []intake.Request{keyed("key", newEmail(acme, "a@example.com"))})
		require.NoError(t, err)
		require.NoError(t, receipts[0][0].Err, "request %d", i)
	}
	require.EqualValues(t, 2, ask[int64](b, `SELECT count(*) FROM emails`))
	require.EqualValues(t, 1, ask[int64](b, `SELECT count(*) FROM idempotency_keys`))
}

// A client that gives up and asks again reaches another process while the first is still at it.
func TestAccept_OneEmailForAKeyInParallel(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	ledgers := []*store.Store{b.Store, open(t, b.url)}
	var accepted, refused atomic.Int64
	require.NoError(t, inParallel(20, func(i int) error {
		receipts, err := ledgers[i%2].Accept(t.Context(), time.Now(), []intake.Request{
			{Emails: []email.Email{newEmail(acme, "beside@example.com")}}, keyed("key", newEmail(acme, "a@example.com")),
		})
		if err != nil {
			return err
		}
		switch fault.CodeOf(receipts[1][0].Err) {
		case "idempotency_key_in_progress":
			refused.Add(1)
		default:
			accepted.Add(1)
		}
		return receipts[0][0].Err
	}))
	require.EqualValues(t, 1, accepted.Load())
	require.EqualValues(t, 19, refused.Load())
	require.EqualValues(t, 1, ask[int64](b, `SELECT count(*) FROM recipients WHERE address = 'a@example.com'`))
	require.Equal(t, map[string]int{today(): 21}, b.reserved(acme))
}
