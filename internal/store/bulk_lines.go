package store

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/internal/mail/address"
	"github.com/mailtura/mailtura/internal/store/db"
)

// BulkLine is a good line of an upload.
type BulkLine struct {
	Number    int             `json:"-"` // of the line in the upload; 1 is the shared one
	To        address.Address `json:"to"`
	Variables json.RawMessage `json:"variables,omitempty"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
}

// packLines is the form in which a chunk keeps its lines.
func packLines(lines []BulkLine) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := json.NewEncoder(w).Encode(lines); err != nil {
		return nil, err
	}
	err = w.Close()
	return packed.Bytes(), err
}

func unpackLines(packed []byte) (lines []BulkLine, err error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	err = json.NewDecoder(r).Decode(&lines)
	return lines, err
}

// email is the email that a line asks for. What it shares with the others' content stays
// with the bulk send.
func (l BulkLine) email(shared email.Email) email.Email {
	e := shared
	e.ID = id.New()
	e.Content = email.Content{Variables: l.Variables}
	e.Metadata = l.Metadata
	e.Recipients = []email.Recipient{{ID: id.New(), Kind: email.To, Address: l.To}}
	return e
}

// addShared completes emails of bulk sends with the content that their lines share.
func addShared(
	ctx context.Context, q *db.Queries, tenantID string, rows []db.ListEmailsToComposeRow, letters map[uuid.UUID]*Letter,
) error {
	contents := map[uuid.UUID]email.Content{}
	var ids []uuid.UUID
	for _, row := range rows {
		if row.BulkSendID == nil {
			continue
		}
		if _, known := contents[*row.BulkSendID]; !known {
			contents[*row.BulkSendID] = email.Content{}
			ids = append(ids, *row.BulkSendID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	shared, err := q.ListBulkShared(ctx, tenantID, ids)
	if err != nil {
		return err
	}
	for _, row := range shared {
		e, err := readShared(row.Shared)
		if err != nil {
			return fmt.Errorf("bulk send %s: %w", row.ID, err)
		}
		contents[row.ID] = e.Content
	}
	for _, row := range rows {
		if row.BulkSendID != nil {
			own := letters[row.ID].Content.Variables
			letters[row.ID].Content = contents[*row.BulkSendID]
			letters[row.ID].Content.Variables = own
		}
	}
	return nil
}

func readShared(raw []byte) (e email.Email, err error) {
	if err = json.Unmarshal(raw, &e); err != nil {
		err = fmt.Errorf("read what lines share: %w", err)
	}
	return e, err
}
