package apiserver_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/apiserver"
)

func TestOpenAPI_IsTheCommittedOne(t *testing.T) {
	t.Parallel()
	committed, err := os.ReadFile("../openapi.yaml")
	require.NoError(t, err)
	doc, err := apiserver.New(apiserver.Config{}).OpenAPI()
	require.NoError(t, err)
	require.Equal(t, string(committed), string(doc), "./task gen brings openapi.yaml up to date")
}

func TestOpenAPI_IsServedWithoutKey(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	doc, err := b.OpenAPI()
	require.NoError(t, err)
	a := b.ask(http.MethodGet, "/openapi.yaml", "", nil)
	require.Equal(t, http.StatusOK, a.Status)
	require.Equal(t, "application/yaml", a.Header.Get("Content-Type"))
	require.Equal(t, string(doc), a.Body)

	a = b.ask(http.MethodGet, "/openapi.json", "", nil)
	require.Equal(t, http.StatusOK, a.Status)
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
	asJSON, err := yaml.YAMLToJSON(doc)
	require.NoError(t, err)
	require.JSONEq(t, string(asJSON), a.Body)
}

var anyURL = regexp.MustCompile(`(https?:)?//[a-z]`)

// The reference works in a network without internet and tells nobody who reads it.
func TestDocs_LoadNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	for path, contentType := range map[string]string{
		"/docs": "text/html; charset=utf-8", "/docs/start.js": "text/javascript; charset=utf-8",
	} {
		a := b.ask(http.MethodGet, path, "", nil)
		require.Equal(t, http.StatusOK, a.Status, path)
		require.Equal(t, contentType, a.Header.Get("Content-Type"), path)
		require.NotRegexp(t, anyURL, a.Body, path)
		require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-referrer", a.Header.Get("Referrer-Policy"), path)
		policy := a.Header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'", path)
		require.Contains(t, policy, "connect-src 'self'", path)
		require.NotRegexp(t, anyURL, policy, path)
	}
	page := b.ask(http.MethodGet, "/docs", "", nil).Body
	for _, src := range regexp.MustCompile(`src="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		require.Equal(t, http.StatusOK, b.ask(http.MethodGet, src[1], "", nil).Status, "what the page asks for is there: %s", src[1])
	}
}

func TestDocs_ScriptIsCompressedForWhomItMayBe(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	packed := b.ask(http.MethodGet, "/docs/scalar.js", "", nil, "Accept-Encoding", "br, gzip")
	require.Equal(t, "gzip", packed.Header.Get("Content-Encoding"))
	require.Equal(t, "Accept-Encoding", packed.Header.Get("Vary"))
	reader, err := gzip.NewReader(strings.NewReader(packed.Body))
	require.NoError(t, err)
	unpacked, err := io.ReadAll(reader)
	require.NoError(t, err)

	plain := b.ask(http.MethodGet, "/docs/scalar.js", "", nil)
	require.Empty(t, plain.Header.Get("Content-Encoding"))
	require.Equal(t, "text/javascript; charset=utf-8", plain.Header.Get("Content-Type"))
	require.NotEmpty(t, plain.Body)
	require.True(t, plain.Body == string(unpacked), "both are the same script") //nolint:testifylint // a diff of megabytes helps nobody
}
