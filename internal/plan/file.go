// Package plan reads a configuration file of tenants and says what to change so that an
// installation is as the file says. It is pure: what the file refers to (other files, the
// environment) comes by way of a Source, and the changes are made by the caller.
//
// A section of a tenant (templates, apiKeys, webhooks) has a file of its own here, section_*.go: its
// struct, from which both the decoder and the JSON Schema come, and how an entry becomes a
// Resource (see section.go). Everything else (diff, print, export) works on resources.
package plan

import (
	"cmp"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"time"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/tenant"
)

// File is the form of a configuration file.
type File struct {
	Tenants []Entry `json:"tenants,omitempty" doc:"The tenants of the installation"`
}

// Entry is a tenant with what it has. Its settings are keys beside the others, but for the
// limits, which are below quotas (see isQuota).
type Entry struct {
	ID       string          `json:"id" doc:"Slug of a-z, 0-9 and -; never changes" pattern:"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" example:"acme-corp"`
	Name     string          `json:"name,omitempty" doc:"Default: the id" minLength:"1" maxLength:"200"`
	Domain   string          `json:"domain" doc:"The domain of the tenant's sender addresses" maxLength:"253" example:"acme.com"`
	Settings tenant.Settings `json:",inline"`
	Quotas   Quotas          `json:"quotas,omitempty" doc:"Limits"`

	Templates []Template `json:"templates,omitempty" doc:"Templates; absent: the templates that there are stay as they are"`
	APIKeys   []APIKey   `json:"apiKeys,omitempty" doc:"API keys; absent: the keys that there are stay as they are"`
	Webhooks  []Webhook  `json:"webhooks,omitempty" doc:"Webhooks; absent: the webhooks that there are stay as they are"`
	Domains   []Domain   `json:"domains,omitempty" doc:"Sender domains; absent: the domains that there are stay as they are"`
}

// Quotas are the settings that are limits.
type Quotas tenant.Settings

// IsQuota reports whether a setting is below quotas in the file, as the limits are.
func IsQuota(setting string) bool {
	switch setting {
	case "dailyLimit", "rateLimit", "rateLimitPer", "burst", "overLimit":
		return true
	}
	return false
}

// Source is what a file may refer to.
type Source struct {
	Files fs.FS                            // the folder of the file; nil: it has none
	Env   func(name string) (string, bool) // nil: no variable is set
	Now   time.Time
}

// Parse reads a file. Its error is Problems, with the line and column of each; what is not
// understood is an error, since a setting that is misspelt would be one that is not there.
func Parse(text []byte, src Source) ([]Tenant, error) {
	var f File
	d := decode(text, src, &f)
	p := reader{decoder: d, src: src, seen: map[string]bool{}}
	tenants := make([]Tenant, 0, len(f.Tenants))
	for i, e := range f.Tenants {
		tenants = append(tenants, p.tenant(e, fmt.Sprintf("tenants[%d]", i)))
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return tenants, nil
}

// reader makes resources of the entries of a file, and checks them.
type reader struct {
	*decoder
	src  Source
	seen map[string]bool
}

func (p *reader) tenant(e Entry, at string) Tenant {
	t := tenant.Tenant{ID: e.ID, Name: e.Name, Domain: e.Domain, Settings: e.settings().WithDefaults()}
	if t.Name == "" {
		t.Name = t.ID
	}
	p.check(&t, e.senderDomains(), at)
	resource := tenantResource(t)
	resource.References = p.referencesBelow(at)
	return Tenant{Resource: resource, Sections: p.readSections(t.ID, e, at)}
}

// settings are all settings, the limits among them.
func (e Entry) settings() tenant.Settings {
	all := e.Settings
	from, to := reflect.ValueOf(e.Quotas), reflect.ValueOf(&all).Elem()
	for i := range to.NumField() {
		if IsQuota(jsonName(to.Type().Field(i))) {
			to.Field(i).Set(from.Field(i))
		}
	}
	return all
}

func (p *reader) check(t *tenant.Tenant, verified []string, at string) {
	if t.ID == "" {
		if !p.blamed(at) && !p.blamed(at+".id") {
			p.problem(at, "a tenant in a configuration file has an id")
		}
	} else if f, ok := fault.As(tenant.CheckID(t.ID)); ok {
		p.problem(at+".id", f.Detail)
	} else {
		p.once(at+".id", "tenant", t.ID)
	}
	f, ok := fault.As(t.Validate(verified...))
	if !ok {
		return
	}
	for _, field := range f.Fields {
		name := field.Location[strings.LastIndexByte(field.Location, '.')+1:]
		if IsQuota(name) {
			name = "quotas." + name
		}
		if name == "name" && t.ID == "" || p.blamed(at) || p.blamed(at+"."+name) {
			continue // one thing is wrong, not two
		}
		p.problem(at+"."+name, field.Message)
	}
}

// once is a problem where something that is named once is named again.
func (p *reader) once(at, kind, name string) {
	if p.seen[kind+"/"+name] {
		p.problem(at, fmt.Sprintf("%s %q is in the file twice", kind, cmp.Or(p.references[at], name)))
	}
	p.seen[kind+"/"+name] = true
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
