// Package address reads and writes mail addresses: RFC 5321 mailboxes with the display
// names of RFC 5322. What it lets through is safe in an SMTP command and in a header.
package address

import (
	"log/slog"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/mailtura/mailtura/internal/fault"
)

const (
	maxAddress = 254 // octets: RFC 5321 §4.5.3.1.3, less the angle brackets
	maxLocal   = 64  // octets: RFC 5321 §4.5.3.1.1
	maxDomain  = 253 // octets, without the final dot
	maxName    = 200 // characters
)

// Address is a mailbox. Addr has the local part as it was written and the domain in lower
// case and as IDNA A-labels.
type Address struct{ Name, Addr string }

// Parse reads "a@b.c", "<a@b.c>" or "Name <a@b.c>". Its error is a fault invalid_address (or
// header_injection), whose detail says what is wrong.
func Parse(s string) (Address, error) {
	if !utf8.ValidString(s) {
		return Address{}, invalid("the address is not valid UTF-8")
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return Address{}, fault.New(fault.Invalid, "header_injection", "the address has a line break or another control character")
	}
	s = strings.TrimSpace(s)
	if s == "" {
		return Address{}, invalid("the address is empty")
	}
	if !strings.ContainsRune(s, '@') {
		return Address{}, invalid("the address has no @")
	}
	parsed, err := mail.ParseAddress(s)
	if err != nil {
		return Address{}, invalid(explain(s))
	}
	if len([]rune(parsed.Name)) > maxName {
		return Address{}, invalid("the display name is longer than 200 characters")
	}
	return fromMailbox(parsed.Name, parsed.Address, s)
}

func fromMailbox(name, mailbox, written string) (Address, error) {
	at := strings.LastIndexByte(mailbox, '@')
	local, domain := mailbox[:at], mailbox[at+1:]
	switch {
	case local == "":
		return Address{}, invalid("the address has nothing before the @")
	case len(local) > maxLocal:
		return Address{}, invalid("the part before the @ is longer than 64 octets")
	case !dotAtom(local):
		return Address{}, invalid("the part before the @ has a character or dot that is not allowed there")
	case written != mailbox && !strings.HasSuffix(written, "<"+mailbox+">"):
		return Address{}, invalid(explain(written))
	}
	domain, err := ParseDomain(domain)
	if f, ok := fault.As(err); ok {
		return Address{}, invalid(f.Detail)
	}
	if len(local)+1+len(domain) > maxAddress {
		return Address{}, invalid("the address is longer than 254 octets")
	}
	return Address{Name: name, Addr: local + "@" + domain}, nil
}

// explain says what net/mail did not like, for the common cases.
func explain(s string) string {
	switch {
	case strings.HasSuffix(s, "@") || strings.HasSuffix(s, "@>"):
		return "the address has no domain after the @"
	case strings.Contains(s, ",") || strings.Contains(s, ";"):
		return "one address is expected here, not a list or a group"
	case strings.HasPrefix(s, "@") || strings.Contains(s, "<@"):
		return "the address has nothing before the @"
	case strings.Contains(s, "@[") || strings.Contains(s, "["):
		return "an address with an IP literal is not accepted"
	}
	return "not an address of the form name@example.com or Name <name@example.com>"
}

// dotAtom reports whether s is a Dot-string of RFC 5321 §4.1.2, or one of RFC 6531 §3.3.
func dotAtom(s string) bool {
	for _, atom := range strings.Split(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool {
			return r <= ' ' || r == 0x7f || strings.ContainsRune(`()<>[]:;@\,"`, r) || unicode.IsControl(r) || unicode.IsSpace(r)
		}) {
			return false
		}
	}
	return true
}

// ParseDomain reads a domain name and gives it in lower case and as IDNA A-labels (RFC
// 5891). Its error is a fault invalid_domain. A name with one label is accepted only as
// "localhost".
func ParseDomain(s string) (string, error) {
	if s == "" {
		return "", fault.New(fault.Invalid, "invalid_domain", "the domain is empty")
	}
	if strings.HasPrefix(s, "[") {
		return "", fault.New(fault.Invalid, "invalid_domain", "an address with an IP literal is not accepted")
	}
	ascii, err := idna.Lookup.ToASCII(s)
	if err != nil || len(ascii) > maxDomain || strings.HasSuffix(ascii, ".") || !hostname(ascii) {
		return "", fault.New(fault.Invalid, "invalid_domain", "%q is not a domain name", clip(s))
	}
	if !strings.Contains(ascii, ".") && ascii != "localhost" {
		return "", fault.New(fault.Invalid, "invalid_domain", "the domain %q has no dot", clip(s))
	}
	return ascii, nil
}

// hostname checks the labels (RFC 1123 §2.1); a top-level domain is never a number.
func hostname(s string) bool {
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

func invalid(detail string) error { return fault.New(fault.Invalid, "invalid_address", "%s", detail) }

// Domain is what stands behind the @.
func (a Address) Domain() string { return a.Addr[strings.LastIndexByte(a.Addr, '@')+1:] }

// Local is what stands before the @.
func (a Address) Local() string {
	if at := strings.LastIndexByte(a.Addr, '@'); at >= 0 {
		return a.Addr[:at]
	}
	return a.Addr
}

// NeedsUTF8 reports whether a mail server must support SMTPUTF8 (RFC 6531) for it.
func (a Address) NeedsUTF8() bool {
	for i := range len(a.Addr) {
		if a.Addr[i] >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// String is the address as it stands in a header (RFC 5322 §3.4, RFC 2047).
func (a Address) String() string {
	if a.Name == "" {
		return a.Addr
	}
	return (&mail.Address{Name: a.Name, Address: a.Addr}).String()
}

// LogValue is the address with all but its first letter and its domain left out.
func (a Address) LogValue() slog.Value {
	r, _ := utf8.DecodeRuneInString(a.Addr)
	if r == utf8.RuneError || r == '@' {
		return slog.StringValue("***")
	}
	return slog.StringValue(string(r) + "***@" + a.Domain())
}
