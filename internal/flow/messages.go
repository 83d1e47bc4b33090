package flow

import (
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/quota"
)

// SendEmailsInput names the dispatch that a SendEmails workflow carries.
type SendEmailsInput struct {
	TenantID   string    `json:"tenantId"`
	DispatchID uuid.UUID `json:"dispatchId"`
	Emails     int       `json:"emails"`
	// Inline: the process that starts the workflow also runs it, and the dispatch is
	// small: the first delivery is a local activity inside the first workflow task.
	Inline bool `json:"inline"`
}

// RecheckSignal has a SendEmails workflow look at its recipients without waiting further.
const RecheckSignal = "recheck"

// SendEmailsResult counts recipients by how they ended.
type SendEmailsResult struct {
	Sent      int `json:"sent"`
	Bounced   int `json:"bounced"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
	Expired   int `json:"expired"`
	Unknown   int `json:"unknown"`
}

// TenantQuotaInput is the whole state of a TenantQuota workflow; a run passes it on when
// it continues as new.
type TenantQuotaInput struct {
	TenantID   string       `json:"tenantId"`
	Version    int64        `json:"version"` // of the tenant whose settings gave Rate
	Rate       quota.Rate   `json:"rate"`
	Bucket     quota.Bucket `json:"bucket"`
	Recent     []Lease      `json:"recent,omitempty"` // newest last, so that a repeated request gets the same answer
	Granted    int64        `json:"granted"`          // permits since the workflow began
	Generation int          `json:"generation"`       // runs before this one
	Raised     bool         `json:"raised,omitempty"` // dispatches that wait by a lower limit have not been told yet
}

// Names of the messages of TenantQuota.
const (
	LeaseUpdate     = "lease"     // LeaseInput → Lease
	SetLimitsSignal = "setLimits" // SetLimitsInput
	UsageQuery      = "usage"     // → TenantQuotaInput
)

// LeaseInput asks for permits. It brings the limits as the asking process read them
// from the database, so that a changed limit never needs another message to take effect.
type LeaseInput struct {
	RequestID string        `json:"requestId"`
	Want      int           `json:"want"`
	Within    time.Duration `json:"within,omitempty"` // how far ahead permits are of use; 0 = as far as they are given
	Version   int64         `json:"version"`
	Rate      quota.Rate    `json:"rate"`
}

// Lease is a block of permits. With none, RetryAt says when the next one is to be had.
type Lease struct {
	RequestID string      `json:"requestId"`
	Slots     quota.Slots `json:"slots"`
	Rate      quota.Rate  `json:"rate"` // that the slots were given under
	RetryAt   time.Time   `json:"retryAt"`
}

// SetLimitsInput brings changed limits to a running TenantQuota; a zero Rate lifts the limit.
type SetLimitsInput struct {
	Version int64      `json:"version"`
	Rate    quota.Rate `json:"rate"`
}

// NoPermits is the type of the error with which the lease validator refuses a request
// that could get nothing; its detail is a Lease with RetryAt.
const NoPermits = "no_permits"

// ProvisionTenantInput names the tenant to set up.
type ProvisionTenantInput struct {
	TenantID string `json:"tenantId"`
}

// DeleteTenantInput names the tenant to delete and the deletion that records it.
type DeleteTenantInput struct {
	TenantID   string    `json:"tenantId"`
	DeletionID uuid.UUID `json:"deletionId"`
}

// DeleteTenantResult counts what was deleted.
type DeleteTenantResult struct {
	Rows      map[string]int64 `json:"rows"` // by table
	Workflows int              `json:"workflows"`
	Restored  bool             `json:"restored,omitempty"` // the tenant was, so nothing was deleted
}
