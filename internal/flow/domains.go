package flow

import (
	"context"

	"github.com/google/uuid"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/internal/id"
)

// WatchDomain is the workflow that looks after a tenant's sender domain.
const WatchDomain = "WatchDomain"

// WatchDomainInput is the whole state of a WatchDomain workflow; a run passes it on when it
// continues as new.
type WatchDomainInput struct {
	TenantID   string    `json:"tenantId"`
	DomainID   uuid.UUID `json:"domainId"`
	Looks      int       `json:"looks"`      // at the DNS
	Generation int       `json:"generation"` // runs before this one
}

// LookSignal has a WatchDomain workflow look without waiting further: the domain was changed, or somebody else has looked.
const LookSignal = "look"

// WatchQuery gives the WatchDomainInput of a WatchDomain as it stands.
const WatchQuery = "watch"

// WatchDomainID is the id of the workflow of a domain.
func WatchDomainID(tenantID string, domainID uuid.UUID) string {
	return WorkflowID{Kind: "domain", TenantID: tenantID, Entity: id.Domain.Format(domainID)}.String()
}

// WatchDomain tells the workflow of a domain to look, and starts it when it does not run.
func (c *Client) WatchDomain(ctx context.Context, tenantID string, domainID uuid.UUID) error {
	_, err := c.temporal.SignalWithStartWorkflow(ctx, WatchDomainID(tenantID, domainID), LookSignal, nil, client.StartWorkflowOptions{
		TaskQueue:                ControlQueue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		TypedSearchAttributes:    temporal.NewSearchAttributes(TenantID.ValueSet(tenantID)),
		StaticSummary:            "Sender domain of " + tenantID,
		Priority:                 temporal.Priority{PriorityKey: 3, FairnessKey: tenantID},
	}, WatchDomain, WatchDomainInput{TenantID: tenantID, DomainID: domainID})
	if err != nil {
		return unavailable("watch domain", err)
	}
	return nil
}

// LeaveDomain tells the workflow of a domain that is deleted, if it runs, which ends by that.
func (c *Client) LeaveDomain(ctx context.Context, tenantID string, domainID uuid.UUID) error {
	err := c.temporal.SignalWorkflow(ctx, WatchDomainID(tenantID, domainID), "", LookSignal, nil)
	if err == nil || isNotFound(err) {
		return nil
	}
	return unavailable("leave domain", err)
}
