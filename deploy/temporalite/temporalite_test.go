package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

func takePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func TestChoosePorts(t *testing.T) {
	t.Parallel()
	p, err := choosePorts(flags{IP: "127.0.0.1"})
	require.NoError(t, err)
	require.Len(t, p.services, 4)
	seen := map[int]bool{p.ui: true}
	for name, port := range p.services {
		require.Positive(t, port, name)
		require.False(t, seen[port], "%s has a port of its own", name)
		seen[port] = true
	}
	require.Equal(t, "http://127.0.0.1:"+strconv.Itoa(p.ui), p.uiURL(flags{IP: "127.0.0.1"}))
	require.Equal(t, "http://[::1]:"+strconv.Itoa(p.ui), p.uiURL(flags{IP: "::1"}))
}

func TestChoosePorts_Headless(t *testing.T) {
	t.Parallel()
	f := flags{IP: "127.0.0.1", UIPort: takePort(t), Headless: true}
	p, err := choosePorts(f)
	require.NoError(t, err, "the port of the UI is of no interest")
	require.Empty(t, p.uiURL(f))
}

func TestRun_PortIsTaken(t *testing.T) {
	t.Parallel()
	for flag, f := range map[string]flags{
		"--port": {IP: "127.0.0.1", Port: takePort(t)}, "--ui-port": {IP: "127.0.0.1", UIPort: takePort(t)},
	} {
		require.ErrorContains(t, run(t.Context(), f, &bytes.Buffer{}), "in use by another program; choose another with "+flag)
	}
	require.ErrorContains(t, run(t.Context(), flags{IP: "192.0.2.1"}, &bytes.Buffer{}), "find a free port on 192.0.2.1")
}

func TestRun_OneStoreOnly(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), flags{PostgresURL: "postgres://h", SQLiteFile: "f"}, &bytes.Buffer{})
	require.EqualError(t, err, "choose one of --postgres-url and --sqlite-file")
}

func TestValue(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]any{"1": 1, "true": true, "1.5": 1.5, "5s": "5s", "": ""} {
		require.Equal(t, want, value(in), in)
	}
}

// A server in memory is ready when its ready file is there, and takes the file with it.
func TestRun_InMemory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ready.json")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, flags{
			IP: "127.0.0.1", Namespace: "mailtura", Retention: 72 * time.Hour, LogLevel: "error", ReadyFile: file,
			SearchAttributes: map[string]string{"TenantId": "Keyword"},
		}, &out)
	}()
	var at ready
	require.Eventually(t, func() bool {
		raw, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(raw, &at) == nil
	}, time.Minute, 50*time.Millisecond)
	require.Equal(t, "mailtura", at.Namespace)

	c, err := client.Dial(client.Options{HostPort: at.Address, Namespace: "mailtura"})
	require.NoError(t, err)
	defer c.Close()
	n, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Namespace: "mailtura", Query: "TenantId = 'acme-corp'"})
	require.NoError(t, err, "namespace and search attribute can be used at once")
	require.Zero(t, n.GetCount())
	response, err := http.Get(at.UIURL + "/api/v1/settings")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)

	stop()
	require.NoError(t, <-ended)
	require.NoFileExists(t, file)
	require.Equal(t, "temporal ready at "+at.Address+", UI at "+at.UIURL+", namespace mailtura\n", out.String())
	_, err = ports{}.probe("127.0.0.1", portOf(t, at.Address), "--port")
	require.NoError(t, err, "the port is given back")
}

func portOf(t *testing.T, address string) int {
	t.Helper()
	resolved, err := net.ResolveTCPAddr("tcp", address)
	require.NoError(t, err)
	return resolved.Port
}
