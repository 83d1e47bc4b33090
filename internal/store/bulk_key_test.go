package store_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
)

// keyedBulk begins an upload with an idempotency key.
func (b *bundle) keyedBulk(tenantID, key string, at time.Time) (*bulk, error) {
	b.t.Helper()
	shared := newEmail(tenantID)
	shared.Class = email.Bulk
	k := &bulk{bundle: b, id: id.New(), shared: shared, next: 2}
	return k, b.CreateBulkSend(b.t.Context(), k.id, "News", key, shared, at)
}

// answerOf is what the upload is answered when it ends.
func answerOf(status store.BulkStatus) (store.Answer, error) {
	a := newAnswer("ends as " + string(status))
	a.Status, a.Location = http.StatusAccepted, ""
	return a, nil
}

func TestUploadKey_OneAtATime(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	first, err := b.keyedBulk(acme, "key", noonAhead)
	require.NoError(t, err)
	_, err = b.keyedBulk(acme, "key", noonAhead.Add(20*time.Second))
	f := requireFault(t, err, fault.Conflict, "idempotency_key_in_progress")
	require.Equal(t, 40*time.Second, f.RetryAfter, "until it would count as cut off")
	for tenantID, key := range map[string]string{acme: "another", other: "key"} {
		_, err = b.keyedBulk(tenantID, key, noonAhead)
		require.NoError(t, err)
	}
	status, err := b.CancelUpload(t.Context(), acme, first.id, noonAhead, noonAhead)
	require.NoError(t, err)
	require.Equal(t, store.BulkCancelled, status)
	_, err = b.keyedBulk(acme, "key", noonAhead)
	require.NoError(t, err, "what was cut off can be repeated")
}

func TestUploadKey_OneInParallel(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	var begun, refused atomic.Int64
	require.NoError(t, inParallel(10, func(int) error {
		_, err := b.keyedBulk(acme, "key", noonAhead)
		switch {
		case err == nil:
			begun.Add(1)
		case fault.CodeOf(err) == "idempotency_key_in_progress":
			refused.Add(1)
		default:
			return err
		}
		return nil
	}))
	require.EqualValues(t, 1, begun.Load())
	require.EqualValues(t, 9, refused.Load())
}

// A repeat takes the place of an upload whose process is gone. Were it there all the same, it
// could do nothing more.
func TestUploadKey_TakesThePlaceOfTheDead(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	dead, err := b.keyedBulk(acme, "key", noonAhead)
	require.NoError(t, err)
	dead.add(noonAhead, store.BulkBatch{Lines: dead.lines(3)})
	later := noonAhead.Add(store.UploadPatience + time.Second)
	repeat, err := b.keyedBulk(acme, "key", later)
	require.NoError(t, err)
	require.Equal(t, store.BulkCancelled, dead.now().Status)
	require.Empty(t, b.reservedOn(acme), "what it had reserved is given back")
	_, err = b.AddBulkBatch(t.Context(), dead.id, dead.shared, store.BulkBatch{Lines: dead.lines(1)}, later)
	requireFault(t, err, fault.Conflict, "bulk_send_cancelled")
	_, err = b.CompleteBulkSend(t.Context(), acme, dead.id, answerOf, later)
	requireFault(t, err, fault.Conflict, "bulk_send_cancelled")
	requireFault(t, b.KeepUploading(t.Context(), acme, dead.id, later), fault.Conflict, "bulk_send_cancelled")
	require.Equal(t, store.BulkUploading, repeat.now().Status)
}

// A slow upload is not a dead one: neither the sweep nor a repeat takes it away.
func TestUploadKey_LivesWhileItIsSaidTo(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	slow, err := b.keyedBulk(acme, "key", noonAhead)
	require.NoError(t, err)
	require.NoError(t, b.KeepUploading(t.Context(), acme, slow.id, noonAhead.Add(50*time.Second)))
	later := noonAhead.Add(100 * time.Second)
	_, err = b.keyedBulk(acme, "key", later)
	requireFault(t, err, fault.Conflict, "idempotency_key_in_progress")
	n, err := b.CancelStaleUploads(t.Context(), later.Add(-store.UploadPatience), later)
	require.NoError(t, err)
	require.Zero(t, n)
	require.Equal(t, store.BulkUploading, slow.now().Status)
}

// The answer is there from the moment on at which the upload has ended, for every operation.
func TestUploadKey_AnswerIsKeptWithTheEnd(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	now := time.Now()
	k, err := b.keyedBulk(acme, "key", now)
	require.NoError(t, err)
	k.add(now, store.BulkBatch{Lines: k.lines(2)})
	b.requireNoAnswer(acme, "key", now)
	_, err = b.CompleteBulkSend(t.Context(), acme, k.id, answerOf, now)
	require.NoError(t, err)
	want, _ := answerOf(store.BulkRunning)
	got, err := b.Answer(t.Context(), acme, "key", now)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = b.keyedBulk(acme, "key", now)
	requireFault(t, err, fault.Conflict, "idempotency_key_in_progress") // it had looked for the answer too early
	_, err = b.keyedBulk(acme, "key", now.Add(25*time.Hour))
	require.NoError(t, err, "after 24 hours the key is free")
}

func TestUploadKey_NothingAcceptedIsNotKept(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k, err := b.keyedBulk(acme, "key", noonAhead)
	require.NoError(t, err)
	k.add(noonAhead, store.BulkBatch{Rejected: 1})
	status, err := b.CompleteBulkSend(t.Context(), acme, k.id, answerOf, noonAhead)
	require.NoError(t, err)
	require.Equal(t, store.BulkCompleted, status)
	b.requireNoAnswer(acme, "key", noonAhead)
	_, err = b.keyedBulk(acme, "key", noonAhead)
	require.NoError(t, err)
}

// An email that another process accepts with the key in the meantime has it.
func TestUploadKey_TakenMeanwhile(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	now := time.Now()
	k, err := b.keyedBulk(acme, "key", now)
	require.NoError(t, err)
	k.add(now, store.BulkBatch{Lines: k.lines(2)})
	require.NoError(t, b.KeepAnswer(t.Context(), acme, "key", newAnswer("an email"), now))
	_, err = b.CompleteBulkSend(t.Context(), acme, k.id, answerOf, now)
	requireFault(t, err, fault.Conflict, "idempotency_key_reused")
	require.Equal(t, store.BulkUploading, k.now().Status, "nothing of it is sent")
}

// Who cancels an upload because he can not tell whether it has ended leaves one that has.
func TestCancelUpload_LeavesWhatHasEnded(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil).upload(noonAhead, 2)
	status, err := b.CancelUpload(t.Context(), acme, k.id, noonAhead.Add(time.Hour), noonAhead)
	require.NoError(t, err)
	require.Equal(t, store.BulkRunning, status)
	require.Equal(t, 2, k.take(noonAhead).Dispatch.Emails)
	_, err = b.CancelUpload(t.Context(), acme, uuid.Nil, noonAhead, noonAhead)
	requireFault(t, err, fault.NotFound, "bulk_send_not_found")
}

func TestAddBulkBatch_Quota(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	k := b.newBulk(acme, nil)
	require.Nil(t, k.add(noonAhead, store.BulkBatch{Lines: k.lines(1)}).Quota.Limit)
	b.exec(`UPDATE tenants SET settings = settings || '{"dailyLimit": 5}'`)
	done := k.add(noonAhead, store.BulkBatch{Lines: k.lines(3)})
	require.Equal(t, 1, *done.Quota.Remaining())
	done = k.add(noonAhead, store.BulkBatch{Lines: k.lines(3)})
	require.Equal(t, 0, *done.Quota.Remaining())
}
