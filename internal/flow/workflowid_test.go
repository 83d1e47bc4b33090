package flow_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
)

func TestWorkflowID_RoundTrip(t *testing.T) {
	t.Parallel()
	dispatch, bulkSend, deletion := id.New(), id.New(), id.New()
	for text, want := range map[string]flow.WorkflowID{
		flow.SendEmailsID("acme-corp", dispatch): {Kind: "send", TenantID: "acme-corp", Entity: id.Dispatch.Format(dispatch)},
		flow.TenantQuotaID("acme-corp"):          {Kind: "quota", TenantID: "acme-corp"},
		flow.BulkSendWorkflowID("acme-corp", bulkSend): {
			Kind: "bulk", TenantID: "acme-corp", Entity: id.BulkSend.Format(bulkSend),
		},
		flow.ProvisionTenantID("acme-corp"): {Kind: "tenant", TenantID: "acme-corp", Entity: "provision"},
		flow.DeleteTenantID("acme-corp", deletion): {
			Kind: "tenant", TenantID: "acme-corp", Entity: id.Deletion.Format(deletion),
		},
		flow.WatchDomainID("acme-corp", dispatch): {Kind: "domain", TenantID: "acme-corp", Entity: id.Domain.Format(dispatch)},
		flow.SuspendTenantID("acme-corp"):         {Kind: "tenant", TenantID: "acme-corp", Entity: "suspend"},
	} {
		got, err := flow.ParseWorkflowID(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, text, got.String())
	}
}

func TestParseWorkflowID_RefusesOthers(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "send", "/acme", "send/", "send/acme/", "a/b/c/d"} {
		_, err := flow.ParseWorkflowID(s)
		require.Error(t, err, "%q", s)
	}
}

func FuzzParseWorkflowID(f *testing.F) {
	f.Add("send/acme-corp/dsp_1")
	f.Fuzz(func(t *testing.T, s string) {
		if w, err := flow.ParseWorkflowID(s); err == nil && w.String() != s {
			t.Fatalf("%q is shown as %q", s, w.String())
		}
	})
}
