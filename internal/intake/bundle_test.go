package intake_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/intake"
	"github.com/mailtura/mailtura/internal/quota"
)

const acme = "acme-corp"

// Most tests run in a bubble of synctest: its clock goes forward only when everybody waits, and all its goroutines must end.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAway = fault.New(fault.Unavailable, "temporal_unavailable", "away")

// fakeLedger remembers what it is asked, and does what its functions say; without them everything works.
type fakeLedger struct {
	accept     func(ctx context.Context, call int, group []email.Email) ([]intake.Receipt, error)
	claim      func(call int, emails []uuid.UUID) (int, error)
	setRun     func(dispatch uuid.UUID) error
	emails     func(before time.Time) ([]intake.Pending, error)
	dispatches func(before time.Time) ([]email.Dispatch, error)
	release    func(now time.Time, limit int) ([]intake.Pending, error)
	carried    []email.Dispatch

	abandoned []uuid.UUID

	mu     sync.Mutex
	asked  [][]intake.Request
	groups [][]email.Email
	claims []claimCall
	runs   map[uuid.UUID]string
}

type claimCall struct {
	tenantID string
	class    email.Class
	dispatch uuid.UUID
	emails   []uuid.UUID
}

var _ intake.Ledger = (*fakeLedger)(nil)

func (l *fakeLedger) ListCarriedDispatches(_ context.Context, _ time.Time, after uuid.UUID, limit int) (some []email.Dispatch, err error) {
	for _, d := range l.carried {
		if d.ID.String() > after.String() && len(some) < limit {
			some = append(some, d)
		}
	}
	return some, nil
}

func (l *fakeLedger) AbandonDispatch(_ context.Context, _ string, dispatch uuid.UUID, _ time.Time) (int, error) {
	l.abandoned = append(l.abandoned, dispatch)
	return 1, nil
}

// Accept takes the emails of a group out of their requests.
func (l *fakeLedger) Accept(ctx context.Context, _ time.Time, requests []intake.Request) ([][]intake.Receipt, error) {
	l.mu.Lock()
	l.asked = append(l.asked, slices.Clone(requests))
	l.mu.Unlock()
	var group []email.Email
	for _, r := range requests {
		group = append(group, r.Emails...)
	}
	flat, err := l.acceptAll(ctx, group)
	if err != nil {
		return nil, err
	}
	all := make([][]intake.Receipt, len(requests))
	for i, r := range requests {
		all[i], flat = flat[:len(r.Emails)], flat[len(r.Emails):]
	}
	return all, nil
}

func (l *fakeLedger) acceptAll(ctx context.Context, group []email.Email) ([]intake.Receipt, error) {
	l.mu.Lock()
	call := len(l.groups)
	l.groups = append(l.groups, slices.Clone(group))
	l.mu.Unlock()
	if l.accept != nil {
		return l.accept(ctx, call, group)
	}
	return receipts(group), nil
}

// receipts accepts everything: how much is used says which place in the group an email had.
func receipts(group []email.Email) []intake.Receipt {
	all := make([]intake.Receipt, len(group))
	for i := range group {
		all[i] = intake.Receipt{Weight: 2, Quota: quota.Standing{Used: i}}
	}
	return all
}

func (l *fakeLedger) ClaimDispatch(
	_ context.Context, tenantID string, class email.Class, dispatch uuid.UUID, emails []uuid.UUID,
) (int, error) {
	l.mu.Lock()
	call := len(l.claims)
	l.claims = append(l.claims, claimCall{tenantID, class, dispatch, slices.Clone(emails)})
	l.mu.Unlock()
	if l.claim != nil {
		return l.claim(call, emails)
	}
	return len(emails), nil
}

func (l *fakeLedger) SetDispatchRun(_ context.Context, _ string, dispatch uuid.UUID, runID string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs == nil {
		l.runs = map[uuid.UUID]string{}
	}
	l.runs[dispatch] = runID
	if l.setRun != nil {
		return l.setRun(dispatch)
	}
	return nil
}

func (l *fakeLedger) ListStaleEmails(_ context.Context, before time.Time, _ int) ([]intake.Pending, error) {
	if l.emails != nil {
		return l.emails(before)
	}
	return nil, nil
}

func (l *fakeLedger) ListStaleDispatches(_ context.Context, before time.Time, _ int) ([]email.Dispatch, error) {
	if l.dispatches != nil {
		return l.dispatches(before)
	}
	return nil, nil
}

func (l *fakeLedger) Release(_ context.Context, now time.Time, limit int) ([]intake.Pending, error) {
	if l.release != nil {
		return l.release(now, limit)
	}
	return nil, nil
}

// committed gives the ids of the groups that were tried.
func (l *fakeLedger) committed() (groups [][]uuid.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, group := range l.groups {
		groups = append(groups, idsOf(group))
	}
	return groups
}

func (l *fakeLedger) claimed() []claimCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.claims)
}

// sizes gives the tenant and the number of emails of each claim, in order.
func (l *fakeLedger) sizes() (all []string, emails []int) {
	for _, c := range l.claimed() {
		all, emails = append(all, c.tenantID), append(emails, len(c.emails))
	}
	return all, emails
}

// fakeStarter remembers what it starts, and does what start says; without it every start works.
type fakeStarter struct {
	start   func(ctx context.Context, call int) error
	carries func(d email.Dispatch) (bool, error)

	mu     sync.Mutex
	starts []email.Dispatch
}

var _ intake.Workflows = (*fakeStarter)(nil)

func (s *fakeStarter) Carries(_ context.Context, d email.Dispatch) (bool, error) { return s.carries(d) }

func (s *fakeStarter) StartSendEmails(ctx context.Context, d email.Dispatch) (string, error) {
	s.mu.Lock()
	call := len(s.starts)
	s.starts = append(s.starts, d)
	s.mu.Unlock()
	if s.start != nil {
		if err := s.start(ctx, call); err != nil {
			return "", err
		}
	}
	return "run of " + d.ID.String(), nil
}

func (s *fakeStarter) started() []email.Dispatch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.starts)
}

// newDispatcher is closed with the test.
func newDispatcher(t *testing.T, l *fakeLedger, s *fakeStarter, slots int) *intake.Dispatcher {
	t.Helper()
	d := intake.NewDispatcher(l, s, slots, slog.New(slog.DiscardHandler))
	t.Cleanup(d.Close)
	return d
}

func newEmail() email.Email {
	return email.Email{ID: id.New(), TenantID: acme, TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
}

func idsOf(emails []email.Email) []uuid.UUID {
	ids := make([]uuid.UUID, len(emails))
	for i, e := range emails {
		ids[i] = e.ID
	}
	return ids
}

// pending is so many accepted emails of a tenant.
func pending(tenantID string, n int) []intake.Pending {
	all := make([]intake.Pending, n)
	for i := range all {
		all[i] = intake.Pending{TenantID: tenantID, EmailID: id.New(), Class: email.Transactional, Weight: 1}
	}
	return all
}

// bulk makes them bulk mail.
func bulk(pending []intake.Pending) []intake.Pending {
	for i := range pending {
		pending[i].Class = email.Bulk
	}
	return pending
}

func pendingIDs(pending []intake.Pending) []uuid.UUID {
	ids := make([]uuid.UUID, len(pending))
	for i, p := range pending {
		ids[i] = p.EmailID
	}
	return ids
}

func requireFault(t *testing.T, err error, kind fault.Kind, code string) *fault.Error {
	t.Helper()
	require.Error(t, err)
	f, ok := fault.As(err)
	require.True(t, ok, "not a fault: %v", err)
	require.Equal(t, code, f.Code)
	require.Equal(t, kind, f.Kind)
	return f
}
