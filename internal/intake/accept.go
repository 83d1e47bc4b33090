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
	bytes   int
	wake    chan struct{} // holds a token while there may be something waiting
	closed  bool
	done    chan struct{}
}

type request struct {
	email email.Email
	bytes int
	reply chan Receipt
}

// NewAcceptor starts to accept. accepted is told of every committed email.
func NewAcceptor(ledger Ledger, accepted func([]Pending)) *Acceptor {
	a := &Acceptor{ledger: ledger, accepted: accepted, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go a.run()
	return a
}

// Accept commits e, and returns once that is done: whoever has the receipt without an
// error may rely on it. Under more load than can be kept in memory it is refused at
// once with fault "overloaded".
func (a *Acceptor) Accept(ctx context.Context, e email.Email) (Receipt, error) {
	r := &request{email: e, bytes: size(e), reply: make(chan Receipt, 1)}
	if err := a.join(r); err != nil {
		return Receipt{}, err
	}
	select {
	case receipt := <-r.reply:
		return receipt, receipt.Err
	case <-ctx.Done(): // it may be committed all the same
		return Receipt{}, fault.Wrap(ctx.Err(), fault.Unavailable, "request_cancelled", "The request was given up before it was answered.")
	}
}

func (a *Acceptor) join(r *request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || len(a.waiting) >= maxWaiting || a.bytes+r.bytes > maxWaitBytes {
		f := fault.New(fault.Unavailable, "overloaded", "The server has more to accept than it can; nothing was sent.")
		f.RetryAfter = time.Second
		return f
	}
	a.waiting = append(a.waiting, r)
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

// next takes what forms the next group.
func (a *Acceptor) next() []*request {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, bytes := 0, 0
	for n < len(a.waiting) && n < maxGroup && (n == 0 || bytes+a.waiting[n].bytes <= maxGroupBytes) {
		bytes += a.waiting[n].bytes
		n++
	}
	group := a.waiting[:n:n]
	a.waiting = a.waiting[n:]
	a.bytes -= bytes
	return group
}

// commit answers every request of the group. When the group as a whole can not be
// written, each is tried alone, so that one that can not does not take the others along.
func (a *Acceptor) commit(group []*request) {
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	emails := make([]email.Email, len(group))
	for i, r := range group {
		emails[i] = r.email
	}
	receipts, err := a.ledger.Accept(ctx, time.Now(), emails)
	switch {
	case err == nil:
		a.tell(group, receipts)
	case len(group) > 1 && fault.KindOf(err) != fault.Unavailable:
		for i := range group {
			a.commit(group[i : i+1])
		}
		return
	default:
		receipts = make([]Receipt, len(group))
		for i := range receipts {
			receipts[i].Err = err
		}
	}
	for i, r := range group {
		r.reply <- receipts[i]
	}
}

func (a *Acceptor) tell(group []*request, receipts []Receipt) {
	pending := make([]Pending, 0, len(group))
	for i, r := range group {
		if receipts[i].Err == nil {
			pending = append(pending, Pending{
				TenantID: r.email.TenantID, EmailID: r.email.ID, Weight: receipts[i].Weight, TraceParent: r.email.TraceParent,
			})
		}
	}
	a.accepted(pending)
}

func size(e email.Email) int {
	n := len(e.Content.HTML) + len(e.Content.Text) + len(e.Content.Variables) + 200*len(e.Recipients)
	for _, attachment := range e.Content.Attachments {
		n += len(attachment.Content) * 4 / 3
	}
	return n
}
