package apiserver

import (
	"context"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/store"
)

// AuditEntry is an administrative act, as package audit describes it.
type AuditEntry struct {
	Number    int64       `json:"number" doc:"Counts from 1 without a gap" example:"17"`
	At        time.Time   `json:"at" doc:"By the clock of the database"`
	Actor     audit.Actor `json:"actor"`
	Action    string      `json:"action" doc:"A thing and a verb" example:"tenant.update"`
	TenantID  *string     `json:"tenantId" doc:"null: it is of no tenant" example:"acme-corp"`
	Target    string      `json:"target" doc:"Id or name of what it was done to" example:"acme-corp"`
	Before    any         `json:"before" doc:"The members that were changed, as they were; null: it was not there"`
	After     any         `json:"after" doc:"The members that were changed, as they are; null: it is not there any more"`
	Note      string      `json:"note" doc:"X-Audit-Note of the request; empty: none" example:"apply mailtura.yaml"`
	RequestID string      `json:"requestId" doc:"X-Request-Id of the request; empty: there was none" example:"req_01h455vb4pex5vsknk084sn02q"`
	Previous  string      `json:"previous" doc:"Hash of the entry before, in hexadecimal; zeros for the first"`
	Hash      string      `json:"hash" doc:"SHA-256 of the entry without this member, in canonical form (RFC 8785), in hexadecimal"`
}

func (s *Server) registerAuditLog() {
	tags := []string{"Audit Log"}
	register(s, forOperators(apikey.AuditRead), huma.Operation{
		OperationID: "list-audit-log", Method: http.MethodGet, Path: "/audit-log", Tags: tags, Summary: "List administrative acts",
		Description: "Who has made, changed or deleted tenants, keys and templates, newest first. No entry is ever changed or taken out: " +
			"each has the hash of the one before, and the entries of a tenant stay when it is deleted.",
	}, s.listAuditLog)
	export := huma.Operation{
		OperationID: "export-audit-log", Method: http.MethodGet, Path: "/audit-log/export", Tags: tags, Summary: "Export the audit log",
		Description: "The whole log as NDJSON, oldest first, an entry a line as the list shows it. `mailtura audit verify -f` checks such a file. " +
			"An answer that is cut off ends without its last line break or with a broken connection.",
		Responses: map[string]*huma.Response{"200": {
			Description: "OK", Content: map[string]*huma.MediaType{ndjson: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}
	register(s, forOperators(apikey.AuditRead), export, s.exportAuditLog)
}

const ndjson = "application/x-ndjson"

func (s *Server) listAuditLog(ctx context.Context, in *struct {
	Page
	TenantID string    `query:"tenantId" maxLength:"63" doc:"Only acts on this tenant" example:"acme-corp"`
	Action   string    `query:"action" maxLength:"100" doc:"Only this action" example:"tenant.update"`
	Actor    string    `query:"actor" maxLength:"500" doc:"Only acts of the actor with this id: of a key, user of the operating system, or path of a file" example:"key_01h455vb4pex5vsknk084sn02q"`
	Since    time.Time `query:"since" doc:"Only acts at this time or after it"`
	Until    time.Time `query:"until" doc:"Only acts before this time"`
},
) (*body[list[AuditEntry]], error) {
	filter := store.AuditFilter{TenantID: in.TenantID, Action: in.Action, ActorID: in.Actor, Since: given(in.Since), Until: given(in.Until)}
	items, next, err := s.Store.ListAuditEntries(ctx, filter, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	return newList(items, next, showEntry), nil
}

// given is a time of a query; nil when it is absent.
func given(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

func showEntry(e audit.Entry) AuditEntry {
	return AuditEntry{
		Number: e.Number, At: e.At, Actor: e.Actor, Action: string(e.Action), TenantID: e.TenantID, Target: e.Target,
		Before: e.Before, After: e.After, Note: e.Note, RequestID: e.RequestID, Previous: e.Previous, Hash: e.Hash,
	}
}

// exportAuditLog streams the log, a few hundred entries in memory at a time.
func (s *Server) exportAuditLog(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	next, stop := iter.Pull2(s.Store.AuditEntries(ctx))
	first, err, more := next() // while there still can be another answer
	if err != nil {
		stop()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		defer stop()
		hc.SetHeader("Content-Type", ndjson)
		for e := first; more; e, err, more = next() {
			var line []byte
			if err == nil {
				line, err = e.Line()
			}
			if err == nil {
				_, err = hc.BodyWriter().Write(line)
			}
			if err != nil {
				s.log.WarnContext(ctx, "export of the audit log was cut off", slog.Any("error", err))
				panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's own way to cut a connection
			}
		}
	}}, nil
}
