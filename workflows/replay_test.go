package workflows_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/workflows"
)

// Histories that real runs have left are replayed by the workflows of today: a change that
// would break what is running fails here. ./task replay:record records them anew, which
// is right only after a release whose runs have all ended.
func TestReplay(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/replay/*.json")
	require.NoError(t, err)
	scenarios := map[string]int{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		for _, workflow := range []string{"send_emails", "tenant_quota", "provision_tenant", "delete_tenant", "bulk_send", "deliver_webhooks", "watch_domain"} {
			if strings.HasPrefix(name, workflow) {
				scenarios[workflow]++
			}
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replayer := worker.NewWorkflowReplayer()
			for _, queue := range []string{flow.SendQueue, flow.ControlQueue, flow.WebhookQueue} {
				workflows.Register(replayer, queue)
			}
			require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(log.NewStructuredLogger(slog.New(slog.DiscardHandler)), file))
		})
	}
	require.Len(t, scenarios, 7, "each workflow has a recorded history")
}
