// Package id makes and reads Mailtura's ids: UUIDv7 (RFC 9562) in the database, so that
// they sort by time, and TypeIDs outside ("msg_01h455vb4pex5vsknk084sn02q"), so that a
// person sees what an id is of.
package id

import (
	"fmt"

	"github.com/google/uuid"
	"go.jetify.com/typeid"
)

// Kind is the type prefix of an id.
type Kind string

// The kinds of things that have ids.
const (
	Email     Kind = "msg"
	Recipient Kind = "rcp"
	Dispatch  Kind = "dsp"
	BulkSend  Kind = "blk"
	Template  Kind = "tpl"
	APIKey    Kind = "key"
	Deletion  Kind = "del"
	Event     Kind = "evt"
	Webhook   Kind = "whk"
	Domain    Kind = "dom"
	Delivery  Kind = "whd"
	Request   Kind = "req"
)

// New is a fresh id. Ids made by one process ascend.
func New() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// Format shows u as a TypeID of kind k.
func (k Kind) Format(u uuid.UUID) string {
	tid, err := typeid.FromUUIDBytesWithPrefix(string(k), u[:])
	if err != nil { // only a bad prefix can do that, and ours are constants
		return string(k) + "_" + u.String()
	}
	return tid.String()
}

// NewString is a fresh id, shown.
func (k Kind) NewString() string { return k.Format(New()) }

// Parse reads a TypeID of kind k.
func (k Kind) Parse(s string) (uuid.UUID, error) {
	tid, err := typeid.FromString(s)
	if err != nil {
		return uuid.Nil, fmt.Errorf("parse id: %w", err)
	}
	if tid.Prefix() != string(k) {
		return uuid.Nil, fmt.Errorf("parse id: %q is not of kind %q", s, k)
	}
	u, err := uuid.FromBytes(tid.UUIDBytes())
	if err != nil {
		return uuid.Nil, fmt.Errorf("parse id: %w", err)
	}
	return u, nil
}
