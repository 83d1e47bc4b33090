package activities

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/domain"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
)

// fresh is how old a look may be that somebody else has made, such as the request that woke the workflow.
const fresh = 2 * time.Second

// DNS answers questions.
type DNS interface {
	Look(ctx context.Context, questions []domain.Question) []domain.Answer
}

// Domains has the activity that looks at sender domains.
type Domains struct {
	Store *store.Store
	DNS   DNS
	Log   *slog.Logger
}

// CheckDomainInput names the domain.
type CheckDomainInput struct {
	TenantID string    `json:"tenantId"`
	DomainID uuid.UUID `json:"domainId"`
}

// CheckDomainResult is where the domain stands.
type CheckDomainResult struct {
	Status   string    `json:"status"`            // empty: there is no such domain
	Rotating bool      `json:"rotating"`          // new keys wait to be seen
	Missing  int       `json:"missing"`           // records that it has to have
	Blocked  bool      `json:"blocked,omitempty"` // all are there, but another tenant has the domain
	NextAt   time.Time `json:"nextAt"`            // when to look again
}

// CheckDomain asks the DNS for the records of a domain, and writes down what follows.
func (d *Domains) CheckDomain(ctx context.Context, in CheckDomainInput) (CheckDomainResult, error) {
	ctx = telemetry.WithTenant(ctx, in.TenantID)
	result, err := d.check(ctx, in)
	if fault.KindOf(err) == fault.NotFound { // the domain is deleted, or the tenant is
		return CheckDomainResult{}, nil
	}
	if err != nil {
		return CheckDomainResult{}, activityError(err)
	}
	return result, nil
}

func (d *Domains) check(ctx context.Context, in CheckDomainInput) (CheckDomainResult, error) {
	t, err := d.Store.Tenant(ctx, in.TenantID)
	if err != nil {
		return CheckDomainResult{}, err
	}
	now, err := d.Store.DomainByID(ctx, in.TenantID, in.DomainID)
	if err != nil {
		return CheckDomainResult{}, err
	}
	if now.CheckedAt != nil && now.CheckAt.After(time.Now()) && time.Since(*now.CheckedAt) < fresh {
		return standing(now, false), nil
	}
	answers := d.DNS.Look(ctx, now.Questions(t.Settings.Tracking.Domain))
	if err := ctx.Err(); err != nil { // it was not the DNS that did not answer
		return CheckDomainResult{}, err
	}
	before := now.Status
	now, blocked, err := d.Store.JudgeDomain(ctx, store.Look{TenantID: in.TenantID, DomainID: in.DomainID, Answers: answers})
	if err != nil {
		return CheckDomainResult{}, err
	}
	if now.Status != before {
		d.Log.InfoContext(ctx, "sender domain has changed", slog.String("domain", id.Domain.Format(in.DomainID)),
			slog.String("from", string(before)), slog.String("to", string(now.Status)))
	}
	return standing(now, blocked), nil
}

func standing(d store.Domain, blocked bool) CheckDomainResult {
	return CheckDomainResult{
		Status: string(d.Status), Rotating: d.Rotating(), Missing: len(d.Missing()), Blocked: blocked, NextAt: d.CheckAt,
	}
}
