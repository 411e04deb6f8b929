package task

import "time"

// quiet tells since when nothing has come from a part of the input. Time in which
// the task waited for output does not count, since it could not have read.
type quiet struct {
	on    bool
	since int64 // processing time in ms
	// stalled is how long the task had waited for output until then.
	stalled time.Duration
}

func (q *quiet) begin(ctx *Context) {
	*q = quiet{on: true, since: ctx.Now(), stalled: ctx.stalled()}
}

// deadline is when it will have been quiet for d.
func (q *quiet) deadline(ctx *Context, d time.Duration) int64 {
	wait := d + ctx.stalled() - q.stalled
	ms := wait.Milliseconds()
	if wait > time.Duration(ms)*time.Millisecond {
		ms++
	}
	return later(q.since, ms)
}

// stalled is how long the task has waited for output buffers.
func (c *Context) stalled() time.Duration {
	return time.Duration(c.figures.spent[backpressured].Load())
}

// watch has the task look at a time whether parts are idle. One alarm is enough,
// since deadlines only move on.
func (r *timestampReceiver[T]) watch(at int64) {
	if !r.watched {
		r.watched = true
		r.ctx.At(at, r.look)
	}
}

// look finds what has become idle. With a source only an attempt to read tells, and
// one follows at once.
func (r *timestampReceiver[T]) look(int64) error {
	r.watched = false
	if r.ended {
		return nil
	}
	for _, p := range r.timed {
		if !p.quiet.on || p.idle {
			continue
		}
		at := p.quiet.deadline(r.ctx, r.strategy.Idleness)
		if at > r.ctx.Now() {
			r.watch(at)
			continue
		}
		if !r.splits {
			if err := r.rest(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// rest makes a part idle.
func (r *timestampReceiver[T]) rest(p *timedPart[T]) error {
	if err := r.changed(r.parts.rest(&p.part)); err != nil {
		return err
	}
	return r.restAll()
}

// restAll says that nothing comes if that holds for all parts.
func (r *timestampReceiver[T]) restAll() error {
	return r.do(func() error {
		if r.resting || !r.parts.idle() {
			return nil
		}
		r.resting = true
		return r.next.Idle()
	})
}

// splitObserver is an operator behind a source that has to know which split records
// come from.
type splitObserver interface {
	// perSplit is called first, once.
	perSplit()
	// open says that a split begins, at a watermark or [NoTime], close that it has
	// ended. Every split that is read has a number of its own.
	open(split int, watermark int64)
	// watermark returns that of a split.
	watermark(split int) int64
	close(split int) error
	// from says which split the next records come from.
	from(split int)
	// empty says that an attempt to read a split gave nothing.
	empty(split int) error
	// paused reports whether a split must not be read now.
	paused(split int) bool
}

func (r *timestampReceiver[T]) perSplit() {
	r.splits = true
	low := r.parts.low
	r.timed, r.parts = nil, newParts()
	r.parts.low = low
	r.current = nil
}

func (r *timestampReceiver[T]) watermark(split int) int64 { return r.split(split).part.watermark }

func (r *timestampReceiver[T]) open(split int, watermark int64) {
	r.begin(split).part.watermark = watermark
	if r.strategy.Alignment.Group != "" {
		r.bound()
	}
}

func (r *timestampReceiver[T]) split(id int) *timedPart[T] {
	if r.current != nil && r.current.id == id {
		return r.current
	}
	for _, p := range r.timed {
		if p.id == id {
			return p
		}
	}
	panic("task: a split that was not opened")
}

func (r *timestampReceiver[T]) from(split int) { r.current = r.split(split) }

func (r *timestampReceiver[T]) close(split int) error {
	p := r.split(split)
	return r.do(func() error {
		for i, q := range r.timed {
			if q == p {
				r.timed = append(r.timed[:i], r.timed[i+1:]...)
				break
			}
		}
		if r.current == p {
			r.current = nil
		}
		if err := r.changed(r.parts.remove(&p.part)); err != nil {
			return err
		}
		return r.restAll()
	})
}

func (r *timestampReceiver[T]) empty(split int) error {
	if r.strategy.Idleness == 0 {
		return nil
	}
	p := r.split(split)
	if p.idle || r.holding {
		return nil
	}
	if !p.quiet.on {
		p.quiet.begin(r.ctx)
	}
	at := p.quiet.deadline(r.ctx, r.strategy.Idleness)
	if at > r.ctx.Now() {
		r.watch(at)
		return nil
	}
	return r.rest(p)
}
