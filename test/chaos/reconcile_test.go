package chaos

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/testkit"
)

// record is a recipient as the database has it.
type record struct {
	Email    string
	Key      string // idempotency key of its email
	To       string
	Status   string
	Attempts int

	// of its attempts in the ledger
	Numbers  []int
	Verdicts []string // empty: none yet
	Started  []time.Time
	Finished []*time.Time
}

// count is how many of its attempts ended in this way.
func (r record) count(verdict string) (n int) {
	for _, v := range r.Verdicts {
		if v == verdict {
			n++
		}
	}
	return n
}

const listRecords = `
SELECT e.id, e.metadata ->> 'key', r.address, r.status, r.attempts,
    array(SELECT a.number FROM attempts a WHERE a.recipient_id = r.id ORDER BY a.number),
    array(SELECT coalesce(a.verdict, '') FROM attempts a WHERE a.recipient_id = r.id ORDER BY a.number),
    array(SELECT a.started_at FROM attempts a WHERE a.recipient_id = r.id ORDER BY a.number),
    array(SELECT a.finished_at FROM attempts a WHERE a.recipient_id = r.id ORDER BY a.number)
FROM emails e LEFT JOIN recipients r ON r.email_id = e.id
WHERE e.tenant_id = $1`

func (s *system) records(t *testing.T, l *load) []record {
	t.Helper()
	conn := s.connect(t)
	rows, err := conn.Query(t.Context(), listRecords, l.name)
	require.NoError(t, err)
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r record, err error) {
		var emailID uuid.UUID
		err = row.Scan(&emailID, &r.Key, &r.To, &r.Status, &r.Attempts, &r.Numbers, &r.Verdicts, &r.Started, &r.Finished)
		r.Email = id.Email.Format(emailID)
		return r, err
	})
	require.NoError(t, err)
	return records
}

// connect gives a connection that sees everything.
func (s *system) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.Database.URL("mailtura"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// awaitSettled waits until nothing of a tenant is on its way any more, for the workflows as
// for the recipients.
func (s *system) awaitSettled(t *testing.T, l *load) {
	t.Helper()
	conn := s.connect(t)
	var recipients, dispatches int
	require.Eventually(t, func() bool {
		err := conn.QueryRow(t.Context(), `SELECT
			(SELECT count(*) FROM recipients WHERE tenant_id = $1 AND status NOT IN ('sent', 'unknown')),
			(SELECT count(*) FROM dispatches WHERE tenant_id = $1 AND (finished_at IS NULL OR run_id IS NULL))`, l.name,
		).Scan(&recipients, &dispatches)
		return err == nil && recipients == 0 && dispatches == 0
	}, 3*time.Minute, 100*time.Millisecond, "everything of %s comes to its end", l.name)
}

// reconcile holds what callers were told, the database, and what the mail server took
// against each other. The tenant that holds unknown outcomes has them sent after that.
func (s *system) reconcile(t *testing.T, l *load, struck []time.Time) {
	t.Helper()
	records := s.records(t, l)
	l.requireAsTold(t, records)
	s.requireUsage(t, l, len(records))
	requireLedger(t, records, struck)
	hold := l.name == "hold"
	requireArrived(t, records, s.arrivals(l), hold)
	if hold {
		s.retryHeld(t, l, records)
		requireArrived(t, s.records(t, l), s.arrivals(l), false)
	}
}

// requireAsTold requires that the database has each email that a caller has a 202 for, with
// its recipients, and no other: none twice, none that nobody knows of.
func (l *load) requireAsTold(t *testing.T, records []record) {
	t.Helper()
	told, kept := map[string][]string{}, map[string][]string{}
	for key, a := range l.accepted {
		for _, r := range a.Recipients {
			told[key+" "+a.Id] = append(told[key+" "+a.Id], r.Email)
		}
		slices.Sort(told[key+" "+a.Id])
	}
	for _, r := range records {
		kept[r.Key+" "+r.Email] = append(kept[r.Key+" "+r.Email], r.To)
		slices.Sort(kept[r.Key+" "+r.Email])
	}
	require.Equal(t, told, kept)
}

// requireUsage requires that the daily limit has been charged with each recipient once.
func (s *system) requireUsage(t *testing.T, l *load, recipients int) {
	t.Helper()
	var reserved int
	err := s.connect(t).QueryRow(t.Context(), `SELECT sum(reserved) FROM daily_usage WHERE tenant_id = $1`, l.name).Scan(&reserved)
	require.NoError(t, err)
	require.Equal(t, recipients, reserved)
}

// arrivals are the mails of a tenant at the mail server.
func (s *system) arrivals(l *load) map[testkit.Mail][]time.Time {
	all := s.sink.Arrivals()
	for mail := range all {
		if !strings.Contains(mail.To, "@"+l.name+"-") {
			delete(all, mail)
		}
	}
	return all
}

// requireLedger requires that no attempt is missing or without an end, and that none was cut
// off but by a kill.
func requireLedger(t *testing.T, records []record, struck []time.Time) {
	t.Helper()
	for _, r := range records {
		require.Len(t, r.Numbers, r.Attempts, "%+v", r)
		for i, number := range r.Numbers {
			require.Equal(t, i+1, number, "%+v", r)
			require.NotEmpty(t, r.Verdicts[i], "%+v", r)
			if r.Verdicts[i] == "unknown" {
				require.True(t, slices.ContainsFunc(struck, func(kill time.Time) bool {
					return r.Started[i].Before(kill) && kill.Before(*r.Finished[i])
				}), "cut off by nothing: %+v", r)
			}
		}
	}
}

// requireArrived requires that each recipient is sent, and that the mail server took what the
// ledger says: once, and at most once more for each attempt that was cut off. With held, what
// was cut off has not been sent again, so that nothing came twice.
func requireArrived(t *testing.T, records []record, arrivals map[testkit.Mail][]time.Time, held bool) {
	t.Helper()
	known := 0
	for _, r := range records {
		came := len(arrivals[testkit.Mail{ID: r.Email, To: r.To}])
		known += min(came, 1)
		if held {
			require.LessOrEqual(t, came, 1, "duplicate: %+v", r)
		}
		if held && r.Status == "unknown" {
			require.Equal(t, []string{"unknown"}, r.Verdicts, "%+v", r)
			continue
		}
		require.Equal(t, "sent", r.Status, "%+v", r)
		require.Equal(t, 1, r.count("accepted"), "%+v", r)
		require.GreaterOrEqual(t, came, 1, "lost: %+v", r)
		require.LessOrEqual(t, came, 1+r.count("unknown"), "arrived without an attempt: %+v", r)
	}
	require.Len(t, arrivals, known, "no mail arrived that the database does not know")
}

// retryHeld has everything sent that is held, as the API shows it.
func (s *system) retryHeld(t *testing.T, l *load, records []record) {
	t.Helper()
	held := map[string]int{}
	for _, r := range records {
		if r.Status == "unknown" {
			held[r.Email]++
		}
	}
	for emailID, want := range held {
		e, err := l.client.GetEmailWithResponse(t.Context(), emailID, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, e.StatusCode(), string(e.Body))
		got := 0
		for _, r := range e.JSON200.Recipients {
			if r.Status == "unknown" {
				got++
			}
		}
		require.Equal(t, want, got)
		retried, err := l.client.RetryEmailWithResponse(t.Context(), emailID, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, retried.StatusCode(), string(retried.Body))
	}
	conn := s.connect(t)
	require.Eventually(t, func() bool {
		var open int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM recipients WHERE tenant_id = $1 AND status <> 'sent'`, l.name).Scan(&open)
		return err == nil && open == 0
	}, 2*time.Minute, 100*time.Millisecond, "what was held is sent")
}
