package template_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mailtura/mailtura/internal/fault"
	"github.com/mailtura/mailtura/internal/template"
)

// 32 callers with templates and variables of their own, some of them hostile: each
// gets its own mail, always.
func TestEngine_ConcurrentRendersDoNotMix(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, template.Config{VMs: 4, Timeout: time.Minute, MemoryLimit: 16 << 20})
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for caller := range 16 {
		wg.Go(func() {
			if caller%8 == 7 {
				errs <- renderTooMuch(t.Context(), engine, caller)
				return
			}
			errs <- renderOwn(t.Context(), engine, caller)
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}

func renderOwn(ctx context.Context, engine *template.Engine, caller int) error {
	src := template.Source{
		Subject: fmt.Sprintf("subject %d {{secret}}", caller),
		HTML:    fmt.Sprintf("{{#each xs}}%d-{{this}}-{{../secret}} {{/each}}{{__proto__.x}}", caller),
		Text:    fmt.Sprintf("%d {{secret}}{{other%d}}", caller, caller+1),
	}
	for round := range 5 {
		secret := fmt.Sprintf("secret-%d-%d", caller, round)
		vars := fmt.Sprintf(`{"secret": %q, "other%d": "own", "xs": [1, 2], "__proto__": {"x": "%d"}}`, secret, caller, caller)
		got, err := engine.Render(ctx, fmt.Sprint("tpl", caller), src, json.RawMessage(vars))
		want := template.Rendered{
			Subject: fmt.Sprintf("subject %d %s", caller, secret),
			HTML:    fmt.Sprintf("%d-1-%s %d-2-%s %d", caller, secret, caller, secret, caller),
			Text:    fmt.Sprintf("%d %s", caller, secret),
		}
		if err != nil || got != want {
			return fmt.Errorf("caller %d: got %v, %w", caller, got, err)
		}
	}
	return nil
}

func renderTooMuch(ctx context.Context, engine *template.Engine, caller int) error {
	vars := json.RawMessage(`{"x": "` + strings.Repeat("x", 50_000) + `", "a": ` + list("1", 5000) + `}`)
	for range 3 {
		src := template.Source{HTML: "{{#each a}}{{{../x}}}{{/each}}"}
		_, err := engine.Render(ctx, fmt.Sprint("big", caller), src, vars)
		if fault.CodeOf(err) != "render_limit_exceeded" {
			return fmt.Errorf("caller %d: %w", caller, err)
		}
	}
	return nil
}

func TestEngine_ContextStopsARender(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, template.Config{VMs: 1, Timeout: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	endless := template.Source{Text: "{{#each a}}{{#each ../a}}{{#each ../../a}}{{/each}}{{/each}}{{/each}}"}
	_, err := engine.Render(ctx, "", endless, json.RawMessage(`{"a": `+list("1", 30_000)+`}`))
	requireFault(t, err, fault.Unavailable, "render_interrupted")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	alive(t, engine)
}

func TestEngine_ContextStopsACheck(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, template.Config{VMs: 1, Timeout: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := engine.Check(ctx, template.Source{HTML: strings.Repeat("{{a}}", 100_000)})
	requireFault(t, err, fault.Unavailable, "render_interrupted")
	alive(t, engine)
}

// A context that ended before is noticed, also while waiting for a machine.
func TestEngine_EndedContext(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, patient)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := engine.Render(ctx, "", template.Source{}, nil)
	requireFault(t, err, fault.Unavailable, "render_interrupted")
	_, err = engine.Check(ctx, template.Source{HTML: "x"})
	requireFault(t, err, fault.Unavailable, "render_interrupted")
}

// A context that ends just when its render does must not stop the next one on the
// same machine.
func TestEngine_LateInterruptHitsNobody(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, template.Config{VMs: 1, Timeout: time.Minute})
	src := template.Source{HTML: order.HTML}
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = engine.Render(ctx, "k", src, json.RawMessage(orderVariables))
		}()
		cancel()
		_, err := engine.Render(t.Context(), "k", src, json.RawMessage(orderVariables))
		require.NoError(t, err)
		<-done
	}
}

func TestEngine_Close(t *testing.T) {
	t.Parallel()
	engine, err := template.NewEngine(template.Config{VMs: 3})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			for {
				_, err := engine.Render(t.Context(), "k", order, json.RawMessage(orderVariables))
				if errors.As(err, new(*fault.Error)) {
					return
				}
			}
		})
	}
	engine.Close()
	wg.Wait()
	engine.Close()
	_, err = engine.Render(t.Context(), "k", order, nil)
	requireFault(t, err, fault.Unavailable, "render_interrupted")
	_, err = engine.Check(t.Context(), order)
	requireFault(t, err, fault.Unavailable, "render_interrupted")
}

func TestEngine_EmptySource(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, template.Config{})
	got, err := engine.Check(t.Context(), template.Source{})
	require.NoError(t, err)
	require.Empty(t, got.Required)
	out, err := engine.Render(t.Context(), "k", template.Source{}, nil)
	require.NoError(t, err)
	require.Zero(t, out)
}
