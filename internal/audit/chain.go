package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/gowebpki/jcs"

	"github.com/mailtura/mailtura/internal/apikey"
)

// start is the previous hash of the first entry.
var start = hex.EncodeToString(make([]byte, sha256.Size))

// Head is the newest entry of a log, behind which the next one comes. The zero Head is that of
// an empty log.
type Head struct {
	Number int64
	Hash   string // in hexadecimal
}

func (h Head) hash() string {
	if h.Number == 0 {
		return start
	}
	return h.Hash
}

// Next makes the entry behind the head: what is done under the context, at an instant.
func (h Head) Next(ctx context.Context, act Act, requestID string, at time.Time) (Entry, error) {
	actor := ActorOf(ctx)
	e := Entry{
		Number: h.Number + 1, At: at.UTC().Truncate(time.Microsecond), Action: act.Action, Target: apikey.RedactText(act.Target),
		Actor: Actor{Kind: actor.Kind, ID: apikey.RedactText(actor.ID)}, Note: apikey.RedactText(NoteOf(ctx)),
		RequestID: apikey.RedactText(requestID), Previous: h.hash(),
	}
	if act.TenantID != "" {
		e.TenantID = &act.TenantID
	}
	var err error
	if e.Before, e.After, err = changes(act.Before, act.After); err != nil {
		return e, err
	}
	e.Hash, err = e.sum()
	return e, err
}

// sum is the hash that the entry should have.
func (e Entry) sum() (string, error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("encode entry: %w", err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return "", fmt.Errorf("encode entry: %w", err)
	}
	delete(members, "hash")
	if raw, err = json.Marshal(members); err != nil {
		return "", fmt.Errorf("encode entry: %w", err)
	}
	canonical, err := jcs.Transform(raw)
	if err != nil {
		return "", fmt.Errorf("encode entry: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:]), nil
}

// Broken says which entry does not fit into the chain, and why.
type Broken struct {
	Number int64
	Why    string
}

var _ error = (*Broken)(nil)

// Error names the entry.
func (b *Broken) Error() string { return fmt.Sprintf("entry %d %s", b.Number, b.Why) }

// Chain checks entries one after the other, the oldest first. The zero Chain is ready.
type Chain struct{ head Head }

// Head is the last entry that fitted.
func (c *Chain) Head() Head { return c.head }

// Add checks the next entry; the error is *Broken.
func (c *Chain) Add(e Entry) error {
	switch want := c.head.Number + 1; {
	case e.Number > want:
		return &Broken{want, fmt.Sprintf("is missing: entry %d comes next", e.Number)}
	case e.Number < want:
		return &Broken{e.Number, fmt.Sprintf("is out of order: it comes behind entry %d", c.head.Number)}
	}
	if e.Previous != c.head.hash() {
		return &Broken{e.Number, fmt.Sprintf("does not continue the chain: its previous hash is not that of entry %d", c.head.Number)}
	}
	sum, err := e.sum()
	if err != nil {
		return &Broken{e.Number, "can not be hashed: " + err.Error()}
	}
	if e.Hash != sum {
		return &Broken{e.Number, "was changed: its hash is not that of its content"}
	}
	c.head = Head{Number: e.Number, Hash: e.Hash}
	return nil
}
