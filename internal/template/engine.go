package template

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/jackc/puddle/v2"
	"modernc.org/quickjs"
)

// Bytes of bytecode of compiled templates that an engine shares between its
// machines, so that a template is compiled once and not once per machine.
const maxPrograms = 16 << 20

// Engine compiles and renders templates. It is safe for concurrent use; at most
// Config.VMs calls are at work at a time, further ones wait.
type Engine struct {
	limits Config
	pool   *puddle.Pool[*sandbox]
	mjml   mjmlCompiler

	mu       sync.Mutex
	programs *lru[*program]
}

// program is a compiled template.
type program struct {
	bytecode []byte // evaluates to the code of the parts; see sandbox.templates
	analysis Analysis
}

// NewEngine makes an engine and starts its first virtual machine, so that a broken
// build is noticed at once and not at the first email.
func NewEngine(cfg Config) (*Engine, error) {
	limits := cfg.withDefaults(runtime.GOMAXPROCS(0))
	bytecode, err := compileScript()
	if err != nil {
		return nil, fmt.Errorf("new template engine: %w", err)
	}
	pool, err := puddle.NewPool(&puddle.Config[*sandbox]{
		Constructor: func(context.Context) (*sandbox, error) { return newSandbox(bytecode, limits) },
		Destructor:  func(s *sandbox) { s.close() },
		MaxSize:     int32(limits.VMs),
	})
	if err != nil {
		return nil, fmt.Errorf("new template engine: %w", err)
	}
	e := &Engine{limits: limits, pool: pool, mjml: newMJMLCompiler(), programs: newLRU(maxPrograms, func(*program) {})}
	if err := pool.CreateResource(context.Background()); err != nil {
		return nil, fmt.Errorf("new template engine: %w", err)
	}
	return e, nil
}

// compileScript translates the JavaScript side once. Loading its bytecode starts a
// machine about three times as fast as reading the source again would.
func compileScript() ([]byte, error) {
	source, err := script(scripts)
	if err != nil {
		return nil, err
	}
	vm, err := quickjs.NewVM()
	if err != nil {
		return nil, err
	}
	defer func() { _ = vm.Close() }()
	return vm.Compile(source, quickjs.EvalGlobal)
}

// Close waits for the calls at work and frees every machine. Later calls fail
// with render_interrupted.
func (e *Engine) Close() { e.pool.Close() }

// with lends a machine to f. One that hit a limit is thrown away after it.
func (e *Engine) with(ctx context.Context, f func(*sandbox) error) error {
	lent, err := e.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	s := lent.Value()
	defer func() {
		if s.worn() {
			lent.Destroy()
			return
		}
		lent.Release()
	}()
	return f(s)
}

func (e *Engine) cached(key string) (*program, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.programs.get(key)
}

func (e *Engine) keep(key string, p *program) {
	if key == "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.programs.add(key, p, len(p.bytecode))
}
