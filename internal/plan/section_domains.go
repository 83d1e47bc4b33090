package plan

import (
	"fmt"

	"github.com/mailtura/mailtura/internal/domain"
	"github.com/mailtura/mailtura/internal/fault"
)

// Domain is a sender domain that a tenant has to have. Whether it is verified is told by the DNS.
type Domain struct {
	Name string `json:"name" doc:"A domain below a public suffix, which the tenant may send from once its records are in the DNS" minLength:"1" maxLength:"253" example:"mail.acme.com"`
}

// FromDomain is a sender domain as the installation has it. Its keys are made by Mailtura: there is nothing to compare.
func FromDomain(tenantID, name string) Resource {
	return Resource{Kind: KindDomain, TenantID: tenantID, Name: name, Fields: map[string]any{}}
}

func domainsSection() section {
	return section{
		kind: KindDomain, label: "domain", key: "domains",
		has: func(e Entry) bool { return e.Domains != nil },
		read: func(r *reader, tenantID string, e Entry, at string) []Resource {
			return r.domains(tenantID, e.Domains, at)
		},
	}
}

func (p *reader) domains(tenantID string, entries []Domain, at string) []Resource {
	out := make([]Resource, 0, len(entries))
	for i, e := range entries {
		here := fmt.Sprintf("%s[%d]", at, i)
		if p.blamed(here) || p.blamed(here+".name") {
			continue
		}
		name, err := domain.ParseName(e.Name)
		if f, wrong := fault.As(err); wrong {
			p.problem(here+".name", f.Detail)
			continue
		}
		p.once(here+".name", "domain", tenantID+"/"+name)
		out = append(out, FromDomain(tenantID, name))
	}
	return out
}

// senderDomains are the domains of an entry that can come to be verified.
func (e Entry) senderDomains() (names []string) {
	for _, d := range e.Domains {
		if name, err := domain.ParseName(d.Name); err == nil {
			names = append(names, name)
		}
	}
	return names
}
