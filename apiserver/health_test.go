package apiserver_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHealth_AliveWithoutDatabase(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.store.Close()
	a := b.ask(http.MethodGet, "/healthz", "", nil)
	require.Equal(t, http.StatusOK, a.Status)
	require.JSONEq(t, `{"status":"ok"}`, a.Body)
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
}

func TestHealth_ReadyWithoutTemporal(t *testing.T) {
	t.Parallel()
	a := newBundle(t).ask(http.MethodGet, "/readyz", "", nil)
	require.Equal(t, http.StatusOK, a.Status, "emails are accepted all the same")
	require.JSONEq(t, `{"status":"ok","database":"ok","temporal":"unavailable"}`, a.Body)
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
}

func TestHealth_NotReadyWithoutDatabase(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	b.store.Close()
	a := b.ask(http.MethodGet, "/readyz", "", nil)
	require.Equal(t, http.StatusServiceUnavailable, a.Status)
	require.JSONEq(t, `{"status":"unavailable","database":"unavailable","temporal":"unavailable"}`, a.Body)
}
