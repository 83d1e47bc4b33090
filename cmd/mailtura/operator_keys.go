package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"time"

	"github.com/mailtura/mailtura/internal/plan"
)

// keyDocument is an API key as the API shows it.
type keyDocument struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	RevokedAt *time.Time `json:"revokedAt"`
	plan.KeyContent
}

func (d keyDocument) isGood() bool {
	return d.RevokedAt == nil && (d.ExpiresAt == nil || d.ExpiresAt.After(time.Now()))
}

// apiKeys gives the keys that are good.
func (a *operatorAPI) apiKeys(ctx context.Context, tenantID string) (all []plan.Resource, err error) {
	err = pages(ctx, a, "/api-keys", tenantID, func(d keyDocument) {
		if d.isGood() {
			all = append(all, plan.FromAPIKey(tenantID, d.ID, d.Name, d.KeyContent))
		}
	})
	return all, err
}

// createKey makes a key. Two who do it at the same time make one key, since both have the
// Idempotency-Key that follows from the keys of this name that there were.
func (a *operatorAPI) createKey(ctx context.Context, c plan.Change) (secret string, err error) {
	before := []string{c.TenantID, c.Name}
	err = pages(ctx, a, "/api-keys", c.TenantID, func(d keyDocument) {
		if d.Name != c.Name {
			return
		}
		if before = append(before, d.ID); d.isGood() {
			before = nil
		}
	})
	if err != nil {
		return "", err
	}
	if before == nil {
		return "", errMovedOn
	}
	body := maps.Clone(c.Want.Fields)
	body["name"] = c.Name
	var made struct{ Key string }
	_, err = a.do(ctx, request{
		method: http.MethodPost, path: "/api-keys", tenantID: c.TenantID, body: body,
		header: map[string]string{"Idempotency-Key": "configuration-" + digest(before)},
	}, &made)
	return made.Key, err
}

func digest(parts []string) string {
	raw, _ := json.Marshal(parts) // texts
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// revokeKey revokes a key that is not wanted.
func (a *operatorAPI) revokeKey(ctx context.Context, c plan.Change) error {
	_, err := a.do(ctx, request{method: http.MethodDelete, path: "/api-keys/" + c.Have.ID, tenantID: c.TenantID}, nil)
	return err
}
