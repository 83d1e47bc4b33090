package tenant

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gowebpki/jcs"
)

// Receipt says what the deletion of a tenant has deleted. Its hash lets anyone who has kept it see that it is
// the one that was given.
type Receipt struct {
	DeletionID   string           `json:"deletionId" example:"del_01h455vb4pex5vsknk084sn02q"`
	TenantID     string           `json:"tenantId" example:"acme-corp"`
	RequestedAt  time.Time        `json:"requestedAt"`
	StartedAt    time.Time        `json:"startedAt" doc:"Since then there was no return"`
	FinishedAt   time.Time        `json:"finishedAt"`
	Rows         map[string]int64 `json:"rows" doc:"Rows deleted, by table: every table that has rows of tenants is there, and tenants itself"`
	VerifiedZero bool             `json:"verifiedZero" doc:"A count of every one of these tables has found no row of the tenant. Always true: without that a deletion does not end"`
	Hash         string           `json:"hash" doc:"SHA-256 of the receipt without this member, in canonical form (RFC 8785), in hexadecimal"`
}

// Seal gives the receipt with its hash.
func (r Receipt) Seal() (Receipt, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return r, fmt.Errorf("encode receipt: %w", err)
	}
	r.Hash, err = HashReceipt(raw)
	return r, err
}

// HashReceipt computes the hash of a receipt from its JSON, whatever its member hash says.
func HashReceipt(raw []byte) (string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return "", fmt.Errorf("read receipt: %w", err)
	}
	delete(members, "hash")
	bare, err := json.Marshal(members)
	if err != nil {
		return "", fmt.Errorf("encode receipt: %w", err)
	}
	canonical, err := jcs.Transform(bare)
	if err != nil {
		return "", fmt.Errorf("canonical receipt: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:]), nil
}
