package domain

import (
	"bytes"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/emersion/go-msgauth/dmarc"
)

// relevant are the answers that are of a purpose: at the name of a domain there are texts of many.
func relevant(p Purpose, values []string) (those []string) {
	for _, v := range values {
		var first string
		switch p {
		case SPF:
			first, _, _ = strings.Cut(v, " ")
		case DMARC:
			first, _, _ = strings.Cut(strings.ReplaceAll(v, " ", ""), ";")
		default:
			return values
		}
		if version := map[Purpose]string{SPF: "v=spf1", DMARC: "v=DMARC1"}[p]; strings.EqualFold(first, version) {
			those = append(those, v)
		}
	}
	return those
}

// checkDKIM compares what is at the name of a key with its record. Of two records a receiver
// may take either (RFC 6376 §3.6.2.2), so that there has to be one.
func checkDKIM(values []string, record string) RecordStatus {
	if len(values) == 0 {
		return Missing
	}
	want, _ := readDKIM(record)
	got, ok := readDKIM(values[0])
	if len(values) > 1 || !ok || got.kind != want.kind || !bytes.Equal(got.public, want.public) {
		return Different
	}
	return Found
}

// dkimRecord is what counts of a DKIM record.
type dkimRecord struct {
	kind   string
	public []byte
}

// readDKIM reads a record (RFC 6376 §3.6.1) as receivers do: white space is left out, tags that
// are not known do not matter, and a key that is not for mail or for SHA-256 is none. ok is
// false for what is no good key.
func readDKIM(text string) (r dkimRecord, ok bool) {
	tags, ok := readTags(text)
	if !ok {
		return r, false
	}
	if v, there := tags["v"]; there && v != "DKIM1" {
		return r, false
	}
	if r.kind = strings.ToLower(tags["k"]); r.kind == "" {
		r.kind = "rsa"
	}
	if s, there := tags["s"]; there && !lists(s, "*") && !lists(s, "email") {
		return r, false
	}
	if h, there := tags["h"]; there && !lists(h, "sha256") {
		return r, false
	}
	public, err := base64.StdEncoding.DecodeString(tags["p"])
	r.public = public
	return r, err == nil && len(public) > 0 // an empty key is one that was revoked
}

// readTags reads a list of tags (RFC 6376 §3.2), and leaves white space in values out. A tag that is there twice is no tag.
func readTags(text string) (tags map[string]string, ok bool) {
	tags = map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, is := strings.Cut(part, "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := tags[name]; !is || name == "" || twice {
			return nil, false
		}
		tags[name] = strings.Join(strings.Fields(value), "")
	}
	return tags, true
}

func lists(value, word string) bool {
	return slices.ContainsFunc(strings.Split(value, ":"), func(one string) bool { return strings.EqualFold(one, word) })
}

// checkSPF looks whether a policy (RFC 7208) allows what it is to allow. Of two policies none holds (§4.5).
func checkSPF(values, mechanisms []string) RecordStatus {
	switch {
	case len(values) == 0:
		return Missing
	case len(values) > 1:
		return Different
	}
	terms := strings.Fields(strings.ToLower(values[0]))
	for _, m := range mechanisms {
		m = strings.ToLower(m)
		if !slices.Contains(terms, m) && !slices.Contains(terms, "+"+m) {
			return Different
		}
	}
	return Found
}

// checkDMARC looks whether there is a policy (RFC 7489). Of two none holds (§6.6.3).
func checkDMARC(values []string) RecordStatus {
	switch {
	case len(values) == 0:
		return Missing
	case len(values) > 1:
		return Different
	}
	if _, err := dmarc.Parse(values[0]); err != nil {
		return Different
	}
	return Found
}

// checkMX looks whether anybody takes what comes back. "." says that nobody does (RFC 7505).
func checkMX(values []string) RecordStatus {
	switch {
	case len(values) == 0:
		return Missing
	case len(values) == 1 && strings.Trim(values[0], "0 .") == "":
		return Different
	}
	return Found
}

func checkCNAME(values []string, host string) RecordStatus {
	switch {
	case len(values) == 0:
		return Missing
	case !slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(strings.TrimSuffix(v, "."), host) }):
		return Different
	}
	return Found
}
