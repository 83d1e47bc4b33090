package store

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/template"
)

// Due is a recipient whose turn it is.
type Due struct {
	RecipientID uuid.UUID
	EmailID     uuid.UUID
	Address     string
	Attempts    int       // so far
	Seen        time.Time // when it was last changed; who claims it compares
	CutOff      bool      // its last attempt ended without an outcome
	Expired     bool      // its email is of no use any more
}

// ListDue gives up to limit recipients of a dispatch whose turn it is.
func (s *Store) ListDue(ctx context.Context, tenantID string, dispatch uuid.UUID, now time.Time, limit int) ([]Due, error) {
	rows, err := s.q.ListDueRecipients(ctx, db.ListDueRecipientsParams{
		TenantID: tenantID, DispatchID: dispatch, Now: &now, Count: int32(limit),
	})
	if err != nil {
		return nil, translate("list due recipients", err)
	}
	due := make([]Due, len(rows))
	for i, row := range rows {
		due[i] = Due{
			RecipientID: row.ID, EmailID: row.EmailID, Address: row.Address,
			Attempts: int(row.Attempts), Seen: row.UpdatedAt, CutOff: email.Status(row.Status) == email.Sending,
			Expired: row.ExpiresAt != nil && !now.Before(*row.ExpiresAt),
		}
	}
	return due, nil
}

// SettleCutOff records that attempts ended without a known outcome, and gives their
// recipients a status: Queued to send again, Unknown to hold.
func (s *Store) SettleCutOff(ctx context.Context, tenantID string, recipients []uuid.UUID, status email.Status, now time.Time) error {
	return translate("settle cut-off attempts", s.q.SettleCutOff(ctx, db.SettleCutOffParams{
		TenantID: tenantID, Ids: recipients, Status: string(status), Now: now,
	}))
}

// ExpireRecipients ends recipients whose email expired before their turn came.
func (s *Store) ExpireRecipients(ctx context.Context, tenantID string, recipients []uuid.UUID, now time.Time) error {
	return translate("expire recipients", s.q.ExpireRecipients(ctx, db.ExpireRecipientsParams{TenantID: tenantID, Ids: recipients, Now: now}))
}

// Pin names a version of a template.
type Pin struct {
	TemplateID uuid.UUID
	Version    int32
}

// Letter is an email with what is needed to compose it.
type Letter struct {
	email.Email
	Template   *template.Source // nil: the email has its own content
	BulkSendID *uuid.UUID       // of which it is a line; nil: of none
}

// Rendering is what the engine needs to render the letter.
func (l *Letter) Rendering() template.Email {
	in := template.Email{
		Pinned: l.Template, Own: template.Source{Subject: l.Subject, HTML: l.Content.HTML, Text: l.Content.Text},
		Variables: l.Content.Variables,
	}
	if l.TemplateID != nil {
		in.Key = templateKey(l.TenantID, *l.TemplateID, *l.TemplateVersion)
	}
	if l.BulkSendID != nil { // its lines share subject, content and template, which nothing changes
		in.Shared = url.PathEscape(l.TenantID) + "/" + id.BulkSend.Format(*l.BulkSendID)
	}
	return in
}

// Letter gives an email with what is needed to compose it; fault email_not_found.
func (s *Store) Letter(ctx context.Context, tenantID string, emailID uuid.UUID) (l *Letter, err error) {
	err = s.inTenant(ctx, "load email", tenantID, func(q *db.Queries) error {
		letters, err := loadLetters(ctx, q, tenantID, []uuid.UUID{emailID})
		if err == nil && letters[emailID] == nil {
			return fault.New(fault.NotFound, "email_not_found", "There is no such email.")
		}
		l = letters[emailID]
		return err
	})
	return l, err
}

// templateKey names a version of a template among the compiled ones.
func templateKey(tenantID string, templateID uuid.UUID, version int32) string {
	return fmt.Sprintf("%s/%s@%d", url.PathEscape(tenantID), id.Template.Format(templateID), version)
}

// Rendering is what the engine needs to render an email of the template and nothing else.
func (t *Template) Rendering(tenantID string, variables []byte) template.Email {
	return template.Email{Key: templateKey(tenantID, t.ID, t.Version), Pinned: &t.Source, Variables: variables}
}

// LoadLetters gives emails of a tenant with their recipients, contents and pinned templates.
func (s *Store) LoadLetters(ctx context.Context, tenantID string, ids []uuid.UUID) (map[uuid.UUID]*Letter, error) {
	letters, err := loadLetters(ctx, s.q, tenantID, ids)
	return letters, translate("load emails", err)
}

func loadLetters(ctx context.Context, q *db.Queries, tenantID string, ids []uuid.UUID) (map[uuid.UUID]*Letter, error) {
	rows, err := q.ListEmailsToCompose(ctx, ids, tenantID)
	if err != nil {
		return nil, err
	}
	letters := make(map[uuid.UUID]*Letter, len(rows))
	for _, row := range rows {
		l := &Letter{Email: toEmail(row), BulkSendID: row.BulkSendID}
		if err := json.Unmarshal(row.Content, &l.Content); err != nil {
			return nil, fmt.Errorf("read content of email %s: %w", row.ID, err)
		}
		letters[row.ID] = l
	}
	recipients, err := q.ListRecipients(ctx, tenantID, ids)
	if err != nil {
		return nil, err
	}
	for _, row := range recipients {
		if l := letters[row.EmailID]; l != nil {
			l.Recipients = append(l.Recipients, toRecipient(row))
		}
	}
	if err := addShared(ctx, q, tenantID, rows, letters); err != nil {
		return nil, err
	}
	return letters, addTemplates(ctx, q, tenantID, letters)
}

func addTemplates(ctx context.Context, q *db.Queries, tenantID string, letters map[uuid.UUID]*Letter) error {
	sources := map[Pin]*template.Source{}
	var p db.ListTemplateVersionsParams
	for _, l := range letters {
		if l.TemplateID == nil {
			continue
		}
		if pin := (Pin{*l.TemplateID, *l.TemplateVersion}); sources[pin] == nil {
			sources[pin] = &template.Source{}
			p.TemplateIds, p.Versions = append(p.TemplateIds, pin.TemplateID), append(p.Versions, pin.Version)
		}
	}
	if len(sources) == 0 {
		return nil
	}
	p.TenantID = tenantID
	rows, err := q.ListTemplateVersions(ctx, p)
	if err != nil {
		return err
	}
	for _, row := range rows {
		source, err := toSource(row.Subject, row.Html, row.Text, row.InlineCss, row.Partials)
		if err != nil {
			return err
		}
		*sources[Pin{row.TemplateID, row.Version}] = source
	}
	for _, l := range letters {
		if l.TemplateID != nil {
			l.Template = sources[Pin{*l.TemplateID, *l.TemplateVersion}]
		}
	}
	return nil
}

func toEmail(row db.ListEmailsToComposeRow) email.Email {
	e := email.Email{
		ID: row.ID, TenantID: row.TenantID, From: address.Address{Name: row.FromName, Addr: row.FromAddress},
		Subject: row.Subject, TemplateID: row.TemplateID, TemplateVersion: row.TemplateVersion,
		Tags: row.Tags, Metadata: row.Metadata, TraceParent: row.TraceParent, CreatedAt: row.CreatedAt, Class: email.Class(row.Class),
	}
	e.TriedSince = e.CreatedAt
	for _, began := range []*time.Time{row.ScheduledAt, row.RetriedAt} { // the 72 hours of attempts
		if began != nil && began.After(e.TriedSince) {
			e.TriedSince = *began
		}
	}
	if row.ExpiresAt != nil {
		e.ExpiresAt = *row.ExpiresAt
	}
	return e
}

// StartAttempts writes an attempt for each recipient before it is handed over, and gives
// the attempt's number by recipient. A recipient that was changed since it was seen (taken by
// another worker, cancelled, retried in another dispatch) is not among them.
func (s *Store) StartAttempts(ctx context.Context, tenantID string, due []Due, now time.Time) (map[uuid.UUID]int, error) {
	p := db.StartAttemptsParams{TenantID: tenantID, Now: now}
	for _, d := range due {
		p.Ids, p.Seen = append(p.Ids, d.RecipientID), append(p.Seen, d.Seen)
	}
	rows, err := s.q.StartAttempts(ctx, p)
	if err != nil {
		return nil, translate("start attempts", err)
	}
	numbers := make(map[uuid.UUID]int, len(rows))
	for _, row := range rows {
		numbers[row.RecipientID] = int(row.Number)
	}
	return numbers, nil
}

// Outcome is how an attempt ended and what becomes of its recipient.
type Outcome struct {
	RecipientID uuid.UUID
	Number      int
	FinishedAt  time.Time
	Verdict     string
	Phase       string
	Code        int
	Enhanced    string
	Reply       string
	Peer        string
	TLS         bool
	Status      email.Status
	NextAttempt time.Time // for Deferred
	Reason      string
	Dialogue    string // what both sides said
	Stopped     bool   // there was no hand-over, and it is as if the attempt had never begun; Reason and Reply may say why
}

// FinishAttempts writes outcomes in one statement, each at most once, and takes back attempts that were stopped.
func (s *Store) FinishAttempts(ctx context.Context, tenantID string, outcomes []Outcome) error {
	outcomes, err := s.undoAttempts(ctx, tenantID, outcomes)
	if err != nil || len(outcomes) == 0 {
		return translate("undo attempts", err)
	}
	p := db.FinishAttemptsParams{TenantID: tenantID}
	for _, o := range outcomes {
		p.RecipientIds = append(p.RecipientIds, o.RecipientID)
		p.Numbers = append(p.Numbers, int32(o.Number))
		p.FinishedAt = append(p.FinishedAt, o.FinishedAt)
		p.Verdicts = append(p.Verdicts, o.Verdict)
		p.Phases = append(p.Phases, o.Phase)
		p.Codes = append(p.Codes, int32(o.Code))
		p.Enhanced = append(p.Enhanced, o.Enhanced)
		p.Replies = append(p.Replies, o.Reply)
		p.Peers = append(p.Peers, o.Peer)
		p.Tls = append(p.Tls, o.TLS)
		p.Statuses = append(p.Statuses, string(o.Status))
		p.NextAttempts = append(p.NextAttempts, o.NextAttempt)
		p.Reasons = append(p.Reasons, o.Reason)
		p.Dialogues = append(p.Dialogues, o.Dialogue)
	}
	return translate("finish attempts", s.q.FinishAttempts(ctx, p))
}

// Progress counts the recipients of a dispatch by status.
type Progress struct {
	Sent, Bounced, Failed, Cancelled, Expired, Unknown, Deferred, Queued int
	NextAttemptAt                                                        time.Time // of the deferred; zero without any
}

// Progress gives where a dispatch stands, and notes when it is finished.
func (s *Store) Progress(ctx context.Context, tenantID string, dispatch uuid.UUID, now time.Time) (Progress, error) {
	row, err := s.q.GetDispatchProgress(ctx, dispatch, tenantID)
	if err != nil {
		return Progress{}, translate("get progress", err)
	}
	p := Progress{
		Sent: int(row.Sent), Bounced: int(row.Bounced), Failed: int(row.Failed), Unknown: int(row.Unknown),
		Cancelled: int(row.Cancelled), Expired: int(row.Expired), Deferred: int(row.Deferred), Queued: int(row.Queued),
	}
	if p.Deferred+p.Queued == 0 {
		err = s.finishDispatch(ctx, tenantID, dispatch, now)
	}
	if p.Deferred > 0 {
		p.NextAttemptAt = row.NextAttemptAt
	}
	return p, err
}

// finishDispatch notes that a dispatch is finished, and counts the chunk of a bulk send that it was.
func (s *Store) finishDispatch(ctx context.Context, tenantID string, dispatch uuid.UUID, now time.Time) error {
	bulkID, err := s.q.FinishDispatch(ctx, db.FinishDispatchParams{Now: &now, TenantID: tenantID, ID: dispatch})
	if err = ignoreNoRows(err); err == nil && bulkID != nil {
		err = s.q.CountChunk(ctx, db.CountChunkParams{DispatchID: &dispatch, TenantID: tenantID, BulkSendID: *bulkID})
	}
	return translate("finish dispatch", err)
}
