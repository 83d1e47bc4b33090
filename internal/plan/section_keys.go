package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
)

// APIKey is an API key that a tenant has to have. The key itself is made by Mailtura: a file
// never has it.
type APIKey struct {
	Name       string         `json:"name" doc:"What it is for; a key of this name that is good is kept as it is" minLength:"1" maxLength:"100" example:"production"`
	Scopes     []apikey.Scope `json:"scopes,omitempty" doc:"What it may do; default: everything that a tenant's key may" minItems:"1"`
	ExpiresAt  *time.Time     `json:"expiresAt,omitempty" doc:"From then on it is refused; absent: never"`
	Networks   []string       `json:"allowedCidrs,omitempty" doc:"Networks from which alone it may be used, in CIDR notation; default: from everywhere" minItems:"1" maxItems:"50" example:"[\"203.0.113.0/24\"]"`
	SecretFile string         `json:"secretFile,omitempty" doc:"Where the key is written when it is made, for its owner only; relative to this file. Absent: apply prints it, once" example:"secrets/acme-corp.key"`
}

// KeyContent is what of a key can be told. It is not compared: a key can not be changed.
type KeyContent struct {
	Scopes    []apikey.Scope `json:"scopes,omitempty"`
	ExpiresAt *time.Time     `json:"expiresAt,omitempty"`
	Networks  []string       `json:"allowedCidrs,omitempty"`
}

// FromAPIKey is a key, which is good, as the installation has it.
func FromAPIKey(tenantID, id, name string, c KeyContent) Resource {
	c.Scopes = slices.DeleteFunc(apikey.Scopes(apikey.Tenant), func(s apikey.Scope) bool { return !slices.Contains(c.Scopes, s) })
	if len(c.Scopes) == len(apikey.Scopes(apikey.Tenant)) {
		c.Scopes = nil // everything
	}
	c.Networks = canonical(c.Networks)
	if c.ExpiresAt != nil {
		at := c.ExpiresAt.UTC().Truncate(time.Microsecond) // as the database keeps it
		c.ExpiresAt = &at
	}
	return Resource{Kind: KindAPIKey, TenantID: tenantID, Name: name, ID: id, Fields: fieldsOf(c)}
}

func apiKeysSection() section {
	return section{
		kind: KindAPIKey, label: "API key", key: "apiKeys", fields: []string{"scopes", "expiresAt", "allowedCidrs"},
		has: func(e Entry) bool { return e.APIKeys != nil },
		read: func(r *reader, tenantID string, e Entry, at string) []Resource {
			return r.apiKeys(tenantID, e.APIKeys, at)
		},
	}
}

func (p *reader) apiKeys(tenantID string, entries []APIKey, at string) []Resource {
	out := make([]Resource, 0, len(entries))
	for i, e := range entries {
		here := fmt.Sprintf("%s[%d]", at, i)
		p.checkAPIKey(tenantID, e, here)
		r := FromAPIKey(tenantID, "", e.Name, KeyContent{e.Scopes, e.ExpiresAt, e.Networks})
		r.SecretFile = e.SecretFile
		r.Ended = e.ExpiresAt != nil && !e.ExpiresAt.After(p.src.Now)
		out = append(out, r)
	}
	return out
}

func (p *reader) checkAPIKey(tenantID string, e APIKey, at string) {
	switch {
	case p.blamed(at) || p.blamed(at+".name"):
	case strings.TrimSpace(e.Name) == "" || utf8.RuneCountInString(e.Name) > 100 || strings.ContainsAny(e.Name, "\r\n\x00"):
		p.problem(at+".name", "an API key has a name of 1 to 100 characters in one line")
	default:
		p.once(at+".name", "API key", tenantID+"/"+e.Name)
	}
	if e.Scopes != nil && len(e.Scopes) == 0 {
		p.problem(at+".scopes", "a key may do something; without scopes it may do everything")
	}
	p.checkNetworks(e.Networks, at+".allowedCidrs")
	known := apikey.Scopes(apikey.Tenant)
	for i, scope := range e.Scopes {
		if !slices.Contains(known, scope) && !p.blamed(fmt.Sprintf("%s.scopes[%d]", at, i)) {
			p.problem(fmt.Sprintf("%s.scopes[%d]", at, i), fmt.Sprintf("must be one of %s", words(known)))
		}
	}
}

func (p *reader) checkNetworks(networks []string, at string) {
	if n := len(networks); networks != nil && (n == 0 || n > apikey.MaxNetworks) {
		p.problem(at, fmt.Sprintf("must be 1 to %d networks; without them the key may be used from everywhere", apikey.MaxNetworks))
	}
	for i, text := range networks {
		here := fmt.Sprintf("%s[%d]", at, i)
		_, err := apikey.ParseNetwork(text)
		if f, wrong := fault.As(err); wrong && !p.blamed(here) {
			p.problem(here, f.Detail)
		}
	}
}

// canonical are networks as the API shows them, in no order that means something.
func canonical(networks []string) (texts []string) {
	for _, text := range networks {
		if p, err := apikey.ParseNetwork(text); err == nil {
			text = p.String()
		}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return texts
}

func words(scopes []apikey.Scope) string {
	texts := make([]string, len(scopes))
	for i, s := range scopes {
		texts[i] = string(s)
	}
	return strings.Join(texts, ", ")
}

// Notes says of keys that there are where they are not as the file says. A key can not be
// changed, so that this is no change.
func Notes(want, have []Tenant) (notes []string) {
	there := map[string]Resource{}
	for _, h := range have {
		for _, key := range h.Sections[KindAPIKey] {
			there[key.Title()] = key
		}
	}
	for _, w := range want {
		for _, key := range w.Sections[KindAPIKey] {
			h, ok := there[key.Title()]
			for _, d := range Differences(h.Fields, key) {
				if ok {
					notes = append(notes, key.Title()+" is kept, but has another "+d.Name+
						" than the file says. A key can not be changed; revoke it, and apply makes a new one.")
				}
			}
		}
	}
	return notes
}
