package intake

import (
	"context"
	"sync"
	"time"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
)

const (
	maxGroup      = 500              // emails in one transaction
	maxGroupBytes = 8 << 20          // their contents, unless one alone is larger
	maxWaiting    = 5000             // emails waiting for a transaction
	maxWaitBytes  = 256 << 20        // their contents
	commitTimeout = 15 * time.Second // of one transaction
)

// Acceptor commits emails in groups.
type Acceptor struct {
	ledger   Ledger
	accepted func([]Pending) // told of what was committed, in order

	mu      sync.Mutex
	waiting []*request
	emails  int           // of those that wait
	bytes   int           // of their contents
	wake    chan struct{} // holds a token while there may be something waiting
	closed  bool
	done    chan struct{}
}

// request is a Request that waits for its receipts.
type request struct {
	Request
	bytes int
	reply chan reply
}

type reply struct {
	receipts []Receipt
	err      error // nothing of the request was accepted
}

// NewAcceptor starts to accept. accepted is told of every committed email.
func NewAcceptor(ledger Ledger, accepted func([]Pending)) *Acceptor {
	a := &Acceptor{ledger: ledger, accepted: accepted, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go a.run()
	return a
}

// Accept commits an email; see AcceptAll.
func (a *Acceptor) Accept(ctx context.Context, e email.Email) (Receipt, error) {
	receipts, err := a.AcceptAll(ctx, Request{Emails: []email.Email{e}})
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], receipts[0].Err
}

// AcceptAll commits the emails of a request together, and returns once that is done:
// whoever has receipts may rely on those without an error. Under more load than can be
// kept in memory the request is refused at once with fault "overloaded".
func (a *Acceptor) AcceptAll(ctx context.Context, in Request) ([]Receipt, error) {
	r := &request{Request: in, bytes: size(in.Emails), reply: make(chan reply, 1)}
	if err := a.join(r); err != nil {
		return nil, err
	}
	select {
	case reply := <-r.reply:
		return reply.receipts, reply.err
	case <-ctx.Done(): // it may be committed all the same
		return nil, fault.Wrap(ctx.Err(), fault.Unavailable, "request_cancelled", "The request was given up before it was answered.")
	}
}

func (a *Acceptor) join(r *request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.emails >= maxWaiting || a.bytes+r.bytes > maxWaitBytes {
		return Overloaded()
	}
	a.waiting = append(a.waiting, r)
	a.emails += len(r.Emails)
	a.bytes += r.bytes
	a.signal()
	return nil
}

func (a *Acceptor) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Close refuses new emails and returns when all that were waiting are answered.
func (a *Acceptor) Close() {
	a.mu.Lock()
	a.closed = true
	a.signal()
	a.mu.Unlock()
	<-a.done
}

func (a *Acceptor) run() {
	defer close(a.done)
	for range a.wake {
		for group := a.next(); len(group) > 0; group = a.next() {
			a.commit(group)
		}
		a.mu.Lock()
		finished := a.closed && len(a.waiting) == 0
		a.mu.Unlock()
		if finished {
			return
		}
	}
}

// next takes what forms the next group. A request is never divided.
func (a *Acceptor) next() []*request {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, emails, bytes := 0, 0, 0
	for n < len(a.waiting) {
		r := a.waiting[n]
		if n > 0 && (emails+len(r.Emails) > maxGroup || bytes+r.bytes > maxGroupBytes) {
			break
		}
		n, emails, bytes = n+1, emails+len(r.Emails), bytes+r.bytes
	}
	group := a.waiting[:n:n]
	a.waiting = a.waiting[n:]
	a.emails -= emails
	a.bytes -= bytes
	return group
}

// commit answers every request of the group. When the group as a whole can not be
// written, each is tried alone, so that one that can not does not take the others along.
func (a *Acceptor) commit(group []*request) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	requests := make([]Request, len(group))
	for i, r := range group {
		requests[i] = r.Request
	}
	receipts, err := a.ledger.Accept(ctx, time.Now(), requests)
	switch {
	case err == nil:
		a.tell(requests, receipts)
	case len(group) > 1 && fault.KindOf(err) != fault.Unavailable:
		for i := range group {
			a.commit(group[i : i+1])
		}
		return
	default:
		receipts = make([][]Receipt, len(group))
	}
	for i, r := range group {
		r.reply <- reply{receipts[i], err}
	}
	if err != nil && ctx.Err() != nil {
		a.refuseAll(err)
	}
}

// Overloaded is the fault of a request that there is no memory for.
func Overloaded() *fault.Error {
	f := fault.New(fault.Unavailable, "overloaded", "The server has more to accept than it can; nothing was sent.")
	f.RetryAfter = time.Second
	return f
}

// refuseAll answers all who wait, where the database hangs: their groups, one after the other,
// would take as long as the one that was given up, and be kept in memory meanwhile.
func (a *Acceptor) refuseAll(err error) {
	a.mu.Lock()
	waiting := a.waiting
	a.waiting, a.emails, a.bytes = nil, 0, 0
	a.mu.Unlock()
	for _, r := range waiting {
		r.reply <- reply{err: err}
	}
}

// tell hands on what was accepted and need not wait.
func (a *Acceptor) tell(requests []Request, receipts [][]Receipt) {
	var pending []Pending
	for i, r := range requests {
		for j, e := range r.Emails {
			if receipt := receipts[i][j]; receipt.Err == nil && receipt.ReleaseAt.IsZero() {
				pending = append(pending, Pending{
					TenantID: e.TenantID, EmailID: e.ID, Class: e.Class, Weight: receipt.Weight, TraceParent: e.TraceParent,
				})
			}
		}
	}
	a.accepted(pending)
}

func size(emails []email.Email) (n int) {
	for _, e := range emails {
		n += len(e.Content.HTML) + len(e.Content.Text) + len(e.Content.Variables) + 200*len(e.Recipients)
		for _, attachment := range e.Content.Attachments {
			n += len(attachment.Content) * 4 / 3
		}
	}
	return n
}
