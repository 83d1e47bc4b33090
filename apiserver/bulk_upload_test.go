package apiserver_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
)

const bulkPath = v1 + "/bulk-sends"

// upload sends lines as an upload.
func (b *bundle) upload(key string, lines ...string) answer {
	b.t.Helper()
	return b.ask(http.MethodPost, bulkPath, key, strings.Join(lines, "\n"), "Content-Type", "application/x-ndjson")
}

func (b *bundle) uploaded(key string, lines ...string) apiserver.BulkAccepted {
	b.t.Helper()
	a := b.upload(key, lines...)
	require.Equal(b.t, http.StatusAccepted, a.Status, a.Body)
	return read[apiserver.BulkAccepted](a)
}

func (b *bundle) bulkSend(key, bulkID string) apiserver.BulkSend {
	b.t.Helper()
	return must[apiserver.BulkSend](b, http.StatusOK, http.MethodGet, bulkPath+"/"+bulkID, key, nil)
}

const news = `{"name":"News","subject":"Hi {{name}}","html":"<p>{{name}}</p>","tags":["news"]}`

func TestCreateBulkSend(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	got := b.uploaded(key, news, `{"to":"Ada <ada@example.com>","variables":{"name":"Ada"},"metadata":{"n":1}}`, "", "  ",
		`{"to":"bob@example.com","variables":{"name":"Bob"}}`, `{"to":"ada@example.com","variables":{"name":"Ada again"}}`, "")
	require.Equal(t, apiserver.BulkAccepted{ID: got.ID, Status: "running", Accepted: 3, Errors: []apiserver.BulkError{}}, got)
	shown := b.bulkSend(key, got.ID)
	require.Equal(t, "News", shown.Name)
	require.Equal(t, "running", shown.Status)
	require.Equal(t, "bulk", shown.Class)
	require.Equal(t, apiserver.BulkProgress{Queued: 3}, shown.Progress)
	require.Equal(t, "bulk/"+acme+"/"+got.ID, shown.Workflow.ID, "Temporal is away; it is started later")
	require.Empty(t, shown.Workflow.RunID)
	require.Nil(t, shown.FinishedAt)
	list := must[page[apiserver.BulkSend]](b, http.StatusOK, http.MethodGet, bulkPath, key, nil)
	require.Equal(t, []apiserver.BulkSend{shown}, list.Items)
}

func TestCreateBulkSend_WrongLinesAreReported(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	long := `{"to":"a@example.com","variables":{"name":"` + strings.Repeat("x", 256<<10) + `"}}`
	got := b.uploaded(key, news,
		`{"to":"ada@example.com","variables":{"name":"Ada"}}`, // 2
		`{"to":`,      // 3
		`["to"]`,      // 4
		`{"to":"x"} `, // 5
		`{"to":"a@example.com","subject":"Hi","variables":{"name":"A"}}`, // 6
		`{"to":7,"variables":{"name":"A"}}`,                              // 7
		`{"to":"a@example.com"}`,                                         // 8
		`{"to":"a@example.com","variables":{"name":"A"}} {}`,             // 9
		`{"variables":{"name":"A"}}`,                                     // 10
		long,                                                             // 11
		"{\"to\":\"\xff@example.com\"}",                                  // 12
		`{"to":"a@example.com","variables":{"name":"A"},"metadata":{"x":"`+"\\u0000"+`"}}`, // 13
		`{"to":"bob@example.com","variables":{"name":"`+strings.Repeat("x", 60<<10)+`"}}`,  // 14
		`{"to":"a@example.com","variables":{"name":"`+strings.Repeat("x", 70<<10)+`"}}`,    // 15
	)
	require.Equal(t, 2, got.Accepted)
	require.Equal(t, 12, got.Rejected)
	var errs []string
	for _, e := range got.Errors {
		require.NotEmpty(t, e.Message)
		errs = append(errs, fmt.Sprintf("%d %s %s", e.Line, e.Location, e.Code))
	}
	require.Equal(t, []string{
		"3  malformed_json", "4  malformed_json", "5 to invalid_address", "5 variables.name missing_variable", "6 subject unknown_field",
		"7 to invalid_value", "8 variables.name missing_variable", "9  malformed_json", "10 to required", "11  too_large",
		"12  malformed_json", "13 metadata invalid_character", "15 variables too_large",
	}, errs)
	list := must[page[apiserver.BulkError]](b, http.StatusOK, http.MethodGet, bulkPath+"/"+got.ID+"/errors?limit=200", key, nil)
	require.Equal(t, got.Errors, list.Items)
}

func TestCreateBulkSend_WrongSharedLine(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	const line = `{"to":"ada@example.com"}`
	for first, want := range map[string]string{
		`{"html":"x"}`:                                                    "body.subject required",
		`{"subject":"x"}`:                                                 "body required",
		`{"subject":"x","text":"{{#if"}`:                                  "body.text invalid_template",
		`{"subject":"x","text":"x","to":"a@example.com"}`:                 "body.to unknown_field",
		`{"subject":"x","text":"x","class":"urgent"}`:                     "body.class invalid_value",
		`{"subject":"x","text":"x","from":"a@other.com"}`:                 "body.from sender_domain_not_allowed",
		`{"template":"nobody"}`:                                           "body.template template_not_found",
		`{"subject":"x","text":"x","scheduledAt":"2099-01-01T00:00:00Z"}`: "body.scheduledAt out_of_range",
		`{"subject":"x","text":"x","headers":{"From":"a"}}`:               "body.headers.From refused_header",
		`{"subject":"x","text":"x","name":"a\u0000"}`:                     "body.name header_injection",
	} {
		require.Equal(t, []string{want}, b.upload(key, first, line).fields(http.StatusUnprocessableEntity, "validation_failed"), first)
	}
	b.upload(key, `{`, line).problem(http.StatusBadRequest, "malformed_request")
	b.upload(key).problem(http.StatusBadRequest, "malformed_request")
	b.ask(http.MethodPost, bulkPath, key, news).problem(http.StatusUnsupportedMediaType, "unsupported_media_type")
	require.Empty(t, must[page[apiserver.BulkSend]](b, http.StatusOK, http.MethodGet, bulkPath, key, nil).Items, "nothing is kept")
}

func TestCreateBulkSend_TemplateAndSchema(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.template(key, `{"name":"plain","subject":"Hi","text":"{{name}}"}`)
	b.template(key, `{"name":"strict","text":"{{n}}","variables":{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}}`)
	got := b.uploaded(key, `{"template":"plain","class":"transactional"}`, `{"to":"a@example.com","variables":{"name":"A"}}`, `{"to":"b@example.com"}`)
	require.Equal(t, 1, got.Accepted)
	require.Equal(t, "missing_variable", got.Errors[0].Code)
	require.Equal(t, "transactional", b.bulkSend(key, got.ID).Class)
	got = b.uploaded(key, `{"template":"strict","subject":"{{s}}"}`,
		`{"to":"a@example.com","variables":{"n":1,"s":"x"}}`, `{"to":"b@example.com","variables":{"n":"1","s":"x"}}`,
		`{"to":"c@example.com","variables":{"n":1}}`)
	require.Equal(t, 1, got.Accepted)
	require.Equal(t, "variables.n", got.Errors[0].Location)
	require.Equal(t, "variables.s", got.Errors[1].Location)
}

func TestCreateBulkSend_DailyLimit(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(2)})
	plain := `{"subject":"x","text":"x"}`
	got := b.uploaded(key, plain, `{"to":"a@example.com"}`, `{"to":"b@example.com"}`, `{"to":"c@example.com"}`)
	require.Equal(t, 2, got.Accepted)
	require.Equal(t, 4, got.Errors[0].Line)
	require.Equal(t, "daily_limit_reached", got.Errors[0].Code)
	none := b.uploaded(key, plain, `{"to":"a@example.com"}`)
	require.Equal(t, "completed", none.Status, "there is nothing to send")
	require.Equal(t, 1, none.Rejected)
}

// Lines that find room by a raised limit do not wait for the bulk send's next look.
func TestBulkSend_IsToldOfAChangedLimit(t *testing.T) {
	t.Parallel()
	temporal := &fakeTemporal{}
	b := newBundleOn(t, temporal)
	key := b.tenant(acme, tenant.Settings{DailyLimit: ptr(1), OverLimit: tenant.Queue})
	shared := `{"from":"news@acme.com","subject":"x","text":"x"}`
	got := b.uploaded(key, shared, `{"to":"a@example.com"}`, `{"to":"b@example.com"}`)
	b.patch(`{"settings":{"dailyLimit":2}}`)
	require.Equal(t, []string{"quota/acme-corp setLimits", "bulk/acme-corp/" + got.ID + " resume"}, temporal.sent)
}

func TestBulkSend_PauseResumeCancel(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(5)})
	got := b.uploaded(key, `{"subject":"x","text":"x"}`, `{"to":"a@example.com"}`, `{"to":"b@example.com"}`)
	at := bulkPath + "/" + got.ID
	b.ask(http.MethodPost, at+"/resume", key, nil).problem(http.StatusConflict, "bulk_send_not_paused")
	require.Equal(t, "paused", must[apiserver.BulkSend](b, http.StatusOK, http.MethodPost, at+"/pause", key, nil).Status)
	b.ask(http.MethodPost, at+"/pause", key, nil).problem(http.StatusConflict, "bulk_send_not_running")
	require.Equal(t, "running", must[apiserver.BulkSend](b, http.StatusOK, http.MethodPost, at+"/resume", key, nil).Status)
	cancelled := must[apiserver.BulkSend](b, http.StatusOK, http.MethodPost, at+"/cancel", key, nil)
	require.Equal(t, "cancelled", cancelled.Status)
	require.Equal(t, apiserver.BulkProgress{Cancelled: 2}, cancelled.Progress)
	require.NotNil(t, cancelled.FinishedAt)
	b.ask(http.MethodPost, at+"/cancel", key, nil).problem(http.StatusConflict, "nothing_to_cancel")
	require.Zero(t, must[apiserver.Usage](b, http.StatusOK, http.MethodGet, v1+"/usage", key, nil).Used, "it is given back")
	for _, path := range []string{"", "/errors"} {
		for _, bulkID := range []string{id.BulkSend.NewString(), "msg_1"} {
			b.ask(http.MethodGet, bulkPath+"/"+bulkID+path, key, nil).problem(http.StatusNotFound, "bulk_send_not_found")
		}
	}
}

// streamed uploads what feed writes, over a real connection; headers are pairs of a name and a value.
func (b *bundle) streamed(key string, feed func(w io.Writer) error, headers ...string) (*http.Response, error) {
	b.t.Helper()
	server := httptest.NewServer(b)
	b.t.Cleanup(server.Close)
	r, w := io.Pipe()
	go func() { w.CloseWithError(feed(w)) }()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, server.URL+bulkPath, r)
	require.NoError(b.t, err)
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return http.DefaultClient.Do(request)
}

func feedLines(w io.Writer, n int, each func(int)) error {
	buffered := bufio.NewWriterSize(w, 64<<10)
	if _, err := fmt.Fprintln(buffered, news); err != nil {
		return err
	}
	for i := range n {
		if _, err := fmt.Fprintf(buffered, `{"to":"Recipient %d <r%d@example.com>","variables":{"name":"Recipient %d","code":"C-%d"}}`+"\n", i, i, i, i); err != nil {
			return err
		}
		each(i)
	}
	return buffered.Flush()
}

// However long an upload is, it is never kept in memory: what lives of the heap grows by a
// few chunks, also when it is repeated with its idempotency key, and compared. Not parallel,
// since the heap is everybody's.
func TestCreateBulkSend_BoundedMemory(t *testing.T) { //nolint:paralleltest // see above
	b, key := newAcme(t, tenant.Settings{})
	const lines = 100_000
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var most atomic.Uint64
	upload := func() answer {
		response, err := b.streamed(key, func(w io.Writer) error {
			return feedLines(w, lines, func(i int) {
				if i%20_000 == 19_999 {
					var now runtime.MemStats
					runtime.GC()
					runtime.ReadMemStats(&now)
					most.Store(max(most.Load(), now.HeapAlloc))
				}
			})
		}, "Idempotency-Key", "large")
		return answered(t, response, err)
	}
	start := time.Now()
	first := upload()
	t.Logf("%.0f lines/s, heap %d kB over %d kB", lines/time.Since(start).Seconds(), most.Load()>>10, before.HeapAlloc>>10)
	require.Equal(t, http.StatusAccepted, first.Status, first.Body)
	require.Equal(t, lines, read[apiserver.BulkAccepted](first).Accepted)
	upload().replays(first)
	require.Less(t, most.Load(), before.HeapAlloc+24<<20, "of an upload of about 10 MB")
}

// An upload that is cut off is taken back, with what it had reserved.
func TestCreateBulkSend_CutOff(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{DailyLimit: ptr(10_000)})
	response, err := b.streamed(key, func(w io.Writer) error {
		if err := feedLines(w, 3000, func(int) {}); err != nil {
			return err
		}
		require.Eventually(t, func() bool {
			items := must[page[apiserver.BulkSend]](b, http.StatusOK, http.MethodGet, bulkPath, key, nil).Items
			return len(items) == 1 && items[0].Status == "uploading" && items[0].Accepted > 0 && items[0].Workflow == nil
		}, 20*time.Second, 10*time.Millisecond)
		return io.ErrUnexpectedEOF
	})
	if response != nil {
		require.NoError(t, response.Body.Close())
	}
	require.Error(t, err)
	require.Eventually(t, func() bool {
		items := must[page[apiserver.BulkSend]](b, http.StatusOK, http.MethodGet, bulkPath, key, nil).Items
		return items[0].Status == "cancelled" && items[0].Progress.Cancelled == items[0].Accepted
	}, 20*time.Second, 10*time.Millisecond)
	require.Zero(t, must[apiserver.Usage](b, http.StatusOK, http.MethodGet, v1+"/usage", key, nil).Used)
}

// answered reads the answer that came over a connection.
func answered(t *testing.T, response *http.Response, err error) answer {
	t.Helper()
	require.NoError(t, err)
	defer response.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{t: t, Status: response.StatusCode, Header: response.Header, Body: string(text)}
}

// Who cancels an upload that is under way stops it.
func TestCreateBulkSend_CancelledMeanwhile(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	response, err := b.streamed(key, func(w io.Writer) error {
		if err := feedLines(w, 1000, func(int) {}); err != nil {
			return err
		}
		var items []apiserver.BulkSend
		require.Eventually(t, func() bool {
			items = must[page[apiserver.BulkSend]](b, http.StatusOK, http.MethodGet, bulkPath, key, nil).Items
			return len(items) == 1 && items[0].Accepted > 0
		}, 20*time.Second, 10*time.Millisecond)
		require.Equal(t, http.StatusOK, b.ask(http.MethodPost, bulkPath+"/"+items[0].ID+"/cancel", key, nil).Status)
		return nil
	})
	answered(t, response, err).problem(http.StatusConflict, "bulk_send_cancelled")
}
