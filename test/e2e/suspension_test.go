package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
	"github.com/mailtura/mailtura/internal/flow"
)

// backlog sends so many emails in one batch, to recipients at a domain of the test's own, and gives their ids in order.
func backlog(t *testing.T, c *mailtura.ClientWithResponses, domain string, count int) (ids []string) {
	t.Helper()
	batch := mailtura.SendBatch{}
	for i := range count {
		batch.Emails = append(batch.Emails, mailtura.SendEmail{To: to(fmt.Sprintf("n%03d@%s", i, domain)), Subject: ptr("Hi"), Text: ptr("Hi")})
	}
	accepted, err := c.SendEmailBatchWithResponse(t.Context(), nil, batch)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, accepted.StatusCode(), string(accepted.Body))
	for _, r := range accepted.JSON202.Results {
		ids = append(ids, r.Email.Id)
	}
	return ids
}

// domainOf is a domain that no other test has.
func domainOf(t *testing.T) string {
	t.Helper()
	return address(t, "x")[len("x@"):]
}

func (s *stack) suspend(t *testing.T, tenant string, drain bool) *mailtura.Tenant {
	t.Helper()
	answer, err := s.client(t, s.Key, "").SuspendTenantWithResponse(t.Context(), tenant, mailtura.SuspendTenant{Reason: "late", Drain: &drain})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode(), string(answer.Body))
	return answer.JSON200
}

func (s *stack) resume(t *testing.T, tenant string) {
	t.Helper()
	answer, err := s.client(t, s.Key, "").ResumeTenantWithResponse(t.Context(), tenant, mailtura.ResumeTenant{})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode(), string(answer.Body))
}

func (s *stack) awaitTenant(t testing.TB, tenant, status string) {
	t.Helper()
	require.Eventually(t, func() bool {
		answer, err := s.client(t, s.Key, "").GetTenantWithResponse(t.Context(), tenant, nil)
		require.NoError(t, err)
		return string(answer.JSON200.Status) == status
	}, 60*time.Second, 50*time.Millisecond, "%s is %s", tenant, status)
}

func paced(perSecond int64) mailtura.Settings {
	return mailtura.Settings{RateLimit: &perSecond, RateLimitPer: ptr(mailtura.SettingsRateLimitPer("second")), Burst: ptr(int64(1))}
}

// quiet waits until a suspension must hold, and a while longer in which something could leave.
func quiet(since time.Time) { <-time.After(time.Until(since.Add(4 * time.Second))) }

// A tenant that is suspended amid a backlog sends nothing more after 2 s; when it is resumed, the rest follows in order, each once.
func TestSuspend_MidSend(t *testing.T) {
	t.Parallel()
	tenant, c := shared.newTenant(t, paced(10))
	domain := domainOf(t)
	const count, early = 120, 20
	ids := backlog(t, c, domain, count)
	shared.await(t, domain, early, 60*time.Second)
	require.EqualValues(t, "suspended", shared.suspend(t, tenant, false).Status)
	suspended := time.Now()
	refused, err := c.SendEmailWithResponse(t.Context(), nil, mailtura.SendEmail{To: to("ada@" + domain), Subject: ptr("Hi"), Text: ptr("Hi")})
	require.NoError(t, err)
	require.Equal(t, http.StatusForbidden, refused.StatusCode())
	quiet(suspended)
	require.Less(t, len(shared.received(t, domain)), count, "there is something left to hold")
	_, last := attemptsOf(t, c, ids[count-1])
	require.EqualValues(t, "tenant_suspended", *last.Reason)
	resumed := time.Now()
	shared.resume(t, tenant)

	mails := shared.await(t, domain, count, 60*time.Second)
	slices.Reverse(mails)
	for i, m := range mails {
		during := m.ReceivedAt.After(suspended.Add(2*time.Second)) && m.ReceivedAt.Before(resumed)
		require.False(t, during, "%s came %v after the suspension", m.To, m.ReceivedAt.Sub(suspended))
		var n int
		_, err := fmt.Sscanf(m.To[0], "n%d@", &n)
		require.NoError(t, err)
		require.InDelta(t, i, n, 60, "those of a lease, of 1.5 s and so some 15, are handed over in any order, and a late process gives some back")
	}
	for _, one := range ids {
		require.EqualValues(t, 1, awaitStatus(t, c, one, "sent", 60*time.Second).Recipients[0].Attempts)
	}
	require.Len(t, shared.received(t, domain), count, "each came once")
	require.Eventually(t, func() bool { return ended(t, flow.SuspendTenantID(tenant)) }, 60*time.Second, 50*time.Millisecond)
}

// A drain lets what is queued go out, and what is scheduled stay.
func TestSuspend_Drain(t *testing.T) {
	t.Parallel()
	tenant, c := shared.newTenant(t, paced(20))
	domain := domainOf(t)
	ids := backlog(t, c, domain, 60)
	later := send(t, c, mailtura.SendEmail{To: to("later@" + domain), Subject: ptr("Hi"), Text: ptr("Hi"), ScheduledAt: ptr(time.Now().Add(2 * time.Second))})
	require.EqualValues(t, "draining", shared.suspend(t, tenant, true).Status)
	shared.awaitTenant(t, tenant, "suspended")
	for _, one := range ids {
		require.EqualValues(t, "sent", email(t, c, one).Status)
	}
	shared.resume(t, tenant)
	awaitStatus(t, c, later.Id, "sent", 60*time.Second)
}

// Neither the suspension nor its end is lost with the process that made it.
func TestSuspend_SurvivesKills(t *testing.T) {
	t.Parallel()
	s := beside(t)
	serve, err := s.Launch("serve")
	require.NoError(t, err)
	t.Cleanup(func() { serve.Stop() })
	tenant, c := s.newTenant(t, paced(10))
	domain := domainOf(t)
	const count = 100
	ids := backlog(t, c, domain, count)
	s.await(t, domain, 10, 60*time.Second)
	s.suspend(t, tenant, false)
	serve.Kill()
	suspended := time.Now()
	serve, err = s.Launch("serve")
	require.NoError(t, err)
	quiet(suspended)
	s.awaitTenant(t, tenant, "suspended")
	resumed := time.Now()
	s.resume(t, tenant)
	serve.Kill()
	serve, err = s.Launch("serve")
	require.NoError(t, err)

	cut := 0
	for _, one := range ids {
		e := awaitStatus(t, c, one, "sent", 90*time.Second)
		cut += int(e.Recipients[0].Attempts) - 1
	}
	mails := s.received(t, domain)
	require.LessOrEqual(t, len(mails), count+cut, "only what was cut off may have come twice")
	arrived := map[string]bool{}
	for _, m := range mails {
		arrived[m.To[0]] = true
		during := m.ReceivedAt.After(suspended.Add(2*time.Second)) && m.ReceivedAt.Before(resumed)
		require.False(t, during, "%s came %v after the suspension", m.To, m.ReceivedAt.Sub(suspended))
	}
	require.Len(t, arrived, count, "nothing was lost")
}
