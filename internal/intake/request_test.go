package intake_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/intake"
)

// ask has requests arrive one after the other, and gives a function for their answers.
func (a *acceptor) ask(requests ...intake.Request) func(i int) ([]intake.Receipt, error) {
	type reply struct {
		receipts []intake.Receipt
		err      error
	}
	replies := make([]reply, len(requests))
	for i, r := range requests {
		go func() { replies[i].receipts, replies[i].err = a.AcceptAll(context.Background(), r) }()
		synctest.Wait()
	}
	return func(i int) ([]intake.Receipt, error) { return replies[i].receipts, replies[i].err }
}

func requestOf(n int) intake.Request { return intake.Request{Emails: newEmails(n)} }

// groups gives how many emails each request of each transaction has, but for the first one.
func (a *acceptor) groups() (sizes [][]int) {
	for _, group := range a.ledger.asked[1:] {
		var emails []int
		for _, r := range group {
			emails = append(emails, len(r.Emails))
		}
		sizes = append(sizes, emails)
	}
	return sizes
}

func TestAcceptAll_ARequestIsNeverDivided(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptor(t, nil)
		requests := []intake.Request{requestOf(300), requestOf(200), requestOf(300), requestOf(201), requestOf(1000), requestOf(1)}
		answer := a.ask(requests...)
		a.finish()
		require.Equal(t, [][]int{{300, 200}, {300}, {201}, {1000}, {1}}, a.groups(), "500 emails, unless one request alone has more")
		for i, r := range requests {
			receipts, err := answer(i)
			require.NoError(t, err)
			require.Len(t, receipts, len(r.Emails))
			first := receipts[0].Quota.Used
			for j, receipt := range receipts {
				require.Equal(t, first+j, receipt.Quota.Used, "its own receipts, in order")
			}
		}
	})
}

func TestAcceptAll_OneThatIsRefusedLeavesTheOthersOfItsRequest(t *testing.T) {
	t.Parallel()
	refusal := fault.New(fault.Exhausted, "daily_limit_reached", "no")
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptor(t, func(_ context.Context, group []email.Email) ([]intake.Receipt, error) {
			all := receipts(group)
			all[1] = intake.Receipt{Err: refusal}
			return all, nil
		})
		r := requestOf(3)
		answer := a.ask(r)
		a.finish()
		got, err := answer(0)
		require.NoError(t, err)
		for i, want := range []error{nil, refusal, nil} {
			require.Equal(t, want, got[i].Err)
		}
		require.Equal(t, []uuid.UUID{r.Emails[0].ID, r.Emails[2].ID}, pendingIDs(a.told[1:]))
	})
}

func TestAcceptAll_PoisonFailsItsWholeRequestOnly(t *testing.T) {
	t.Parallel()
	poison := errors.New("can not be written")
	synctest.Test(t, func(t *testing.T) {
		requests := []intake.Request{requestOf(2), requestOf(3), requestOf(1)}
		a := newAcceptor(t, func(_ context.Context, group []email.Email) ([]intake.Receipt, error) {
			for _, e := range group {
				if e.ID == requests[1].Emails[2].ID {
					return nil, poison
				}
			}
			return receipts(group), nil
		})
		answer := a.ask(requests...)
		a.finish()
		require.Equal(t, [][]int{{2, 3, 1}, {2}, {3}, {1}}, a.groups())
		for i, want := range []error{nil, poison, nil} {
			got, err := answer(i)
			require.Equal(t, want, err)
			require.Equal(t, err != nil, got == nil)
		}
		require.Len(t, a.told, 1+2+1)
	})
}

func TestAcceptAll_PassesTheAnswerOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptor(t, nil)
		keyed, plain := requestOf(2), requestOf(1)
		keyed.Answer = &intake.Answer{Key: "key"}
		a.ask(keyed, plain)
		a.finish()
		group := a.ledger.asked[1]
		require.Same(t, keyed.Answer, group[0].Answer)
		require.Nil(t, group[1].Answer)
		require.Equal(t, keyed.Emails, group[0].Emails)
	})
}

// What waits for its time, or for a day with room, is released from the database.
func TestAcceptAll_OnlyWhatIsQueuedIsDispatched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		later := time.Now().Add(time.Hour)
		a := newAcceptor(t, func(_ context.Context, group []email.Email) ([]intake.Receipt, error) {
			all := receipts(group)
			all[0].Status, all[0].ReleaseAt = email.Scheduled, later
			all[1].Status, all[1].ReleaseAt = email.Held, later
			return all, nil
		})
		r := requestOf(4)
		r.Emails[2].Class, r.Emails[3].Class = email.Bulk, email.Transactional
		answer := a.ask(r)
		a.finish()
		got, err := answer(0)
		require.NoError(t, err)
		require.Equal(t, later, got[1].ReleaseAt)
		var want []intake.Pending
		for _, e := range r.Emails[2:] {
			want = append(want, intake.Pending{TenantID: acme, EmailID: e.ID, Class: e.Class, Weight: 2, TraceParent: e.TraceParent})
		}
		require.Equal(t, want, a.told[1:])
	})
}

// The bound of what waits is one of emails, however few requests they come in.
func TestAcceptAll_OverloadedByEmails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptor(t, nil)
		var requests []intake.Request
		for range 5 {
			requests = append(requests, requestOf(1000))
		}
		a.ask(requests...)
		_, err := a.AcceptAll(t.Context(), requestOf(2))
		requireFault(t, err, fault.Unavailable, "overloaded")
		a.finish()
		require.Len(t, a.told, 5001)
	})
}
