package apiserver_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
)

const (
	ada = `{"to":"ada@example.com","variables":{"name":"Ada"}}`
	bob = `{"to":"bob@example.com","variables":{"name":"Bob"}}`
)

// uploadOnce uploads lines with an idempotency key.
func (b *bundle) uploadOnce(key, idempotencyKey, lines string, headers ...string) answer {
	b.t.Helper()
	return b.once(bulkPath, key, idempotencyKey, lines, append(headers, "Content-Type", "application/x-ndjson")...)
}

// bulkSends are the statuses of a tenant's bulk sends, newest first.
func (b *bundle) bulkSends(key string) []string {
	b.t.Helper()
	var statuses []string
	for _, s := range must[page[apiserver.BulkSend]](b, http.StatusOK, http.MethodGet, bulkPath, key, nil).Items {
		statuses = append(statuses, s.Status+" "+strconv.Itoa(s.Accepted))
	}
	return statuses
}

// anotherProcess is one more API process on the same database.
func (b *bundle) anotherProcess(change ...func(*apiserver.Config)) *apiserver.Server {
	b.t.Helper()
	templates, err := engine()
	require.NoError(b.t, err)
	return b.process(temporalAway(b.t), templates, change...)
}

func TestUploadOnce_Replays(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	lines := strings.Join([]string{news, ada, `{"to":"nobody"}`, bob, ""}, "\n")
	first := b.uploadOnce(key, "march", lines)
	require.Equal(t, http.StatusAccepted, first.Status, first.Body)
	require.Equal(t, 2, read[apiserver.BulkAccepted](first).Accepted)
	b.uploadOnce(key, "march", lines).replays(first)
	b.uploadOnce(b.operator, "march", lines, "X-Tenant-ID", acme).replays(first)
	b.Server = b.anotherProcess() // that knows of the key what the database has
	b.uploadOnce(key, "march", lines).replays(first)
	for name, other := range map[string]string{
		"a line more": lines + bob, "a line less": strings.Join([]string{news, ada}, "\n"), "only the first": news,
		"another space": strings.Replace(lines, "{", "{ ", 1), "nothing": "", "no NDJSON": "{",
	} {
		b.uploadOnce(key, "march", other).problem(http.StatusConflict, "idempotency_key_reused")
		require.Equal(t, []string{"running 2"}, b.bulkSends(key), name)
	}
	b.once(emailsPath, key, "march", hi).problem(http.StatusConflict, "idempotency_key_reused")
	require.Equal(t, http.StatusAccepted, b.once(emailsPath, key, "email", hi).Status)
	b.uploadOnce(key, "email", lines).problem(http.StatusConflict, "idempotency_key_reused")
	require.Equal(t, []string{"header.Idempotency-Key invalid_value"}, b.uploadOnce(key, "ä", lines).fields(422, "validation_failed"))
	require.Equal(t, []string{"running 2"}, b.bulkSends(key))

	theirs := b.tenant("other", tenant.Settings{FromEmail: "a@acme.com"})
	own := b.uploadOnce(theirs, "march", lines)
	require.Equal(t, http.StatusAccepted, own.Status, "another tenant's key is another key")
	require.NotEqual(t, first.Body, own.Body)
}

// What was refused, and what came to nothing, can be tried again with the same key.
func TestUploadOnce_RefusalsAreNotKept(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(1)})
	b.uploadOnce(key, "k", `{"subject":"x"}`).fields(http.StatusUnprocessableEntity, "validation_failed")
	b.uploadOnce(key, "k", "").problem(http.StatusBadRequest, "malformed_request")
	nothing := b.uploadOnce(key, "k", news+"\n"+`{"to":"nobody"}`)
	require.Equal(t, "completed", read[apiserver.BulkAccepted](nothing).Status)
	good := b.uploadOnce(key, "k", news+"\n"+ada)
	require.Equal(t, http.StatusAccepted, good.Status, good.Body)
	require.Empty(t, good.Header.Get("Idempotency-Replayed"))
	b.uploadOnce(key, "k", news+"\n"+ada).replays(good)
	require.Equal(t, []string{"running 1", "completed 0"}, b.bulkSends(key))
}

// While the first is under way, a repeat is told so, by its process and by others.
func TestUploadOnce_InProgress(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	other := &bundle{Server: b.anotherProcess(), t: t}
	var lines strings.Builder
	require.NoError(t, feedLines(&lines, 1000, func(int) {}))
	response, err := b.streamed(key, func(w io.Writer) error {
		if _, err := io.WriteString(w, lines.String()); err != nil {
			return err
		}
		require.Eventually(t, func() bool { return len(b.bulkSends(key)) == 1 }, 20*time.Second, 10*time.Millisecond)
		for _, process := range []*bundle{b, other} {
			p := process.uploadOnce(key, "k", lines.String())
			p.problem(http.StatusConflict, "idempotency_key_in_progress")
			after, err := strconv.Atoi(p.Header.Get("Retry-After"))
			require.NoError(t, err)
			require.GreaterOrEqual(t, after, 1)
			require.LessOrEqual(t, after, 61)
		}
		return nil
	}, "Idempotency-Key", "k")
	first := answered(t, response, err)
	require.Equal(t, 1000, read[apiserver.BulkAccepted](first).Accepted)
	for _, process := range []*bundle{b, other} {
		process.uploadOnce(key, "k", lines.String()).replays(first)
	}
	require.Equal(t, []string{"running 1000"}, b.bulkSends(key))
}

// The process of the first has died amid the upload: for a while nobody can tell, and then a
// repeat takes its place.
func TestUploadOnce_AfterACrash(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(10)})
	shared := email.Email{TenantID: acme, Class: email.Bulk}
	require.NoError(t, b.store.CreateBulkSend(t.Context(), id.New(), "", "k", shared, time.Now()))
	lines := news + "\n" + ada + "\n" + bob
	refused := b.uploadOnce(key, "k", lines)
	refused.problem(http.StatusConflict, "idempotency_key_in_progress")
	after, err := strconv.Atoi(refused.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.InDelta(t, 60, after, 20)
	b.exec(`UPDATE bulk_sends SET progressed_at = now() - interval '61 seconds'`)
	first := b.uploadOnce(key, "k", lines)
	require.Equal(t, http.StatusAccepted, first.Status, first.Body)
	b.uploadOnce(key, "k", lines).replays(first)
	require.Equal(t, []string{"running 2", "cancelled 0"}, b.bulkSends(key))
}

// The first was cut off: a repeat is taken in as if there had been none.
func TestUploadOnce_AfterACut(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	response, err := b.streamed(key, func(w io.Writer) error {
		if err := feedLines(w, 1000, func(int) {}); err != nil {
			return err
		}
		require.Eventually(t, func() bool {
			all := b.bulkSends(key)
			return len(all) == 1 && all[0] == "uploading 1000"
		}, 20*time.Second, 10*time.Millisecond)
		return io.ErrUnexpectedEOF
	}, "Idempotency-Key", "k")
	if response != nil {
		require.NoError(t, response.Body.Close())
	}
	require.Error(t, err)
	var repeat answer
	require.Eventually(t, func() bool {
		repeat = b.uploadOnce(key, "k", news+"\n"+ada)
		return repeat.Status == http.StatusAccepted
	}, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, []string{"running 1", "cancelled 1000"}, b.bulkSends(key))
	b.uploadOnce(key, "k", news+"\n"+ada).replays(repeat)
}

// A repeat that breaks off is told nothing about the first.
func TestUploadOnce_RepeatIsCutOff(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	first := b.uploadOnce(key, "k", news+"\n"+ada)
	require.Equal(t, http.StatusAccepted, first.Status)
	r := b.request(http.MethodPost, bulkPath, key, io.MultiReader(strings.NewReader(news), failing{}))
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("Idempotency-Key", "k")
	b.send(r).problem(http.StatusBadRequest, "upload_cut_off")
	require.Equal(t, []string{"running 1"}, b.bulkSends(key))
}

// failing is a body that can not be read.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
