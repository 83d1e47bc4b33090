package apiserver

import (
	"strconv"
	"time"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
)

// endUnder is when a key ends that another makes: when it is asked to, or with the other. No key
// makes one that outlives it.
func endUnder(maker store.Credential, asked *time.Time) (*time.Time, error) {
	if asked == nil {
		return maker.ExpiresAt, nil
	}
	if !asked.After(time.Now()) {
		return nil, fault.InvalidFields(fault.Field{Location: "body.expiresAt", Code: "out_of_range", Message: "must be in the future"})
	}
	if maker.ExpiresAt != nil && asked.After(*maker.ExpiresAt) {
		return nil, fault.New(fault.Forbidden, "expiry_too_late",
			"The key that makes this one ends at %s; this one can not end after that.", maker.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return asked, nil
}

// networks are from where the key may be used.
func (in CreateAPIKey) networks(maker store.Credential, kind apikey.Kind) (apikey.Networks, error) {
	var networks apikey.Networks
	var wrong []fault.Field
	for i, text := range in.AllowedCIDRs {
		network, err := apikey.ParseNetwork(text)
		if f, ok := fault.As(err); ok {
			wrong = append(wrong, fault.Field{Location: "body.allowedCidrs[" + strconv.Itoa(i) + "]", Code: f.Code, Message: f.Detail})
		}
		networks = append(networks, network)
	}
	if len(wrong) > 0 {
		return nil, fault.InvalidFields(wrong...)
	}
	if networks == nil && !choosesNetworks(maker, kind) {
		return maker.Networks, nil
	}
	return networks, networksUnder(maker, kind, networks)
}

// networksUnder refuses a key that could be used where the one that makes it can not.
func networksUnder(maker store.Credential, kind apikey.Kind, networks apikey.Networks) error {
	if choosesNetworks(maker, kind) || maker.Networks.Cover(networks) {
		return nil
	}
	return fault.New(fault.Forbidden, "cidr_too_wide", "The key would be good where the one that makes it is not.")
}

// choosesNetworks reports whether the new key's networks are not bound by the maker's: a
// tenant's applications run in other networks than the operator that makes their keys.
func choosesNetworks(maker store.Credential, kind apikey.Kind) bool {
	return maker.TenantID == "" && kind == apikey.Tenant
}
