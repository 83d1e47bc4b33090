package store

import (
	"time"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/id"
)

// target is how the audit log names a key.
func (k APIKey) target() string { return id.APIKey.Format(k.ID) }

// auditedKey is what the audit log has of a key.
type auditedKey struct {
	Name       string       `json:"name"`
	Prefix     string       `json:"prefix"`
	Scopes     apikey.Grant `json:"scopes"`       // null: all
	Networks   []string     `json:"allowedCidrs"` // null: everywhere
	ExpiresAt  *time.Time   `json:"expiresAt"`
	RevokedAt  *time.Time   `json:"revokedAt"`
	ReplacedBy *string      `json:"replacedBy"`
}

func (k APIKey) audited() auditedKey {
	return auditedKey{
		Name: k.Name, Prefix: k.Prefix, Scopes: k.Grant, Networks: k.Networks.Texts(), ExpiresAt: inUTC(k.ExpiresAt),
		RevokedAt: inUTC(k.RevokedAt), ReplacedBy: shownKey(k.ReplacedBy),
	}
}

func shownKey(key *uuid.UUID) *string {
	if key == nil {
		return nil
	}
	shown := id.APIKey.Format(*key)
	return &shown
}

func inUTC(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	utc := at.UTC()
	return &utc
}
