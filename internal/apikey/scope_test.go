package apikey_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/apikey"
)

func TestGrant_Pass(t *testing.T) {
	t.Parallel()
	type grant = apikey.Grant
	for name, tc := range map[string]struct {
		own     apikey.Grant
		kind    apikey.Kind
		wanted  apikey.Grant
		given   apikey.Grant
		missing apikey.Scope
	}{
		"all passes all on":                {nil, apikey.Tenant, nil, nil, ""},
		"all may give less":                {nil, apikey.Tenant, grant{"emails:send"}, grant{"emails:send"}, ""},
		"twice and in any order":           {nil, apikey.Tenant, grant{"keys:read", "emails:send", "keys:read"}, grant{"emails:send", "keys:read"}, ""},
		"some passes itself on":            {grant{"keys:write", "emails:read"}, apikey.Tenant, nil, grant{"emails:read", "keys:write"}, ""},
		"an operator's to a tenant":        {grant{"tenants:read", "keys:write"}, apikey.Tenant, nil, grant{"keys:write"}, ""},
		"some can not give more":           {grant{"keys:write"}, apikey.Tenant, grant{"keys:write", "emails:send"}, nil, "emails:send"},
		"some can not give an operator's":  {grant{"keys:write"}, apikey.Operator, grant{"tenants:write"}, nil, "tenants:write"},
		"an operator's to another of them": {grant{"tenants:read", "keys:write"}, apikey.Operator, nil, grant{"keys:write", "tenants:read"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given, missing := tc.own.Pass(tc.kind, tc.wanted)
			require.Equal(t, tc.missing, missing)
			if missing == "" {
				require.Equal(t, tc.given, given)
			}
		})
	}
}

// A key with all that there is today does less than one that may do everything: what is
// added later.
func TestGrant_Missing(t *testing.T) {
	t.Parallel()
	some := apikey.Grant{apikey.KeysWrite}
	require.Empty(t, apikey.Grant(nil).Missing(apikey.Operator, nil))
	require.Empty(t, some.Missing(apikey.Tenant, some))
	require.Equal(t, apikey.EmailsSend, some.Missing(apikey.Tenant, nil), "null is all")
	require.True(t, apikey.Grant(nil).Allows("later:read"))
	require.False(t, apikey.Grant{}.Allows(apikey.EmailsRead))
	require.Equal(t, apikey.Scopes(apikey.Tenant), apikey.Grant(nil).Of(apikey.Tenant))
	require.NotContains(t, apikey.Scopes(apikey.Tenant), apikey.TenantsRead)
}
