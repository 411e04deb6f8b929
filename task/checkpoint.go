package task

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/shuffle"
	"github.com/weirstream/weir/state/snapshot"
)

// Checkpointing says how a job takes part in checkpoints.
type Checkpointing struct {
	// Enabled tells that there are any. Then a task whose input has ended lives on
	// until [Host.Finish].
	Enabled bool
	// ExactlyOnce has channels wait whose barrier has come.
	ExactlyOnce bool
	// Directory is where snapshots are written before they are stored elsewhere.
	Directory string
}

// checkpoints is a task's part in the checkpoints of its job.
type checkpoints struct {
	Checkpointing
	// operator is the stable id of the one that is being built.
	operator string
	parts    []statePart
	// prepares are called before the barrier, those of the head of the chain last in
	// the slice: what they emit belongs to the checkpoint.
	prepares []func(id uint64) error
	// completes are called when a checkpoint is complete, finishes when the last is.
	completes []func(id uint64) error
	finishes  []func() error
	restored  []*restoredFile

	// take is how the task takes a snapshot.
	take func(a alignment, aligned time.Duration) error
}

// statePart is a section of a task's snapshot.
type statePart struct {
	section snapshot.Section
	// capture notes the state as it is. The task's goroutine calls it, so it must
	// not take long.
	capture func() capture
}

// capture is the state of a part at a moment.
type capture struct {
	// write writes it. Another goroutine calls it, while the task goes on.
	write func(w *snapshot.Writer) error
	// close lets go of it, whether or not it was written.
	close func()
}

// register adds a part to the task's snapshots. Nothing happens where there are none.
func (c *Context) register(name string, kind snapshot.Kind, shape []byte, f func() capture) {
	if c.checkpoints == nil {
		return
	}
	c.checkpoints.parts = append(c.checkpoints.parts, statePart{
		section: snapshot.Section{Operator: c.checkpoints.operator, Name: name, Kind: kind, Shape: shape}, capture: f,
	})
}

// building says whose parts are registered from now on.
func (c *Context) building(l *dataflow.Layout, n *dataflow.Node) {
	if c.checkpoints != nil {
		c.checkpoints.operator = l.OperatorIDs[n.Index]
	}
}

// entries is the capture of a small list.
func entries(list ...[]byte) capture {
	return capture{
		write: func(w *snapshot.Writer) error {
			for _, e := range list {
				if err := w.Entry(e); err != nil {
					return err
				}
			}
			return nil
		},
		close: func() {},
	}
}

// onPrepare has f called before the barrier of a checkpoint is sent.
func (c *Context) onPrepare(f func(id uint64) error) {
	if c.checkpoints != nil {
		c.checkpoints.prepares = append(c.checkpoints.prepares, f)
	}
}

// Snapshot is what a task has written for a checkpoint.
type Snapshot struct {
	Checkpoint uint64
	// Path is the file, of which the receiver disposes.
	Path string
	snapshot.Summary
	// Alignment is how long barriers took from the first to the last, Synchronous
	// how long the task was held to take the snapshot, Asynchronous how long it took
	// to be written. StartDelay is the time from the trigger to the first barrier.
	Alignment, Synchronous, Asynchronous, StartDelay time.Duration
	// Err is why there is none.
	Err error
}

// taken is a snapshot that is to be written.
type taken struct {
	alignment
	parts    []statePart
	captures []capture
	aligned  time.Duration
	delay    time.Duration
	sync     time.Duration
	// aborted tells that nobody wants it any more.
	aborted atomic.Bool
}

// close lets go of what was captured.
func (s *taken) close() {
	for _, c := range s.captures {
		c.close()
	}
}

// take takes a snapshot of the chain, and sends the barrier behind everything that
// belongs to it. It is called between two chunks, when no results are postponed.
func (t *task) take(a alignment, aligned time.Duration) error {
	start := t.ctx.clock.now()
	c := t.ctx.checkpoints
	for _, prepare := range slices.Backward(c.prepares) {
		if err := prepare(a.id); err != nil {
			return fmt.Errorf("checkpoint %d: %w", a.id, err)
		}
	}
	s := &taken{alignment: a, parts: c.parts, aligned: aligned}
	for _, p := range c.parts {
		s.captures = append(s.captures, p.capture())
	}
	if !t.over {
		for _, o := range t.ctx.outlets {
			o.barrier(a)
		}
	}
	t.now = t.ctx.clock.now()
	s.sync = t.now - start
	s.delay = time.Duration(max(0, t.ctx.clock.start.Add(start-aligned).UnixMilli()-a.timestamp)) * time.Millisecond
	t.write(s)
	return nil
}

// linger is the life of a task whose input has ended until the last checkpoint of its
// job is complete: it takes part in those on the way.
func (t *task) linger() error {
	t.over = true
	t.ended()
	for !t.finished {
		if t.ctx.Done.Err() != nil {
			return ErrCanceled
		}
		if err := t.open(); err != nil {
			return err
		}
		for len(t.ctx.postponed) > 0 {
			if _, err := t.ctx.resume(BatchSize); err != nil {
				return err
			}
		}
		if t.finished {
			break
		}
		if err := t.wait(idle, never); err != nil {
			return err
		}
	}
	for _, f := range t.ctx.checkpoints.finishes {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// complete tells the chain that a checkpoint is complete.
func (t *task) complete(id uint64) error {
	for _, f := range t.ctx.checkpoints.completes {
		if err := f(id); err != nil {
			return fmt.Errorf("checkpoint %d is complete: %w", id, err)
		}
	}
	t.committed(id)
	return nil
}

// barrier sends everything, and behind it the barrier of a checkpoint.
func (o *outlet) barrier(a alignment) {
	for c := range o.channels {
		o.seal(c)
	}
	o.sendWatermarks()
	for c := range o.channels {
		o.partition.SendEvent(c, shuffle.Event{Kind: shuffle.EventBarrier, ID: a.id, Timestamp: a.timestamp})
	}
}
