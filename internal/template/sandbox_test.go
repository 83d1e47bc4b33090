//go:build !race

package template

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"modernc.org/quickjs"
)

func newTestSandbox(t *testing.T) *sandbox {
	t.Helper()
	bytecode, err := compileScript()
	require.NoError(t, err)
	s, err := newSandbox(bytecode, Config{Timeout: time.Minute}.withDefaults(1))
	require.NoError(t, err)
	t.Cleanup(s.close)
	return s
}

// What would be in reach of a template if Handlebars had a hole.
func TestSandbox_HasNoTools(t *testing.T) {
	t.Parallel()
	s := newTestSandbox(t)
	for _, test := range []struct {
		script string
		want   any
	}{
		{"typeof Handlebars + typeof eval + typeof Proxy + typeof Reflect", strings.Repeat("undefined", 4)},
		{"typeof Function + Object.isFrozen(Function) + Function.constructor + ((() => 1) instanceof Function)", "objecttrueundefinedtrue"},
		{"typeof console + typeof print + typeof std + typeof os + typeof require", strings.Repeat("undefined", 5)},
		{"typeof compile + typeof analyse + typeof hb", strings.Repeat("undefined", 3)},
		{"(function () {}).constructor === Object", true}, // inherited; makes no code
		{"(async function () {}).constructor === Object && (function* () {}).constructor === Object", true},
		{"({}).__proto__", quickjs.Undefined{}},
		{"try { 'use strict'; Object.prototype.x = 1 } catch (e) {}; ({}).x", quickjs.Undefined{}},
		{"try { Array.prototype.push = 1 } catch (e) {}; typeof [].push", "function"},
		{"try { globalThis.x = 1 } catch (e) {}; typeof x", "undefined"},
		{"[Object, Array, String, Error, Promise, JSON, Math, RegExp.prototype, [].values().__proto__ ?? 0].every(Object.isFrozen)", true},
		{"Object.isFrozen(Object.getPrototypeOf([].values())) && Object.isFrozen(Object.getPrototypeOf(''.matchAll(/x/g)))", true},
		{"Object.isFrozen(globalThis) && Object.isFrozen(Array.prototype[Symbol.iterator])", true},
	} {
		got, err := s.vm.Eval(test.script, quickjs.EvalGlobal)
		require.NoError(t, err, test.script)
		require.Equal(t, test.want, got, test.script)
	}
	_, err := s.vm.Eval("(function () {}).constructor('return 1')()", quickjs.EvalGlobal)
	require.Error(t, err)
}

// A fault in the engine's own code ends the sandbox, not the process.
func TestSandbox_SurvivesPanics(t *testing.T) {
	t.Parallel()
	s := newTestSandbox(t)
	err := s.call(t.Context(), time.Minute, func() error { panic("wild pointer") })
	require.ErrorContains(t, err, "wild pointer")
	require.True(t, s.worn())
	require.Equal(t, "internal", engineFault(err).Code)
}

func TestSandbox_ReplacedAfterManyRenders(t *testing.T) {
	t.Parallel()
	engine, err := NewEngine(Config{VMs: 1, Timeout: time.Minute})
	require.NoError(t, err)
	defer engine.Close()
	lent := func() (s *sandbox) {
		require.NoError(t, engine.with(t.Context(), func(got *sandbox) error { s = got; return nil }))
		return s
	}
	first := lent()
	_, err = engine.Render(t.Context(), "k", Source{Text: "x"}, nil)
	require.NoError(t, err)
	require.Same(t, first, lent())
	require.Equal(t, 1, first.renders)

	first.renders = maxRenders - 1
	_, err = engine.Render(t.Context(), "k", Source{Text: "x"}, nil)
	require.NoError(t, err)
	second := lent()
	require.NotSame(t, first, second)
	require.Zero(t, second.renders)

	// The new one does not compile again: the bytecode is the engine's.
	_, compiled := engine.cached("k")
	require.True(t, compiled)
}

// Renders and failures, one after the other, leave the memory of a machine as it was.
func TestSandbox_MemoryDoesNotGrow(t *testing.T) {
	t.Parallel()
	s := newTestSandbox(t)
	s.vm.SetMemoryLimit(6 << 20) // about twice of what it has at the start
	ctx := context.Background()
	compiled, err := compile(ctx, s, Source{HTML: "{{#each xs}}{{this.a}}{{../b}}{{missing.x}}{{/each}}", Text: "{{o}}"})
	require.NoError(t, err)
	for i := range 300 {
		templates, release, err := s.templates(ctx, "", compiled.bytecode)
		require.NoError(t, err, "round %d", i)
		_, err = s.fill(ctx, templates, `{"xs": [{"a": 1}, {"a": 2}], "b": "b"}`)
		require.NoError(t, err, "round %d", i)
		_, err = s.fill(ctx, templates, `{"o": {"toString": `+strings.Repeat("[", 50)+strings.Repeat("]", 50)+`}}`)
		require.ErrorContains(t, err, "text: ")
		release()
		_, err = compile(ctx, s, Source{HTML: "{{#if x}}"})
		require.Error(t, err)
	}
	require.False(t, s.spent)
}

// What is kept of some templates leaves room for others: 500 of them, which would
// take 15 MB, pass through a machine of 12 MB.
func TestSandbox_KeptTemplatesLeaveRoom(t *testing.T) {
	t.Parallel()
	bytecode, err := compileScript()
	require.NoError(t, err)
	s, err := newSandbox(bytecode, Config{Timeout: time.Minute, MemoryLimit: 12 << 20}.withDefaults(1))
	require.NoError(t, err)
	defer s.close()
	compiled, err := compile(t.Context(), s, Source{HTML: strings.Repeat("<p>{{a}} {{b.c}} {{#if d}}{{e}}{{/if}}</p>", 20)})
	require.NoError(t, err)
	require.Greater(t, len(compiled.bytecode), 10_000)
	for i := range 500 {
		_, release, err := s.templates(t.Context(), strconv.Itoa(i), compiled.bytecode)
		require.NoError(t, err, "template %d", i)
		release()
	}
	require.LessOrEqual(t, s.kept.weight, s.kept.maxWeight)
}

func TestScript_MissingHandlebars(t *testing.T) {
	t.Parallel()
	_, err := script(fstest.MapFS{})
	require.ErrorContains(t, err, "npm ci")
	require.ErrorContains(t, err, "web/")
	_, err = script(fstest.MapFS{handlebarsFile: {Data: []byte("x")}})
	require.ErrorContains(t, err, "script/problem.js")
}

func TestLRU(t *testing.T) {
	t.Parallel()
	var dropped []int
	cache := newLRU(10, func(v int) { dropped = append(dropped, v) })
	require.True(t, cache.add("a", 1, 4))
	require.True(t, cache.add("b", 2, 4))
	require.False(t, cache.add("b", 22, 1), "a key is added once")
	_, ok := cache.get("a") // b is now the older one
	require.True(t, ok)
	require.True(t, cache.add("c", 3, 6))
	require.Equal(t, []int{2}, dropped)
	_, ok = cache.get("b")
	require.False(t, ok)
	require.False(t, cache.add("d", 4, 11), "too heavy")
	require.Equal(t, []int{2}, dropped)
	require.True(t, cache.add("e", 5, 10))
	require.Equal(t, []int{2, 1, 3}, dropped)
	cache.clear()
	require.Equal(t, []int{2, 1, 3, 5}, dropped)
	require.Zero(t, cache.weight)
	require.Empty(t, cache.entries)
}

// One more machine, from the bytecode of the engine.
func BenchmarkNewSandbox(b *testing.B) {
	bytecode, err := compileScript()
	require.NoError(b, err)
	limits := Config{}.withDefaults(1)
	for b.Loop() {
		s, err := newSandbox(bytecode, limits)
		require.NoError(b, err)
		s.close()
	}
}
