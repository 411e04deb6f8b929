package task

import (
	"fmt"
	"slices"
	"sort"

	"github.com/weirstream/weir/internal/key"
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
	// Result makes the output for the window from start to before end, in ms.
	Result func(k K, start, end int64, acc *A) O
}

// TumblingAggregate is the operator that aggregates the records of each key in
// event-time windows that follow one another without a gap.
type TumblingAggregate[K comparable, T, A, O any] struct {
	Keys        KeySelector[K, T]
	Aggregation Aggregation[K, T, A, O]
	// Size of the windows and the time at which one of them begins, in ms.
	Size, Offset int64
}

// Build implements [Operator].
func (w TumblingAggregate[K, T, A, O]) Build(ctx *Context, out Outputs) (Inputs, error) {
	if w.Size <= 0 {
		return nil, fmt.Errorf("a window size of %d ms: it must be at least 1", w.Size)
	}
	return Inputs{&tumblingReceiver[K, T, A, O]{
		passing: out.passing(), keyed: newKeyed(w.Keys),
		agg: w.Aggregation, panes: panes[K, A]{size: w.Size, offset: w.Offset, kind: w.Keys.kind, watermark: NoTime},
		index: make([]uint32, BatchSize), ctx: ctx, out: newBatch(main[O](out)),
	}}, nil
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
	out   *batch[O]

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
			r.ctx.figures.LateDropped.Add(1)
			i = n
			continue
		}
		for n < len(times) && times[n] >= p.start && times[n] < p.end {
			n++
		}
		r.add(p.table, keys[i:n], hashes[i:n], values[i:n])
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

// pushPartials adds accumulators that were combined before the shuffle.
func (r *tumblingReceiver[K, T, A, O]) pushPartials(partials []Partial[K, A], starts []int64) error {
	keys := r.keyed.keys[:len(partials)]
	hashes := r.keyed.hashes[:len(partials)]
	for i := range partials {
		keys[i] = partials[i].Key
	}
	r.keyed.selector.kind.Hash(keys, hashes)
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
		for n < len(partials) && starts[n] == p.start {
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
	if r.panes.complete(t) == nil {
		r.panes.watermark = t
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
		p.table.ClearRange(from, r.cursor) // as long as it is in the cache
		if n += emitted; !all {
			return n, false, r.out.send()
		}
		r.panes.release(p)
		r.firing = nil
	}
	if err := r.out.send(); err != nil {
		return n, false, err
	}
	r.panes.watermark = r.until
	return n, true, r.passing.Watermark(r.until)
}

// emit emits up to limit results of a pane, and reports whether these were the
// last.
func (r *tumblingReceiver[K, T, A, O]) emit(p *pane[K, A], limit int) (n int, all bool) {
	t := p.table
	for i, ok := t.Next(r.cursor); ok; i, ok = t.Next(i + 1) {
		if n == limit {
			r.cursor = i
			return n, false
		}
		r.out.add(r.agg.Result(*t.KeyAt(i), p.start, p.end, t.At(i)), p.end-1)
		n++
	}
	r.cursor = uint32(len(t.Slots()))
	return n, true
}

// pane is the part of event time that one table holds: [start, end) in ms.
type pane[K comparable, A any] struct {
	start, end int64
	table      *memory.Table[K, A]
}

// panes are the open panes of an operator, by time, and emptied tables for the
// next ones.
type panes[K comparable, A any] struct {
	size, offset int64
	kind         *key.Kind[K]
	watermark    int64
	open         []*pane[K, A]
	last         *pane[K, A]
	spare        []*memory.Table[K, A]
}

// maxSpare bounds the emptied tables that are kept: as many as are usually open
// at once.
const maxSpare = 8

// at returns the pane of time t, or nil if it has fired.
func (p *panes[K, A]) at(t int64) (*pane[K, A], error) {
	if l := p.last; l != nil && t >= l.start && t < l.end {
		return l, nil
	}
	if t == NoTime {
		return nil, fmt.Errorf("a record without an event time reached a window: give the stream WithWatermarks before it")
	}
	start, end := p.bounds(t)
	if end-1 <= p.watermark {
		return nil, nil
	}
	i := sort.Search(len(p.open), func(i int) bool { return p.open[i].start >= start })
	if i == len(p.open) || p.open[i].start != start {
		p.open = append(p.open, nil)
		copy(p.open[i+1:], p.open[i:])
		p.open[i] = &pane[K, A]{start: start, end: end, table: p.table()}
	}
	p.last = p.open[i]
	return p.last, nil
}

// bounds returns the pane that t belongs to. Those at the two ends of time are
// cut short.
func (p *panes[K, A]) bounds(t int64) (start, end int64) {
	since := sinceWindowStart(t, p.size, p.offset)
	start, end = NoTime, MaxTime
	if t >= NoTime+since {
		start = t - since
	}
	if left := p.size - since; t <= MaxTime-left {
		end = t + left
	}
	return start, end
}

// gone reports whether the pane of time t has fired.
func (p *panes[K, A]) gone(t int64) bool {
	_, end := p.bounds(t)
	return t != NoTime && end-1 <= p.watermark
}

// sinceWindowStart returns how far t is into its window, if windows of the given
// size follow one another and one of them begins at offset. It holds for every
// t: t-offset itself may be out of range.
func sinceWindowStart(t, size, offset int64) int64 {
	since := (t%size - offset%size) % size
	if since < 0 {
		since += size
	}
	return since
}

func (p *panes[K, A]) table() *memory.Table[K, A] {
	if n := len(p.spare); n > 0 {
		t := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return t
	}
	return memory.NewTable[K, A](p.kind)
}

// complete returns the earliest pane that watermark t completes, or nil.
func (p *panes[K, A]) complete(t int64) *pane[K, A] {
	if len(p.open) == 0 || p.open[0].end-1 > t {
		return nil
	}
	return p.open[0]
}

// release closes the earliest pane.
func (p *panes[K, A]) release(first *pane[K, A]) {
	p.open = slices.Delete(p.open, 0, 1) // which forgets the table, too
	p.last = nil
	if len(p.spare) < maxSpare {
		if first.table.Len() > 0 {
			first.table.Clear()
		}
		p.spare = append(p.spare, first.table)
	}
}
