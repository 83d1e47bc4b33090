package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// awaitEvents gives the log once everything has happened.
func (a *acceptance) awaitEvents() []mailtura.Event {
	require.Eventually(a.t, func() bool {
		return len(a.tail.of("email.sent")) >= orders && len(a.tail.of("email.opened")) >= looked && len(a.tail.of("email.clicked")) >= looked
	}, 60*time.Second, 50*time.Millisecond)
	list, err := a.client.ListEventsWithResponse(a.t.Context(), &mailtura.ListEventsParams{Limit: ptr(int64(1000))})
	require.NoError(a.t, err)
	require.Equal(a.t, http.StatusOK, list.StatusCode(), string(list.Body))
	return list.JSON200.Items
}

// checkEvents: the stream had what the log has, in its order, across its break and the kill,
// and each recipient has its story.
func (a *acceptance) checkEvents(events []mailtura.Event) {
	require.Equal(a.t, events, a.tail.seen())
	stories, last := map[string]string{}, ""
	for _, e := range events {
		require.Greater(a.t, e.Id, last, "in order, and none twice")
		last = e.Id
		stories[*e.Data.Recipient] += strings.TrimPrefix(string(e.Type), "email.") + " "
	}
	require.Len(a.t, stories, orders)
	story, engaged := regexp.MustCompile(`^accepted (unknown )*sent (opened clicked )?$`), 0
	for recipient, told := range stories {
		require.Regexp(a.t, story, told, recipient)
		if strings.HasSuffix(told, "opened clicked ") {
			engaged++
		}
	}
	require.Equal(a.t, looked, engaged)
	for _, e := range append(a.tail.of("email.opened"), a.tail.of("email.clicked")...) {
		require.False(a.t, *e.Data.Automated)
		require.True(a.t, *e.Data.Unique)
		require.Equal(a.t, person, *e.Data.UserAgent)
	}
	for _, e := range a.tail.of("email.clicked") {
		require.Contains(a.t, *e.Data.Url, a.shop.URL+"/orders/")
	}
}

// checkMails: each has come, and none twice but those that were cut off, under one Message-ID.
func (a *acceptance) checkMails(events []mailtura.Event) {
	cutOff, ids := recount(events).Unknown, map[string]string{}
	require.Positive(a.t, cutOff, "the worker was killed amid a hand-over")
	mails := a.received(a.t, a.domain)
	for _, m := range mails {
		if id, again := ids[m.To[0]]; again {
			require.Equal(a.t, id, m.MessageID)
			cutOff--
		}
		ids[m.To[0]] = m.MessageID
	}
	require.Len(a.t, ids, orders)
	require.GreaterOrEqual(a.t, cutOff, int64(0), "none twice without a reason")
}

// checkCalls: the webhook was told of every event; what was told again had the same id.
func (a *acceptance) checkCalls(events []mailtura.Event) {
	require.Eventually(a.t, func() bool { return len(a.hook.distinct()) >= len(events) }, 60*time.Second, 50*time.Millisecond)
	logged := map[string]mailtura.Event{}
	for _, e := range events {
		logged[e.Id] = e
	}
	calls := a.hook.answered()
	for _, call := range calls {
		require.Equal(a.t, logged[call.ID], call.Event)
	}
	require.Len(a.t, a.hook.distinct(), len(events))
	require.Greater(a.t, len(calls), len(events), "the worker was killed amid calls, and they were made again")
}

// recount counts events as metrics do.
func recount(events []mailtura.Event) (row mailtura.MetricsRow) {
	for _, e := range events {
		switch string(e.Type) {
		case "email.accepted":
			row.Accepted++
		case "email.sent":
			row.Sent++
		case "email.unknown":
			row.Unknown++
		case "email.opened":
			row.Opened++
			row.UniqueOpened++
		case "email.clicked":
			row.Clicked++
			row.UniqueClicked++
		}
	}
	return row
}

// checkMetrics: they are what a recount of the events gives, together and by tag.
func (a *acceptance) checkMetrics(events []mailtura.Event) {
	tagged := map[string][]mailtura.Event{}
	for _, e := range events {
		tag := (*e.Data.Tags)[0]
		tagged[tag] = append(tagged[tag], e)
	}
	all := a.metrics(nil)
	require.Len(a.t, all, 1)
	require.Equal(a.t, recount(events), counted(all[0]))
	require.InDelta(a.t, float64(looked)/orders, *all[0].OpenRate, 1e-9)
	require.InDelta(a.t, float64(looked)/orders, *all[0].ClickRate, 1e-9)
	require.InDelta(a.t, 1, *all[0].DeliveryRate, 1e-9)
	byTag := a.metrics(ptr(mailtura.GetMetricsParamsGroupBy("tag")))
	require.Len(a.t, byTag, 2)
	for _, row := range byTag {
		require.Equal(a.t, recount(tagged[*row.Group]), counted(row), *row.Group)
	}
	byTemplate := a.metrics(ptr(mailtura.GetMetricsParamsGroupBy("template")))
	require.Len(a.t, byTemplate, 1)
	require.Equal(a.t, recount(events), counted(byTemplate[0]))
}

func (a *acceptance) metrics(groupBy *mailtura.GetMetricsParamsGroupBy) []mailtura.MetricsRow {
	answer, err := a.client.GetMetricsWithResponse(a.t.Context(), &mailtura.GetMetricsParams{
		Interval: ptr(mailtura.GetMetricsParamsInterval("total")), GroupBy: groupBy,
	})
	require.NoError(a.t, err)
	require.Equal(a.t, http.StatusOK, answer.StatusCode(), string(answer.Body))
	return answer.JSON200.Items
}

// counted is a row without what is not a count.
func counted(row mailtura.MetricsRow) mailtura.MetricsRow {
	return mailtura.MetricsRow{
		Accepted: row.Accepted, Sent: row.Sent, Delivered: row.Delivered, Deferred: row.Deferred, Bounced: row.Bounced, Failed: row.Failed,
		Unknown: row.Unknown, Cancelled: row.Cancelled, Expired: row.Expired, Suppressed: row.Suppressed, Complained: row.Complained,
		Opened: row.Opened, UniqueOpened: row.UniqueOpened, AutomatedOpened: row.AutomatedOpened,
		Clicked: row.Clicked, UniqueClicked: row.UniqueClicked, AutomatedClicked: row.AutomatedClicked, Unsubscribed: row.Unsubscribed,
	}
}
