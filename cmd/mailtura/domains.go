package main

import (
	"os"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/dnscheck"
	"github.com/mailtura/mailtura/internal/mail/dkim"
)

// dns asks for the records of sender domains.
func (a *app) dns() *dnscheck.Resolver { return dnscheck.New(a.DNSResolver) }

// signers have the keys of tenants, and those of the installation in the folder --dkim-keys.
func (a *app) signers() (*activities.Signers, error) {
	var keys dkim.Keys
	if a.DKIMKeys != "" {
		var err error
		if keys, err = dkim.ReadKeys(os.DirFS(a.DKIMKeys)); err != nil {
			return nil, err
		}
	}
	return activities.NewSigners(a.store, a.keys, keys), nil
}
