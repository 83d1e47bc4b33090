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
	}, 60*time.Second, 100*time.Millisecond)
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

// sql runs statements beside the product.
func (s *stack) sql(t *testing.T, statement string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.Database.URL("mailtura"))
	require.NoError(t, err)
	defer conn.Close(context.Background()) //nolint:errcheck // a test's connection
	_, err = conn.Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

// In the grace nothing of a tenant leaves and nothing is lost; restored, it goes on as if nothing had been.
func TestDeleteTenant_RestoredInTheGrace(t *testing.T) {
	t.Parallel()
	tenant, c := shared.newTenant(t, paced(20))
	domain := domainOf(t)
	const count = 100
	ids := backlog(t, c, domain, count)
	shared.await(t, domain, 5, 30*time.Second)
	began := time.Now()
	d := shared.remove(t, tenant, "1h")
	require.EqualValues(t, "scheduled", d.Status)
	refused, err := c.GetEmailWithResponse(t.Context(), ids[0], nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, refused.StatusCode())
	quiet(began)
	left := len(shared.received(t, domain))
	require.Less(t, left, count)
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
	awaitStatus(t, c, send(t, c, mailtura.SendEmail{To: to(address(t, "ada")), Subject: ptr("Hi"), Text: ptr("Hi")}).Id, "sent", 30*time.Second)
	d := shared.remove(t, tenant, "1h")
	require.Equal(t, d.Id, shared.remove(t, tenant, "1s").Id)
	shared.awaitDeleted(t, d.Id, map[string]int64{"emails": 1, "attempts": 1, "tenants": 1})
	require.Equal(t, http.StatusNotFound, shared.restore(t, tenant).StatusCode())
}

// gate lets a test stop the deletion of a tenant's rows at a table, with a trigger that waits for an advisory lock.
type gate struct {
	t    *testing.T
	conn *pgx.Conn
}

// closeGate stops whoever deletes rows of a table, or writes a receipt, until the gate is opened.
func (s *stack) closeGate(t *testing.T, timing, table string) *gate {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.Database.URL("mailtura"))
	require.NoError(t, err)
	for _, statement := range []string{
		`CREATE OR REPLACE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN coalesce(NEW, OLD); END $$`,
		fmt.Sprintf(`CREATE OR REPLACE TRIGGER gate BEFORE %s ON %s FOR EACH ROW EXECUTE FUNCTION gate()`, timing, table),
		`SELECT pg_advisory_lock(4711)`,
	} {
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	g := &gate{t, conn}
	t.Cleanup(g.open)
	return g
}

// awaited waits until somebody stands at the gate.
func (g *gate) awaited() {
	g.t.Helper()
	require.Eventually(g.t, func() bool {
		var n int
		require.NoError(g.t, g.conn.QueryRow(g.t.Context(),
			`SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted`).Scan(&n))
		return n > 0
	}, 60*time.Second, 20*time.Millisecond)
}

func (g *gate) open() { _ = g.conn.Close(context.Background()) }

// Killed at whatever step, a tenant is set up or deleted to the end by the process that comes after, within a minute.
func TestLifeCycle_SurvivesKills(t *testing.T) {
	t.Parallel()
	s, err := newStack(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(s.Stop)
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
		g := s.closeGate(t, "UPDATE", "tenants")
		created, operator := make(chan struct{}), s.client(t, s.Key, "")
		go func() {
			_, _ = operator.CreateTenantWithResponse(t.Context(), nil, mailtura.CreateTenant{Name: "early", Domain: "acme.com"})
			close(created)
		}()
		g.awaited()
		restart()
		<-created // with an error or without: the process was killed
		g.open()
		s.sql(t, `DROP TRIGGER gate ON tenants`)
		s.awaitTenant(t, "early", "active")
	})
	step("in the grace", func() {
		tenant := filled()
		d := s.remove(t, tenant, "15s")
		restart()
		require.EqualValues(t, "scheduled", s.deletion(t, d.Id).Status)
		s.awaitDeleted(t, d.Id, whole)
	})
	step("in the grace, restored", func() {
		tenant := filled()
		d := s.remove(t, tenant, "1h")
		restart()
		require.Equal(t, http.StatusOK, s.restore(t, tenant).StatusCode())
		restart()
		s.awaitTenant(t, tenant, "active")
		require.EqualValues(t, "restored", s.deletion(t, d.Id).Status)
	})
	step("workflows ending", func() {
		d := s.remove(t, filled(), "")
		restart() // at once: visibility is looked at for at least 4 seconds
		s.awaitDeleted(t, d.Id, whole)
	})
	for _, table := range []string{"recipients", "events", "api_keys"} {
		step("amid "+table, func() {
			tenant := filled()
			g := s.closeGate(t, "DELETE", table)
			d := s.remove(t, tenant, "")
			g.awaited()
			restart()
			g.open()
			s.awaitDeleted(t, d.Id, whole)
			s.sql(t, `DROP TRIGGER gate ON `+table)
		})
	}
	step("before the receipt", func() {
		tenant := filled()
		g := s.closeGate(t, "DELETE", "tenants")
		d := s.remove(t, tenant, "")
		g.awaited()
		restart()
		require.EqualValues(t, "running", s.deletion(t, d.Id).Status)
		g.open()
		s.awaitDeleted(t, d.Id, whole)
	})
}
