package flow

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/id"
)

// WorkflowID is "<kind>/<tenant>" or "<kind>/<tenant>/<entity>".
type WorkflowID struct {
	Kind     string // "send", "quota", "tenant", "bulk"
	TenantID string
	Entity   string // may be empty
}

// String is the id as Temporal has it.
func (w WorkflowID) String() string {
	if w.Entity == "" {
		return w.Kind + "/" + w.TenantID
	}
	return w.Kind + "/" + w.TenantID + "/" + w.Entity
}

// ParseWorkflowID reads an id that String made.
func ParseWorkflowID(s string) (WorkflowID, error) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" || (len(parts) == 3 && parts[2] == "") {
		return WorkflowID{}, fmt.Errorf("parse workflow id: %q is not kind/tenant or kind/tenant/entity", s)
	}
	w := WorkflowID{Kind: parts[0], TenantID: parts[1]}
	if len(parts) == 3 {
		w.Entity = parts[2]
	}
	return w, nil
}

// SendEmailsID is the id of the workflow that carries a dispatch.
func SendEmailsID(tenantID string, dispatch uuid.UUID) string {
	return WorkflowID{Kind: "send", TenantID: tenantID, Entity: id.Dispatch.Format(dispatch)}.String()
}

// TenantQuotaID is the id of a tenant's rate limiter.
func TenantQuotaID(tenantID string) string {
	return WorkflowID{Kind: "quota", TenantID: tenantID}.String()
}

// ProvisionTenantID is the id of the workflow that sets a tenant up.
func ProvisionTenantID(tenantID string) string {
	return WorkflowID{Kind: "tenant", TenantID: tenantID, Entity: "provision"}.String()
}

// DeleteTenantID is the id of the workflow that deletes a tenant. It has the deletion, since a tenant that was restored
// can be deleted again while the workflow of the deletion before has not heard of that.
func DeleteTenantID(tenantID string, deletion uuid.UUID) string {
	return WorkflowID{Kind: "tenant", TenantID: tenantID, Entity: id.Deletion.Format(deletion)}.String()
}

// BulkSendWorkflowID is the id of the workflow of a bulk send.
func BulkSendWorkflowID(tenantID string, bulkSend uuid.UUID) string {
	return WorkflowID{Kind: "bulk", TenantID: tenantID, Entity: id.BulkSend.Format(bulkSend)}.String()
}
