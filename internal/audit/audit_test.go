package audit_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/apikey"
	"github.com/mailtura/mailtura/internal/audit"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 123456789, time.UTC)

// newLog makes a log of n entries that differ in everything.
func newLog(t *testing.T, n int) []audit.Entry {
	t.Helper()
	var head audit.Head
	log := make([]audit.Entry, n)
	for i := range log {
		ctx := audit.WithActor(t.Context(), audit.Actor{Kind: audit.OperatorKey, ID: fmt.Sprintf("key_%d", i)})
		ctx = audit.WithNote(ctx, fmt.Sprintf("ticket %d", i))
		tenantID := fmt.Sprintf("tenant-%d", i)
		e, err := head.Next(ctx, audit.Act{
			Action: audit.TenantUpdate, TenantID: tenantID, Target: tenantID,
			Before: map[string]any{"name": "a", "n": i}, After: map[string]any{"name": "b", "n": i + 1},
		}, fmt.Sprintf("req_%d", i), noon.Add(time.Duration(i)*time.Second))
		require.NoError(t, err)
		log[i], head = e, audit.Head{Number: e.Number, Hash: e.Hash}
	}
	return log
}

// check adds entries to a chain, up to the first that does not fit.
func check(log []audit.Entry) (audit.Head, error) {
	var c audit.Chain
	for _, e := range log {
		if err := c.Add(e); err != nil {
			return c.Head(), err
		}
	}
	return c.Head(), nil
}

func TestChain(t *testing.T) {
	t.Parallel()
	log := newLog(t, 5)
	head, err := check(log)
	require.NoError(t, err)
	require.Equal(t, audit.Head{Number: 5, Hash: log[4].Hash}, head)
	require.Equal(t, strings.Repeat("0", 64), log[0].Previous)
	require.Equal(t, log[0].Hash, log[1].Previous)
	head, err = check(nil)
	require.NoError(t, err)
	require.Equal(t, audit.Head{}, head)
}

// The form is written down, so that others can check it: a known entry has a known hash.
// printf '%s' '…' | sha256sum
func TestChain_KnownHash(t *testing.T) {
	t.Parallel()
	ctx := audit.WithActor(t.Context(), audit.Actor{Kind: audit.CommandLine, ID: "ada"})
	e, err := audit.Head{}.Next(ctx, audit.Act{Action: audit.OperatorKeyCreate, Target: "key_1", After: map[string]any{"ü": "<&>\u2028", "a": 1.0}}, "", noon)
	require.NoError(t, err)
	// SHA-256 of {"action":"operator_key.create","actor":{"id":"ada","kind":"command_line"},"after":{"a":1,"ü":"<&>\u2028"},
	// "at":"2026-11-25T12:00:00.123456Z","before":null,"note":"","number":1,"previous":"00…","requestId":"","target":"key_1","tenantId":null}
	require.Equal(t, "3e9bb7380f0c3f8f12bf75592020c131fc2bd83b906cb27afad472f9793572b5", e.Hash)
}

// Whatever is changed in an entry is found at that entry, or, with a hash made to fit, at the next.
func TestChain_Tampering(t *testing.T) {
	t.Parallel()
	other := "other-corp"
	for name, change := range map[string]func(*audit.Entry){
		"at":         func(e *audit.Entry) { e.At = e.At.Add(time.Microsecond) },
		"actor kind": func(e *audit.Entry) { e.Actor.Kind = audit.System },
		"actor id":   func(e *audit.Entry) { e.Actor.ID = "key_9" },
		"action":     func(e *audit.Entry) { e.Action = audit.TenantDelete },
		"tenant":     func(e *audit.Entry) { e.TenantID = &other },
		"no tenant":  func(e *audit.Entry) { e.TenantID = nil },
		"target":     func(e *audit.Entry) { e.Target += "x" },
		"before":     func(e *audit.Entry) { e.Before = json.RawMessage(`{"name":"x"}`) },
		"after":      func(e *audit.Entry) { e.After = nil },
		"note":       func(e *audit.Entry) { e.Note = "" },
		"request":    func(e *audit.Entry) { e.RequestID = "req_9" },
		"hash":       func(e *audit.Entry) { e.Hash = strings.Repeat("1", 64) },
	} {
		log := newLog(t, 4)
		change(&log[1])
		head, err := check(log)
		broken := &audit.Broken{}
		require.ErrorAs(t, err, &broken, name)
		require.Equal(t, &audit.Broken{Number: 2, Why: "was changed: its hash is not that of its content"}, broken, name)
		require.Equal(t, int64(1), head.Number)
	}
}

func TestChain_TakenOutPutInMoved(t *testing.T) {
	t.Parallel()
	log := newLog(t, 4)
	forged, err := audit.Head{Number: 1, Hash: log[0].Hash}.Next(t.Context(), audit.Act{Action: audit.TenantDelete, Target: "x"}, "", noon)
	require.NoError(t, err)
	for want, entries := range map[string][]audit.Entry{
		"entry 1 is missing: entry 2 comes next":                                        log[1:],
		"entry 2 is missing: entry 3 comes next":                                        slices.Concat(log[:1], log[2:]),
		"entry 2 is out of order: it comes behind entry 2":                              slices.Concat(log[:2], log[1:]),
		"entry 3 does not continue the chain: its previous hash is not that of entry 2": {log[0], forged, log[2]},
		"entry 1 is out of order: it comes behind entry 4":                              slices.Concat(log, log[:1]),
		"entry 2 is missing: entry 4 comes next":                                        {log[0], log[3], log[2], log[1]},
		"entry 1 does not continue the chain: its previous hash is not that of entry 0": {func() audit.Entry { e := log[0]; e.Previous = log[3].Hash; return e }()},
		"entry 2 was changed: its hash is not that of its content":                      {log[0], func() audit.Entry { e := forged; e.Target = "y"; return e }()},
		"entry 3 is out of order: it comes behind entry 3":                              slices.Concat(log[:3], log[2:]),
	} {
		_, err := check(entries)
		require.EqualError(t, err, want)
	}
}

// Only what differs is written down, and of secrets only that they do.
func TestNext_Changes(t *testing.T) {
	t.Parallel()
	key := apikey.New(apikey.Tenant)
	type object = map[string]any
	for name, tc := range map[string]struct {
		before, after any
		was, is       string
	}{
		"made":            {nil, object{"name": "a", "limit": nil}, `null`, `{"limit":null,"name":"a"}`},
		"deleted":         {object{"name": "a"}, nil, `{"name":"a"}`, `null`},
		"nothing":         {object{"name": "a"}, object{"name": "a"}, `{}`, `{}`},
		"nested":          {object{"s": object{"a": 1, "b": 2}, "n": "x"}, object{"s": object{"a": 1, "b": 3}, "n": "x"}, `{"s":{"b":2}}`, `{"s":{"b":3}}`},
		"member added":    {object{"a": 1}, object{"a": 1, "b": 2}, `{}`, `{"b":2}`},
		"member gone":     {object{"a": 1, "b": 2}, object{"a": 1}, `{"b":2}`, `{}`},
		"to null":         {object{"a": 1}, object{"a": nil}, `{"a":1}`, `{"a":null}`},
		"another type":    {object{"a": object{"b": 1}}, object{"a": 1}, `{"a":{"b":1}}`, `{"a":1}`},
		"list":            {object{"a": []int{1, 2}}, object{"a": []int{1}}, `{"a":[1,2]}`, `{"a":[1]}`},
		"secret":          {object{"password": "x"}, object{"password": "y"}, `{"password":"(secret)"}`, `{"password":"(secret)"}`},
		"secret untold":   {object{"password": "x"}, object{"password": ""}, `{"password":"(secret)"}`, `{"password":""}`},
		"secrets in list": {nil, object{"t": []object{{"signingSecrets": []string{"x"}}}}, `null`, `{"t":[{"signingSecrets":"(secret)"}]}`},
		"key in a name":   {nil, object{"name": "my " + key.Text()}, `null`, `{"name":"my ` + key.Shown() + `"}`},
		"great number":    {nil, object{"n": int64(1) << 60}, `null`, `{"n":1152921504606846976}`},
	} {
		e, err := audit.Head{}.Next(t.Context(), audit.Act{Action: audit.TenantUpdate, Before: tc.before, After: tc.after}, "", noon)
		require.NoError(t, err, name)
		require.Equal(t, tc.was, orNull(e.Before), name)
		require.Equal(t, tc.is, orNull(e.After), name)
	}
}

func orNull(raw json.RawMessage) string {
	if raw == nil {
		return "null"
	}
	return string(raw)
}

func TestNext_WhoAndNoSecrets(t *testing.T) {
	t.Parallel()
	key := apikey.New(apikey.Operator)
	ctx := audit.WithNote(audit.WithActor(context.Background(), audit.Actor{Kind: audit.CommandLine, ID: key.Text()}), key.Text())
	e, err := audit.Head{}.Next(ctx, audit.Act{Action: audit.TemplateDelete, TenantID: "acme", Target: key.Text()}, key.Text(), noon)
	require.NoError(t, err)
	line, err := e.Line()
	require.NoError(t, err)
	require.NotContains(t, string(line), key.Text())
	require.Equal(t, 4, strings.Count(string(line), key.Shown()))
	_, err = check([]audit.Entry{e})
	require.NoError(t, err)

	e, err = audit.Head{}.Next(context.Background(), audit.Act{Action: audit.TenantCreate}, "", noon)
	require.NoError(t, err)
	require.Equal(t, audit.Actor{Kind: audit.System}, e.Actor)
	require.Nil(t, e.TenantID)
	require.Equal(t, noon.Truncate(time.Microsecond), e.At)
	_, err = audit.Head{}.Next(context.Background(), audit.Act{After: func() {}}, "", noon)
	require.Error(t, err)
}
