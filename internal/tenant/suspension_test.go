package tenant_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/tenant"
)

var (
	monday  = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	tuesday = monday.AddDate(0, 0, 1)
)

func TestGoesOut(t *testing.T) {
	t.Parallel()
	for status, want := range map[tenant.Status]bool{
		tenant.Active: true, tenant.Draining: true, tenant.Suspended: false, tenant.Deleting: false, tenant.Provisioning: false, "": false,
	} {
		require.Equal(t, want, tenant.GoesOut(status), status)
	}
}

// A step suspends, or with a nil flag resumes, and says where the tenant stands after it.
type step struct {
	by      tenant.Suspender
	flag    *tenant.Flag
	changed bool
	status  tenant.Status
}

func TestSuspension(t *testing.T) {
	t.Parallel()
	hard, drain := &tenant.Flag{Since: monday, Reason: "a"}, &tenant.Flag{Since: monday, Reason: "a", Drain: true}
	again := &tenant.Flag{Since: tuesday, Reason: "a"}
	for name, steps := range map[string][]step{
		"and resumed": {{tenant.Operator, hard, true, tenant.Suspended}, {tenant.Operator, nil, true, tenant.Active}},
		"twice":       {{tenant.Operator, hard, true, tenant.Suspended}, {tenant.Operator, again, false, tenant.Suspended}},
		"by both": {
			{tenant.Operator, hard, true, tenant.Suspended},
			{tenant.Guardrail, again, true, tenant.Suspended},
			{tenant.Operator, nil, true, tenant.Suspended},
			{tenant.Operator, nil, false, tenant.Suspended},
			{tenant.Guardrail, nil, true, tenant.Active},
		},
		"draining, and resumed":    {{tenant.Operator, drain, true, tenant.Draining}, {tenant.Operator, nil, true, tenant.Active}},
		"draining, and then not":   {{tenant.Operator, drain, true, tenant.Draining}, {tenant.Operator, again, true, tenant.Suspended}},
		"nothing is left to drain": {{tenant.Operator, hard, true, tenant.Suspended}, {tenant.Operator, drain, false, tenant.Suspended}},
		"draining by both":         {{tenant.Guardrail, drain, true, tenant.Draining}, {tenant.Operator, drain, true, tenant.Draining}},
		"the harder one counts":    {{tenant.Guardrail, drain, true, tenant.Draining}, {tenant.Operator, hard, true, tenant.Suspended}},
		"it stays suspended": {
			{tenant.Operator, hard, true, tenant.Suspended},
			{tenant.Guardrail, drain, true, tenant.Suspended},
			{tenant.Operator, nil, true, tenant.Suspended},
		},
		"resumed, never suspended": {{tenant.Guardrail, nil, false, tenant.Active}},
	} {
		u := tenant.Tenant{Status: tenant.Active}
		for i, s := range steps {
			var changed bool
			if s.flag != nil {
				var err error
				changed, err = u.Suspend(s.by, *s.flag)
				require.NoError(t, err)
			} else {
				lifted, err := u.Resume(s.by)
				require.NoError(t, err)
				changed = len(lifted) > 0
			}
			require.Equal(t, s.changed, changed, "%s: step %d", name, i)
			require.Equal(t, s.status, u.Status, "%s: step %d", name, i)
			require.Equal(t, u.Suspension.Any(), u.Status != tenant.Active, name)
		}
		require.NotEqual(t, tuesday, u.Suspension.Since(), "%s: the first time counts", name)
	}
}

func TestSuspension_OnlyOfWhatCanSend(t *testing.T) {
	t.Parallel()
	for status, code := range map[tenant.Status]string{tenant.Provisioning: "tenant_provisioning", tenant.Deleting: "tenant_deleting"} {
		u := tenant.Tenant{Status: status}
		_, err := u.Suspend(tenant.Operator, tenant.Flag{})
		require.Equal(t, code, fault.CodeOf(err))
		_, err = u.Resume(tenant.Suspenders...)
		require.Equal(t, code, fault.CodeOf(err))
		require.Equal(t, tenant.Tenant{Status: status}, u)
	}
}
