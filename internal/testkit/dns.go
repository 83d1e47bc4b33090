package testkit

import (
	"log/slog"

	"github.com/foxcpp/go-mockdns"
)

// DNS is a name server, over UDP and TCP, whose records a test makes.
type DNS struct{ server *mockdns.Server }

// StartDNS starts one that has no records.
func StartDNS() (*DNS, error) {
	server, err := mockdns.NewServerWithLogger(nil, slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), false)
	if err != nil {
		return nil, err
	}
	return &DNS{server}, nil
}

// Address is its host and port.
func (d *DNS) Address() string { return d.server.LocalAddr().String() }

// Close ends it.
func (d *DNS) Close() error { return d.server.Close() }

// Publish adds a record: a TXT, MX ("10 host.") or CNAME.
func (d *DNS) Publish(kind, name, value string) error {
	return d.server.AppendRR(name, types[kind], value)
}

// Withdraw removes the records of a kind at a name.
func (d *DNS) Withdraw(kind, name string) { d.server.RemoveRR(name, types[kind]) }

var types = map[string]uint16{"TXT": mockdns.RRTypeTXT, "MX": mockdns.RRTypeMX, "CNAME": mockdns.RRTypeCNAME}
