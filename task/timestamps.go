package task

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Timestamps is the operator that gives records event times, and its stream a
// watermark. Behind a source it keeps one watermark for each split that is read,
// elsewhere one for the subtask. What comes before it as watermarks is of no
// meaning to the new times, so only the end of the stream is handed on.
type Timestamps[T any] struct {
	// Times stores the event time of each value in ms since the epoch.
	Times func(values []T, times []int64)
	// Bound is how far behind the largest time a record may be, in ms: the watermark
	// is behind it by that and one.
	Bound int64
	// PerRecord has each record see the watermark of all before it. Without, the
	// watermark rises behind each batch.
	PerRecord bool
	// Generator makes what takes the place of Bound; nil if nothing does.
	Generator func() Generator[T]
	// None emits no watermark.
	None bool
	// Idleness is how long a split or subtask may be without records until nobody
	// waits for it; 0 is for ever.
	Idleness time.Duration
	// Alignment holds back splits that are far ahead; the zero value does not.
	Alignment Alignment
}

// Build implements [Operator].
func (s Timestamps[T]) Build(ctx *Context, out Outputs) (Inputs, error) {
	if s.Bound < 0 {
		return nil, fmt.Errorf("a bound of %d ms for out-of-order records: it must not be negative", s.Bound)
	}
	if s.Alignment.Group != "" && ctx.network {
		return nil, errors.New("the alignment of watermarks holds back the reading of splits, but the source is in another task: " +
			"let WithWatermarks be chained to its source")
	}
	r := &timestampReceiver[T]{
		passing: out.passing(), ctx: ctx, strategy: s, next: main[T](out), times: make([]int64, BatchSize),
		parts: newParts(), limits: newLimits(),
	}
	r.current = r.begin(-1)
	if s.Idleness > 0 {
		r.current.quiet.begin(ctx)
		r.watch(r.current.quiet.deadline(ctx, s.Idleness))
	}
	if s.Generator != nil && ctx.WatermarkInterval > 0 {
		ctx.At(later(ctx.Now(), ctx.WatermarkInterval.Milliseconds()), r.tick)
	}
	if s.Alignment.Group != "" {
		r.align()
	}
	return Inputs{r}, r.register()
}

// register adds the watermark to the task's snapshots. One that is restored goes on
// at once to those behind, and no lower one follows.
func (r *timestampReceiver[T]) register() error {
	low, err := r.ctx.registerTime(watermarkSection, func() int64 { return r.parts.low })
	if err != nil || low == NoTime {
		return err
	}
	r.parts.low = low
	return r.emit(low)
}

// Join implements [Operator].
func (s Timestamps[T]) Join(receivers []any) any { return join[T](receivers) }

// placesWatermarks reports whether it matters between which two records a watermark
// stands.
func (s Timestamps[T]) placesWatermarks() bool { return s.PerRecord || s.Generator != nil }

func (s Timestamps[T]) generator() generator[T] {
	switch {
	case s.None:
		return noGenerator[T]{}
	case s.Generator != nil:
		return &userGenerator[T]{user: s.Generator(), out: WatermarkOutput{watermark: NoTime}}
	case s.PerRecord:
		return &recordGenerator[T]{boundedGenerator[T]{bound: s.Bound, max: NoTime}}
	default:
		return &boundedGenerator[T]{bound: s.Bound, max: NoTime}
	}
}

type timestampReceiver[T any] struct {
	passing
	ctx      *Context
	strategy Timestamps[T]
	next     Receiver[T]
	times    []int64

	parts parts
	timed []*timedPart[T]
	// current is the part that records come from.
	current *timedPart[T]
	// splits tells that a source says which split that is.
	splits bool
	// resting tells that those behind know that nothing comes.
	resting bool
	ended   bool
	watched bool
	limits  limits

	// held is what came while an operator behind had results postponed because of a
	// watermark of this one; holding tells that it has, resuming that held is at
	// work, handed how many records it has handed on.
	held              []func() error
	holding, resuming bool
	handed            int
}

// timedPart is a split, or all of the subtask's input.
type timedPart[T any] struct {
	part
	id        int
	generator generator[T]
	quiet     quiet
}

func (r *timestampReceiver[T]) begin(id int) *timedPart[T] {
	p := &timedPart[T]{part: part{watermark: NoTime}, id: id, generator: r.strategy.generator()}
	r.timed = append(r.timed, p)
	r.parts.add(&p.part)
	return p
}

func (r *timestampReceiver[T]) Push(values []T, _ []int64) error {
	times := r.times[:len(values)]
	r.strategy.Times(values, times)
	if r.holding {
		r.hold(r.current, values, times)
		return nil
	}
	return r.observe(r.current, values, times)
}

// observe hands records on, and behind them the watermark that they make.
func (r *timestampReceiver[T]) observe(p *timedPart[T], values []T, times []int64) error {
	if r.strategy.Idleness > 0 {
		p.quiet = quiet{}
		if !r.splits {
			p.quiet.begin(r.ctx)
			r.watch(p.quiet.deadline(r.ctx, r.strategy.Idleness))
		}
	}
	for {
		n, watermark := p.generator.observe(values, times)
		r.resting = false
		r.handed += n
		if err := r.next.Push(values[:n], times[:n]); err != nil {
			return err
		}
		if err := r.changed(r.parts.raise(&p.part, watermark)); err != nil {
			return err
		}
		if p.generator.idle() {
			if err := r.rest(p); err != nil {
				return err
			}
		}
		if values, times = values[n:], times[n:]; len(values) == 0 {
			return nil
		}
		if r.holding {
			r.hold(p, values, times)
			return nil
		}
	}
}

// changed emits the watermark if it rose.
func (r *timestampReceiver[T]) changed(rose bool) error {
	if r.strategy.Alignment.Group != "" {
		r.bound()
	}
	if !rose {
		return nil
	}
	if !r.ctx.network {
		r.ctx.figures.Watermark.Store(r.parts.low)
	}
	return r.emit(r.parts.low)
}

// emit hands a watermark on. If an operator behind postpones results because of it,
// what comes meanwhile is held until they are out (T3).
func (r *timestampReceiver[T]) emit(t int64) error {
	r.resting = false
	before := len(r.ctx.postponed)
	if err := r.next.Watermark(t); err != nil {
		return err
	}
	if len(r.ctx.postponed) > before {
		r.holding = true
		if !r.resuming {
			r.ctx.postponed = slices.Insert(r.ctx.postponed, before, resumable(r))
		}
	}
	return nil
}

// hold keeps the rest of a batch, in front of what came behind it.
func (r *timestampReceiver[T]) hold(p *timedPart[T], values []T, times []int64) {
	values, times = slices.Clone(values), slices.Clone(times)
	rest := func() error { return r.observe(p, values, times) }
	if r.resuming {
		r.held = slices.Insert(r.held, 0, rest)
		return
	}
	r.held = append(r.held, rest)
}

// do calls f behind everything that is held.
func (r *timestampReceiver[T]) do(f func() error) error {
	if !r.holding {
		return f()
	}
	r.held = append(r.held, f)
	return nil
}

// resume goes on with what is held.
func (r *timestampReceiver[T]) resume(limit int) (n int, done bool, err error) {
	r.holding, r.resuming, r.handed = false, true, 0
	defer func() { r.resuming = false }()
	for len(r.held) > 0 && r.handed < limit {
		next := r.held[0]
		r.held = slices.Delete(r.held, 0, 1)
		if err := next(); err != nil {
			return r.handed, false, err
		}
		if r.holding {
			return r.handed, false, nil
		}
	}
	r.holding = len(r.held) > 0
	return r.handed, !r.holding, nil
}

// Watermark hands on the end of the stream.
func (r *timestampReceiver[T]) Watermark(t int64) error {
	if t != MaxTime {
		return nil
	}
	return r.do(func() error {
		r.ended = true
		r.reportEnd()
		return r.emit(t)
	})
}

func (r *timestampReceiver[T]) Idle() error {
	return r.do(func() error {
		r.resting = true
		return r.next.Idle()
	})
}

func (r *timestampReceiver[T]) End() error { return r.do(r.passing.End) }

// tick is the periodic call of the user's generators.
func (r *timestampReceiver[T]) tick(int64) error {
	if r.ended {
		return nil
	}
	r.ctx.At(later(r.ctx.Now(), r.ctx.WatermarkInterval.Milliseconds()), r.tick)
	rose := false
	for _, p := range r.timed {
		if p.idle && !p.generator.idle() {
			continue // It has had no records for too long to be asked.
		}
		watermark := p.generator.periodic()
		if p.generator.idle() {
			rose = r.parts.rest(&p.part) || rose
			continue
		}
		rose = r.parts.raise(&p.part, watermark) || rose
	}
	if err := r.changed(rose); err != nil {
		return err
	}
	return r.restAll()
}
