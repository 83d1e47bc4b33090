package intake_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/intake"
)

// acceptor is an Acceptor whose first commit waits until it is released.
type acceptor struct {
	*intake.Acceptor
	ledger  *fakeLedger
	release func()
	answers sync.Map // of every Accept: email id → answer

	mu   sync.Mutex
	told []intake.Pending
}

type answer struct {
	receipt intake.Receipt
	err     error
}

// newAcceptor commits as commit says; nil accepts everything. The first commit is a lone
// email that is under way when newAcceptor returns.
func newAcceptor(
	t *testing.T, commit func(ctx context.Context, group []email.Email) ([]intake.Receipt, error),
) *acceptor {
	t.Helper()
	wait := make(chan struct{})
	a := &acceptor{release: sync.OnceFunc(func() { close(wait) })}
	a.ledger = &fakeLedger{accept: func(ctx context.Context, call int, group []email.Email) ([]intake.Receipt, error) {
		if call == 0 {
			<-wait
			return receipts(group), nil
		}
		if commit != nil {
			return commit(ctx, group)
		}
		return receipts(group), nil
	}}
	a.Acceptor = intake.NewAcceptor(a.ledger, func(emails []intake.Pending) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.told = append(a.told, emails...)
	})
	t.Cleanup(a.Close)
	t.Cleanup(a.release)
	a.send(newEmail())
	return a
}

// send has emails arrive one after the other.
func (a *acceptor) send(emails ...email.Email) {
	for _, e := range emails {
		go func() {
			receipt, err := a.Accept(context.Background(), e)
			a.answers.Store(e.ID, answer{receipt, err})
		}()
		synctest.Wait()
	}
}

// finish releases the first commit and returns when everything is done.
func (a *acceptor) finish() {
	a.release()
	synctest.Wait()
}

// answer is what an email was answered; answered is false while it waits.
func (a *acceptor) answer(e email.Email) (got answer, answered bool) {
	value, answered := a.answers.Load(e.ID)
	if answered {
		got = value.(answer)
	}
	return got, answered
}

func newEmails(n int) []email.Email {
	emails := make([]email.Email, n)
	for i := range emails {
		emails[i] = newEmail()
	}
	return emails
}

func TestAcceptor_LoneRequestWaitsForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ledger fakeLedger
		var told []intake.Pending
		a := intake.NewAcceptor(&ledger, func(emails []intake.Pending) { told = emails })
		defer a.Close()
		e, start := newEmail(), time.Now()
		receipt, err := a.Accept(t.Context(), e)
		require.NoError(t, err)
		require.Equal(t, receipts([]email.Email{e})[0], receipt)
		require.Zero(t, time.Since(start))
		require.Equal(t, [][]uuid.UUID{{e.ID}}, ledger.committed())
		require.Equal(t, []intake.Pending{{TenantID: acme, EmailID: e.ID, Weight: 2, TraceParent: e.TraceParent}}, told)
	})
}

func TestAcceptor_WhatArrivesDuringACommitIsTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptor(t, nil)
		emails := newEmails(10)
		a.send(emails...)
		_, answered := a.answer(emails[0])
		require.False(t, answered, "nobody is answered before its commit")
		a.finish()
		groups := a.ledger.committed()
		require.Len(t, groups, 2)
		require.Equal(t, idsOf(emails), groups[1], "in the order in which they came")
		for i, e := range emails {
			got, answered := a.answer(e)
			require.True(t, answered)
			require.NoError(t, got.err)
			require.Equal(t, i, got.receipt.Quota.Used, "its own receipt")
		}
		require.Equal(t, idsOf(emails), pendingIDs(a.told[1:]))
	})
}

func TestAcceptor_GroupsHaveBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptor(t, nil)
		emails := newEmails(1003)
		half, whole := strings.Repeat("x", 4<<20), strings.Repeat("x", 9<<20)
		emails[1000].Content.HTML, emails[1001].Content.Text = half, half
		emails[1002].Content.Attachments = []email.Attachment{{Content: []byte(whole)}}
		a.send(emails...)
		a.finish()
		var sizes []int
		for _, group := range a.ledger.committed() {
			sizes = append(sizes, len(group))
		}
		require.Equal(t, []int{1, 500, 500, 2, 1}, sizes, "500 emails, 8 MiB, and one that is larger than that alone")
	})
}

func TestAcceptor_RefusedEmailLeavesTheOthers(t *testing.T) {
	t.Parallel()
	refusal := fault.New(fault.Exhausted, "daily_limit_reached", "no")
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptor(t, func(_ context.Context, group []email.Email) ([]intake.Receipt, error) {
			all := receipts(group)
			all[1] = intake.Receipt{Err: refusal}
			return all, nil
		})
		emails := newEmails(3)
		a.send(emails...)
		a.finish()
		for i, want := range []error{nil, refusal, nil} {
			got, _ := a.answer(emails[i])
			require.Equal(t, want, got.err)
		}
		require.Equal(t, []uuid.UUID{emails[0].ID, emails[2].ID}, pendingIDs(a.told[1:]))
	})
}

func TestAcceptor_PoisonedEmailFailsAlone(t *testing.T) {
	t.Parallel()
	poison := errors.New("can not be written")
	synctest.Test(t, func(t *testing.T) {
		emails := newEmails(3)
		a := newAcceptor(t, func(_ context.Context, group []email.Email) ([]intake.Receipt, error) {
			for _, e := range group {
				if e.ID == emails[1].ID {
					return nil, poison
				}
			}
			return receipts(group), nil
		})
		a.send(emails...)
		a.finish()
		ids := idsOf(emails)
		require.Equal(t, [][]uuid.UUID{ids, ids[0:1], ids[1:2], ids[2:3]}, a.ledger.committed()[1:])
		for i, want := range []error{nil, poison, nil} {
			got, answered := a.answer(emails[i])
			require.True(t, answered)
			require.Equal(t, want, got.err)
		}
		require.Equal(t, []uuid.UUID{emails[0].ID, emails[2].ID}, pendingIDs(a.told[1:]))
	})
}

// While the database is away, to try each email alone would only make the callers wait.
func TestAcceptor_UnavailableFailsTheGroup(t *testing.T) {
	t.Parallel()
	away := fault.New(fault.Unavailable, "database_unavailable", "away")
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptor(t, func(context.Context, []email.Email) ([]intake.Receipt, error) { return nil, away })
		emails := newEmails(3)
		a.send(emails...)
		a.finish()
		require.Len(t, a.ledger.committed(), 2)
		for _, e := range emails {
			got, answered := a.answer(e)
			require.True(t, answered)
			require.Equal(t, away, got.err)
		}
		require.Len(t, a.told, 1, "only of the first")
	})
}

func TestAcceptor_CommitTakesBoundedTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptor(t, func(ctx context.Context, _ []email.Email) ([]intake.Receipt, error) {
			<-ctx.Done()
			return nil, fault.Wrap(ctx.Err(), fault.Unavailable, "database_unavailable", "away")
		})
		e := newEmail()
		a.release()
		synctest.Wait()
		start := time.Now()
		_, err := a.Accept(t.Context(), e)
		requireFault(t, err, fault.Unavailable, "database_unavailable")
		require.Equal(t, 15*time.Second, time.Since(start))
	})
}

// While the database hangs, those who wait behind a group are answered with it: each group of
// theirs would take as long.
func TestAcceptor_TimeOutAnswersAllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hangs := true
		a := newAcceptor(t, func(ctx context.Context, group []email.Email) ([]intake.Receipt, error) {
			if !hangs {
				return receipts(group), nil
			}
			<-ctx.Done()
			return nil, fault.Wrap(ctx.Err(), fault.Unavailable, "database_unavailable", "away")
		})
		emails := newEmails(1200)
		for _, e := range emails {
			go func() {
				receipt, err := a.Accept(context.Background(), e)
				a.answers.Store(e.ID, answer{receipt, err})
			}()
		}
		synctest.Wait()
		a.release()
		time.Sleep(15 * time.Second) // of the bubble's clock
		synctest.Wait()
		for _, e := range emails {
			got, answered := a.answer(e)
			require.True(t, answered)
			requireFault(t, got.err, fault.Unavailable, "database_unavailable")
		}
		hangs = false
		_, err := a.Accept(t.Context(), newEmail())
		require.NoError(t, err)
	})
}

func TestAcceptor_OverloadedByNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptor(t, nil)
		for _, e := range newEmails(5000) {
			go func() {
				receipt, err := a.Accept(context.Background(), e)
				a.answers.Store(e.ID, answer{receipt, err})
			}()
		}
		synctest.Wait()
		start := time.Now()
		_, err := a.Accept(t.Context(), newEmail())
		f := requireFault(t, err, fault.Unavailable, "overloaded")
		require.Equal(t, time.Second, f.RetryAfter)
		require.Zero(t, time.Since(start))
		a.finish()
		require.Len(t, a.told, 5001, "those who were let in")
		_, err = a.Accept(t.Context(), newEmail())
		require.NoError(t, err)
	})
}

func TestAcceptor_OverloadedByBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptor(t, nil)
		content := strings.Repeat("x", 32<<20) // all share it
		for range 8 {
			e := newEmail()
			e.Content.HTML = content
			a.send(e)
		}
		small := newEmail()
		small.Content.Text = "x"
		_, err := a.Accept(t.Context(), small)
		requireFault(t, err, fault.Unavailable, "overloaded")
		a.finish()
		require.Len(t, a.told, 9)
		_, err = a.Accept(t.Context(), small)
		require.NoError(t, err)
	})
}

func TestAcceptor_CloseAnswersAllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptor(t, nil)
		emails := newEmails(3)
		a.send(emails...)
		closed := make(chan struct{})
		go func() {
			a.Close()
			close(closed)
		}()
		synctest.Wait()
		_, err := a.Accept(t.Context(), newEmail())
		requireFault(t, err, fault.Unavailable, "overloaded")
		select {
		case <-closed:
			require.Fail(t, "closed while somebody waits")
		default:
		}
		a.finish()
		<-closed
		for _, e := range emails {
			got, answered := a.answer(e)
			require.True(t, answered)
			require.NoError(t, got.err)
		}
		a.Close()
	})
}

// Who gives up does not know: it is committed, and dispatched, all the same.
func TestAcceptor_CallerGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAcceptor(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		e := newEmail()
		_, err := a.Accept(ctx, e)
		requireFault(t, err, fault.Unavailable, "request_cancelled")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		a.finish()
		require.Equal(t, []uuid.UUID{e.ID}, pendingIDs(a.told[1:]))
	})
}
