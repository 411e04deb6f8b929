package task

import (
	"github.com/weirstream/weir/internal/codec"
	"github.com/weirstream/weir/state/memory"
)

// RunningAggregate is the operator that keeps an accumulator for each key and
// emits its result after every record.
type RunningAggregate[K comparable, T, A, O any] struct {
	Keys        KeySelector[K, T]
	Aggregation Aggregation[K, T, A, O]
}

// Build implements [Operator].
func (r RunningAggregate[K, T, A, O]) Build(ctx *Context, out Outputs) (Inputs, error) {
	receiver := &runningReceiver[K, T, A, O]{
		passing: out.passing(), keyed: newKeyed(r.Keys), agg: r.Aggregation, table: memory.NewTable[K, A](r.Keys.kind),
		index: make([]uint32, BatchSize), out: make([]O, BatchSize), next: main[O](out),
	}
	return Inputs{receiver}, registerTable(ctx, "accumulators", r.Keys.kind, receiver.table, nil)
}

// Join implements [Operator].
func (r RunningAggregate[K, T, A, O]) Join(receivers []any) any { return join[O](receivers) }

type runningReceiver[K comparable, T, A, O any] struct {
	passing
	keyed keyed[K, T]
	agg   Aggregation[K, T, A, O]
	table *memory.Table[K, A]
	index []uint32
	out   []O
	next  Receiver[O]
}

func (r *runningReceiver[K, T, A, O]) Push(values []T, times []int64) error {
	keys, hashes := r.keyed.of(values)
	index, out := r.index[:len(values)], r.out[:len(values)]
	r.table.Reserve(len(keys))
	find(r.table, keys, hashes, index, r.agg.Init)
	slots := r.table.Slots()
	for i := range values {
		acc := &slots[index[i]].Acc
		r.agg.Adder.Add(acc, values[i])
		out[i] = r.agg.Result(keys[i], 0, 0, acc)
	}
	return r.next.Push(out, times)
}

// Reduced is the accumulator of a reduction: the value so far, if there is one.
type Reduced[T any] struct {
	Value T
	Some  bool
}

// reducer makes an aggregation of a function that combines two values. What it
// keeps of a record does not keep the copy alive that the strings of many records
// share; codec is nil if T holds no strings, or cannot be sent, which is reported
// where the job is built.
type reducer[T any] struct {
	f     func(a, b T) T
	codec *codec.Codec[T]
}

func (r reducer[T]) Add(acc *Reduced[T], v T) {
	kept := v
	if acc.Some {
		kept = r.f(acc.Value, v)
	}
	if r.codec != nil {
		r.codec.Detach(&kept, &v, &acc.Value)
	}
	acc.Value, acc.Some = kept, true
}

func (r reducer[T]) merge(acc, other *Reduced[T]) {
	if other.Some {
		r.Add(acc, other.Value)
	}
}

// Reduction returns the aggregation that combines a key's values with f.
func Reduction[K comparable, T any](f func(a, b T) T) Aggregation[K, T, Reduced[T], T] {
	r := reducer[T]{f: f}
	if c, err := codec.For[T](); err == nil && c.HoldsStrings() {
		r.codec = c
	}
	return Aggregation[K, T, Reduced[T], T]{
		Adder: r, Merge: r.merge,
		Result: func(_ K, _, _ int64, acc *Reduced[T]) T { return acc.Value },
	}
}
