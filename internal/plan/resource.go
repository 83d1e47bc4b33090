package plan

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/mailtura/mailtura/internal/tenant"
	"github.com/mailtura/mailtura/internal/webhook"
)

// Kind is a kind of resource.
type Kind string

// The kinds.
const (
	KindTenant   Kind = "tenant"
	KindTemplate Kind = "template"
	KindAPIKey   Kind = "apiKey"
	KindWebhook  Kind = "webhook"
	KindDomain   Kind = "domain"
)

// label is the kind in a sentence.
func (k Kind) label() string {
	for _, s := range sections() {
		if s.kind == k {
			return s.label
		}
	}
	return string(k)
}

// Resource is a tenant, or something that a tenant has, as the file wants it or as the
// installation has it. A secret is never in what is compared and shown.
type Resource struct {
	Kind     Kind
	TenantID string
	Name     string         // "" for the tenant itself
	Fields   map[string]any // what is compared, as the API has it in JSON; null is absent

	References map[string]string // the fields that come from the environment, as the file has them
	ID         string            // of what the installation has, where it is not addressed by its name
	Shown      string            // what Name comes from the environment by, and is shown as; "": it does not
	Secret     webhook.Secret    // of a wanted webhook: what it is made with; nil: one is made
	SecretFile string            // of a wanted key: where its secret goes; of a webhook, where it is
	Ended      bool              // of a wanted key: its time is over, so it is neither made nor missed
}

// Title names the resource for a person: "template acme-corp/welcome".
func (r Resource) Title() string {
	if r.Name == "" {
		return r.Kind.label() + " " + r.TenantID
	}
	return r.Kind.label() + " " + r.TenantID + "/" + r.shown()
}

func (r Resource) shown() string { return cmp.Or(r.Shown, r.Name) }

// Tenant is a tenant with its sections. A section that is absent says nothing about what the
// tenant has; an empty one, that it has nothing.
type Tenant struct {
	Resource
	Deleting bool // the installation is at it
	Sections map[Kind][]Resource
}

// FromTenant is a tenant as the installation has it.
func FromTenant(t tenant.Tenant) Tenant {
	return Tenant{Resource: tenantResource(t), Deleting: t.Status == tenant.Deleting, Sections: map[Kind][]Resource{}}
}

func tenantResource(t tenant.Tenant) Resource {
	fields := fieldsOf(t.Settings.WithDefaults())
	fields["name"], fields["domain"] = t.Name, t.Domain
	return Resource{Kind: KindTenant, TenantID: t.ID, Fields: fields}
}

// fieldsOf is a struct as JSON has it, without what is null.
func fieldsOf(v any) map[string]any {
	raw, _ := json.Marshal(v) // plain values
	var fields map[string]any
	_ = json.Unmarshal(raw, &fields) // from the line before
	for name, value := range fields {
		if value == nil {
			delete(fields, name)
		}
	}
	return fields
}

// encode is v in JSON for people: "<" is no "\u003c".
func encode(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // values that come from JSON or YAML
	return strings.TrimSuffix(b.String(), "\n")
}
