package weir

import (
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// KeyedStream is a stream whose records have keys: all records of a key reach
// the same subtask of what follows, which keeps state for each key.
type KeyedStream[K comparable, T any] struct {
	stream Stream[T]
	keys   task.KeySelector[K, T]
	at     string
}

// KeyBy gives each record the key that f returns. A key may be any type of
// integers, strings, booleans, and arrays and structs of them; another type is
// a mistake that is reported when the job is built. f must always return the
// same key for the same record.
func (s Stream[T]) KeyBy[K comparable](f func(T) K) KeyedStream[K, T] {
	at := s.caller("function of the key selector", f == nil)
	keys, err := task.NewKeySelector(f)
	return newKeyed(s, at, keys, err)
}

// KeyByField gives each record the key that stands in one of its fields: f
// returns a pointer to that field of its argument. It is faster than KeyBy,
// since f is called only while the job is built.
func (s Stream[T]) KeyByField[K comparable](f func(*T) *K) KeyedStream[K, T] {
	at := s.caller("function of the key selector", f == nil)
	if f == nil {
		return KeyedStream[K, T]{stream: s, at: at}
	}
	keys, err := task.NewKeyField(f)
	return newKeyed(s, at, keys, err)
}

func newKeyed[K comparable, T any](s Stream[T], at string, keys task.KeySelector[K, T], err error) KeyedStream[K, T] {
	if err != nil {
		s.graph.Mistake(at, "key selector: %v", err)
	}
	return KeyedStream[K, T]{stream: s, keys: keys, at: at}
}

// Aggregate keeps an accumulator for each key and emits its result after every
// record. The window that the result is made for is the empty [Window].
func (k KeyedStream[K, T]) Aggregate[A, O any](aggregate Aggregator[K, T, A, O]) Stream[O] {
	at := k.stream.caller("aggregator", aggregate == nil)
	return thenKeyed[K, T, O](k, &dataflow.Node{Kind: "aggregate", Position: at},
		task.RunningAggregate[K, T, A, O]{Keys: k.keys, Aggregation: aggregation(aggregate)})
}

// Reduce combines the records of each key: f gets what it returned before, at
// first the key's first record, and the next record. Every record emits the
// result so far, so f must not change what its arguments refer to, such as the
// entries of a map: results that were emitted have it, too.
func (k KeyedStream[K, T]) Reduce(f func(a, b T) T) Stream[T] {
	at := k.stream.caller("function of the reduce", f == nil)
	return thenKeyed[K, T, T](k, &dataflow.Node{Kind: "reduce", Position: at},
		task.RunningAggregate[K, T, task.Reduced[T], T]{Keys: k.keys, Aggregation: task.Reduction[K](f)})
}

// thenKeyed adds an operator with keyed state behind k.
func thenKeyed[K comparable, T, O any](k KeyedStream[K, T], n *dataflow.Node, code task.Operator) Stream[O] {
	n.Stateful = true
	n.Inputs = k.edges(0)
	k.stream.inherit(n)
	return add[O](k.stream.graph, n, code, k.stream.timed())
}

// edges returns the edges from k to an operator's input.
func (k KeyedStream[K, T]) edges(ordinal int) []*dataflow.Input {
	edges := k.stream.partitioned(partitioning[T]{kind: dataflow.Hash}).edges(k.at, ordinal)
	for _, e := range edges {
		e.KeyType = typeName[K]()
		e.Code = task.HashExchange[K, T]{Keys: k.keys, Records: e.Code.(task.TurnExchange[T]).Records}
	}
	return edges
}
