package apiserver_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
	"github.com/mailtura/mailtura/internal/tenant"
)

// requirePlain requires words that one who does not know Go understands.
func requirePlain(t *testing.T, a answer) {
	t.Helper()
	for _, word := range []string{"json:", "unmarshal", "Go ", "struct", "literal", "looking for", "base64 data", "schema"} {
		require.NotContains(t, a.Body, word)
	}
}

// texts are the places, codes and texts of a problem's errors.
func (a answer) texts(status int, code string) []string {
	a.t.Helper()
	var texts []string
	for _, field := range a.problem(status, code).Errors {
		texts = append(texts, field.Location+" "+field.Code+" "+field.Message)
	}
	return texts
}

// A body that is not JSON is answered with where it is broken.
func TestBody_Broken(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for body, want := range map[string]string{
		`{"to": `:                     "the JSON ends at byte 7, in the middle of a value",
		`{"to": "a`:                   "the JSON ends at byte 9, in the middle of a value",
		` `:                           "the JSON ends at byte 1, in the middle of a value",
		`{"to": }`:                    "the JSON is broken at line 1, column 8 (byte 7): '}' can not be there",
		"{\n  \"to\": \"a\",\n  x\n}": "the JSON is broken at line 3, column 3 (byte 17): 'x' can not be there",
		`{"ü": ü}`:                    "the JSON is broken at line 1, column 7 (byte 7): 'ü' can not be there",
		`{'to': 1}`:                   "the JSON is broken at line 1, column 2 (byte 1): '\\'' can not be there",
		`{}{}`:                        "the JSON is broken at line 1, column 3 (byte 2): '{' can not be there",
		`{"to":"a",}`:                 "the JSON is broken at line 1, column 11 (byte 10): '}' can not be there",
		`{"to":"a` + "\n" + `"}`:      "the JSON is broken at line 1, column 9 (byte 8): '\\n' can not be there",
		`{"to":"\x"}`:                 "the JSON is broken at line 1, column 9 (byte 8): 'x' can not be there",
		`{"to":tru}`:                  "the JSON is broken at line 1, column 10 (byte 9): '}' can not be there",
		`to=a`:                        "the JSON is broken at line 1, column 2 (byte 1): 'o' can not be there",
		`{"metadata":{"a":1e400}}`:    "the number 1e400 (byte 17) does not fit here",
	} {
		a := b.ask(http.MethodPost, emailsPath, key, body)
		require.Equal(t, []string{"body malformed_json " + want}, a.texts(http.StatusBadRequest, "malformed_request"), body)
		require.Equal(t, "The body can not be read: "+want+".", a.problem(http.StatusBadRequest, "malformed_request").Detail)
		requirePlain(t, a)
	}
	a := b.ask(http.MethodPost, emailsPath, key, "")
	require.Equal(t, "Request body is required.", a.problem(http.StatusBadRequest, "malformed_request").Detail)
}

// A value that is not of the type that the reference gives is named by its path.
func TestBody_WrongTypes(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for _, c := range []struct{ path, by, body, want string }{
		{emailsPath, key, `[]`, "body invalid_value"},
		{emailsPath, key, `"x"`, "body invalid_value"},
		{emailsPath, key, `{"to":5,"subject":"x","text":"x"}`, "body.to invalid_value"},
		{emailsPath, key, `{"to":null,"subject":"x","text":"x"}`, "body.to invalid_value"},
		{emailsPath, key, `{"to":["a@example.com",5],"subject":"x","text":"x"}`, "body.to[1] invalid_value"},
		{emailsPath, key, `{"to":[],"subject":"x","text":"x"}`, "body.to bad_length"},
		{emailsPath, key, `{"to":["` + strings.Repeat(`a@example.com","`, 50) + `b@example.com"],"subject":"x","text":"x"}`, "body.to bad_length"},
		{emailsPath, key, `{"to":"a@example.com","subject":1,"text":"x"}`, "body.subject invalid_value"},
		{emailsPath, key, `{"to":"a@example.com","subject":"x","text":{}}`, "body.text invalid_value"},
		{emailsPath, key, `{"to":"a@example.com","subject":"x","text":"x","tags":["a",1]}`, "body.tags[1] invalid_value"},
		{emailsPath, key, `{"to":"a@example.com","subject":"x","text":"x","metadata":[]}`, "body.metadata invalid_value"},
		{emailsPath, key, `{"to":"a@example.com","subject":"x","text":"x","scheduledAt":"tomorrow"}`, "body.scheduledAt invalid_value"},
		{
			emailsPath, key, `{"to":"a@example.com","subject":"x","text":"x","attachments":[{"filename":"a","content":"?"}]}`,
			"body.attachments[0].content invalid_value",
		},
		{tenantsPath, b.operator, `{"name":"x","domain":"a.example","settings":{"dailyLimit":1.5}}`, "body.settings.dailyLimit invalid_value"},
		{tenantsPath, b.operator, `{"name":"x","domain":"a.example","settings":{"dailyLimit":1e30}}`, "body.settings.dailyLimit out_of_range"},
		{tenantsPath, b.operator, `{"name":"x","domain":"a.example","settings":{"dailyLimit":1.0}}`, "body.settings.dailyLimit invalid_value"},
		{tenantsPath, b.operator, `{"name":"x","domain":"a.example","settings":[]}`, "body.settings invalid_value"},
		{templatesPath, key, `{"name":"x","text":"x","variables":"x"}`, "body.variables invalid_value"},
	} {
		a := b.ask(http.MethodPost, c.path, c.by, c.body)
		require.Equal(t, []string{c.want}, a.fields(http.StatusUnprocessableEntity, "validation_failed"), "%s: %s", c.body, a.Body)
		requirePlain(t, a)
	}
}

func TestAPIKeys_NameThatNobodySees(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	for path, by := range map[string]string{v1 + "/api-keys": key, v1 + "/operator-keys": b.operator} {
		for _, name := range []string{" ", "\t\n", "\u00a0\u2003"} {
			require.Equal(t, []string{"body.name invalid_name"},
				b.ask(http.MethodPost, path, by, apiserver.CreateAPIKey{Name: name}).fields(http.StatusUnprocessableEntity, "validation_failed"))
		}
		require.Len(t, must[page[apiserver.APIKey]](b, http.StatusOK, http.MethodGet, path, by, nil).Items, 1, "none was made")
	}
}

// A 500 is found in the log under its request id, once, with its cause.
func TestProblem_InternalIsLoggedOnce(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	b.exec(`ALTER TABLE templates RENAME TO gone`)
	b.Intake = nil
	for requestID, c := range map[string]struct{ method, path, body, cause string }{
		"unknown-error": {http.MethodGet, templatesPath, "", "relation"},
		"panic":         {http.MethodPost, emailsPath, `{"to":"a@example.com","subject":"Hi","text":"Hi"}`, "nil pointer"},
	} {
		b.ask(c.method, c.path, key, c.body, "X-Request-Id", requestID).problem(http.StatusInternalServerError, "internal")
		requireLoggedOnce(t, b, requestID, c.cause)
	}
	r := b.request(http.MethodPost, emailsPath, key, brokenBody{errCable}) // huma reads it, and finds the error
	r.Header.Set("X-Request-Id", "broken-body")
	b.send(r).problem(http.StatusInternalServerError, "internal")
	requireLoggedOnce(t, b, "broken-body", "the cable was cut")
}

// A client that goes away amid its body is no fault of ours.
func TestBody_CutOff(t *testing.T) {
	t.Parallel()
	b, key := newAcme(t, tenant.Settings{})
	a := b.send(b.request(http.MethodPost, emailsPath, key, brokenBody{io.ErrUnexpectedEOF}))
	require.Equal(t, "The body ended before its end.", a.problem(http.StatusBadRequest, "malformed_request").Detail)
	require.NotContains(t, b.log.String(), "ERROR")
}

func requireLoggedOnce(t *testing.T, b *bundle, requestID, cause string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(b.log.String()) {
		if strings.Contains(line, `"`+requestID+`"`) {
			lines = append(lines, line)
		}
	}
	require.Len(t, lines, 1, requestID)
	require.Contains(t, lines[0], `"level":"ERROR"`)
	require.Contains(t, lines[0], cause)
}

var errCable = errors.New("the cable was cut")

type brokenBody struct{ err error }

func (b brokenBody) Read([]byte) (int, error) { return 0, b.err }
