package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/event"
	"github.com/mailtura/mailtura/internal/store/db"
	"github.com/mailtura/mailtura/internal/track"
)

// Hit is what an event has of an open or a click.
type Hit struct {
	Automated bool        `json:"automated"`
	Cause     track.Cause `json:"cause,omitempty"` // why it is taken for a machine's
	Unique    bool        `json:"unique"`          // the recipient's first of its kind by a person
	URL       string      `json:"url,omitempty"`   // of a click, as the two below
	Link      *int        `json:"linkIndex,omitempty"`
	UserAgent string      `json:"userAgent,omitempty"`
}

// Engagement is what a recipient did with a tracked email.
type Engagement struct {
	Opens, Clicks                   int // by people
	AutomatedOpens, AutomatedClicks int
	OpenedAt, ClickedAt             *time.Time // the first by a person
}

// RecordHits counts hits and appends an event for each, in one transaction. known says of
// each whether its recipient is still there: where it is not, nothing is recorded.
func (s *Store) RecordHits(ctx context.Context, hits []track.Hit) (known []bool, err error) {
	for {
		g := newHitGroup(hits)
		err = s.inSystem(ctx, "record hits", func(q *db.Queries) error { return g.record(ctx, q) })
		if !errors.Is(err, errOvertaken) {
			return g.known, err
		}
	}
}

// errOvertaken: another process has made the row of a recipient at the same time. It is read in
// another transaction, since locks are taken in an order.
var errOvertaken = errors.New("another process was first")

// recipientKey is a recipient of a tenant: a token of one tenant finds nothing of another.
type recipientKey struct {
	tenantID string
	id       uuid.UUID
}

// hitGroup is hits on their way into the database.
type hitGroup struct {
	hits    []track.Hit
	tenants []string // with ids: each recipient once
	ids     []uuid.UUID
	found   map[recipientKey]*tally
	order   []*tally
	events  db.InsertHitsParams
	known   []bool
}

// tally is what hits add to a recipient's row.
type tally struct {
	db.LockEngagementsRow
	Engagement
}

func newHitGroup(hits []track.Hit) *hitGroup {
	g := &hitGroup{hits: hits, found: make(map[recipientKey]*tally, len(hits))}
	for _, h := range hits {
		key := recipientKey{h.TenantID, h.Recipient}
		if _, seen := g.found[key]; !seen {
			g.found[key] = nil
			g.tenants, g.ids = append(g.tenants, h.TenantID), append(g.ids, h.Recipient)
		}
	}
	return g
}

func (g *hitGroup) record(ctx context.Context, q *db.Queries) error {
	rows, err := q.LockEngagements(ctx, g.ids)
	if err != nil {
		return err
	}
	g.add(rows)
	if len(g.order) < len(g.ids) {
		if err := g.insert(ctx, q); err != nil {
			return err
		}
	}
	if err := g.count(); err != nil || len(g.events.Types) == 0 {
		return err
	}
	if err := q.AddEngagements(ctx, g.counts()); err != nil {
		return err
	}
	return q.InsertHits(ctx, g.events)
}

// insert makes the rows that are missing.
func (g *hitGroup) insert(ctx context.Context, q *db.Queries) error {
	var tenants []string
	var ids []uuid.UUID
	for i, id := range g.ids {
		if g.found[recipientKey{g.tenants[i], id}] == nil {
			tenants, ids = append(tenants, g.tenants[i]), append(ids, id)
		}
	}
	rows, err := q.InsertEngagements(ctx, tenants, ids)
	fresh := make([]db.LockEngagementsRow, len(rows))
	for i, row := range rows {
		if !row.Inserted {
			return errOvertaken
		}
		fresh[i] = db.LockEngagementsRow{
			TenantID: row.TenantID, RecipientID: row.RecipientID, EmailID: row.EmailID, Status: row.Status, UpdatedAt: row.UpdatedAt,
		}
	}
	g.add(fresh)
	return err
}

// add takes rows over; those of another tenant, whose recipient somebody has signed for as his own, are left out.
func (g *hitGroup) add(rows []db.LockEngagementsRow) {
	for _, row := range rows {
		key := recipientKey{row.TenantID, row.RecipientID}
		if _, asked := g.found[key]; !asked {
			continue
		}
		t := &tally{LockEngagementsRow: row}
		g.found[key] = t
		g.order = append(g.order, t)
	}
}

func (g *hitGroup) count() error {
	g.known = make([]bool, len(g.hits))
	for i, h := range g.hits {
		t := g.found[recipientKey{h.TenantID, h.Recipient}]
		if g.known[i] = t != nil; !g.known[i] {
			continue
		}
		kind, detail := t.add(h)
		data, err := json.Marshal(detail)
		if err != nil {
			return err
		}
		e := &g.events
		e.TenantIds, e.Types, e.EmailIds = append(e.TenantIds, h.TenantID), append(e.Types, string(kind)), append(e.EmailIds, t.EmailID)
		e.RecipientIds, e.Data, e.CreatedAt = append(e.RecipientIds, h.Recipient), append(e.Data, string(data)), append(e.CreatedAt, h.At)
	}
	return nil
}

// add counts one hit, and says what its event tells.
func (t *tally) add(h track.Hit) (event.Type, Hit) {
	facts := track.Facts{LastLink: int(t.LastLink), LastAt: orZero(t.LastClickedAt)}
	switch email.Status(t.Status) { //nolint:exhaustive // of others it is not known when they were handed over
	case email.Sent, email.Sending:
		facts.SentAt = t.UpdatedAt
	}
	cause := track.Automated(h, facts)
	detail := Hit{Automated: cause != "", Cause: cause, UserAgent: h.UserAgent}
	kind, people, machines, first := event.EmailOpened, &t.Opens, &t.AutomatedOpens, &t.LockEngagementsRow.OpenedAt
	if h.Kind == track.Click {
		kind, people, machines, first = event.EmailClicked, &t.Clicks, &t.AutomatedClicks, &t.LockEngagementsRow.ClickedAt
		detail.URL, detail.Link = h.URL, &h.Link
		t.LastClickedAt, t.LastLink = &h.At, int32(h.Link)
	}
	if detail.Automated {
		*machines++
		return kind, detail
	}
	*people++
	if detail.Unique = *first == nil; detail.Unique {
		*first = &h.At
	}
	return kind, detail
}

func (g *hitGroup) counts() (p db.AddEngagementsParams) {
	for _, t := range g.order {
		p.TenantIds, p.RecipientIds = append(p.TenantIds, t.TenantID), append(p.RecipientIds, t.RecipientID)
		p.Opens, p.Clicks = append(p.Opens, int32(t.Opens)), append(p.Clicks, int32(t.Clicks))
		p.AutomatedOpens = append(p.AutomatedOpens, int32(t.AutomatedOpens))
		p.AutomatedClicks = append(p.AutomatedClicks, int32(t.AutomatedClicks))
		p.OpenedAt = append(p.OpenedAt, orEpoch(orZero(t.LockEngagementsRow.OpenedAt)))
		p.ClickedAt = append(p.ClickedAt, orEpoch(orZero(t.LockEngagementsRow.ClickedAt)))
		p.LastClickedAt, p.LastLinks = append(p.LastClickedAt, orEpoch(orZero(t.LastClickedAt))), append(p.LastLinks, t.LastLink)
	}
	return p
}

// addEngagements adds what recipients did with their emails.
func addEngagements(ctx context.Context, q *db.Queries, tenantID string, records []EmailRecord) error {
	at := map[uuid.UUID]*RecipientRecord{}
	var ids []uuid.UUID
	for i := range records {
		for j := range records[i].Recipients {
			r := &records[i].Recipients[j]
			at[r.ID], ids = r, append(ids, r.ID)
		}
	}
	rows, err := q.ListEngagements(ctx, tenantID, ids)
	for _, row := range rows {
		at[row.RecipientID].Engagement = Engagement{
			Opens: int(row.Opens), Clicks: int(row.Clicks), AutomatedOpens: int(row.AutomatedOpens), AutomatedClicks: int(row.AutomatedClicks),
			OpenedAt: row.OpenedAt, ClickedAt: row.ClickedAt,
		}
	}
	return err
}

// TrackingHost gives the tenant whose own tracking domain a host is; empty: it is nobody's.
func (s *Store) TrackingHost(ctx context.Context, host string) (tenantID string, err error) {
	tenantID, err = s.q.GetTrackingHost(ctx, host)
	return tenantID, translate("get tracking host", ignoreNoRows(err))
}

// Secret gives the installation's secret of a name; the first time that is the one it is given.
func (s *Store) Secret(ctx context.Context, name string, fresh []byte) ([]byte, error) {
	secret, err := s.q.KeepSecret(ctx, name, fresh)
	return secret, translate("keep secret", err)
}
