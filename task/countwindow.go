package task

import (
	"fmt"

	"github.com/weirstream/weir/state/memory"
)

// CountAggregate is the operator that aggregates so many records of each key at a
// time. A result has the event time of the record that completed its window.
// Windows that are incomplete at the end of the input have none.
type CountAggregate[K comparable, T, A, O any] struct {
	Keys        KeySelector[K, T]
	Aggregation Aggregation[K, T, A, O]
	// Size is how many records a window has, and Slide after how many records of the
	// key the next one ends. If they are the same, records are added to an accumulator
	// as they come. Otherwise the last Size records of each key are kept, and added up
	// anew after every Slide of them.
	Size, Slide int
}

// Build implements [Operator].
func (w CountAggregate[K, T, A, O]) Build(ctx *Context, out Outputs) (Inputs, error) {
	if w.Size < 1 || w.Slide < 1 {
		return nil, fmt.Errorf("windows of %d records every %d: both must be at least 1", w.Size, w.Slide)
	}
	base := countBase[K, T, A, O]{
		passing: out.passing(), keyed: newKeyed(w.Keys), agg: w.Aggregation,
		index: make([]uint32, BatchSize), results: newResults(w.Aggregation, main[O](out)),
	}
	const section = "windows"
	if w.Size == w.Slide {
		r := &countReceiver[K, T, A, O]{countBase: base, size: w.Size, table: memory.NewTable[K, counting[A]](w.Keys.kind)}
		return Inputs{r}, registerTable(ctx, section, w.Keys.kind, r.table, nil)
	}
	r := &slidingCountReceiver[K, T, A, O]{
		countBase: base, size: w.Size, slide: w.Slide, table: memory.NewTable[K, lastRecords[T]](w.Keys.kind),
	}
	r.collected, _ = any(&r.acc).(*Collected[T])
	return Inputs{r}, registerTable(ctx, section, w.Keys.kind, r.table, nil)
}

// Join implements [Operator].
func (w CountAggregate[K, T, A, O]) Join(receivers []any) any { return join[O](receivers) }

// countBase is what the receivers of count windows have in common.
type countBase[K comparable, T, A, O any] struct {
	passing
	keyed   keyed[K, T]
	agg     Aggregation[K, T, A, O]
	index   []uint32
	results results[K, A, O]
}

// emit makes the results of a window that a record at t has completed.
func (r *countBase[K, T, A, O]) emit(k K, acc *A, t int64) {
	if r.agg.Result != nil {
		r.results.out.add(r.agg.Result(k, 0, 0, acc), t)
		return
	}
	r.results.emitter.time = t
	r.agg.Emit(k, 0, 0, acc, r.results.emitter.emit)
}

// counting is the window of a key that is being filled.
type counting[A any] struct {
	n int
	// listed tells that the window was completed in this batch.
	listed bool
	acc    A
}

// countReceiver counts up to size for each key. A key whose window is complete is
// forgotten.
type countReceiver[K comparable, T, A, O any] struct {
	countBase[K, T, A, O]
	size      int
	table     *memory.Table[K, counting[A]]
	completed []uint32 // the slots of one batch
}

func (r *countReceiver[K, T, A, O]) Push(values []T, times []int64) error {
	keys, hashes := r.keyed.of(values)
	index := r.index[:len(values)]
	r.table.Find(keys, hashes, index)
	adder, slots := r.agg.Adder, r.table.Slots()
	for i := range values {
		w := &slots[index[i]].Acc
		if w.n == 0 && r.agg.Init != nil {
			r.agg.Init(&w.acc)
		}
		adder.Add(&w.acc, values[i])
		if w.n++; w.n < r.size {
			continue
		}
		r.emit(keys[i], &w.acc, times[i])
		if !w.listed {
			r.completed = append(r.completed, index[i])
		}
		*w = counting[A]{listed: true}
	}
	r.forget()
	return r.results.out.send()
}

// forget removes the keys that have had no record since their window was complete.
func (r *countReceiver[K, T, A, O]) forget() {
	for _, slot := range r.completed {
		w := r.table.At(slot)
		if w.listed = false; w.n == 0 {
			r.table.Delete(slot)
		}
	}
	r.completed = r.completed[:0]
}

// slidingCountReceiver keeps the last records of each key.
type slidingCountReceiver[K comparable, T, A, O any] struct {
	countBase[K, T, A, O]
	size, slide int
	table       *memory.Table[K, lastRecords[T]]
	// acc is where records are added up; collected is the same if they are only
	// collected, with room that is used again.
	acc       A
	collected *Collected[T]
	room      []T
}

func (r *slidingCountReceiver[K, T, A, O]) Push(values []T, times []int64) error {
	keys, hashes := r.keyed.of(values)
	index := r.index[:len(values)]
	r.table.Find(keys, hashes, index)
	slots := r.table.Slots()
	for i := range values {
		last := &slots[index[i]].Acc
		last.add(values[i], r.size)
		if last.since++; last.since < r.slide {
			continue
		}
		last.since = 0
		r.fire(keys[i], last, times[i])
	}
	return r.results.out.send()
}

// fire adds up the last records of a key.
func (r *slidingCountReceiver[K, T, A, O]) fire(k K, last *lastRecords[T], t int64) {
	var zero A
	r.acc = zero
	older, newer := last.inOrder()
	switch {
	case r.collected != nil: // a copy, since functions may change the order
		r.room = append(append(r.room[:0], older...), newer...)
		r.collected.values = r.room
	default:
		if r.agg.Init != nil {
			r.agg.Init(&r.acc)
		}
		for _, v := range older {
			r.agg.Adder.Add(&r.acc, v)
		}
		for _, v := range newer {
			r.agg.Adder.Add(&r.acc, v)
		}
	}
	r.emit(k, &r.acc, t)
	r.acc = zero
	clear(r.room)
}

// lastRecords is a ring of the last records of a key, which grows up to its size.
type lastRecords[T any] struct {
	ring []T
	// oldest is the index of the oldest record once the ring is full.
	oldest int
	// since counts the records since the last result.
	since int
}

func (l *lastRecords[T]) add(v T, size int) {
	if len(l.ring) < size {
		l.ring = append(l.ring, v)
		return
	}
	l.ring[l.oldest] = v
	if l.oldest++; l.oldest == size {
		l.oldest = 0
	}
}

// inOrder returns the records in the order in which they came, in two parts.
func (l *lastRecords[T]) inOrder() (older, newer []T) { return l.ring[l.oldest:], l.ring[:l.oldest] }
