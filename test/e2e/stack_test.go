// Package e2e tests the product from outside: the programs as they are built, over real
// sockets, with a real database, a real Temporal and a real mailbox.
package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/testkit"
)

// stack is an installation as the tests of this package use it.
type stack struct{ *testkit.Stack }

func newStack(dir string) (*stack, error) {
	s, err := testkit.NewStack(dir)
	return &stack{s}, err
}

// beside is an installation of the test's own on the shared one's database server and Temporal.
func beside(t *testing.T) *stack {
	t.Helper()
	own, err := shared.Beside(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(own.Stop)
	return &stack{own}
}

// shared is the installation of the tests that kill nothing; TestMain starts and stops it.
var shared *stack

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "mailtura-e2e-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
		s, err := newStack(dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
		defer s.Stop()
		api, err := s.Launch("serve")
		if err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
		defer api.Stop()
		shared = s
		return m.Run()
	}())
}

// client speaks with a key, and for a tenant where one is named.
func (s *stack) client(t testing.TB, key, tenantID string) *mailtura.ClientWithResponses {
	t.Helper()
	c, err := mailtura.NewClientWithResponses(s.URL, mailtura.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		if key != "" {
			r.Header.Set("Authorization", "Bearer "+key)
		}
		if tenantID != "" {
			r.Header.Set("X-Tenant-ID", tenantID)
		}
		return nil
	}))
	require.NoError(t, err)
	return c
}

var tenantNumber struct {
	sync.Mutex
	n int
}

// newTenant makes a tenant of the test's own with a key, and gives a client that uses it.
func (s *stack) newTenant(t testing.TB, settings mailtura.Settings) (id string, c *mailtura.ClientWithResponses) {
	t.Helper()
	tenantNumber.Lock()
	tenantNumber.n++
	id = fmt.Sprintf("t%d-%d", os.Getpid(), tenantNumber.n)
	tenantNumber.Unlock()
	if settings.FromEmail == nil {
		settings.FromEmail = ptr("noreply@acme.com")
	}
	operator := s.client(t, s.Key, "")
	created, err := operator.CreateTenantWithResponse(t.Context(), nil, mailtura.CreateTenant{Name: id, Domain: "acme.com", Settings: &settings})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, created.StatusCode(), string(created.Body))
	if created.JSON201.Status != "active" { // after 2 seconds the API answers that it is not yet
		s.awaitTenant(t, id, "active")
	}
	return id, s.client(t, s.newKey(t, id), "")
}

func (s *stack) newKey(t testing.TB, tenantID string) string {
	t.Helper()
	key, err := s.client(t, s.Key, tenantID).CreateApiKeyWithResponse(t.Context(), nil, mailtura.CreateAPIKey{Name: "test"})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, key.StatusCode(), string(key.Body))
	return key.JSON201.Key
}

func ptr[T any](v T) *T { return &v }
