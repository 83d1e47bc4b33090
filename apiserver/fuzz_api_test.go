package apiserver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/tenant"
)

// fuzzer sends made-up requests to a real server with a real database.
type fuzzer struct {
	*bundle
	*inventor
	url    string
	client *http.Client
	tenant string         // key
	codes  map[string]int // statuses of the documented codes
	counts map[int]int    // answers by status
}

// request is one that was made up.
type invented struct {
	op          operation
	path, query string
	header      http.Header
	body        []byte
	oddPath     bool // it may lead to another operation, or to none
}

func newFuzzer(t *testing.T, seed uint64) *fuzzer {
	t.Helper()
	f := &fuzzer{bundle: newBundleOn(t, &fakeTemporal{run: func(client.StartWorkflowOptions) error { return nil }})}
	f.inventor = &inventor{Rand: rand.New(rand.NewPCG(seed, 1)), doc: readDocument(t), known: map[string][]string{}}
	f.tenant = f.bundle.tenant("fuzzed", tenant.Settings{FromEmail: "noreply@acme.com"})
	server := httptest.NewServer(f.Server)
	t.Cleanup(server.Close)
	f.url, f.client = server.URL, server.Client()
	f.client.Timeout = time.Minute // nothing hangs
	f.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	f.codes, f.counts = documentedCodes(t), map[int]int{}
	return f
}

var codeRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (\\d{3}) \\|")

// documentedCodes are the codes of docs/errors.md with their statuses.
func documentedCodes(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile("../docs/errors.md")
	require.NoError(t, err)
	codes := map[string]int{}
	for _, row := range codeRow.FindAllStringSubmatch(string(text), -1) {
		codes[row[1]], err = strconv.Atoi(row[2])
		require.NoError(t, err)
	}
	require.Greater(t, len(codes), 30)
	return codes
}

// invent makes up a request to an operation.
func (f *fuzzer) invent(op operation) *invented {
	r := &invented{op: op, header: http.Header{}}
	f.strange = oneOf(f.inventor, 0, 0, 3, 10, 30)
	r.path = pathParameter.ReplaceAllStringFunc(op.path, func(string) string { return f.pathValue(r) })
	r.query = f.query(op)
	f.headers(r)
	if op.RequestBody == nil && !f.chance(5) {
		return r
	}
	r.body = f.body(op)
	r.header.Set("Content-Type", op.mediaType())
	if f.chance(5) {
		r.header.Set("Content-Type", oneOf(f.inventor, "", "text/plain", "application/json; charset=utf-16", "application/cbor", "multipart/form-data", "a/b;c", "\xff"))
	}
	if f.chance(2) {
		r.header.Set("Content-Encoding", "gzip")
	}
	return r
}

// pathValue is an id or name that there is, that there could be, or that is none.
func (f *fuzzer) pathValue(r *invented) string {
	base, _, _ := strings.Cut(r.op.path, "/{")
	if known := f.known[base]; len(known) > 0 && f.chance(75) {
		return url.PathEscape(oneOf(f.inventor, known...))
	}
	r.oddPath = true
	return oneOf(f.inventor, id.Email.NewString(), id.BulkSend.NewString(), id.APIKey.NewString(), id.Deletion.NewString(), "nobody", "acme-corp",
		"batch", "a%2Fb", "..", "%2e%2e", "%00", "%ff", "a%00b", "*", url.PathEscape(oneOf(f.inventor, oddTexts...)), url.PathEscape(f.long()))
}

func (f *fuzzer) query(op operation) string {
	var parts []string
	for _, p := range op.Parameters {
		if p.In == "query" && f.chance(40) {
			text := strings.Trim(fmt.Sprint(f.value(p.Name, p.Schema, 3)), "[]")
			if p.Schema["type"] == "array" {
				text = strings.ReplaceAll(text, " ", ",")
			}
			for range oneOf(f.inventor, 1, 1, 1, 2) {
				parts = append(parts, p.Name+"="+url.QueryEscape(text[:min(len(text), 3000)]))
			}
		}
	}
	if f.chance(5) {
		parts = append(parts, oneOf(f.inventor, "unknown=1", "%zz=1", "limit", "limit=", "=", "after=%00", "a;b", "limit=1;after=2", "after=////"))
	}
	return strings.Join(parts, "&")
}

func (f *fuzzer) headers(r *invented) {
	key := f.operator
	if r.op.ofTenants() && f.chance(80) {
		key = f.tenant
	}
	if key == f.operator && r.op.ofTenants() && f.chance(90) {
		r.header.Set("X-Tenant-ID", "fuzzed")
	}
	r.header.Set("Authorization", "Bearer "+key)
	if f.chance(4) {
		r.header.Set("Authorization", oneOf(f.inventor, "", "Bearer", "Bearer ", "Basic x", "Bearer \xff", "bearer "+key, "Bearer  "+key, "Bearer "+f.tenant, strings.Repeat("y", 200)))
	}
	for _, name := range slices.Sorted(maps.Keys(oddHeaders)) {
		if f.chance(8) {
			r.header.Set(name, oneOf(f.inventor, oddHeaders[name]...))
		}
	}
}

// oddHeaders are values of headers that mean something to the server.
var oddHeaders = map[string][]string{ //nolint:gochecknoglobals // a table
	"X-Tenant-ID": {"", "nobody", "\xff", "fuzzed"}, "Idempotency-Key": {"", "a", "b", "c", "\xff", strings.Repeat("k", 300)},
	"X-Request-Id": {"", "mine", "\xff", strings.Repeat("r", 200)}, "If-Match": {"*", `"x"`, `"`, ",,,", "\xff"},
	"If-None-Match": {"*", `"x"`, "W/", ",,,"}, "Accept": {"*/*", "application/xml", "a/b;q=2", "", "\xff"}, "Range": {"bytes=0-0"},
	"Traceparent": {"00-0-0-0", "\xff"},
}

func (f *fuzzer) body(op operation) []byte {
	if op.RequestBody == nil {
		return []byte(oneOf(f.inventor, oddJSON...))
	}
	of := op.RequestBody.Content[op.mediaType()].Schema
	kinds := []any{map[string]any(of)}
	if op.mediaType() == "application/x-ndjson" { // the first line is another than the rest
		kinds, _ = of["oneOf"].([]any)
		for range f.IntN(4) {
			kinds = append(kinds, kinds[len(kinds)-1])
		}
	}
	var lines [][]byte
	for _, kind := range kinds {
		one, _ := kind.(map[string]any)
		line, err := json.Marshal(f.value("", one, 0))
		if err != nil { // Go does not write what is no JSON
			line = []byte(oneOf(f.inventor, oddJSON...))
		}
		lines = append(lines, line)
	}
	body := bytes.Join(lines, []byte("\n"))
	for f.chance(12) {
		body = f.mangled(body)
	}
	return body
}

// send sends a request and requires what holds for every answer.
func (f *fuzzer) send(r *invented) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), r.op.method, f.url+r.path, bytes.NewReader(r.body))
	if err != nil {
		return // Go's client does not send such a path
	}
	request.URL.RawQuery, request.Header = r.query, r.header
	said := func() string {
		return strings.Join([]string{
			r.op.OperationID, r.op.method, shorten(r.path), shorten(r.query), shorten(strings.ReplaceAll(strings.Join(headerLines(r.header), " | "), f.tenant, "KEY")),
			shorten(strconv.Quote(string(r.body))),
		}, "\n  ")
	}
	response, err := f.client.Do(request)
	require.NoError(f.t, err, said())
	defer response.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(response.Body)
	require.NoError(f.t, err, said())
	a := answer{t: f.t, Status: response.StatusCode, Header: response.Header, Body: string(text)}
	f.counts[a.Status]++
	require.Less(f.t, a.Status, 500, "%s\n%s\n%s", said(), a.Body, f.log.String())
	require.NotEmpty(f.t, a.Header.Get("X-Request-Id"), said())
	if a.Status >= 400 {
		f.checkProblem(a, said())
	}
	if _, ok := r.op.Responses[strconv.Itoa(a.Status)]; !ok && r.oddPath && (a.Status == 404 || a.Status == 405) {
		return
	}
	require.NoError(f.t, f.doc.mismatch(r.op, a), "%s\n%d %s", said(), a.Status, a.Body)
	f.remember(r.op, a)
}

func (f *fuzzer) checkProblem(a answer, said string) {
	f.t.Helper()
	var p apiserver.Problem
	require.NoError(f.t, json.Unmarshal([]byte(a.Body), &p), "%s\n%s", said, a.Body)
	require.Equal(f.t, f.codes[p.Code], a.Status, "%s\n%s: is the code documented?", said, a.Body)
	require.Equal(f.t, a.Status, p.Status, said)
	require.NotEmpty(f.t, p.Detail, said)
	for _, field := range p.Errors {
		require.NotEmpty(f.t, field.Message, "%s\n%s", said, a.Body)
		require.NotContains(f.t, field.Message, "match exactly one schema", "%s\n%s", said, a.Body)
	}
}

// remember keeps the ids of what was made, to be used.
func (f *fuzzer) remember(op operation, a answer) {
	if a.Status != http.StatusCreated && a.Status != http.StatusAccepted {
		return
	}
	var made map[string]any
	if json.Unmarshal([]byte(a.Body), &made) != nil {
		return
	}
	base, _, _ := strings.Cut(op.path, "/{")
	if op.OperationID == "delete-tenant" {
		base = v1 + "/tenant-deletions"
	}
	for _, name := range []string{"id", "name"} {
		if value, ok := made[name].(string); ok && (name == "id") != strings.Contains(op.path, "/templates") && value != "fuzzed" {
			f.known[base] = append(f.known[base], value)
		}
	}
}

func headerLines(h http.Header) (lines []string) {
	for name := range h {
		lines = append(lines, name+": "+strconv.Quote(h.Get(name)))
	}
	return lines
}

func shorten(s string) string {
	if len(s) > 1500 {
		return s[:1000] + "…" + s[len(s)-400:]
	}
	return s
}

// number is a setting of a long run.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// Whatever is sent to whichever operation, the answer comes, is the one that the document describes, and is no fault of ours.
// `./task fuzz:api` sends more, from another seed.
func TestFuzz_EveryOperation(t *testing.T) {
	t.Parallel()
	seed := number(t, "MAILTURA_FUZZ_SEED", 1)
	f := newFuzzer(t, uint64(seed))
	for round := range number(t, "MAILTURA_FUZZ_ROUNDS", 50) {
		for _, op := range operations(t) {
			if op.OperationID == "stream-events" { // has no end
				continue
			}
			f.send(f.invent(op))
		}
		require.NotEmpty(t, f.known, "round %d of seed %d", round, seed)
	}
	t.Logf("seed %d: answers by status: %v", seed, f.counts)
	for _, status := range []int{200, 201, 202, 400, 401, 404, 409, 422} {
		require.NotZero(t, f.counts[status], "it reaches nothing with a %d", status)
	}
}
