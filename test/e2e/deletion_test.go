package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	mailtura "github.com/mailtura/mailtura/clients/go"
)

// remove asks for a tenant to be deleted; grace may be empty.
func (s *stack) remove(t *testing.T, tenant, grace string) *mailtura.TenantDeletion {
	t.Helper()
	params := &mailtura.DeleteTenantParams{}
	if grace != "" {
		params.Grace = &grace
	}
	answer, err := s.client(t, s.Key, "").DeleteTenantWithResponse(t.Context(), tenant, params)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, answer.StatusCode(), string(answer.Body))
	return answer.JSON202
}

func (s *stack) restore(t *testing.T, tenant string) *mailtura.RestoreTenantResponse {
	t.Helper()
	answer, err := s.client(t, s.Key, "").RestoreTenantWithResponse(t.Context(), tenant, nil)
	require.NoError(t, err)
	return answer
}

// deletion gives where a deletion stands; nil while the API does not answer.
func (s *stack) deletion(t *testing.T, id string) *mailtura.TenantDeletion {
	t.Helper()
	answer, err := s.client(t, s.Key, "").GetTenantDeletionWithResponse(t.Context(), id, nil)
	if err != nil {
		return nil
	}
	require.Equal(t, http.StatusOK, answer.StatusCode(), string(answer.Body))
	return answer.JSON200
}

// awaitDeleted waits until a deletion is completed, and checks what its receipt says: its hash, computed anew, and
// how many rows of these tables.
func (s *stack) awaitDeleted(t *testing.T, id string, rows map[string]int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		d := s.deletion(t, id)
		return d != nil && d.Status == "completed"
	}, 90*time.Second, 100*time.Millisecond)
	answer, err := s.client(t, s.Key, "").GetTenantDeletionWithResponse(t.Context(), id, nil)
	require.NoError(t, err)
	var raw struct{ Receipt map[string]json.RawMessage }
	require.NoError(t, json.Unmarshal(answer.Body, &raw))
	delete(raw.Receipt, "hash")
	bare, err := json.Marshal(raw.Receipt)
	require.NoError(t, err)
	canonical, err := jcs.Transform(bare)
	require.NoError(t, err)
	sum := sha256.Sum256(canonical)
	receipt := answer.JSON200.Receipt
	require.Equal(t, hex.EncodeToString(sum[:]), receipt.Hash)
	require.True(t, receipt.VerifiedZero)
	for table, n := range rows {
		require.Equal(t, n, receipt.Rows[table], table)
		require.Equal(t, n, answer.JSON200.Progress[table].Deleted, table)
	}
}

// In the grace nothing of a tenant leaves and nothing is lost; restored, it goes on as if nothing had been.
func TestDeleteTenant_RestoredInTheGrace(t *testing.T) {
	t.Parallel()
	tenant, c := shared.newTenant(t, paced(10))
	domain := domainOf(t)
	const count = 100
	ids := backlog(t, c, domain, count)
	shared.await(t, domain, 5, 60*time.Second)
	began := time.Now()
	d := shared.remove(t, tenant, "1h")
	require.EqualValues(t, "scheduled", d.Status)
	refused, err := c.GetEmailWithResponse(t.Context(), ids[0], nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, refused.StatusCode())
	quiet(began)
	left := len(shared.received(t, domain))
	require.Less(t, left, count, "there is something left to hold")
	quiet(time.Now())
	require.Len(t, shared.received(t, domain), left, "nothing leaves in the grace")

	require.Equal(t, http.StatusOK, shared.restore(t, tenant).StatusCode())
	for _, id := range ids {
		awaitStatus(t, c, id, "sent", 60*time.Second)
	}
	require.Len(t, shared.received(t, domain), count, "each has left once")
	require.EqualValues(t, "restored", shared.deletion(t, d.Id).Status)
	require.Equal(t, http.StatusConflict, shared.restore(t, tenant).StatusCode())

	shared.awaitDeleted(t, shared.remove(t, tenant, "").Id, map[string]int64{"emails": count, "recipients": count, "tenants": 1})
	requireNoRows(t, tenant)
}

// A grace that ends is the end, and one that is shortened ends sooner.
func TestDeleteTenant_GraceEnds(t *testing.T) {
	t.Parallel()
	tenant, c := shared.newTenant(t, mailtura.Settings{})
	awaitStatus(t, c, send(t, c, mailtura.SendEmail{To: to(address(t, "ada")), Subject: ptr("Hi"), Text: ptr("Hi")}).Id, "sent", 60*time.Second)
	d := shared.remove(t, tenant, "1h")
	require.Equal(t, d.Id, shared.remove(t, tenant, "1s").Id)
	shared.awaitDeleted(t, d.Id, map[string]int64{"emails": 1, "attempts": 1, "tenants": 1})
	require.Equal(t, http.StatusNotFound, shared.restore(t, tenant).StatusCode())
}

// gate lets a test stop what is done to a tenant's rows at a table, with a trigger that waits for an advisory lock.
type gate struct {
	t    *testing.T
	conn *pgx.Conn
	key  int
}

// closeGate stops whoever updates or deletes a row of one tenant in a table until the gate is opened. Gates of the same
// database have different keys.
func (s *stack) closeGate(t *testing.T, key int, timing, table, tenant string) *gate {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.DatabaseURL())
	require.NoError(t, err)
	column := map[bool]string{true: "id", false: "tenant_id"}[table == "tenants"]
	for _, statement := range []string{
		`CREATE OR REPLACE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint); RETURN coalesce(NEW, OLD); END $$`,
		fmt.Sprintf(`CREATE TRIGGER gate%d BEFORE %s ON %s FOR EACH ROW WHEN (OLD.%s = '%s') EXECUTE FUNCTION gate(%d)`,
			key, timing, table, column, tenant, key),
		fmt.Sprintf(`SELECT pg_advisory_lock(%d)`, key),
	} {
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	g := &gate{t, conn, key}
	t.Cleanup(g.open)
	return g
}

// awaited waits until somebody stands at the gate.
func (g *gate) awaited() {
	g.t.Helper()
	require.Eventually(g.t, func() bool {
		var n int
		require.NoError(g.t, g.conn.QueryRow(g.t.Context(), `SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
			WHERE d.datname = current_database() AND locktype = 'advisory' AND objid = $1 AND NOT granted`, g.key).Scan(&n))
		return n > 0
	}, 90*time.Second, 20*time.Millisecond)
}

func (g *gate) open() { _ = g.conn.Close(context.Background()) }

// Killed at whatever step, a tenant is set up or deleted to the end by the process that comes after, within a minute.
// Where several tenants can be at a step each, one kill meets all of them.
func TestLifeCycle_SurvivesKills(t *testing.T) {
	t.Parallel()
	s := beside(t)
	api, err := s.Launch("serve")
	require.NoError(t, err)
	t.Cleanup(func() { api.Stop() })
	restart := func() {
		t.Helper()
		api.Kill()
		api, err = s.Launch("serve")
		require.NoError(t, err)
	}
	const count = 40
	filled := func() string {
		t.Helper()
		tenant, c := s.newTenant(t, paced(5))
		_, err := c.CreateTemplateWithResponse(t.Context(), nil, mailtura.CreateTemplate{Name: "note", Subject: ptr("Hi"), Text: ptr("Hi")})
		require.NoError(t, err)
		backlog(t, c, domainOf(t), count)
		return tenant
	}
	step := func(name string, do func()) { // one after the other, since each kills the process
		t.Log(name)
		do()
	}
	whole := map[string]int64{"emails": count, "recipients": count, "templates": 1, "template_versions": 1, "api_keys": 1, "tenants": 1}

	step("provisioning", func() { // created, and not active: the gate holds the workflow's activity
		g := s.closeGate(t, 1, "UPDATE", "tenants", "early")
		created, operator := make(chan struct{}), s.client(t, s.Key, "")
		go func() {
			_, _ = operator.CreateTenantWithResponse(t.Context(), nil, mailtura.CreateTenant{Name: "early", Domain: "acme.com"})
			close(created)
		}()
		g.awaited()
		restart()
		<-created // with an error or without: the process was killed
		g.open()
		s.awaitTenant(t, "early", "active")
	})
	step("in the grace, in the grace and restored, and while workflows end", func() {
		ends, saved, now := filled(), filled(), filled()
		inGrace, restored := s.remove(t, ends, "20s"), s.remove(t, saved, "1h")
		ending := s.remove(t, now, "")
		restart() // at once: visibility is looked at for at least 4 seconds
		s.requireScheduled(t, inGrace.Id)
		s.requireScheduled(t, restored.Id)
		require.Equal(t, http.StatusOK, s.restore(t, saved).StatusCode())
		restart()
		s.awaitTenant(t, saved, "active")
		require.EqualValues(t, "restored", s.deletion(t, restored.Id).Status)
		s.awaitDeleted(t, ending.Id, whole)
		s.awaitDeleted(t, inGrace.Id, whole)
	})
	step("amid the rows, and before the receipt", func() {
		var gates []*gate
		var deletions []string
		for i, table := range []string{"recipients", "events", "api_keys", "tenants"} {
			tenant := filled()
			gates = append(gates, s.closeGate(t, 2+i, "DELETE", table, tenant))
			deletions = append(deletions, tenant)
		}
		for i, tenant := range deletions {
			deletions[i] = s.remove(t, tenant, "").Id
		}
		for _, g := range gates {
			g.awaited()
		}
		restart()
		for i, g := range gates {
			require.EqualValues(t, "running", s.deletion(t, deletions[i]).Status)
			g.open()
		}
		for _, d := range deletions {
			s.awaitDeleted(t, d, whole)
		}
	})
}

// requireScheduled requires that a deletion waits, for as long as its grace lasts.
func (s *stack) requireScheduled(t *testing.T, id string) {
	t.Helper()
	d := s.deletion(t, id)
	require.NotNil(t, d)
	if time.Now().Before(*d.GraceEndsAt) {
		require.EqualValues(t, "scheduled", d.Status)
	}
}
