package worker

import (
	"errors"
	"log/slog"
	"net"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/temporalconn"
	"github.com/mailtura/mailtura/internal/testkit"
	"github.com/mailtura/mailtura/workflows"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// golden are the names on the wire. A history that was recorded under one of them must find it for ever:
// a name may be added, and only be taken away when no workflow that knows it runs any more.
var golden = map[string][]string{
	flow.ControlQueue: {
		"activity ActivateTenant", "activity CheckDomain", "activity CountDeletion", "activity DeleteTenantRows", "activity DrainTenant", "activity EndGrace",
		"activity EndTenantWorkflows", "activity FinishDeletion",
		"activity FollowSuspension", "activity RecheckDispatches", "activity TakeChunk", "activity WakeBulkSends",
		"workflow BulkSend", "workflow DeleteTenant", "workflow ProvisionTenant", "workflow SuspendTenant", "workflow TenantQuota",
		"workflow WatchDomain",
	},
	flow.SendQueue:    {"activity Deliver", "workflow SendEmails"},
	flow.WebhookQueue: {"activity DeliverEvents", "workflow DeliverWebhooks"},
}

// registry notes the names under which a worker would know what is registered.
type registry struct {
	sdk.ActivityRegistry
	sdk.WorkflowRegistry
	names []string
}

// RegisterWorkflow takes a function.
func (r *registry) RegisterWorkflow(w any) { r.names = append(r.names, "workflow "+functionName(w)) }

// RegisterActivity takes a function, or a struct whose exported methods are activities.
func (r *registry) RegisterActivity(a any) {
	kind := reflect.TypeOf(a)
	if kind.Kind() == reflect.Func {
		r.names = append(r.names, "activity "+functionName(a))
		return
	}
	for i := range kind.NumMethod() {
		r.names = append(r.names, "activity "+kind.Method(i).Name)
	}
}

// RegisterWorkflowWithOptions would allow an alias; the Go name is the name on the wire.
func (r *registry) RegisterWorkflowWithOptions(any, workflow.RegisterOptions) {
	r.names = append(r.names, "an alias")
}

// RegisterActivityWithOptions is as RegisterWorkflowWithOptions.
func (r *registry) RegisterActivityWithOptions(any, activity.RegisterOptions) {
	r.names = append(r.names, "an alias")
}

func functionName(f any) string {
	name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
	return strings.TrimSuffix(name[strings.LastIndex(name, ".")+1:], "-fm")
}

func TestRegistered_NamesAreGolden(t *testing.T) {
	t.Parallel()
	set := activities.Set{Delivery: &activities.Delivery{}, Lifecycle: &activities.Lifecycle{}, BulkSends: &activities.BulkSends{}, Webhooks: &activities.Webhooks{}, Domains: &activities.Domains{}}
	require.Len(t, golden, len(workflows.All))
	for queue, want := range golden {
		var r registry
		workflows.Register(&r, queue)
		set.Register(&r, queue)
		slices.Sort(r.names)
		require.Equal(t, want, r.names, queue)
	}
}

// The SDK refuses, by a panic, what can not be a workflow or an activity.
func TestRegistered_TheSDKTakesThem(t *testing.T) {
	t.Parallel()
	c := nowhere(t)
	set := activities.Set{Delivery: &activities.Delivery{}, Lifecycle: &activities.Lifecycle{}, BulkSends: &activities.BulkSends{}, Webhooks: &activities.Webhooks{}, Domains: &activities.Domains{}}
	for queue := range golden {
		one := sdk.New(c, queue, options(Config{}, queue))
		require.NotPanics(t, func() {
			workflows.Register(one, queue)
			set.Register(one, queue)
		})
	}
}

// nowhere is a client of a Temporal that is away.
func nowhere(t *testing.T) client.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	c, err := temporalconn.Lazy(temporalconn.Config{
		Address: l.Addr().String(), Namespace: flow.Namespace, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestOptions_Defaults(t *testing.T) {
	t.Parallel()
	for queue, deliveries := range map[string]int{flow.SendQueue: 4, flow.ControlQueue: 0} {
		o := options(Config{}, queue)
		require.Equal(t, 20*time.Second, o.WorkerStopTimeout, queue)
		require.True(t, o.DisableEagerActivities, queue)
		require.Equal(t, deliveries, o.MaxConcurrentActivityExecutionSize, queue)
		require.Equal(t, 16*deliveries, o.MaxConcurrentLocalActivityExecutionSize, queue)
		require.Zero(t, o.WorkflowPanicPolicy, "a workflow that panics waits for a repaired worker: %s", queue)
	}
}

func TestOptions_AsConfigured(t *testing.T) {
	t.Parallel()
	cfg := Config{Deliveries: 7, DrainTimeout: time.Minute}
	o := options(cfg, flow.SendQueue)
	require.Equal(t, time.Minute, o.WorkerStopTimeout)
	require.Equal(t, 7, o.MaxConcurrentActivityExecutionSize)
	require.Equal(t, 64, o.MaxConcurrentLocalActivityExecutionSize)
	o = options(cfg, flow.ControlQueue)
	require.Equal(t, time.Minute, o.WorkerStopTimeout)
	require.Zero(t, o.MaxConcurrentActivityExecutionSize, "life cycles do not wait behind mail")
}

func TestOptions_FatalErrorIsLogged(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	o := options(Config{Log: slog.New(slog.NewTextHandler(&out, nil))}, flow.SendQueue)
	o.OnFatalError(errors.New("namespace is gone"))
	require.Contains(t, out.String(), "level=ERROR")
	require.Contains(t, out.String(), flow.SendQueue)
	require.Contains(t, out.String(), "namespace is gone")
}

func TestStart_TemporalIsAway(t *testing.T) {
	t.Parallel()
	set := activities.Set{Delivery: &activities.Delivery{}, Lifecycle: &activities.Lifecycle{}, BulkSends: &activities.BulkSends{}, Webhooks: &activities.Webhooks{}}
	_, err := Start(nowhere(t), set, Config{Log: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, "start worker of "+flow.ControlQueue)
}
