package domain

import (
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"
)

// Purpose is what a record is for.
type Purpose string

// The purposes.
const (
	DKIM       Purpose = "dkim"
	SPF        Purpose = "spf"
	ReturnPath Purpose = "returnPath"
	DMARC      Purpose = "dmarc"
	Tracking   Purpose = "tracking"
)

// RecordStatus is what was found of a record.
type RecordStatus string

// What is found of a record.
const (
	NotLooked RecordStatus = "pending"
	Found     RecordStatus = "found"
	Different RecordStatus = "different" // something is there that will not do
	Missing   RecordStatus = "missing"
	Unknown   RecordStatus = "unknown" // the DNS did not answer
)

// Record is a DNS record that a domain should have.
type Record struct {
	Purpose   Purpose
	Type      string
	Name      string
	Value     string // empty: any will do
	Required  bool   // the domain is verified by it
	Status    RecordStatus
	Found     []string
	CheckedAt *time.Time
}

// Advice is what an installation knows of itself.
type Advice struct {
	SPF      []string // mechanisms that allow its mail servers, such as include:spf.example.com; nil: it does not know
	Tracking string   // host that links of tracked mail lead to; empty: there is none that a name can stand for
}

// defaultSPF is for an installation that does not know its mail servers: mail is often sent
// from where it is taken.
const defaultSPF = "mx"

// Question is something to ask the DNS for.
type Question struct {
	Type string `json:"type"` // TXT, MX or CNAME
	Name string `json:"name"`
}

// Answer is what the DNS said.
type Answer struct {
	Question
	Values []string  `json:"values"`
	Failed bool      `json:"failed,omitempty"` // it did not say anything
	At     time.Time `json:"at"`
}

// TrackingName is where a tenant's tracking domain is below a domain: where it is already, or
// where it could be.
func TrackingName(domain, chosen string) string {
	if chosen == domain || strings.HasSuffix(chosen, "."+domain) {
		return chosen
	}
	return "click." + domain
}

// Questions are all that is asked for a domain, whose tenant has chosen a tracking domain or
// not. What the answers mean may need to be known elsewhere (Advice).
func (d Domain) Questions(tracking string) []Question {
	asked := []Question{{"TXT", d.Name}, {"MX", d.Name}, {"TXT", "_dmarc." + d.Name}, {"CNAME", TrackingName(d.Name, tracking)}}
	if above := organizational(d.Name); above != d.Name {
		asked = append(asked, Question{"TXT", "_dmarc." + above})
	}
	for _, k := range d.Keys {
		asked = append(asked, Question{"TXT", k.Name(d.Name)})
	}
	return asked
}

// organizational is the domain whose policy holds for those below it that have none (RFC 7489 §3.2).
func organizational(domain string) string {
	above, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain
	}
	return above
}

// answer is what the DNS said to a question; nil: it was not asked.
func (d Domain) answer(kind, name string) *Answer {
	for i, a := range d.Answers {
		if a.Type == kind && a.Name == name {
			return &d.Answers[i]
		}
	}
	return nil
}

// Records are the records of a domain, the required ones first, with what was found of each.
func (d Domain) Records(a Advice, tracking string) []Record {
	needed := d.needed()
	var records []Record
	for _, k := range d.Keys {
		r := Record{Purpose: DKIM, Type: "TXT", Name: k.Name(d.Name), Value: k.Record, Required: has(needed, k)}
		records = append(records, d.found(r, func(values []string) RecordStatus { return checkDKIM(values, k.Record) }))
	}
	records = append(records,
		d.found(Record{Purpose: SPF, Type: "TXT", Name: d.Name, Value: a.spf()}, func(values []string) RecordStatus {
			return checkSPF(values, a.SPF)
		}),
		d.found(Record{Purpose: ReturnPath, Type: "MX", Name: d.Name}, checkMX), d.dmarc())
	if a.Tracking != "" {
		r := Record{Purpose: Tracking, Type: "CNAME", Name: TrackingName(d.Name, tracking), Value: a.Tracking}
		records = append(records, d.found(r, func(values []string) RecordStatus { return checkCNAME(values, a.Tracking) }))
	}
	return records
}

func has(keys []Key, one Key) bool {
	for _, k := range keys {
		if k.Selector == one.Selector {
			return true
		}
	}
	return false
}

func (a Advice) spf() string {
	mechanisms := defaultSPF
	if len(a.SPF) > 0 {
		mechanisms = strings.Join(a.SPF, " ")
	}
	return "v=spf1 " + mechanisms + " ~all"
}

// dmarc is the policy of the domain itself, or of the organizational domain above it.
func (d Domain) dmarc() Record {
	r := Record{Purpose: DMARC, Type: "TXT", Name: "_dmarc." + d.Name, Value: "v=DMARC1; p=none"}
	own := d.found(r, checkDMARC)
	if own.Status != Missing || organizational(d.Name) == d.Name {
		return own
	}
	r.Name = "_dmarc." + organizational(d.Name)
	if above := d.found(r, checkDMARC); above.Status == Found {
		own.Status, own.Found = Found, above.Found
	}
	return own
}

// found says of a record what was found of it.
func (d Domain) found(r Record, check func(values []string) RecordStatus) Record {
	answer := d.answer(r.Type, r.Name)
	switch {
	case answer == nil:
		r.Status = NotLooked
	case answer.Failed:
		r.Status, r.CheckedAt = Unknown, &answer.At
	default:
		r.Found, r.CheckedAt = relevant(r.Purpose, answer.Values), &answer.At
		r.Status = check(r.Found)
	}
	return r
}

// keyStatus is what was found of the record of a key.
func (d Domain) keyStatus(k Key) RecordStatus {
	r := Record{Purpose: DKIM, Type: "TXT", Name: k.Name(d.Name)}
	return d.found(r, func(values []string) RecordStatus { return checkDKIM(values, k.Record) }).Status
}
