package task

// windows is an operator whose windows fire when a time has passed, of which it is
// told by Watermark.
type windows[T any] interface {
	Receiver[T]
	// nextEnd returns when the earliest window ends that has not fired, or MaxTime.
	nextEnd() int64
}

// clocked has windows follow the processing time. The event times of the records do
// not matter, and event-time watermarks go by. Windows that are open at the end of
// the input are dropped, as timers of processing time are.
type clocked[T any] struct {
	passing
	ctx     *Context
	windows windows[T]
	times   []int64
	// now is the largest processing time so far: a clock that is set back must not
	// reopen windows.
	now int64
	// alarm is the earliest that was set and has not rung, or MaxTime.
	alarm int64
}

// newClocked puts a clock before w, whose signals it redirects with connect.
func newClocked[T any](ctx *Context, out Outputs, w windows[T], connect func(passing)) *clocked[T] {
	c := &clocked[T]{passing: out.passing(), ctx: ctx, windows: w, times: make([]int64, BatchSize), now: NoTime + 1, alarm: MaxTime}
	connect(passing{clockedSignals[T]{c}})
	c.set() // for what is restored
	return c
}

// Push gives the records of a batch one time.
func (c *clocked[T]) Push(values []T, _ []int64) error {
	c.now = max(c.now, c.ctx.Now())
	times := c.times[:len(values)]
	for i := range times {
		times[i] = c.now
	}
	if err := c.windows.Push(values, times); err != nil {
		return err
	}
	c.set()
	return nil
}

// set sets an alarm for the next end of a window.
func (c *clocked[T]) set() {
	if end := c.windows.nextEnd(); end < c.alarm {
		c.alarm = end
		c.ctx.At(end, c.ring)
	}
}

// ring fires what has ended at t. Which may be postponed: the next alarm is set when
// it is done.
func (c *clocked[T]) ring(t int64) error {
	c.now, c.alarm = max(c.now, t), MaxTime
	return c.windows.Watermark(t - 1)
}

// clockedSignals takes the signals that the windows would hand on.
type clockedSignals[T any] struct{ *clocked[T] }

func (s clockedSignals[T]) Watermark(int64) error { s.set(); return nil }
func (clockedSignals[T]) Idle() error             { return nil }
func (clockedSignals[T]) End() error              { return nil }

// nextEnd implements windows.
func (r *tumblingReceiver[K, T, A, O]) nextEnd() int64 {
	for _, p := range r.panes.open {
		if !p.fired {
			return p.end
		}
	}
	return MaxTime
}
