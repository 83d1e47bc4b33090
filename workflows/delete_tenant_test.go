package workflows_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/mailtura/mailtura/activities"
	"github.com/mailtura/mailtura/internal/flow"
	"github.com/mailtura/mailtura/internal/id"
	"github.com/mailtura/mailtura/workflows"
)

// newDeletion is an environment for a deletion of which nothing comes in again; what finish and end do may be changed.
func newDeletion(t *testing.T) (*testsuite.TestWorkflowEnvironment, *fakeLifecycle) {
	t.Helper()
	env, fake := newEnvironment(t), &fakeLifecycle{
		end:    func(int) int { return 0 },
		finish: func(int) bool { return true },
	}
	env.RegisterActivity(fake)
	return env, fake
}

func runDeletion(t *testing.T, env *testsuite.TestWorkflowEnvironment) (result flow.DeleteTenantResult) {
	t.Helper()
	env.ExecuteWorkflow(workflows.DeleteTenant, flow.DeleteTenantInput{TenantID: "acme-corp", DeletionID: id.New()})
	require.NoError(t, env.GetWorkflowError())
	require.NoError(t, env.GetWorkflowResult(&result))
	return result
}

func TestDeleteTenant_InOrder(t *testing.T) {
	t.Parallel()
	env, fake := newDeletion(t)
	fake.end = func(call int) int { return map[int]int{0: 3, 2: 1, 5: 1}[call] } // visibility shows one more late, and one comes meanwhile
	fake.finish = func(call int) bool { return call == 2 }                       // something came in behind the first round
	result := runDeletion(t, env)
	require.Equal(t, []int{3, 0, 1, 0, 0, 1, 0, 0, 0, 0}, fake.ended, "two looks in a row find none, before the rows and after them")
	require.Equal(t, 5, result.Workflows)
	require.Equal(t, slices.Concat(activities.TenantTables, activities.TenantTables), fake.tables)
	require.EqualValues(t, 4, result.Rows["emails"])
	require.Equal(t, 3, fake.counted, "what there is, and what is left after each round")
}

// The tenant is not removed while the count finds a row, in whichever table.
func TestDeleteTenant_RowsAreLeft(t *testing.T) {
	t.Parallel()
	env, fake := newDeletion(t)
	fake.left = func(count int) int64 { return map[int]int64{2: 1}[count] }
	runDeletion(t, env)
	require.Equal(t, 3, fake.counted)
	require.Equal(t, 1, fake.finished)
	require.Equal(t, slices.Concat(activities.TenantTables, activities.TenantTables), fake.tables)
}

// inGrace answers that the grace goes on until its end, by the workflow's clock.
func inGrace(env *testsuite.TestWorkflowEnvironment, ends *time.Time) func(int) activities.EndGraceResult {
	return func(int) activities.EndGraceResult {
		if env.Now().Before(*ends) {
			return activities.EndGraceResult{Status: "scheduled", EndsAt: *ends}
		}
		return activities.EndGraceResult{Status: "running"}
	}
}

func TestDeleteTenant_AfterTheGrace(t *testing.T) {
	t.Parallel()
	env, fake := newDeletion(t)
	began := env.Now()
	ends := began.Add(72 * time.Hour)
	fake.grace = inGrace(env, &ends)
	env.RegisterDelayedCallback(func() { require.Empty(t, fake.ended, "nothing is touched in the grace") }, 71*time.Hour)
	runDeletion(t, env)
	require.Equal(t, 2, fake.graces, "one timer, not a look now and then")
	require.Equal(t, 1, fake.finished)
	require.GreaterOrEqual(t, env.Now().Sub(began), 72*time.Hour)
}

func TestDeleteTenant_GraceIsShortened(t *testing.T) {
	t.Parallel()
	env, fake := newDeletion(t)
	began := env.Now()
	ends := began.Add(72 * time.Hour)
	fake.grace = inGrace(env, &ends)
	env.RegisterDelayedCallback(func() {
		ends = began.Add(2 * time.Hour)
		env.SignalWorkflow(flow.GraceSignal, nil)
	}, time.Hour)
	runDeletion(t, env)
	require.Equal(t, 3, fake.graces)
	require.Equal(t, 1, fake.finished)
	require.Less(t, env.Now().Sub(began), 3*time.Hour)
}

func TestDeleteTenant_RestoredInTheGrace(t *testing.T) {
	t.Parallel()
	for name, told := range map[string]bool{"told": true, "not told": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, fake := newDeletion(t)
			began := env.Now()
			ends, status := began.Add(72*time.Hour), "scheduled"
			fake.grace = func(int) activities.EndGraceResult { return activities.EndGraceResult{Status: status, EndsAt: ends} }
			env.RegisterDelayedCallback(func() {
				status = "restored"
				if told {
					env.SignalWorkflow(flow.GraceSignal, nil)
				}
			}, time.Hour)
			require.Equal(t, flow.DeleteTenantResult{Rows: map[string]int64{}, Restored: true}, runDeletion(t, env))
			require.Equal(t, told, env.Now().Before(ends), "who is not told looks at the end of the grace")
			require.Empty(t, fake.ended)
			require.Empty(t, fake.tables)
			require.Zero(t, fake.finished)
		})
	}
}

// A signal that comes when the deletion runs, as of somebody who wanted to restore the tenant too late, changes nothing.
func TestDeleteTenant_RestoredTooLate(t *testing.T) {
	t.Parallel()
	env, fake := newDeletion(t)
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(flow.GraceSignal, nil) }, time.Second)
	require.False(t, runDeletion(t, env).Restored)
	require.Equal(t, 1, fake.graces)
	require.Equal(t, 1, fake.finished)
}

// A run that was begun anew by a sweep when another had just ended touches nothing: the id may be another tenant's.
func TestDeleteTenant_CompletedByAnotherRun(t *testing.T) {
	t.Parallel()
	env, fake := newDeletion(t)
	fake.grace = func(int) activities.EndGraceResult { return activities.EndGraceResult{Status: "completed"} }
	require.Equal(t, flow.DeleteTenantResult{Rows: map[string]int64{}}, runDeletion(t, env))
	require.Empty(t, fake.ended)
	require.Empty(t, fake.tables)
	require.Zero(t, fake.finished)
}
