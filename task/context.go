package task

import (
	"container/heap"
	"context"
	"log/slog"
	"slices"
	"time"
)

// Context is what the operators of one subtask share. Its methods are called
// by the task's goroutine.
type Context struct {
	// Done ends when the task is to stop.
	Done context.Context
	// Name is the task's: "Source: flights -> Filter (2/4)".
	Name string
	// Subtask counts from 0.
	Subtask, Parallelism int
	// Attempt numbers the executions of the job from 1; 0 if it runs in a test.
	Attempt int
	Log     *slog.Logger
	// PreAggregation tells whether aggregates may be combined before a shuffle.
	PreAggregation bool
	// FlushInterval is how long a sink may buffer: the job's buffer timeout, or its
	// default where that is "only full buffers".
	FlushInterval time.Duration
	// WatermarkInterval bounds how often a watermark travels without records.
	WatermarkInterval time.Duration

	figures   *Figures
	clock     clock
	waited    time.Duration // for output buffers, within chunks
	postponed []resumable
	outlets   []*outlet
	flushers  []func() error
	closers   []func() error
	alarms    alarms
	// checkpoints is nil where there are none.
	checkpoints *checkpoints
	// network tells that the input comes from other tasks.
	network bool
	// report tells an alignment group of a watermark; nil if nobody listens. aligned
	// take what a group answers.
	report  func(AlignmentReport)
	aligned []func(group string, limit int64)
	// wall is the processing time in ms since the epoch.
	wall func() int64
}

// Now returns the processing time in ms since the epoch: the wall clock of this
// machine, or what a test has set. It is read once per batch at most, not per
// record.
func (c *Context) Now() int64 { return c.wall() }

// At has the task call f once the processing time has reached t, in ms since the
// epoch, between two chunks of work and when no results are postponed. What f
// emits goes through the chain as usual. Alarms are called in the order of their
// times, those of one time in the order in which they were set.
func (c *Context) At(t int64, f func(t int64) error) {
	c.alarms.made++
	heap.Push(&c.alarms, alarm{t: t, place: c.alarms.made, f: f})
}

// ring calls the alarms that are due, until one postpones results, and returns the
// time of the next, or MaxTime.
func (c *Context) ring() (next int64, err error) {
	for len(c.alarms.heap) > 0 && len(c.postponed) == 0 {
		first := c.alarms.heap[0]
		if first.t > c.Now() {
			return first.t, nil
		}
		heap.Pop(&c.alarms)
		if err := first.f(first.t); err != nil {
			return 0, err
		}
	}
	return MaxTime, nil
}

// alarm is a call at a processing time.
type alarm struct {
	t     int64
	place uint64
	f     func(t int64) error
}

// alarms is a heap of them.
type alarms struct {
	heap []alarm
	made uint64
}

func (a *alarms) Len() int { return len(a.heap) }

func (a *alarms) Less(i, j int) bool {
	if a.heap[i].t != a.heap[j].t {
		return a.heap[i].t < a.heap[j].t
	}
	return a.heap[i].place < a.heap[j].place
}

func (a *alarms) Swap(i, j int) { a.heap[i], a.heap[j] = a.heap[j], a.heap[i] }
func (a *alarms) Push(x any)    { a.heap = append(a.heap, x.(alarm)) }

func (a *alarms) Pop() any {
	last := len(a.heap) - 1
	x := a.heap[last]
	a.heap[last] = alarm{}
	a.heap = a.heap[:last]
	return x
}

// resumable is an operator that emits its results in parts.
type resumable interface {
	// resume emits at most limit results, and reports how many and whether it is
	// done.
	resume(limit int) (n int, done bool, err error)
}

// Postpone makes the task call r.resume until it is done, before the chain gets
// anything else.
func (c *Context) Postpone(r resumable) { c.postponed = append(c.postponed, r) }

// resume makes up to limit postponed results. The operator that postponed last
// stands last in the chain: it must be done before an earlier one hands on more.
func (c *Context) resume(limit int) (n int, err error) {
	last := len(c.postponed) - 1
	r := c.postponed[last]
	c.postponed = c.postponed[:last]
	n, done, err := r.resume(limit)
	if !done {
		// Its results may have made an operator behind it postpone some of its own.
		c.postponed = slices.Insert(c.postponed, last, r)
	}
	return n, err
}

// afterResults calls f once no results are postponed.
func (c *Context) afterResults(f func() error) error {
	if len(c.postponed) == 0 {
		return f()
	}
	c.postponed = slices.Insert(c.postponed, 0, resumable(call(f)))
	return nil
}

// call is a resumable that is done at once.
type call func() error

func (f call) resume(int) (int, bool, error) { return 0, true, f() }

// OnClose makes the task call f when it ends, in whatever way. Functions run in
// the reverse order.
func (c *Context) OnClose(f func() error) { c.closers = append(c.closers, f) }

// OnFlush makes the task call f when no input is waiting and when the buffer
// timeout has passed.
func (c *Context) OnFlush(f func() error) { c.flushers = append(c.flushers, f) }

// clock is the monotonic time since the task began; the cheapest there is.
type clock struct{ start time.Time }

func (c clock) now() time.Duration { return time.Since(c.start) }
