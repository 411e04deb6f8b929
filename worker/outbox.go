package worker

import (
	"context"
	"sync"
	"time"

	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

// outbox has what is still to be said, in order. Putting never blocks, since
// tasks do it: a task has few states, and asks for a split only when it got the
// one before.
type outbox struct {
	wake chan struct{}
	mu   struct {
		sync.Mutex
		pending []*workerv1.SessionRequest
		// last says that nothing is put any more.
		last bool
	}
}

func newOutbox() *outbox { return &outbox{wake: make(chan struct{}, 1)} }

func (o *outbox) put(m *workerv1.SessionRequest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.last {
		return // The worker has stopped; nothing of it is left to speak.
	}
	o.mu.pending = append(o.mu.pending, m)
	o.rouse()
}

// finish says that what is pending is the last.
func (o *outbox) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mu.last = true
	o.rouse()
}

func (o *outbox) rouse() {
	select {
	case o.wake <- struct{}{}:
	default: // It is awake.
	}
}

// next waits for a message, or for a tick, when it returns none; more is false
// after the last message. One goroutine calls it.
func (o *outbox) next(ctx context.Context, tick <-chan time.Time) (m *workerv1.SessionRequest, more bool) {
	for {
		m, last := o.take()
		if m != nil || last {
			return m, !last
		}
		select {
		case <-o.wake:
		case <-tick:
			return nil, true
		case <-ctx.Done():
			return nil, true
		}
	}
}

func (o *outbox) take() (m *workerv1.SessionRequest, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.mu.pending) == 0 {
		return nil, o.mu.last
	}
	m = o.mu.pending[0]
	o.mu.pending[0] = nil
	o.mu.pending = o.mu.pending[1:]
	return m, false
}
