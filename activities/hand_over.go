package activities

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/mail/outcome"
	"github.com/mailtura/mailtura/internal/smtpout"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/track"
)

// flushAfter is how long an outcome may wait for others to be written with it: what is
// not written when the process dies is sent again.
const (
	flushAfter = 20 * time.Millisecond
	flushSize  = 50
	writeAgain = 200 * time.Millisecond // while the database is away

	recordAhead = parallel / 2 // attempts that are put on record together where a cut-off one is held
)

// send makes an attempt for each recipient, several at a time.
func (r *delivery) send(ctx context.Context, due []store.Due, permits *Grant) error {
	if len(due) == 0 {
		return nil
	}
	keys, err := r.Signers.Of(ctx, r.tenant)
	if err != nil {
		return err
	}
	letters, err := r.Store.LoadLetters(ctx, r.in.TenantID, emailsOf(due))
	if err != nil {
		return err
	}
	messages := newMessages(r.Templates, keys, r.Tracking.Of(r.tenant.ID, track.Generation(r.tenant.CreatedAt)), letters)
	outcomes := make(chan store.Outcome, parallel)
	written := make(chan error, 1)
	go func() { written <- r.writeOutcomes(ctx, outcomes) }()
	sent := r.attemptAll(ctx, messages, permits, due, outcomes)
	close(outcomes)
	if err := <-written; err != nil {
		return err
	}
	return sent
}

// attemptAll puts attempts on record and makes them. They are recorded all at once, which is
// cheap, but for a tenant that has what was cut off held: of it only a few ahead of their
// hand-over, since nothing tells those that a kill holds from those that may have arrived.
func (r *delivery) attemptAll(
	ctx context.Context, messages *messages, permits *Grant, due []store.Due, outcomes chan<- store.Outcome,
) error {
	together := len(due)
	if r.tenant.Settings.OnUnknownOutcome == tenant.Hold {
		together = recordAhead
	}
	var group errgroup.Group
	group.SetLimit(parallel)
	for some := range slices.Chunk(due, together) {
		numbers, err := r.Store.StartAttempts(ctx, r.in.TenantID, some, time.Now())
		if err != nil {
			return cmp.Or(group.Wait(), err)
		}
		for _, recipient := range some {
			number, claimed := numbers[recipient.RecipientID]
			if !claimed {
				continue
			}
			group.Go(func() error {
				o, err := r.attempt(ctx, messages, permits, recipient, number)
				outcomes <- o
				return err
			})
		}
	}
	return group.Wait()
}

func emailsOf(due []store.Due) []uuid.UUID {
	seen := make(map[uuid.UUID]bool, len(due))
	var ids []uuid.UUID
	for _, d := range due {
		if !seen[d.EmailID] {
			seen[d.EmailID] = true
			ids = append(ids, d.EmailID)
		}
	}
	return ids
}

// writeOutcomes writes outcomes as they come, a few together.
func (r *delivery) writeOutcomes(ctx context.Context, outcomes <-chan store.Outcome) error {
	var failed error
	var batch []store.Outcome
	flush := func() {
		if len(batch) == 0 {
			return
		}
		if err := r.writeBatch(ctx, batch); err != nil {
			failed = err
		}
		batch = nil
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
			if batch = append(batch, o); len(batch) >= flushSize {
				flush()
			} else if len(batch) == 1 {
				timer.Reset(flushAfter)
			}
		case <-timer.C:
			flush()
		}
	}
}

// writeBatch writes outcomes, also after the context has ended: what has happened to a mail
// must be written down, or it is sent twice, or held. While the database is away it is tried
// again until the process ends.
func (r *delivery) writeBatch(ctx context.Context, batch []store.Outcome) error {
	ctx = context.WithoutCancel(ctx)
	for told := false; ; told = true {
		err := r.Store.FinishAttempts(ctx, r.in.TenantID, batch)
		if fault.KindOf(err) != fault.Unavailable {
			return err
		}
		if !told {
			r.Log.WarnContext(ctx, "outcomes are written later", slog.Int("recipients", len(batch)), slog.Any("error", err))
		}
		time.Sleep(writeAgain)
	}
}

// notBegun is an attempt that never came to a hand-over, and that is taken back: the next one
// has its number, so that the schedule of retries does not move on.
func notBegun(o store.Outcome, reason, detail string) store.Outcome {
	o.Stopped, o.Reason, o.Reply = true, reason, detail
	return o
}

// attempt hands one message over and decides what becomes of its recipient. An error means
// that it was interrupted before, and that the recipient is queued as it was.
func (r *delivery) attempt(
	ctx context.Context, messages *messages, permits *Grant, recipient store.Due, number int,
) (store.Outcome, error) {
	letter := messages.letters[recipient.EmailID]
	ctx, span := startAttempt(ctx, letter, recipient)
	defer span.End()
	o := store.Outcome{RecipientID: recipient.RecipientID, Number: number}
	msg, err := messages.get(ctx, recipient)
	if err != nil {
		span.SetStatus(codes.Error, "the message could not be composed")
		return r.notComposed(ctx, o, letter, err), nil
	}
	envelope := smtpout.Envelope{From: letter.From.Addr, To: recipient.Address, UTF8: msg.utf8 || !ascii(recipient.Address)}
	if err := permits.Wait(ctx, r.Turns.Of(r.in.TenantID, r.tenant.Settings.FairShare())); err != nil {
		return notBegun(o, "", ""), err
	}
	if r.Fence.Stops(r.in.TenantID) {
		r.Turns.Done()
		return notBegun(o, "", ""), errSuspended
	}
	a := r.Transport.Send(ctx, envelope, msg.bytes)
	r.Turns.Done()
	if a.NotTried {
		span.SetStatus(codes.Error, "no mail server can be reached")
		return notBegun(o, email.MailServerDown, "no mail server can be reached"), nil
	}
	result := a.Result()
	o.FinishedAt, o.Verdict, o.Phase, o.Reason = a.Started.Add(a.Duration), string(result.Verdict), string(a.Phase), string(result.Category)
	o.Code, o.Enhanced, o.Reply, o.Peer, o.TLS = a.Reply.Code, a.Reply.Enhanced, replyText(a), a.Peer, a.TLS
	o.Dialogue = a.Dialogue
	o.Status, o.NextAttempt = r.next(result.Verdict, number, letter, o.FinishedAt)
	endAttempt(span, a, result)
	if a.Err != nil {
		r.Log.WarnContext(ctx, "attempt had trouble", slog.String(telemetry.SMTPPhase, string(a.Phase)), slog.Any("error", a.Err))
	}
	return o, nil
}

// notComposed ends an attempt whose message could not be made. What is wrong with the
// message itself is final; trouble of ours is tried again like trouble of a mail server.
func (r *delivery) notComposed(ctx context.Context, o store.Outcome, letter *store.Letter, err error) store.Outcome {
	verdict, reason := outcome.Failed, "compose"
	switch fault.KindOf(err) {
	case fault.Invalid:
	case fault.TooLarge:
		reason = string(outcome.MessageTooLarge)
	default:
		verdict, reason = outcome.Deferred, "internal"
		r.Log.ErrorContext(ctx, "message could not be composed", slog.Any("error", err))
	}
	o.FinishedAt, o.Verdict, o.Phase = time.Now(), string(verdict), "compose"
	o.Reason, o.Reply = reason, publicText(err)
	o.Status, o.NextAttempt = r.next(verdict, o.Number, letter, o.FinishedAt)
	return o
}

// next is the status of a recipient after an attempt, and when it is tried again.
func (r *delivery) next(v outcome.Verdict, number int, letter *store.Letter, now time.Time) (email.Status, time.Time) {
	switch v {
	case outcome.Accepted:
		return email.Sent, time.Time{}
	case outcome.Bounced:
		return email.Bounced, time.Time{}
	case outcome.Failed:
		return email.Failed, time.Time{}
	case outcome.Unknown:
		if r.tenant.Settings.OnUnknownOutcome == tenant.Hold {
			return email.Unknown, time.Time{}
		}
	case outcome.Deferred:
	}
	if at, ok := outcome.NextTry(number, letter.TriedSince, now, letter.ExpiresAt, jitter()); ok {
		return email.Deferred, at
	}
	if !letter.ExpiresAt.IsZero() && letter.ExpiresAt.Before(letter.TriedSince.Add(outcome.GiveUpAfter)) {
		return email.Expired, time.Time{}
	}
	return email.Failed, time.Time{}
}

// startAttempt starts the span of an attempt. It belongs to the trace of the request that
// asked for the email, which is the activity's own when the dispatch has only that email.
func startAttempt(ctx context.Context, letter *store.Letter, recipient store.Due) (context.Context, trace.Span) {
	current := trace.SpanContextFromContext(ctx)
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(
			attribute.String(telemetry.EmailID, id.Email.Format(recipient.EmailID)),
			attribute.String(telemetry.RecipientID, id.Recipient.Format(recipient.RecipientID)),
		),
	}
	request := trace.SpanContextFromContext(telemetry.WithTraceParent(context.Background(), letter.TraceParent))
	if request.IsValid() && request.TraceID() != current.TraceID() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, request)
		options = append(options, trace.WithLinks(trace.Link{SpanContext: current}))
	}
	return otel.Tracer("mailtura/activities").Start(ctx, "smtp send", options...)
}

func endAttempt(span trace.Span, a smtpout.Attempt, result outcome.Result) {
	span.SetAttributes(
		attribute.String(telemetry.PeerAddress, a.Peer),
		attribute.String(telemetry.SMTPPhase, string(a.Phase)),
		attribute.Int(telemetry.SMTPCode, a.Reply.Code),
		attribute.String(telemetry.SMTPEnhanced, a.Reply.Enhanced),
		attribute.String(telemetry.Verdict, string(result.Verdict)),
	)
	if result.Verdict != outcome.Accepted {
		span.SetStatus(codes.Error, string(result.Verdict))
	}
}

// replyText is the answer as it may be shown: without one, in which phase it was missed.
func replyText(a smtpout.Attempt) string {
	if a.Reply.Code != 0 {
		return a.Reply.Text
	}
	return "no answer from the mail server in phase " + string(a.Phase)
}

// messages composes each email of a chunk once, when its first recipient needs it.
type messages struct {
	letters map[uuid.UUID]*store.Letter
	compose func(context.Context, *store.Letter) (draft, error)

	mu    sync.Mutex
	ready map[uuid.UUID]func() (draft, error)
}

// draft is an email as far as its recipients have it in common: it gives each one's message.
type draft func(recipient uuid.UUID) (message, error)

// message is a composed message.
type message struct {
	bytes []byte
	utf8  bool // a header address needs SMTPUTF8
}

func (m *messages) get(ctx context.Context, recipient store.Due) (message, error) {
	m.mu.Lock()
	compose, ok := m.ready[recipient.EmailID]
	if !ok {
		compose = sync.OnceValues(func() (draft, error) { return m.compose(ctx, m.letters[recipient.EmailID]) })
		m.ready[recipient.EmailID] = compose
	}
	m.mu.Unlock()
	made, err := compose()
	if err != nil {
		return message{}, err
	}
	return made(recipient.RecipientID)
}
