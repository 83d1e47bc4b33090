package e2e

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/testkit"
)

// newChaos starts an installation of the test's own, with API and worker apart.
func newChaos(t *testing.T) (s *stack, api, worker *testkit.Process) {
	t.Helper()
	s, err := newStack(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	api, err = s.Launch("apiserver")
	require.NoError(t, err)
	t.Cleanup(func() { api.Stop() })
	worker, err = s.Launch("worker")
	require.NoError(t, err)
	t.Cleanup(func() { worker.Stop() })
	return s, api, worker
}

const flood = 200

// slow makes a flood last for some seconds, so that a kill meets it under way.
var slow = mailtura.Settings{RateLimit: ptr(int64(25)), RateLimitPer: ptr(mailtura.SettingsRateLimitPer("second"))}

// sendFlood has so many emails accepted, and tells of each.
func (s *stack) sendFlood(t *testing.T, c *mailtura.ClientWithResponses, recipient string, told func(accepted int)) []string {
	t.Helper()
	var ids []string
	for i := range flood {
		ids = append(ids, send(t, c, mailtura.SendEmail{To: to(recipient), Subject: ptr(strconv.Itoa(i)), Text: ptr("Hi")}).Id)
		told(len(ids))
	}
	return ids
}

// requireAllArrived waits until every email has arrived and is recorded as sent. What was
// in flight at a kill may have arrived twice.
func (s *stack) requireAllArrived(t *testing.T, c *mailtura.ClientWithResponses, recipient string, ids []string) {
	t.Helper()
	require.Eventually(t, func() bool {
		arrived := map[string]bool{}
		for _, m := range s.received(t, recipient) {
			arrived[m.MessageID] = true
		}
		return len(arrived) == len(ids)
	}, 150*time.Second, 500*time.Millisecond, "all emails arrive")
	for _, id := range ids {
		awaitStatus(t, c, id, "sent", 90*time.Second)
	}
	t.Logf("%d emails, %d arrived twice", len(ids), len(s.received(t, recipient))-len(ids))
}

func TestChaos_WorkerIsKilled(t *testing.T) {
	t.Parallel()
	s, _, worker := newChaos(t)
	_, c := s.newTenant(t, slow)
	recipient := address(t, "worker")
	ids := s.sendFlood(t, c, recipient, func(int) {})
	s.await(t, recipient, 20, 30*time.Second)
	worker.Kill()
	again, err := s.Launch("worker")
	require.NoError(t, err)
	t.Cleanup(again.Stop)
	s.requireAllArrived(t, c, recipient, ids)
}

func TestChaos_TemporalIsKilled(t *testing.T) {
	t.Parallel()
	s, _, _ := newChaos(t)
	_, c := s.newTenant(t, slow)
	recipient := address(t, "temporal")
	before := s.sendFlood(t, c, recipient, func(int) {})
	s.await(t, recipient, 20, 30*time.Second)
	s.Temporal.Kill()
	away := send(t, c, mailtura.SendEmail{To: to(recipient), Subject: ptr("away"), Text: ptr("Hi")}) // accepted all the same
	require.NoError(t, s.StartTemporal(t.Context()))
	s.requireAllArrived(t, c, recipient, append(before, away.Id))
}

func TestChaos_APIIsKilled(t *testing.T) {
	t.Parallel()
	s, api, _ := newChaos(t)
	_, c := s.newTenant(t, slow)
	recipient := address(t, "api")
	ids := s.sendFlood(t, c, recipient, func(accepted int) {
		if accepted != flood/2 {
			return
		}
		api.Kill()
		again, err := s.Launch("apiserver")
		require.NoError(t, err)
		t.Cleanup(again.Stop)
	})
	s.requireAllArrived(t, c, recipient, ids)
}
