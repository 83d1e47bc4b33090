package e2e

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// 30 emails at once at 60 a minute arrive one a second; no window has more than promised.
func TestQuota_RateLimitPaces(t *testing.T) {
	t.Parallel()
	tenant, c := shared.newTenant(t, mailtura.Settings{RateLimit: ptr(int64(60)), RateLimitPer: ptr(mailtura.SettingsRateLimitPer("minute")), Burst: ptr(int64(1))})
	recipient := address(t, "paced")
	const count = 30
	began := time.Now()
	var group sync.WaitGroup
	for i := range count {
		group.Go(func() {
			answer, err := c.SendEmailWithResponse(t.Context(), nil, mailtura.SendEmail{To: to(recipient), Subject: ptr(strconv.Itoa(i)), Text: ptr("Hi")})
			if err != nil || answer.StatusCode() != http.StatusAccepted {
				t.Errorf("send %d: %v", i, err)
			}
		})
	}
	group.Wait()
	usage, err := shared.client(t, shared.Key, "").GetTenantUsageWithResponse(t.Context(), tenant)
	require.NoError(t, err)
	require.Greater(t, usage.JSON200.Backlog, int64(10))
	require.EqualValues(t, 60, usage.JSON200.Rate.Limit)

	mails := shared.await(t, recipient, count, 2*time.Minute)
	require.Len(t, mails, count)
	slices.Reverse(mails)
	const lateness = time.Second // of a mail, between its permit and the mailbox's clock, that the next one may not have
	for i := range mails {
		require.GreaterOrEqual(t, mails[i].ReceivedAt.Sub(began), time.Duration(i)*time.Second, "mail %d", i)
		for j := i + 1; j < count; j++ {
			window := mails[j].ReceivedAt.Sub(mails[i].ReceivedAt) + lateness
			require.LessOrEqual(t, float64(j-i+1), window.Seconds()+1, "%d attempts in %v", j-i+1, window)
		}
	}
	took := mails[count-1].ReceivedAt.Sub(mails[0].ReceivedAt)
	require.Less(t, took, 2*count*time.Second, "the rate is used: test/bench asks for 97 %, of a machine that nobody else uses")
}

// A raised limit, or one that is lifted, counts for mail that would have waited for an hour.
func TestQuota_LiftedLimitSpeedsUp(t *testing.T) {
	t.Parallel()
	for name, patch := range map[string]string{
		"raised": `{"settings":{"rateLimit":100,"rateLimitPer":"second"}}`, "lifted": `{"settings":{"rateLimit":null}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tenant, c := shared.newTenant(t, mailtura.Settings{
				RateLimit: ptr(int64(1)), RateLimitPer: ptr(mailtura.SettingsRateLimitPer("hour")), Burst: ptr(int64(1)),
			})
			recipient := address(t, name)
			for range 10 {
				send(t, c, mailtura.SendEmail{To: to(recipient), Subject: ptr("Hi"), Text: ptr("Hi")})
			}
			shared.await(t, recipient, 1, 60*time.Second)
			patched, err := shared.client(t, shared.Key, "").UpdateTenantWithBodyWithResponse(t.Context(), tenant, nil, "application/json", reader(patch))
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, patched.StatusCode(), string(patched.Body))
			shared.await(t, recipient, 10, 60*time.Second)
		})
	}
}

// With 20 callers at once exactly five recipients are accepted.
func TestQuota_DailyLimitIsExact(t *testing.T) {
	t.Parallel()
	tenant, c := shared.newTenant(t, mailtura.Settings{DailyLimit: ptr(int64(5))})
	recipient := address(t, "daily")
	statuses := make(chan int, 20)
	var refusal sync.Map
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			answer, err := c.SendEmailWithResponse(t.Context(), nil, mailtura.SendEmail{To: to(recipient), Subject: ptr("Hi"), Text: ptr("Hi")})
			if err != nil {
				t.Error(err)
				return
			}
			statuses <- answer.StatusCode()
			if answer.StatusCode() == http.StatusTooManyRequests {
				refusal.Store("answer", answer)
			}
		})
	}
	group.Wait()
	close(statuses)
	counts := map[int]int{}
	for status := range statuses {
		counts[status]++
	}
	require.Equal(t, map[int]int{http.StatusAccepted: 5, http.StatusTooManyRequests: 15}, counts)
	v, _ := refusal.Load("answer")
	answer := v.(*mailtura.SendEmailResponse)
	p := answer.ApplicationproblemJSON429
	require.Equal(t, "daily_limit_reached", p.Code)
	require.EqualValues(t, 5, *p.Limit)
	require.EqualValues(t, 1, *p.Requested)
	require.NotNil(t, p.ResetsAt)
	after, err := strconv.Atoi(answer.HTTPResponse.Header.Get("Retry-After"))
	require.NoError(t, err)
	require.InDelta(t, time.Until(*p.ResetsAt).Seconds(), after, 5)
	shared.await(t, recipient, 5, 60*time.Second)

	usage, err := shared.client(t, shared.Key, "").GetTenantUsageWithResponse(t.Context(), tenant)
	require.NoError(t, err)
	require.EqualValues(t, 5, usage.JSON200.Used)
	require.EqualValues(t, 0, *usage.JSON200.Remaining)
}

// An email counts with all its recipients, or not at all.
func TestQuota_DailyLimitCountsRecipients(t *testing.T) {
	t.Parallel()
	_, c := shared.newTenant(t, mailtura.Settings{DailyLimit: ptr(int64(5))})
	accepted := send(t, c, mailtura.SendEmail{To: to("a@example.com", "b@example.com", "c@example.com"), Cc: &[]string{"d@example.com"}, Subject: ptr("Hi"), Text: ptr("Hi")})
	require.EqualValues(t, 4, accepted.Quota.Used)
	two, err := c.SendEmailWithResponse(t.Context(), nil, mailtura.SendEmail{To: to("e@example.com", "f@example.com"), Subject: ptr("Hi"), Text: ptr("Hi")})
	require.NoError(t, err)
	require.Equal(t, http.StatusTooManyRequests, two.StatusCode())
	last := send(t, c, mailtura.SendEmail{To: to("e@example.com"), Subject: ptr("Hi"), Text: ptr("Hi")})
	require.EqualValues(t, 0, *last.Quota.Remaining)
}
