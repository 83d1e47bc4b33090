package flow_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/mailtura/mailtura/internal/email"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
)

// fakeTemporal remembers how workflows were to be started. What these tests do not use of a
// client it has not.
type fakeTemporal struct {
	client.Client
	started []client.StartWorkflowOptions
}

func (f *fakeTemporal) ExecuteWorkflow(
	_ context.Context, options client.StartWorkflowOptions, _ any, _ ...any,
) (client.WorkflowRun, error) {
	f.started = append(f.started, options)
	return fakeRun{}, nil
}

type fakeRun struct{ client.WorkflowRun }

func (fakeRun) GetRunID() string { return "run" }

// Whoever looks for a bulk send in Temporal finds its own workflow, and those that carry its
// chunks, and no others.
func TestClient_BulkSendIDFindsItsWorkflows(t *testing.T) {
	t.Parallel()
	fake := &fakeTemporal{}
	c := flow.NewClient(fake, &flow.Inline{})
	bulkSend := id.New()
	_, err := c.StartBulkSend(t.Context(), "acme-corp", bulkSend, email.Bulk, 1000)
	require.NoError(t, err)
	for _, of := range []*uuid.UUID{&bulkSend, nil} {
		runID, err := c.StartSendEmails(t.Context(), email.Dispatch{
			TenantID: "acme-corp", ID: id.New(), Class: email.Bulk, Emails: 500, BulkSendID: of,
		})
		require.NoError(t, err)
		require.Equal(t, "run", runID)
	}
	shared := []temporal.SearchAttributeUpdate{flow.TenantID.ValueSet("acme-corp"), flow.SendClass.ValueSet("bulk")}
	ofBulk := temporal.NewSearchAttributes(append(shared, flow.BulkSendID.ValueSet(id.BulkSend.Format(bulkSend)))...)
	for i, want := range []temporal.SearchAttributes{ofBulk, ofBulk, temporal.NewSearchAttributes(shared...)} {
		require.Equal(t, want, fake.started[i].TypedSearchAttributes, "workflow %d", i)
	}
}
