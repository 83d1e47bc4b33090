package store

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/mailtura/mailtura/internal/fault"
)

var errCursor = fault.Field{Location: "query.after", Code: "invalid_cursor", Message: "not a cursor that this list gave"}

// last is the id after every other: where a list that is sorted newest first begins.
var last = uuid.Max

// idCursor reads the cursor of a list that is sorted by id; empty is the beginning.
func idCursor(after string) (uuid.UUID, error) {
	if after == "" {
		return last, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(after)
	if err != nil || len(raw) != 16 {
		return uuid.Nil, fault.InvalidFields(errCursor)
	}
	return uuid.UUID(raw), nil
}

func cursorOf(id uuid.UUID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// storable reports whether PostgreSQL can take a text.
func storable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

// page cuts rows, of which one more than limit was asked for, to limit.
func page[T any](rows []T, limit int) (cut []T, more bool) {
	if len(rows) > limit {
		return rows[:limit], true
	}
	return rows, false
}
