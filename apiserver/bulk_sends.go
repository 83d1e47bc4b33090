package apiserver

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
)

// BulkSend is a bulk send as it stands.
type BulkSend struct {
	ID         string       `json:"id" example:"blk_01h455vb4pex5vsknk084sn02q"`
	Name       string       `json:"name"`
	Status     string       `json:"status" enum:"uploading,running,paused,cancelled,completed" doc:"Completed means that every line is an email; what became of them is in progress"`
	Class      string       `json:"class" enum:"transactional,bulk"`
	Accepted   int          `json:"accepted" doc:"Lines"`
	Rejected   int          `json:"rejected" doc:"Lines; GET /bulk-sends/{id}/errors has why"`
	Progress   BulkProgress `json:"progress" doc:"Where the accepted lines stand"`
	Workflow   *Workflow    `json:"workflow" doc:"The Temporal workflow that queues it; null while it is uploaded"`
	CreatedAt  time.Time    `json:"createdAt"`
	FinishedAt *time.Time   `json:"finishedAt" doc:"When it was completed or cancelled"`
}

// BulkProgress counts lines by their status; together they are those that were accepted.
type BulkProgress struct {
	Scheduled int `json:"scheduled"`
	Held      int `json:"held" doc:"They wait for a day with room"`
	Queued    int `json:"queued" doc:"Those that are no emails yet are among them"`
	Sending   int `json:"sending"`
	Deferred  int `json:"deferred"`
	Sent      int `json:"sent"`
	Bounced   int `json:"bounced"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
	Expired   int `json:"expired"`
	Unknown   int `json:"unknown"`
}

// BulkError is something that is wrong with a line.
type BulkError struct {
	Line     int    `json:"line" doc:"Of the upload; 1 is the shared one" example:"42"`
	Location string `json:"location" doc:"Where in the line; empty for all of it" example:"to"`
	Code     string `json:"code" doc:"Stable, for programs" example:"invalid_address"`
	Message  string `json:"message" doc:"What, for a person"`
}

// BulkSendPath is the path of a bulk send.
type BulkSendPath struct {
	ID string `path:"id" maxLength:"40" example:"blk_01h455vb4pex5vsknk084sn02q"`
}

type bulkSendInput struct {
	TenantHeader
	BulkSendPath
}

// bulkSendID reads the id of the path; what is not one can not exist.
func (in *BulkSendPath) bulkSendID() (uuid.UUID, error) {
	bulkID, err := id.BulkSend.Parse(in.ID)
	if err != nil {
		return uuid.Nil, noSuch("bulk_send_not_found", "bulk send")
	}
	return bulkID, nil
}

func (s *Server) registerBulkSends() {
	tags := []string{"Bulk Sends"}
	s.registerBulkUpload(tags)
	register(s, forTenants(apikey.EmailsRead), huma.Operation{
		OperationID: "list-bulk-sends", Method: http.MethodGet, Path: "/bulk-sends", Tags: tags, Summary: "List bulk sends",
	}, s.listBulkSends)
	register(s, forTenants(apikey.EmailsRead), huma.Operation{
		OperationID: "get-bulk-send", Method: http.MethodGet, Path: "/bulk-sends/{id}", Tags: tags, Summary: "See how far a bulk send is",
	}, s.getBulkSend)
	register(s, forTenants(apikey.EmailsRead), huma.Operation{
		OperationID: "list-bulk-send-errors", Method: http.MethodGet, Path: "/bulk-sends/{id}/errors", Tags: tags,
		Summary: "List why lines were rejected", Description: "In the order of the lines; the first 10,000 reasons are kept.",
	}, s.listBulkSendErrors)
	register(s, forTenants(apikey.EmailsSend), huma.Operation{
		OperationID: "pause-bulk-send", Method: http.MethodPost, Path: "/bulk-sends/{id}/pause", Tags: tags,
		Summary: "Queue no more of a bulk send", Errors: []int{http.StatusConflict},
		Description: "What is queued already, at most some 2,500 lines, is sent all the same.",
	}, s.turnBulkSend(flow.PauseSignal, func(ctx context.Context, tenantID string, bulkID uuid.UUID) error {
		return s.Store.PauseBulkSend(ctx, tenantID, bulkID, time.Now())
	}))
	register(s, forTenants(apikey.EmailsSend), huma.Operation{
		OperationID: "resume-bulk-send", Method: http.MethodPost, Path: "/bulk-sends/{id}/resume", Tags: tags,
		Summary: "Go on with a paused bulk send", Errors: []int{http.StatusConflict},
	}, s.turnBulkSend(flow.ResumeSignal, func(ctx context.Context, tenantID string, bulkID uuid.UUID) error {
		return s.Store.ResumeBulkSend(ctx, tenantID, bulkID, time.Now())
	}))
	register(s, forTenants(apikey.EmailsSend), huma.Operation{
		OperationID: "cancel-bulk-send", Method: http.MethodPost, Path: "/bulk-sends/{id}/cancel", Tags: tags,
		Summary: "Cancel what of a bulk send is not sent yet", Errors: []int{http.StatusConflict},
		Description: "Lines that are scheduled, held, queued or deferred become cancelled, and what was never tried counts no longer " +
			"against the daily limit. A hand-over that is under way goes on. An upload that is under way is refused.",
	}, s.turnBulkSend(flow.CancelSignal, s.cancelBulkSend))
}

func (s *Server) listBulkSends(ctx context.Context, in *struct {
	TenantHeader
	Page
},
) (*body[list[BulkSend]], error) {
	items, next, err := s.Store.ListBulkSends(ctx, caller(ctx).ID, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	return newList(items, next, s.showBulkSend), nil
}

func (s *Server) getBulkSend(ctx context.Context, in *struct {
	TenantHeader
	BulkSendPath
	IfNoneMatchHeader
},
) (*resource[BulkSend], error) {
	bulkID, err := in.bulkSendID()
	if err != nil {
		return nil, err
	}
	return s.bulkSendNow(ctx, bulkID)
}

func (s *Server) bulkSendNow(ctx context.Context, bulkID uuid.UUID) (*resource[BulkSend], error) {
	b, err := s.Store.BulkSend(ctx, caller(ctx).ID, bulkID)
	if err != nil {
		return nil, err
	}
	return newResource(s.showBulkSend(b))
}

func (s *Server) listBulkSendErrors(ctx context.Context, in *struct {
	TenantHeader
	BulkSendPath
	Page
},
) (*body[list[BulkError]], error) {
	bulkID, err := in.bulkSendID()
	if err != nil {
		return nil, err
	}
	items, next, err := s.Store.ListBulkSendErrors(ctx, caller(ctx).ID, bulkID, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	return newList(items, next, func(e store.BulkError) BulkError { return BulkError(e) }), nil
}

// turnBulkSend is a handler that changes where a bulk send stands, and tells its workflow.
// When Temporal is away, the workflow finds out when it looks.
func (s *Server) turnBulkSend(
	signal string, turn func(ctx context.Context, tenantID string, bulkID uuid.UUID) error,
) func(context.Context, *bulkSendInput) (*resource[BulkSend], error) {
	return func(ctx context.Context, in *bulkSendInput) (*resource[BulkSend], error) {
		bulkID, err := in.bulkSendID()
		if err != nil {
			return nil, err
		}
		if err := turn(ctx, caller(ctx).ID, bulkID); err != nil {
			return nil, err
		}
		if err := s.Flow.TellBulkSend(ctx, caller(ctx).ID, bulkID, signal); err != nil {
			s.log.WarnContext(ctx, "bulk send workflow finds out later", slog.Any("error", err))
		}
		return s.bulkSendNow(ctx, bulkID)
	}
}

// maxRechecks is how many send workflows a cancellation wakes; others find out when they wake.
const maxRechecks = 20

func (s *Server) cancelBulkSend(ctx context.Context, tenantID string, bulkID uuid.UUID) error {
	dispatches, err := s.Store.CancelBulkSend(ctx, tenantID, bulkID, time.Now())
	for _, dispatch := range dispatches[:min(len(dispatches), maxRechecks)] {
		s.recheck(ctx, &dispatch)
	}
	return err
}

func (s *Server) showBulkSend(b store.BulkSend) BulkSend {
	n := b.Progress
	shown := BulkSend{
		ID: id.BulkSend.Format(b.ID), Name: b.Name, Status: string(b.Status), Class: string(b.Class),
		Accepted: b.Accepted, Rejected: b.Rejected, CreatedAt: b.CreatedAt.UTC(), FinishedAt: utc(b.FinishedAt),
		Progress: BulkProgress{
			Scheduled: n[email.Scheduled], Held: n[email.Held], Queued: n[email.Queued], Sending: n[email.Sending],
			Deferred: n[email.Deferred], Sent: n[email.Sent], Bounced: n[email.Bounced], Failed: n[email.Failed],
			Cancelled: n[email.Cancelled], Expired: n[email.Expired], Unknown: n[email.Unknown],
		},
	}
	if b.Status != store.BulkUploading {
		shown.Workflow = s.workflow(flow.BulkSendWorkflowID(b.TenantID, b.ID), b.RunID)
	}
	return shown
}
