package task

import (
	"fmt"

	"github.com/weirstream/weir/state/memory"
)

// Aggregation is the user's aggregate, in the pieces that the operators need.
type Aggregation[K comparable, T, A, O any] struct {
	// Adder adds a value to an accumulator in place; it is called per record.
	Adder interface{ Add(acc *A, value T) }
	// Init prepares the accumulator of a new key; nil leaves it zero.
	Init func(acc *A)
	// Merge adds the second accumulator to the first; nil if there is no way to.
	Merge func(acc, other *A)
	// Subtract takes the second accumulator from the first, to which it was added;
	// nil if there is no way to.
	Subtract func(acc, other *A)
	// Result makes the output for the window from start to before end, in ms.
	Result func(k K, start, end int64, acc *A) O
	// Emit stands in the place of Result where a window may have any number of
	// outputs: it hands them to emit before it returns.
	Emit func(k K, start, end int64, acc *A, emit func(O))

	// collects tells that accumulators hold the records themselves. Then instance
	// returns an aggregation of one operator instance, which can make results of an
	// accumulator more than once, and merges in the order in which records came.
	collects bool
	instance func() Aggregation[K, T, A, O]
}

// Combines reports whether records may be combined ahead of the operator, to good
// effect.
func (a Aggregation[K, T, A, O]) Combines() bool { return a.Merge != nil && !a.collects }

// TumblingAggregate is the operator that aggregates the records of each key in
// windows that follow one another without a gap.
type TumblingAggregate[K comparable, T, A, O any] struct {
	Keys        KeySelector[K, T]
	Aggregation Aggregation[K, T, A, O]
	// Size of the windows and the time at which one of them begins, in ms.
	Size, Offset int64
	Lateness     Lateness
	// ProcessingTime tells that windows are of processing time.
	ProcessingTime bool
}

// Build implements [Operator].
func (w TumblingAggregate[K, T, A, O]) Build(ctx *Context, out Outputs) (Inputs, error) {
	if w.Size <= 0 {
		return nil, fmt.Errorf("a window size of %d ms: it must be at least 1", w.Size)
	}
	a := w.Aggregation
	if a.instance != nil && w.Lateness.Allowed > 0 {
		a = a.instance()
	}
	r := &tumblingReceiver[K, T, A, O]{
		passing: out.passing(), keyed: newKeyed(w.Keys), agg: a,
		panes: newPanes[K, A](w.Keys.kind, w.Size, w.Offset), allowed: w.Lateness.Allowed,
		late: newLateRecords[T](ctx, w.Lateness, out), index: make([]uint32, BatchSize), ctx: ctx,
		results: newResults(a, main[O](out)),
	}
	if err := r.panes.register(ctx, r.allowed, a.Adder); err != nil {
		return nil, err
	}
	if w.ProcessingTime {
		return Inputs{newClocked[T](ctx, out, r, func(to passing) { r.passing = to })}, nil
	}
	return Inputs{r}, nil
}

// Join implements [Operator].
func (w TumblingAggregate[K, T, A, O]) Join(receivers []any) any { return join[O](receivers) }

// tumblingReceiver keeps one table per pane, and a pane is a window.
type tumblingReceiver[K comparable, T, A, O any] struct {
	passing
	keyed keyed[K, T]
	agg   Aggregation[K, T, A, O]
	panes panes[K, A]
	index []uint32
	ctx   *Context
	late  lateRecords[T]
	// allowed is for how long panes are kept after they have fired, in ms.
	allowed int64
	results results[K, A, O]

	// firing is the pane whose results are being emitted, at cursor; until is the
	// watermark that made it fire.
	firing *pane[K, A]
	cursor uint32
	until  int64
}

// Push adds the records in runs that belong to the same pane: with records
// nearly in order, that is the whole batch.
func (r *tumblingReceiver[K, T, A, O]) Push(values []T, times []int64) error {
	keys, hashes := r.keyed.of(values)
	for i := 0; i < len(values); {
		p, err := r.panes.at(times[i])
		if err != nil {
			return err
		}
		n := i + 1
		if p == nil {
			for n < len(times) && r.panes.gone(times[n]) {
				n++
			}
			if err := r.late.take(values[i:n], times[i:n]); err != nil {
				return err
			}
			i = n
			continue
		}
		for n < len(times) && times[n] >= p.start && times[n] < p.end {
			n++
		}
		if p.fired {
			err = r.update(p, keys[i:n], hashes[i:n], values[i:n])
		} else {
			r.add(p.table, keys[i:n], hashes[i:n], values[i:n])
		}
		if err != nil {
			return err
		}
		i = n
	}
	return nil
}

func (r *tumblingReceiver[K, T, A, O]) add(t *memory.Table[K, A], keys []K, hashes []uint64, values []T) {
	index := r.index[:len(values)]
	t.Reserve(len(keys))
	find(t, keys, hashes, index, r.agg.Init)
	adder, slots := r.agg.Adder, t.Slots()
	for i := range values {
		adder.Add(&slots[index[i]].Acc, values[i])
	}
}

// find looks up keys, and prepares the accumulators of those that are new.
func find[K comparable, A any](t *memory.Table[K, A], keys []K, hashes []uint64, index []uint32, init func(*A)) {
	t.Find(keys, hashes, index)
	if init == nil {
		return
	}
	for _, i := range t.New() {
		init(t.At(i))
	}
}

// pushPartials implements partialTaker.
func (r *tumblingReceiver[K, T, A, O]) pushPartials(partials []Partial[K, A], starts []int64) error {
	keys, hashes := ofPartials(&r.keyed, partials)
	for i := 0; i < len(partials); {
		p, err := r.panes.at(starts[i])
		if err != nil {
			return err
		}
		n := i + 1
		if p == nil {
			r.ctx.figures.LateDropped.Add(uint64(partials[i].Count))
			i = n
			continue
		}
		for n < len(partials) && starts[n] >= p.start && starts[n] < p.end {
			n++
		}
		r.merge(p.table, keys[i:n], hashes[i:n], partials[i:n])
		i = n
	}
	return nil
}

func (r *tumblingReceiver[K, T, A, O]) merge(t *memory.Table[K, A], keys []K, hashes []uint64, partials []Partial[K, A]) {
	index := r.index[:len(partials)]
	t.Reserve(len(keys))
	find(t, keys, hashes, index, r.agg.Init)
	slots := t.Slots()
	for i := range partials {
		r.agg.Merge(&slots[index[i]].Acc, &partials[i].Acc)
	}
}

// Watermark fires the panes that it completes, a chunk at a time.
func (r *tumblingReceiver[K, T, A, O]) Watermark(t int64) error {
	if r.panes.complete(t) == nil && !r.panes.anyGone(t, r.allowed) {
		r.panes.advance(t, r.allowed)
		return r.passing.Watermark(t)
	}
	r.until = t
	r.ctx.Postpone(r)
	return nil
}

// resume emits up to limit results, and the watermark after the last.
func (r *tumblingReceiver[K, T, A, O]) resume(limit int) (n int, done bool, err error) {
	for {
		if r.firing == nil {
			r.firing, r.cursor = r.panes.complete(r.until), 0
		}
		p := r.firing
		if p == nil {
			break
		}
		from := r.cursor
		emitted, all := r.emit(p, limit-n)
		if r.allowed == 0 {
			p.table.ClearRange(from, r.cursor) // as long as it is in the cache
		}
		if n += emitted; !all {
			return n, false, r.results.out.send()
		}
		p.fired = true
		if r.allowed == 0 {
			r.panes.release(p)
		}
		r.firing = nil
	}
	if err := r.results.out.send(); err != nil {
		return n, false, err
	}
	for r.panes.anyGone(r.until, r.allowed) {
		r.panes.release(r.panes.open[0])
	}
	r.panes.advance(r.until, r.allowed)
	return n, true, r.passing.Watermark(r.until)
}

// emit emits up to limit results of a pane, and reports whether these were the
// last.
func (r *tumblingReceiver[K, T, A, O]) emit(p *pane[K, A], limit int) (n int, all bool) {
	t, out, result := p.table, r.results.out, r.agg.Result
	for i, ok := t.Next(r.cursor); ok; i, ok = t.Next(i + 1) {
		if n == limit {
			r.cursor = i
			return n, false
		}
		t.Touch(i) // The user's Result may change what a snapshot is still to write.
		if result != nil {
			out.add(result(*t.KeyAt(i), p.start, p.end, t.At(i)), p.end-1)
		} else {
			r.results.add(*t.KeyAt(i), p.start, p.end, t.At(i))
		}
		n++
	}
	r.cursor = uint32(len(t.Slots()))
	return n, true
}
