package template

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"modernc.org/quickjs"
)

// A sandbox is replaced after this many renders, so that nothing that piles up
// inside of it can pile up for ever. Starting one costs about 20 renders.
const maxRenders = 10_000

// Compiled templates stay in a sandbox up to this share of its memory, measured
// in bytes of bytecode. Loaded, they take several times their bytecode; the rest is for
// the render at hand, whosever templates are kept.
const keptShare = 16

// sandbox is one virtual machine with Handlebars in it. It is for one goroutine
// at a time.
type sandbox struct {
	vm      *quickjs.VM
	limits  Config
	compile quickjs.Value // functions of script/engine.js
	install quickjs.Value
	render  quickjs.Value
	at      quickjs.Value
	index   [partCount]quickjs.Atom // "0", "1", "2"
	kept    *lru[quickjs.Value]     // installed templates by key
	renders int
	spent   bool // hit a limit or broke; not to be used again
}

// newSandbox starts a virtual machine from the bytecode of script.
func newSandbox(bytecode []byte, limits Config) (*sandbox, error) {
	vm, err := quickjs.NewVM()
	if err != nil {
		return nil, fmt.Errorf("start javascript engine: %w", err)
	}
	s := &sandbox{vm: vm, limits: limits}
	s.kept = newLRU(int(limits.MemoryLimit/keptShare), func(v quickjs.Value) { v.Free() })
	if err := s.load(bytecode); err != nil {
		s.close()
		return nil, fmt.Errorf("start javascript engine: %w", err)
	}
	return s, nil
}

func (s *sandbox) load(bytecode []byte) error {
	s.vm.SetMemoryLimit(uintptr(s.limits.MemoryLimit))
	api, err := s.vm.EvalBytecodeValue(bytecode)
	if err != nil {
		return err
	}
	defer api.Free()
	functions := map[string]*quickjs.Value{"compile": &s.compile, "install": &s.install, "render": &s.render, "at": &s.at}
	for name, function := range functions {
		atom, err := s.vm.NewAtom(name)
		if err != nil {
			return err
		}
		if *function, err = api.GetPropertyValue(atom); err != nil {
			return err
		}
	}
	for i := range s.index {
		if s.index[i], err = s.vm.NewAtom(strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

// close frees the machine with all that it holds. Every Value must go before it.
func (s *sandbox) close() {
	s.kept.clear()
	for _, function := range []*quickjs.Value{&s.compile, &s.install, &s.render, &s.at} {
		if function.VM() != nil {
			function.Free()
		}
	}
	_ = s.vm.Close()
}

// worn tells that the sandbox must be replaced before the next use.
func (s *sandbox) worn() bool { return s.spent || s.renders >= maxRenders }

// call runs f, which calls into the machine, for at most limit of wall clock and
// until ctx ends. A fault in the engine itself, even a wild memory access in
// its translated C code, is an error here and the end of this sandbox only.
func (s *sandbox) call(ctx context.Context, limit time.Duration, f func() error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			s.spent = true
			err = fmt.Errorf("javascript engine panicked: %v", p)
		}
	}()
	_ = s.vm.SetEvalTimeout(limit)
	defer interruptWith(ctx, s.vm)()
	return s.explain(ctx, f())
}

// interruptWith interrupts the machine when ctx ends. The function that it gives
// waits until no interrupt can come any more: a late one would hit the next user.
func interruptWith(ctx context.Context, vm *quickjs.VM) func() {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		vm.Interrupt()
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// explain turns an error of the machine into one of ours: the context's, a
// *limitError, or the JavaScript error as it is.
func (s *sandbox) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var thrown *quickjs.Error
	if !errors.As(err, &thrown) {
		s.spent = true
		return err
	}
	limit := limitOf(thrown, s.limits)
	if limit == nil {
		return thrown
	}
	s.spent = true
	if limit.reason == tookTooLong && ctx.Err() != nil {
		return ctx.Err()
	}
	return limit
}
