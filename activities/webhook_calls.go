package activities

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/webhook"
	"github.com/mailtura/mailtura/internal/webhookhttp"
)

// calls are calls of one endpoint that are made together, and how it stands after each.
type calls struct {
	*deliverEvents
	hook     store.Webhook
	secrets  []webhook.Secret
	jobs     []store.WebhookJob
	done     []bool    // of jobs: written, or about to be
	reached  uuid.UUID // the cursor when all are done
	hold     atomic.Bool
	streak   atomic.Int64 // failures one after another, those that are not settled yet among them
	written  uuid.UUID    // the cursor as it is in the database
	good     int
	bad      int
	rest     time.Duration
	disabled string // why; empty: it is not
}

func newCalls(r *deliverEvents, hook store.Webhook, secrets []webhook.Secret, jobs []store.WebhookJob, reached uuid.UUID) *calls {
	c := &calls{
		deliverEvents: r, hook: hook, secrets: secrets, jobs: jobs, done: make([]bool, len(jobs)), reached: reached, written: hook.Cursor,
	}
	c.streak.Store(int64(hook.Failures))
	return c
}

// called is what became of a job.
type called struct {
	job     int
	outcome webhookhttp.Outcome
}

// make makes calls, in order and several at a time, until all are made, the worker stops, or the endpoint needs a rest.
func (c *calls) make(ctx context.Context, limit int) error {
	outcomes := make(chan called, callsAtOnce)
	written := make(chan error, 1)
	go func() { written <- c.write(ctx, outcomes) }()
	var next atomic.Int64
	var group errgroup.Group
	for range callsAtOnce {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= min(len(c.jobs), limit) || c.hold.Load() || stopping(ctx) {
					return nil
				}
				outcome, err := c.call(ctx, c.jobs[i])
				if err != nil || outcome.Error == "interrupted" {
					return err
				}
				c.note(outcome)
				outcomes <- called{i, outcome}
			}
		})
	}
	err := group.Wait()
	close(outcomes)
	if failed := <-written; failed != nil {
		return failed
	}
	return err
}

func (c *calls) call(ctx context.Context, job store.WebhookJob) (webhookhttp.Outcome, error) {
	payload, err := c.Payload(job.Event)
	if err != nil {
		return webhookhttp.Outcome{}, err
	}
	return c.Caller.Post(ctx, webhookhttp.Call{
		URL: c.hook.URL, ID: id.Event.Format(job.Event.ID), Payload: payload, Secrets: c.secrets,
	}), nil
}

// note holds further calls as soon as enough have failed: outcomes wait for the database before
// they are settled, and the endpoint would be called on meanwhile.
func (c *calls) note(o webhookhttp.Outcome) {
	if o.Error == "" {
		c.streak.Store(0)
	} else if o.Gone() || webhook.Rest(int(c.streak.Add(1))) > 0 {
		c.hold.Store(true)
	}
}

// write writes what became of calls as they end, a few together.
func (c *calls) write(ctx context.Context, outcomes <-chan called) error {
	ctx = context.WithoutCancel(ctx)
	var failed error
	var batch []store.WebhookDelivery
	flush := func() {
		cursor := c.cursor()
		if failed != nil || (len(batch) == 0 && cursor == c.written) {
			return
		}
		failed = c.Store.WriteWebhookCalls(ctx, c.ref, store.WebhookCalls{
			Calls: batch, Cursor: cursor, Failures: c.hook.Failures, FailingSince: c.hook.FailingSince,
		})
		batch, c.written = nil, cursor
		if failed != nil {
			c.hold.Store(true)
		}
	}
	timer := time.NewTimer(flushAfter)
	defer timer.Stop()
	for {
		select {
		case o, more := <-outcomes:
			if !more {
				flush()
				return failed
			}
			if batch = append(batch, c.settle(o)); len(batch) >= flushSize {
				flush()
			} else if len(batch) == 1 {
				timer.Reset(flushAfter)
			}
		case <-timer.C:
			flush()
		}
	}
}

// settle decides what follows from a call: for its event, and for the endpoint.
func (c *calls) settle(o called) store.WebhookDelivery {
	job := c.jobs[o.job]
	c.done[o.job] = true
	d := store.WebhookDelivery{
		EventID: job.Event.ID, EventType: string(job.Event.Type), Attempt: job.Attempt,
		StartedAt: o.outcome.Started, Duration: o.outcome.Duration, Status: o.outcome.Status, Response: o.outcome.Snippet, Error: o.outcome.Error,
	}
	if d.Error == "" {
		c.good++
		c.hook.Failures, c.hook.FailingSince = 0, nil
		return d
	}
	c.bad++
	now := time.Now()
	c.hook.Failures++
	if c.hook.FailingSince == nil {
		c.hook.FailingSince = &now
	}
	c.judge(o.outcome, now)
	if wait, more := webhook.Again(job.Attempt, jitter()); more && c.disabled == "" {
		next := now.Add(max(wait, o.outcome.RetryAfter)).Truncate(time.Microsecond)
		d.NextAt = &next
	}
	return d
}

// judge decides whether an endpoint that has just failed is called on.
func (c *calls) judge(o webhookhttp.Outcome, now time.Time) {
	c.rest = max(c.rest, webhook.Rest(c.hook.Failures), o.RetryAfter)
	switch {
	case o.Gone():
		c.disabled = store.DisabledGone
	case now.Sub(*c.hook.FailingSince) >= webhook.GivenUp:
		c.disabled = store.DisabledFailing
	}
	if c.rest > 0 || c.disabled != "" {
		c.hold.Store(true)
	}
}

// cursor is behind the last event before which all are done: what is called again is found
// where that is written.
func (c *calls) cursor() uuid.UUID {
	cursor := c.hook.Cursor
	for i, job := range c.jobs {
		if job.Again {
			continue
		}
		if !c.done[i] {
			return cursor
		}
		cursor = job.Event.ID
	}
	return c.reached
}
