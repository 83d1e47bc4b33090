package store_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/audit"
	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/store"
	"github.com/mailtura/mailtura/internal/telemetry"
	"github.com/mailtura/mailtura/internal/tenant"
)

// log is the whole audit log, which must be a chain.
func (b *bundle) log() (entries []audit.Entry) {
	b.t.Helper()
	var c audit.Chain
	for e, err := range b.AuditEntries(b.t.Context()) {
		require.NoError(b.t, err)
		require.NoError(b.t, c.Add(e))
		entries = append(entries, e)
	}
	return entries
}

// verify says what is wrong with the log.
func (b *bundle) verify() error {
	var c audit.Chain
	for e, err := range b.AuditEntries(b.t.Context()) {
		if err != nil {
			return err
		}
		if err := c.Add(e); err != nil {
			return err
		}
	}
	return nil
}

// told are the acts of a log, as "action target before after".
func told(entries []audit.Entry) (acts []string) {
	for _, e := range entries {
		side := func(raw json.RawMessage) string {
			if raw == nil {
				return "-"
			}
			return strings.ReplaceAll(string(raw), " ", "")
		}
		acts = append(acts, fmt.Sprintf("%s %s %s %s", e.Action, e.Target, side(e.Before), side(e.After)))
	}
	return acts
}

func TestAudit_EveryAct(t *testing.T) {
	t.Parallel()
	b := newBundle(t)
	ctx := telemetry.WithRequest(audit.WithActor(t.Context(), audit.Actor{Kind: audit.OperatorKey, ID: "key_1"}), "req_1")
	ctx = audit.WithNote(ctx, "ticket 7")
	limit := 5
	_, err := b.CreateTenant(ctx, tenant.Tenant{ID: acme, Name: "Acme", Domain: "acme.com"})
	require.NoError(t, err)
	require.NoError(t, b.ActivateTenant(ctx, acme)) // a step of the workflow, no act of its own
	_, err = b.UpdateTenant(ctx, acme, func(t *tenant.Tenant) error { t.Settings.DailyLimit = &limit; return nil })
	require.NoError(t, err)
	_, err = b.CreateTemplate(ctx, acme, newTemplate("welcome"))
	require.NoError(t, err)
	changed := newTemplate("welcome")
	changed.Source.Text = "secret words"
	_, err = b.UpdateTemplate(ctx, acme, store.SaveTemplate{Template: changed})
	require.NoError(t, err)
	require.NoError(t, b.DeleteTemplate(ctx, acme, "welcome"))
	_, err = b.BeginDeletion(ctx, acme, nil)
	require.NoError(t, err)
	_, err = b.BeginDeletion(ctx, acme, nil) // is under way
	require.NoError(t, err)

	entries := b.log()
	acts := told(entries)
	require.Len(t, acts, 6)
	require.Regexp(t, `^tenant.create acme-corp - {.*"domain":"acme.com"`, acts[0])
	require.Equal(t, `tenant.update acme-corp {"settings":{"dailyLimit":null}} {"settings":{"dailyLimit":5}}`, acts[1])
	require.Regexp(t, `^template.create welcome - {.*"html":"sha256:`, acts[2])
	require.Regexp(t, `^template.update welcome {"text":"sha256:\w{64}","version":1} {"text":"sha256:\w{64}","version":2}$`, acts[3])
	require.Regexp(t, `^template.delete welcome {.*"version":2.*} -$`, acts[4])
	require.Regexp(t, `^tenant.delete acme-corp {.*"dailyLimit":5.*} -$`, acts[5])
	require.NotContains(t, strings.Join(acts, ""), "secret words")
	before := time.Now()
	for _, e := range entries {
		require.Equal(t, audit.Actor{Kind: audit.OperatorKey, ID: "key_1"}, e.Actor)
		require.Equal(t, "req_1", e.RequestID)
		require.Equal(t, "ticket 7", e.Note)
		require.Equal(t, acme, *e.TenantID)
		require.WithinDuration(t, before, e.At, time.Minute)
	}
}

func TestAudit_Keys(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	ctx := audit.WithActor(t.Context(), audit.Actor{Kind: audit.CommandLine, ID: "ada"})
	secrets := []apikey.Key{apikey.New(apikey.Tenant), apikey.New(apikey.Tenant), apikey.New(apikey.Operator), apikey.New(apikey.Operator)}
	first, err := b.CreateTenantKey(ctx, acme, store.NewKey{Name: "app", Key: secrets[0], Grant: apikey.Grant{apikey.EmailsSend}})
	require.NoError(t, err)
	anything := func(apikey.Grant, apikey.Networks) error { return nil }
	second, err := b.RotateTenantKey(ctx, acme, store.Rotation{Old: first.ID, New: secrets[1], Now: time.Now(), Allow: anything})
	require.NoError(t, err)
	operator, err := b.CreateOperatorKey(ctx, store.NewKey{Name: "deploy", Key: secrets[2]})
	require.NoError(t, err)
	_, err = b.RotateOperatorKey(ctx, store.Rotation{Old: operator.ID, New: secrets[3], Now: time.Now(), Allow: anything})
	require.NoError(t, err)
	for range 2 { // the second time nothing is done
		require.NoError(t, b.RevokeTenantKey(ctx, acme, second.ID))
		require.NoError(t, b.RevokeOperatorKey(ctx, operator.ID))
	}
	entries := b.log()[1:] // without the tenant
	acts := told(entries)
	require.Len(t, acts, 8)
	require.Regexp(t, `^api_key.create key_\w+ - {.*"name":"app",.*"scopes":\["emails:send"\]`, acts[0])
	require.Regexp(t, `^api_key.rotate key_\w+ {.*"replacedBy":null.*} {.*"replacedBy":"key_`, acts[1])
	require.Regexp(t, `^api_key.rotate key_\w+ - {.*"prefix":"`+secrets[1].Prefix, acts[2])
	require.Regexp(t, `^operator_key.create key_\w+ - {.*"scopes":null`, acts[3])
	require.Regexp(t, `^operator_key.rotate .*`, acts[4])
	require.Regexp(t, `^api_key.revoke key_\w+ {"revokedAt":null} {"revokedAt":"20`, acts[6])
	require.Regexp(t, `^operator_key.revoke key_\w+ {"revokedAt":null} {"revokedAt":"20`, acts[7])
	require.Nil(t, entries[3].TenantID)
	for _, secret := range secrets {
		require.NotContains(t, strings.Join(acts, ""), secret.Text()[20:])
		require.NotContains(t, strings.Join(acts, ""), hex.EncodeToString(secret.Hash()))
	}
}

// What was not done is not written down, and what can not be written down is not done.
func TestAudit_ActAndEntryAreOne(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	before := b.log()
	_, err := b.CreateTenant(t.Context(), tenant.Tenant{ID: acme, Name: "Acme", Domain: "acme.com"})
	requireFault(t, err, fault.Conflict, "tenant_exists")
	_, err = b.UpdateTenant(t.Context(), acme, func(*tenant.Tenant) error { return context.Canceled })
	require.Error(t, err)
	requireFault(t, b.DeleteTemplate(t.Context(), acme, "nothing"), fault.NotFound, "template_not_found")
	require.Equal(t, before, b.log())

	b.exec(`ALTER TABLE audit_log ADD CONSTRAINT audit_log_number_full CHECK (number < 2)`)
	for _, act := range []func() error{
		func() error { _, err := b.CreateTemplate(t.Context(), acme, newTemplate("welcome")); return err },
		func() error {
			_, err := b.CreateOperatorKey(t.Context(), store.NewKey{Key: apikey.New(apikey.Operator)})
			return err
		},
		func() error { _, err := b.BeginDeletion(t.Context(), acme, nil); return err },
	} {
		require.Error(t, act())
	}
	require.Equal(t, before, b.log())
	require.Zero(t, ask[int](b, `SELECT (SELECT count(*) FROM templates) + (SELECT count(*) FROM api_keys)`))
	require.Equal(t, "active", ask[string](b, `SELECT status FROM tenants`))
}

// The chain has no fork, however many act at the same time, on however many processes.
func TestAudit_ConcurrentActs(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	processes := []*store.Store{b.Store, open(t, b.url)}
	var group errgroup.Group
	for i := range 50 {
		group.Go(func() error {
			s, tenantID := processes[i%2], []string{acme, other}[i/2%2]
			if i%5 == 0 {
				_, err := s.UpdateTenant(t.Context(), tenantID, func(t *tenant.Tenant) error { t.Name = strconv.Itoa(i); return nil })
				return err
			}
			_, err := s.CreateTenantKey(t.Context(), tenantID, store.NewKey{Name: strconv.Itoa(i), Key: apikey.New(apikey.Tenant)})
			return err
		})
	}
	require.NoError(t, group.Wait())
	require.Len(t, b.log(), 2+50)
}

func TestAudit_AppendOnly(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	for _, change := range []string{
		`UPDATE audit_log SET target = 'x'`, `DELETE FROM audit_log`, `DELETE FROM audit_log WHERE false`, `TRUNCATE audit_log`,
		`SET session_replication_role = replica; DELETE FROM audit_log`,
	} {
		_, err := b.conn.Exec(t.Context(), change)
		require.ErrorContains(t, err, "the audit log is append-only", change)
	}
	for _, role := range []string{"mailtura_request", "mailtura_audit"} {
		for _, change := range []string{
			`UPDATE audit_log SET target = 'x'`, `DELETE FROM audit_log`, `TRUNCATE audit_log`, `ALTER TABLE audit_log DISABLE TRIGGER ALL`,
			`INSERT INTO tenants (id, name, domain) VALUES ('x', 'x', 'x')`,
		} {
			tx, err := b.conn.Begin(t.Context())
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), `SET LOCAL ROLE `+role)
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), change)
			require.Error(t, err)
			require.Regexp(t, "permission denied|must be owner", err.Error(), "%s as %s", change, role)
			require.NoError(t, tx.Rollback(t.Context()))
		}
	}
	b.asRequest(acme, func(tx pgx.Tx) {
		_, err := tx.Exec(t.Context(), `SELECT FROM audit_log`)
		require.ErrorContains(t, err, "permission denied", "a tenant does not read it")
	})
	require.Len(t, b.log(), 1)
}

// Who owns the database can get round the trigger, and is found out.
func TestAudit_TamperingIsFound(t *testing.T) {
	t.Parallel()
	columns := map[string]string{
		"number": "number + 10", "at": "at + interval '1 us'", "actor_kind": "'tenant_key'", "actor_id": "'somebody'", "action": "'tenant.delete'",
		"tenant_id": "'other'", "target": "'x'", "before": `'{"a":1}'`, "after": "NULL", "note": "'x'", "request_id": "'x'",
		"previous_hash": "decode(repeat('ab', 32), 'hex')", "hash": "decode(repeat('ab', 32), 'hex')",
	}
	b := newBundle(t, "a", "b", "c", "d")
	b.exec(`ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only; CREATE TABLE kept AS TABLE audit_log`)
	all := ask[[]string](b, `SELECT array_agg(column_name::text) FROM information_schema.columns WHERE table_name = 'audit_log'`)
	require.Len(t, columns, len(all))
	try := func(name, change, want string) {
		b.exec(change)
		require.ErrorContains(t, b.verify(), want, name)
		b.exec(`DELETE FROM audit_log; INSERT INTO audit_log TABLE kept`)
		require.NoError(t, b.verify())
	}
	for _, column := range all {
		try(column, `UPDATE audit_log SET `+column+` = `+columns[column]+` WHERE number = 2`, "entry 2 ")
	}
	try("taken out", `DELETE FROM audit_log WHERE number = 2`, "entry 2 is missing")
	try("taken out, and closed up", `DELETE FROM audit_log WHERE number = 2; UPDATE audit_log SET number = number - 1 WHERE number > 2`, "entry 2 does not continue")
	try("moved", `UPDATE audit_log SET number = 10 WHERE number = 2; UPDATE audit_log SET number = 2 WHERE number = 3;
		UPDATE audit_log SET number = 3 WHERE number = 10`, "entry 2 does not continue")
	try("put in", `UPDATE audit_log SET number = number + 10 WHERE number > 2; UPDATE audit_log SET number = number - 9 WHERE number > 2;
		INSERT INTO audit_log SELECT 3, at, actor_kind, actor_id, action, tenant_id, 'forged', before, after, note, request_id, hash, previous_hash
		FROM audit_log WHERE number = 2`, "entry 3 was changed")
	try("first taken out", `DELETE FROM audit_log WHERE number = 1`, "entry 1 is missing")
}

func TestAudit_OutlivesTheTenant(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme, other)
	d, err := b.BeginDeletion(t.Context(), acme, nil)
	require.NoError(t, err)
	for _, table := range store.TenantTables {
		_, err := b.DeleteTenantRows(t.Context(), acme, d.ID, table, 100)
		require.NoError(t, err)
	}
	finished, err := b.FinishDeletion(t.Context(), acme, d.ID)
	require.NoError(t, err)
	require.True(t, finished)
	items, _, err := b.ListAuditEntries(t.Context(), store.AuditFilter{TenantID: acme}, "", 10)
	require.NoError(t, err)
	require.Len(t, items, 2)
}

func TestListAuditEntries(t *testing.T) {
	t.Parallel()
	b := newBundle(t, "a", "b")
	as := audit.WithActor(t.Context(), audit.Actor{Kind: audit.OperatorKey, ID: "key_1"})
	_, err := b.CreateTemplate(as, "a", newTemplate("one"))
	require.NoError(t, err)
	_, err = b.CreateTemplate(t.Context(), "b", newTemplate("two"))
	require.NoError(t, err)
	entries := b.log()
	third := entries[2].At
	for name, tc := range map[string]struct {
		filter store.AuditFilter
		want   []string
	}{
		"all":      {store.AuditFilter{}, []string{"two", "one", "b", "a"}},
		"tenant":   {store.AuditFilter{TenantID: "a"}, []string{"one", "a"}},
		"action":   {store.AuditFilter{Action: "template.create"}, []string{"two", "one"}},
		"actor":    {store.AuditFilter{ActorID: "key_1"}, []string{"one"}},
		"since":    {store.AuditFilter{Since: &third}, []string{"two", "one"}},
		"until":    {store.AuditFilter{Until: &third}, []string{"b", "a"}},
		"together": {store.AuditFilter{TenantID: "b", Action: "template.create", Since: &third}, []string{"two"}},
		"nothing":  {store.AuditFilter{TenantID: "b", ActorID: "key_1"}, nil},
	} {
		pages := pages(t, func(after string) ([]audit.Entry, string, error) {
			return b.ListAuditEntries(t.Context(), tc.filter, after, 2)
		})
		var got []string
		for _, page := range pages {
			require.LessOrEqual(t, len(page), 2)
			for _, e := range page {
				got = append(got, e.Target)
			}
		}
		require.Equal(t, tc.want, got, name)
	}
	for _, cursor := range []string{"x", "0", "-1", "9223372036854775808", "1.5"} {
		_, _, err := b.ListAuditEntries(t.Context(), store.AuditFilter{}, cursor, 2)
		requireCursorRefused(t, err)
	}
}

// A log is read in parts, of which a few hundred are in memory.
func TestAuditEntries_ManyParts(t *testing.T) {
	t.Parallel()
	b := newBundle(t, acme)
	b.exec(`INSERT INTO audit_log SELECT n, now(), 'system', '', 'x.y', NULL, n::text, NULL, NULL, '', '', hash, hash
		FROM audit_log, generate_series(2, 1201) n`)
	next := int64(0)
	for e, err := range b.AuditEntries(t.Context()) {
		require.NoError(t, err)
		next++
		require.Equal(t, next, e.Number)
	}
	require.Equal(t, int64(1201), next)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for e, err := range b.AuditEntries(ctx) {
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, int64(0), e.Number)
			continue
		}
		cancel()
		require.LessOrEqual(t, e.Number, int64(500))
	}
}
