package task

import (
	"context"
	"log/slog"
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
	Log                  *slog.Logger
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

// OnClose makes the task call f when it ends, in whatever way. Functions run in
// the reverse order.
func (c *Context) OnClose(f func() error) { c.closers = append(c.closers, f) }

// OnFlush makes the task call f when no input is waiting and when the buffer
// timeout has passed.
func (c *Context) OnFlush(f func() error) { c.flushers = append(c.flushers, f) }

// clock is the monotonic time since the task began; the cheapest there is.
type clock struct{ start time.Time }

func (c clock) now() time.Duration { return time.Since(c.start) }
