package weir

import (
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// CountWindowedStream is a keyed stream whose records are in windows of a number of
// records.
type CountWindowedStream[K comparable, T any] struct {
	keyed       KeyedStream[K, T]
	size, slide int
}

// CountWindow puts every n records of a key, in the order in which they come, into a
// window. It needs no event times: a result has the event time, if there is one, of
// the record that completed the window. Windows that are incomplete when the input
// ends are dropped.
func (k KeyedStream[K, T]) CountWindow(n int) CountWindowedStream[K, T] {
	at := dataflow.Caller()
	if n < 1 {
		k.stream.graph.Mistake(at, "a window of %d records: it must have at least 1", n)
	}
	return CountWindowedStream[K, T]{keyed: k, size: n, slide: n}
}

// Slide makes windows overlap, or leave records out: after every m records of a key
// comes a result for its last n records, or for all if there are fewer so far.
//
// The last n records of every key are kept, for good, and an aggregate adds them all
// up for each result: a record costs n÷m additions.
func (c CountWindowedStream[K, T]) Slide(m int) CountWindowedStream[K, T] {
	at := dataflow.Caller()
	if m < 1 {
		c.keyed.stream.graph.Mistake(at, "a window that slides by %d records: it must be at least 1", m)
	}
	c.slide = m
	return c
}

// Aggregate emits the result of each window's records. The [Window] that it is made
// for is the empty one.
func (c CountWindowedStream[K, T]) Aggregate[A, O any](aggregate Aggregator[K, T, A, O]) Stream[O] {
	at := c.keyed.stream.caller("aggregator", aggregate == nil)
	return thenCount(c, &dataflow.Node{Kind: "count window aggregate", Position: at}, aggregation(aggregate))
}

// Reduce emits what f makes of each window's records: f gets what it returned before,
// at first the first record, and the next. f must not change what its arguments refer
// to.
func (c CountWindowedStream[K, T]) Reduce(f func(a, b T) T) Stream[T] {
	at := c.keyed.stream.caller("function of the reduce", f == nil)
	return thenCount(c, &dataflow.Node{Kind: "count window reduce", Position: at}, task.Reduction[K](f))
}

// Process calls f with all records of each window, in the order in which they came;
// f hands any number of results to emit. It may reorder records but not keep it, and
// must not call emit after it has returned.
func (c CountWindowedStream[K, T]) Process[O any](f func(key K, records []T, emit func(O))) Stream[O] {
	at := c.keyed.stream.caller("function of the window", f == nil)
	return thenCount(c, &dataflow.Node{Kind: "count window process", Position: at},
		task.Collection(func(k K, _, _ int64, records []T, emit func(O)) { f(k, records, emit) }))
}

// AggregateProcess calls f with each window's result of the aggregate; f hands any
// number of results to emit, which it must not call after it has returned.
func (c CountWindowedStream[K, T]) AggregateProcess[A, R, O any](
	aggregate Aggregator[K, T, A, R], f func(key K, result R, emit func(O)),
) Stream[O] {
	at := c.keyed.stream.caller("aggregator", aggregate == nil)
	if f == nil {
		c.keyed.stream.graph.Mistake(at, "the function of the window is nil")
	}
	results := aggregation(aggregate)
	return thenCount(c, &dataflow.Node{Kind: "count window aggregate", Position: at}, task.Aggregation[K, T, A, O]{
		Adder: results.Adder, Init: results.Init,
		Emit: func(k K, start, end int64, acc *A, emit func(O)) {
			f(k, results.Result(k, start, end, acc), emit)
		},
	})
}

func thenCount[K comparable, T, A, O any](c CountWindowedStream[K, T], n *dataflow.Node, a task.Aggregation[K, T, A, O]) Stream[O] {
	return thenKeyed[K, T, O](c.keyed, n, task.CountAggregate[K, T, A, O]{
		Keys: c.keyed.keys, Aggregation: a, Size: c.size, Slide: c.slide,
	})
}
