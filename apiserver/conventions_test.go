package apiserver_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

// successful is the answer of an operation when it succeeds, with its status.
func (op operation) successful() (status string, c content) {
	for status, c := range op.Responses {
		if status < "300" {
			return status, c
		}
	}
	return "", content{}
}

// members are the properties of what an operation answers when it succeeds.
func (op operation) members(d *document) map[string]schema {
	_, c := op.successful()
	properties, _ := d.object(d.resolve(c.Content["application/json"].Schema))
	return properties
}

// isResource reports whether the path is that of one resource.
func (op operation) isResource() bool { return strings.HasSuffix(op.path, "}") }

func (op operation) creates() bool {
	status, _ := op.successful()
	return op.method == http.MethodPost && (status == "201" || (status == "202" && !strings.Contains(op.path, "{")))
}

// What the API promises of all operations, the document says of each of them.
func TestConventions_OfTheDocument(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	kinds := map[string]int{}
	for _, op := range operations(t) {
		_, answer := op.successful()
		kind := "other"
		switch _, list := op.members(d)["items"]; {
		case list && op.OperationID != "get-metrics": // those are of a time
			kind = "list"
			require.True(t, op.has("query", "limit") && op.has("query", "after"), "%s is a list without limit and after", op.OperationID)
			require.Contains(t, op.members(d), "nextCursor", op.OperationID)
			require.True(t, strings.HasPrefix(op.OperationID, "list-"), op.OperationID)
		case op.method == http.MethodGet && op.isResource():
			kind = "resource"
			require.Contains(t, answer.Headers, "ETag", op.OperationID)
			require.True(t, op.has("header", "If-None-Match"), op.OperationID)
			require.Contains(t, op.Responses, "304", op.OperationID)
		case slices.Contains([]string{http.MethodPatch, http.MethodPut, http.MethodDelete}, op.method):
			kind = "change"
			require.True(t, op.has("header", "If-Match"), op.OperationID)
			require.Contains(t, op.Responses, "412", op.OperationID)
		case op.creates():
			kind = "creation"
			require.True(t, op.has("header", "Idempotency-Key"), op.OperationID)
			require.Contains(t, op.Responses, "409", op.OperationID)
		}
		kinds[kind]++
		if op.Security[0]["key"][0] == "emails:send" && op.creates() {
			require.Contains(t, answer.Headers, "RateLimit", op.OperationID)
			require.Contains(t, answer.Headers, "RateLimit-Policy", op.OperationID)
		}
		for status, c := range op.Responses {
			if status >= "400" {
				require.Len(t, c.Content, 1, "%s %s", op.OperationID, status)
				require.Equal(t, "#/components/schemas/Problem", c.Content["application/problem+json"].Schema["$ref"], "%s %s", op.OperationID, status)
			}
		}
		for _, status := range []string{"401", "403", "422", "500", "503"} {
			require.Contains(t, op.Responses, status, op.OperationID)
		}
	}
	for _, kind := range []string{"list", "resource", "change", "creation", "other"} {
		require.Greater(t, kinds[kind], 3, kind)
	}
}

// own is a bundle whose tenant has one of everything, and what that is by the path under which it is.
func own(t *testing.T) (*bundle, string, *belongings) {
	t.Helper()
	b, key := newAcme(t, tenant.Settings{})
	b.tenant("leaving", tenant.Settings{})
	b.tenant("staying", tenant.Settings{})
	deletion := must[apiserver.TenantDeletion](b, http.StatusAccepted, http.MethodDelete, tenantsPath+"/leaving", b.operator, nil)
	return b, key, &belongings{b, key, map[string]property{
		v1 + "/tenants":          {theirs: "staying"},
		v1 + "/tenant-deletions": {theirs: deletion.ID},
		v1 + "/emails":           {theirs: b.post(key, at("x", in(1), none)).ID},
		bulkPath:                 {theirs: b.uploaded(key, `{"subject":"x","text":"x"}`, `{"to":"a@example.com"}`).ID},
	}}
}

// call asks an operation for something, as somebody who may.
func (b *bundle) call(op operation, key, value string, body any, headers ...string) answer {
	b.t.Helper()
	if !op.ofTenants() || op.acting() {
		key, headers = b.operator, append(headers, "X-Tenant-ID", acme)
	}
	if body != nil {
		headers = append(headers, "Content-Type", op.mediaType())
	}
	return b.ask(op.method, op.at(url.PathEscape(value)), key, body, headers...)
}

// Each resource has a tag, which spares its reader what it knows, and keeps a change from what it was not meant for.
func TestConventions_TagsAreHeeded(t *testing.T) {
	t.Parallel()
	all := operations(t)
	for _, op := range all {
		if op.method != http.MethodGet || !op.isResource() {
			continue
		}
		b, key, things := own(t)
		value := things.of(op, all).theirs
		first := b.call(op, key, value, nil)
		readDocument(t).check(t, op, first)
		require.Equal(t, http.StatusOK, first.Status, "%s: %s", op.OperationID, first.Body)
		again := b.call(op, key, value, nil, "If-None-Match", first.tag())
		readDocument(t).check(t, op, again)
		require.Equal(t, http.StatusNotModified, again.Status, op.OperationID)
		for _, change := range all {
			if change.path == op.path && change.method != http.MethodGet {
				requireConditional(t, op, change)
			}
		}
	}
}

// requireConditional requires that a change happens only to what has the tag that it names.
func requireConditional(t *testing.T, read, change operation) {
	t.Helper()
	b, key, things := own(t)
	all := operations(t)
	value := things.of(read, all).theirs
	before := b.call(read, key, value, nil)
	refused := b.call(change, key, value, change.body(t), "If-Match", `"of another time"`)
	refused.problem(http.StatusPreconditionFailed, "precondition_failed")
	readDocument(t).check(t, change, refused)
	require.Equal(t, before.tag(), b.call(read, key, value, nil).tag(), "%s has changed it", change.OperationID)
	done := b.call(change, key, value, change.body(t), "If-Match", before.tag())
	require.Less(t, done.Status, 300, "%s: %s", change.OperationID, done.Body)
	readDocument(t).check(t, change, done)
}

// A creation and the answer that its key is given again are one: when the answer can not be kept, nothing is created,
// and the same request creates when it is made again.
func TestConventions_CreationsAreKeptWithTheirAnswer(t *testing.T) {
	t.Parallel()
	all := operations(t)
	for _, op := range all {
		if !op.has("header", "Idempotency-Key") {
			continue
		}
		b, key, things := own(t)
		value := things.of(op, all).theirs
		before := b.rows()
		b.exec(`ALTER TABLE idempotency_keys ADD CONSTRAINT nothing_is_kept CHECK (false) NOT VALID`)
		failed := b.call(op, key, value, op.body(t), "Idempotency-Key", "k")
		failed.problem(http.StatusInternalServerError, "internal")
		require.Equal(t, before, b.rows(), "%s has created without its answer", op.OperationID)
		b.exec(`ALTER TABLE idempotency_keys DROP CONSTRAINT nothing_is_kept`)
		first := b.call(op, key, value, op.body(t), "Idempotency-Key", "k")
		require.Less(t, first.Status, 300, "%s: %s", op.OperationID, first.Body)
		if op.OperationID != "replay-webhook" { // nothing has happened yet that it could be called for
			require.NotEqual(t, before, b.rows(), op.OperationID)
		}
		b.call(op, key, value, op.body(t), "Idempotency-Key", "k").replays(first)
	}
}

// rows are how many rows there are of everything that a request creates.
func (b *bundle) rows() []string {
	b.t.Helper()
	return b.values(`SELECT concat_ws(' ', (SELECT count(*) FROM tenants), (SELECT count(*) FROM api_keys),
		(SELECT count(*) FROM api_keys WHERE replaced_by IS NOT NULL), (SELECT count(*) FROM templates), (SELECT count(*) FROM template_versions),
		(SELECT count(*) FROM emails), (SELECT count(*) FROM recipients), (SELECT count(*) FROM bulk_sends WHERE status <> 'cancelled'),
		(SELECT count(*) FROM webhooks), (SELECT count(*) FROM webhooks WHERE old_secret IS NOT NULL), (SELECT count(*) FROM webhook_retries),
		(SELECT count(*) FROM domains), (SELECT count(*) FROM domain_keys), (SELECT count(*) FROM domain_keys WHERE generation > 1))`)
}
