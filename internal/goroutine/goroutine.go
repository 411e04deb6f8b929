package goroutine

import (
	"context"
	"sync"
)

// Group owns goroutines. Create one with [New].
type Group struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu struct {
		sync.Mutex
		stopping bool
		err      error
	}
}

// New returns a group whose goroutines are told to stop when parent is done,
// when [Group.Stop] is called, or when one of them returns an error.
func New(parent context.Context) *Group {
	g := &Group{}
	g.ctx, g.cancel = context.WithCancelCause(parent)
	return g
}

// Context is done when the group is stopping. context.Cause tells why: the
// error of the goroutine that failed, or [context.Canceled].
func (g *Group) Context() context.Context { return g.ctx }

// Go starts f in a goroutine of the group and reports whether it did: a group
// that is stopping starts nothing (G2). The error f returns stops the group.
func (g *Group) Go(f func(ctx context.Context) error) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.mu.stopping {
		return false
	}
	g.wg.Add(1)
	go g.run(f)
	return true
}

func (g *Group) run(f func(ctx context.Context) error) {
	defer g.wg.Done()
	if err := f(g.ctx); err != nil {
		g.fail(err)
	}
}

func (g *Group) fail(err error) {
	g.mu.Lock()
	if g.mu.err == nil {
		g.mu.err = err
	}
	g.mu.stopping = true
	g.mu.Unlock()
	g.cancel(err)
}

// Stop tells every goroutine of the group to stop and does not wait.
func (g *Group) Stop() {
	g.mu.Lock()
	g.mu.stopping = true
	g.mu.Unlock()
	g.cancel(nil)
}

// Wait blocks until every goroutine of the group has returned, and returns the
// first error one of them returned. It does not stop them: call Stop for that.
func (g *Group) Wait() error {
	g.wg.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.err
}

// Close stops the group and waits for it.
func (g *Group) Close() error {
	g.Stop()
	return g.Wait()
}
