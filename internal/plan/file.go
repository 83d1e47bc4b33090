// Package plan reads a configuration file of tenants and says what to change so that an
// installation is as the file says.
package plan

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/tenant"
)

// file is the form of a configuration file.
type file struct {
	Tenants []entry `yaml:"tenants"`
}

type entry struct {
	ID               string   `yaml:"id"`
	Name             string   `yaml:"name"` // the id, when it is absent
	Domain           string   `yaml:"domain"`
	FromEmail        string   `yaml:"fromEmail"`
	FromName         string   `yaml:"fromName"`
	ReplyTo          string   `yaml:"replyTo"`
	Timezone         string   `yaml:"timezone"`
	OnUnknownOutcome string   `yaml:"onUnknownOutcome"`
	Weight           *int     `yaml:"weight"`
	Tracking         tracking `yaml:"tracking"`
	Quotas           quotas   `yaml:"quotas"`
}

type quotas struct {
	DailyLimit   *int   `yaml:"dailyLimit"`
	RateLimit    *int   `yaml:"rateLimit"`
	RateLimitPer string `yaml:"rateLimitPer"`
	Burst        *int   `yaml:"burst"`
	OverLimit    string `yaml:"overLimit"`
}

type tracking struct {
	Opens  bool   `yaml:"opens"`
	Clicks bool   `yaml:"clicks"`
	Domain string `yaml:"domain"`
}

// Parse reads a file. Its errors name the line and column; what is not understood is an
// error, since a setting that is misspelt would be one that is not there.
func Parse(text []byte) ([]tenant.Tenant, error) {
	f, err := decode(text)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	tenants := make([]tenant.Tenant, len(f.Tenants))
	for i, e := range f.Tenants {
		t := e.tenant()
		if err := check(&t, seen); err != nil {
			return nil, locate(text, i, err)
		}
		tenants[i] = t
	}
	return tenants, nil
}

func decode(text []byte) (f file, err error) {
	defer func() { // go-yaml panics on some tags that do not fit their values, such as "tenants: !!binary x"
		if r := recover(); r != nil {
			err = fmt.Errorf("[1:1] not readable as YAML: %v", r)
		}
	}()
	if err := yaml.UnmarshalWithOptions(text, &f, yaml.Strict()); err != nil {
		return f, errors.New(yaml.FormatError(err, false, true))
	}
	return f, nil
}

func (e entry) tenant() tenant.Tenant {
	name := e.Name
	if name == "" {
		name = e.ID
	}
	return tenant.Tenant{
		ID: e.ID, Name: name, Domain: e.Domain,
		Settings: tenant.Settings{
			FromEmail: e.FromEmail, FromName: e.FromName, ReplyTo: e.ReplyTo,
			DailyLimit: e.Quotas.DailyLimit, RateLimit: e.Quotas.RateLimit, RateLimitPer: e.Quotas.RateLimitPer, Burst: e.Quotas.Burst,
			OverLimit: e.Quotas.OverLimit,
			Timezone:  e.Timezone, OnUnknownOutcome: e.OnUnknownOutcome, Weight: e.Weight,
			Tracking: tenant.Tracking(e.Tracking),
		}.WithDefaults(),
	}
}

func check(t *tenant.Tenant, seen map[string]bool) error {
	if t.ID == "" {
		return fault.InvalidFields(fault.Field{Location: "body.id", Message: "a tenant in a configuration file has an id"})
	}
	if f, ok := fault.As(tenant.CheckID(t.ID)); ok {
		return fault.InvalidFields(fault.Field{Location: "body.id", Message: f.Detail})
	}
	if seen[t.ID] {
		return fault.InvalidFields(fault.Field{Location: "body.id", Message: fmt.Sprintf("tenant %q is in the file twice", t.ID)})
	}
	seen[t.ID] = true
	return t.Validate()
}
