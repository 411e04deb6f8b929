package batching

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/goroutine"
)

// writer is the shell around a core: the goroutine of the task, one that keeps
// time, and one for each request step it in turn, and do what it asks for. It
// implements [weir.Writer], [weir.Syncer] and [weir.Finisher].
type writer[T any] struct {
	ctx     context.Context // the task's
	sender  Sender[T]
	size    func(T) int
	timeout time.Duration
	began   time.Time
	group   *goroutine.Group // of the clock and the requests

	mu struct {
		sync.Mutex
		core *core[T]
		// armed is when the clock will ring.
		armed time.Duration
	}
	// changed is signalled when a request was answered; rearm when the clock must
	// ring earlier.
	changed, rearm chan struct{}

	// What follows belongs to the goroutine of the task.
	sizes []int
	told  bool // the failure was returned
}

func newWriter[T any](ctx context.Context, sender Sender[T], c *core[T], size func(T) int, timeout time.Duration) *writer[T] {
	w := &writer[T]{
		ctx:     ctx,
		sender:  sender,
		size:    size,
		timeout: timeout,
		began:   time.Now(),
		group:   goroutine.New(ctx),
		changed: make(chan struct{}, 1),
		rearm:   make(chan struct{}, 1),
	}
	w.mu.core = c
	w.mu.armed = never
	w.group.Go(w.keepTime)
	return w
}

// progress is what the task wants to know after a step.
type progress struct {
	taken   int
	unacked int
	err     error
}

// step steps the core and begins what it asks for. Any goroutine may call it.
func (w *writer[T]) step(e event[T]) progress {
	w.mu.Lock()
	a := w.mu.core.step(time.Since(w.began), e)
	p := progress{taken: a.taken, unacked: w.mu.core.unacked}
	if err := w.mu.core.err; err != nil {
		p.err = fmt.Errorf("batching: %w", err)
	}
	earlier := a.wake < w.mu.armed
	var sends []request[T]
	if len(a.send) > 0 {
		sends = append(sends, a.send...) // others may step when the lock is gone
	}
	w.mu.Unlock()

	if earlier {
		signal(w.rearm)
	}
	for _, r := range sends {
		w.group.Go(func(ctx context.Context) error {
			w.request(ctx, r)
			return nil
		})
	}
	return p
}

// signal leaves a token unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// keepTime steps the core whenever something is due.
func (w *writer[T]) keepTime(ctx context.Context) error {
	timer := time.NewTimer(never)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.rearm:
		case <-timer.C:
			w.step(event[T]{kind: ticked})
		}
		w.mu.Lock()
		w.mu.armed = w.mu.core.wake()
		armed := w.mu.armed
		w.mu.Unlock()
		if armed == never {
			timer.Stop()
		} else {
			timer.Reset(armed - time.Since(w.began))
		}
	}
}

// request sends a request and tells the core what it came to.
func (w *writer[T]) request(ctx context.Context, r request[T]) {
	e := event[T]{kind: answered, slot: r.slot, err: errGoexit}
	defer func() {
		if p := recover(); p != nil {
			e.err = &PanicError{Value: p, Stack: debug.Stack()}
		}
		w.step(e)
		signal(w.changed)
	}()
	e.failed, e.err = w.send(ctx, r.values)
}

func (w *writer[T]) send(ctx context.Context, batch []T) ([]Failure, error) {
	if w.timeout == 0 {
		return w.sender.Send(ctx, batch)
	}
	limited, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	failed, err := w.sender.Send(limited, batch)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("no answer within the timeout of %v: %w", w.timeout, err)
	}
	return failed, err
}

// Write implements [weir.Writer]. It blocks while the buffer is full.
func (w *writer[T]) Write(values []T) error {
	var sizes []int
	if w.size != nil {
		w.sizes = w.sizes[:0]
		for i := range values {
			w.sizes = append(w.sizes, w.size(values[i]))
		}
		sizes = w.sizes
	}
	for {
		p := w.step(event[T]{kind: wrote, values: values, sizes: sizes})
		if p.err != nil {
			return w.fail(p.err)
		}
		values = values[p.taken:]
		if len(values) == 0 {
			return nil
		}
		if sizes != nil {
			sizes = sizes[p.taken:]
		}
		if err := w.wait(); err != nil {
			return err
		}
	}
}

// wait returns when the core has changed, with an error when the task ends.
func (w *writer[T]) wait() error {
	select {
	case <-w.changed:
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

// fail notes that the task knows of the failure.
func (w *writer[T]) fail(err error) error {
	w.told = true
	return err
}

// Flush implements [weir.Writer]. It returns a failure and otherwise does
// nothing: it is called many times a second, whenever input rests, and batches
// would not become full. What was written leaves when the linger time is over.
func (w *writer[T]) Flush() error {
	if p := w.step(event[T]{kind: ticked}); p.err != nil {
		return w.fail(p.err)
	}
	return nil
}

// Finish implements [weir.Finisher].
func (w *writer[T]) Finish() error { return w.Sync() }

// Sync implements [weir.Syncer]: it sends all that was written, without lingering, and
// returns when it is acknowledged, or with the failure.
func (w *writer[T]) Sync() error {
	p := w.step(event[T]{kind: drained})
	for p.err == nil && p.unacked > 0 {
		if err := w.wait(); err != nil {
			return err
		}
		p = w.step(event[T]{kind: ticked})
	}
	if p.err != nil {
		return w.fail(p.err)
	}
	return nil
}

// Close implements [weir.Writer]. Requests under way are told to end, and it
// waits for them; after Finish there are none. It returns a failure that the task
// has not been told of, but none that comes of ending the requests.
func (w *writer[T]) Close() error {
	var err error
	if !w.told && w.ctx.Err() == nil {
		err = w.failure()
	}
	return errors.Join(err, w.group.Close(), w.sender.Close())
}

// failure returns how the sink has failed, if it has.
func (w *writer[T]) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.mu.core.err; err != nil {
		return fmt.Errorf("batching: %w", err)
	}
	return nil
}
