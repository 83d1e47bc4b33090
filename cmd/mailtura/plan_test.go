package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/plan"
)

const operatorKey = "mt_op_abcdefgh_verysecret"

// fakeAPI has tenants, a page of two at a time, and keeps what it is asked to change.
type fakeAPI struct {
	*httptest.Server
	tenants []string // as JSON
	refuse  string   // a method that gets a problem

	meanwhile bool // what is got alone is not as it is in the list

	mu      sync.Mutex
	changes []string
	bodies  []map[string]any
}

func newAPI(t *testing.T, tenants ...string) *fakeAPI {
	t.Helper()
	a := &fakeAPI{tenants: tenants}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Authorization") != "Bearer "+operatorKey {
		a.problem(w, http.StatusUnauthorized, `{"code": "unauthorized", "detail": "The key is not known."}`)
		return
	}
	if r.Method == http.MethodGet {
		a.get(w, r)
		return
	}
	if r.Method != http.MethodPost && r.Header.Get("If-Match") != `"tag"` {
		a.problem(w, http.StatusPreconditionRequired, `{"code": "no_precondition", "detail": "A change holds for what it was planned for."}`)
		return
	}
	if r.Method == a.refuse {
		a.problem(w, http.StatusUnprocessableEntity, `{"code": "invalid_request", "detail": "The request is not acceptable.",
			"errors": [{"location": "body.settings.fromEmail", "message": "is not on the domain"}]}`)
		return
	}
	var body map[string]any
	raw, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(raw, &body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes = append(a.changes, r.Method+" "+r.URL.Path)
	a.bodies = append(a.bodies, body)
	w.WriteHeader(map[string]int{http.MethodPost: 201, http.MethodPatch: 200, http.MethodDelete: 202}[r.Method])
	_, _ = io.WriteString(w, "{}")
}

func (a *fakeAPI) problem(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func (a *fakeAPI) get(w http.ResponseWriter, r *http.Request) {
	_, id, single := strings.Cut(r.URL.Path, "/tenants/")
	if !single {
		a.list(w, r)
		return
	}
	for _, t := range a.tenants {
		if strings.Contains(t, fmt.Sprintf(`{"id": %q`, id)) {
			w.Header().Set("ETag", `"tag"`)
			if a.meanwhile {
				t = doc(id, `"dailyLimit": 6`)
			}
			_, _ = io.WriteString(w, t)
		}
	}
}

func (a *fakeAPI) list(w http.ResponseWriter, r *http.Request) {
	from := 0
	_, _ = fmt.Sscan(r.URL.Query().Get("after"), &from)
	to := min(from+2, len(a.tenants))
	items := []json.RawMessage{}
	for _, t := range a.tenants[from:to] {
		items = append(items, json.RawMessage(t))
	}
	answer := map[string]any{"items": items, "nextCursor": nil}
	if to < len(a.tenants) {
		answer["nextCursor"] = strconv.Itoa(to)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func doc(id, more string) string {
	return fmt.Sprintf(`{"id": %q, "name": %q, "domain": "%s.example", "status": "active", "settings": {%s}}`, id, id, id, more)
}

func yamlFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tenants.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// tool runs plan or apply against an API, and never shows the key.
func tool(t *testing.T, url string, args ...string) outcome {
	t.Helper()
	run := mailturaWith(t, []string{"MAILTURA_URL=" + url, "MAILTURA_OPERATOR_KEY=" + operatorKey}, args...)
	require.NotContains(t, run.stdout+run.stderr, "verysecret")
	return run
}

const wanted = `tenants:
  - {id: same, domain: same.example}
  - {id: other, domain: other.example, quotas: {dailyLimit: 10}}
  - {id: new, domain: new.example, fromEmail: hello@new.example}
`

func have() []string {
	return []string{doc("same", ""), doc("gone", ""), doc("going", ""), doc("other", `"dailyLimit": 5, "fromEmail": "a@other.example", "tracking": {"opens": true, "clicks": true, "domain": "t.example"}`)}
}

func TestPlan_ShowsTheDifference(t *testing.T) {
	t.Parallel()
	api := newAPI(t, have()...)
	run := tool(t, api.URL, "plan", "-f", yamlFile(t, wanted))
	require.Equal(t, outcome{code: 2, stdout: "~ tenant other: update\n    dailyLimit: 5 -> 10\n" +
		"    fromEmail: \"a@other.example\" -> null\n" +
		"    tracking: {\"clicks\":true,\"domain\":\"t.example\",\"opens\":true} -> {\"clicks\":false,\"opens\":false}\n+ tenant new: create\n"}, run)
	require.Empty(t, api.changes, "plan changes nothing")

	run = tool(t, api.URL, "plan", "--prune", "-f", yamlFile(t, wanted))
	require.Equal(t, 2, run.code)
	require.Contains(t, run.stdout, "- tenant going: delete\n- tenant gone: delete\n")
	require.Empty(t, api.changes)

	run = tool(t, api.URL, "plan", "-f", yamlFile(t, "tenants: [{id: same, domain: same.example}]"))
	require.Equal(t, outcome{stdout: "Nothing to change.\n"}, run, "tenants that the file does not have are not touched")
}

func TestApply_MakesTheChanges(t *testing.T) {
	t.Parallel()
	api := newAPI(t, have()...)
	run := tool(t, api.URL, "apply", "-f", yamlFile(t, wanted))
	require.Zero(t, run.code, run.stderr)
	require.Contains(t, run.stdout, "2 of 2 changes made.\n")
	require.Equal(t, []string{"PATCH /api/v1/tenants/other", "POST /api/v1/tenants"}, api.changes)
	require.Equal(t, "new", api.bodies[1]["id"])
	settings := api.bodies[0]["settings"].(map[string]any)
	require.EqualValues(t, 10, settings["dailyLimit"])
	value, there := settings["fromEmail"]
	require.True(t, there && value == nil, "a setting that the file does not have is taken back")
	require.Equal(t, map[string]any{"opens": false, "clicks": false, "domain": nil}, settings["tracking"])

	run = tool(t, api.URL, "apply", "--prune", "--yes", "-f", yamlFile(t, wanted))
	require.Zero(t, run.code, run.stderr)
	require.Equal(t, []string{"DELETE /api/v1/tenants/going", "DELETE /api/v1/tenants/gone"}, api.changes[4:])

	run = tool(t, api.URL, "apply", "-f", yamlFile(t, "tenants: []"))
	require.Equal(t, outcome{stdout: "0 of 0 changes made.\n"}, run)
}

func TestApply_StopsAtWhatIsRefused(t *testing.T) {
	t.Parallel()
	api := newAPI(t, have()...)
	api.refuse = http.MethodPost
	run := tool(t, api.URL, "apply", "--prune", "--yes", "-f", yamlFile(t, wanted))
	require.Equal(t, 1, run.code)
	require.Equal(t, "mailtura: create tenant new: invalid_request: The request is not acceptable.\n"+
		"  body.settings.fromEmail: is not on the domain\n1 of 4 changes made; once the cause is gone, apply makes the rest\n", run.stderr)
	require.Equal(t, []string{"PATCH /api/v1/tenants/other"}, api.changes)
	require.NotContains(t, run.stdout, "changes made")
}

// A script that prunes says that it means it. An empty file, above all, is rarely meant.
func TestApply_PruneNeedsYes(t *testing.T) {
	t.Parallel()
	api := newAPI(t, have()...)
	run := tool(t, api.URL, "apply", "--prune", "-f", yamlFile(t, wanted))
	require.Equal(t, outcome{code: 1, stderr: "mailtura: --prune would delete 2 of 4 tenants with all their mail: going, gone; " +
		"nothing was changed, say --yes to do it\n"}, run)
	run = tool(t, api.URL, "apply", "--prune", "-f", yamlFile(t, "tenants: []"))
	require.Equal(t, 1, run.code)
	require.Contains(t, run.stderr, "4 of 4 tenants with all their mail: going, gone, other, same (every tenant there is)")
	require.Empty(t, api.changes, "also not what --prune is not about")

	run = tool(t, api.URL, "apply", "--prune", "--yes", "-f", yamlFile(t, "tenants: []"))
	require.Zero(t, run.code, run.stderr)
	require.Len(t, api.changes, 4)
	same := yamlFile(t, "tenants: [{id: same, domain: same.example}]")
	require.Equal(t, outcome{stdout: "0 of 0 changes made.\n"}, tool(t, newAPI(t, doc("same", "")).URL, "apply", "--prune", "-f", same),
		"without a deletion there is nothing to ask")
}

func TestConfirmDeletions_Asks(t *testing.T) {
	t.Parallel()
	change := func(action plan.Action, kind plan.Kind, name string) plan.Change {
		return plan.Change{Action: action, Resource: plan.Resource{Kind: kind, TenantID: "a", Name: name}}
	}
	changes := []plan.Change{
		change(plan.Create, plan.KindTenant, ""), change(plan.Delete, plan.KindTenant, ""), change(plan.Delete, plan.KindAPIKey, "k"),
	}
	for answer, agreed := range map[string]bool{"yes\n": true, " yes \r\n": true, "yes": true, "": false, "\n": false, "y\n": false, "no\nyes\n": false} {
		var out strings.Builder
		err := confirmDeletions(changes, 3, strings.NewReader(answer), &out, true)
		require.Equal(t, "This deletes 1 of 3 tenants with all their mail: a; API key a/k. Type yes to go on: ", out.String())
		if agreed {
			require.NoError(t, err, answer)
		} else {
			require.EqualError(t, err, "nothing was changed", answer)
		}
	}
	require.NoError(t, confirmDeletions(changes[:1], 3, nil, nil, true), "nothing to ask")
}

// What changes again and again is not overwritten.
func TestApply_GivesUpWhenOthersChangeTheSame(t *testing.T) {
	t.Parallel()
	api := newAPI(t, have()...)
	api.meanwhile = true
	run := tool(t, api.URL, "apply", "-f", yamlFile(t, wanted))
	require.Equal(t, outcome{code: 1, stderr: "mailtura: update tenant other: it was changed meanwhile\n" +
		"0 of 2 changes made; once the cause is gone, apply makes the rest\n"}, run)
	require.Empty(t, api.changes)
}

func TestPlan_WaitsForADeletion(t *testing.T) {
	t.Parallel()
	api := newAPI(t, strings.Replace(doc("same", ""), "active", "deleting", 1))
	run := tool(t, api.URL, "plan", "-f", yamlFile(t, wanted))
	require.Equal(t, outcome{code: 1, stderr: "mailtura: tenant same is being deleted; when that has ended, it can be made anew\n"}, run)
}

func TestPlan_JSON(t *testing.T) {
	t.Parallel()
	api := newAPI(t, have()...)
	run := tool(t, api.URL, "plan", "--json", "-f", yamlFile(t, "tenants: [{id: same, domain: same.example, weight: 2}]"))
	require.Equal(t, 2, run.code)
	require.JSONEq(t, `{"changes": [{"action": "update", "kind": "tenant", "tenantId": "same", "fields": [{"name": "weight", "now": null, "new": 2}]}]}`, run.stdout)
	run = tool(t, api.URL, "plan", "--json", "-f", yamlFile(t, "tenants: [{id: same, domain: same.example}]"))
	require.Zero(t, run.code)
	require.JSONEq(t, `{"changes": []}`, run.stdout)
}

// Links do not lead out of the folder of the file.
func TestPlan_FilesStayInTheFolder(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("foreign"), 0o600))
	file := yamlFile(t, "tenants:\n  - id: a\n    domain: a.bc\n    templates: [{name: w, htmlFile: link}]\n")
	require.NoError(t, os.Symlink(outside, filepath.Join(filepath.Dir(file), "link")))
	run := tool(t, newAPI(t).URL, "plan", "-f", file)
	require.Equal(t, 1, run.code)
	require.Contains(t, run.stderr, "[4:37] templates[0].htmlFile: can not be read: path escapes from parent")
}

func TestSecretFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "key")
	for range 2 { // one that is there, and a key, is replaced
		key := apikey.New(apikey.Tenant).Text()
		file, err := newSecretFile(name)
		require.NoError(t, err)
		require.NoError(t, file.keep(key))
		file.close()
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, key+"\n", string(raw))
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}
	file, err := newSecretFile(name)
	require.NoError(t, err)
	file.close()
	entries, err := os.ReadDir(filepath.Dir(name))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left behind")

	require.NoError(t, os.WriteFile(name, []byte("precious"), 0o600))
	_, err = newSecretFile(name)
	require.ErrorContains(t, err, "is there already, and is not a key")
	_, err = newSecretFile(filepath.Join(t.TempDir(), "none", "key"))
	require.ErrorContains(t, err, "make secretFile")
}

func TestPlan_ErrorsCanBeUnderstood(t *testing.T) {
	t.Parallel()
	api := newAPI(t)
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<html>")
	}))
	t.Cleanup(odd.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	good := yamlFile(t, wanted)
	for name, c := range map[string]struct {
		url, file string
		want      []string
	}{
		"no YAML":           {api.URL, yamlFile(t, "tenants: ["), []string{"tenants.yaml: ", "[1:"}},
		"misspelt":          {api.URL, yamlFile(t, "tenants:\n  - {id: a1, domian: a.example}"), []string{"domian", "[2:"}},
		"not acceptable":    {api.URL, yamlFile(t, "tenants:\n  - {id: a1, domain: nodomain}"), []string{"[2:", "domain"}},
		"not the API":       {odd.URL, good, []string{"list tenants: the API answered 502 Bad Gateway"}},
		"nobody listens":    {closed.URL, good, []string{"list tenants: ", "connection refused"}},
		"no address at all": {"http://[", good, []string{"--url", "http://host"}},
		"no scheme":         {"127.0.0.1:8080", good, []string{"--url", "http://host"}},
	} {
		run := tool(t, c.url, "plan", "-f", c.file)
		require.Equal(t, 1, run.code, "%s: %s", name, run.stderr)
		for _, want := range c.want {
			require.Contains(t, run.stderr, want, name)
		}
	}
	run := mailturaWith(t, []string{"MAILTURA_URL=" + api.URL}, "plan", "-f", good, "--key", "mt_op_wrong_verysecret")
	require.Equal(t, outcome{code: 1, stderr: "mailtura: list tenants: unauthorized: The key is not known.\n"}, run)
	help := tool(t, api.URL, "plan", "--help")
	require.Contains(t, help.stdout, "MAILTURA_OPERATOR_KEY")
	require.Zero(t, help.code)
}
