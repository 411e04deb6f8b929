package weir

import (
	"slices"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// Union joins streams of one type into one, which has all of their records in any
// order between them. Its watermark is the smallest of theirs. Each stream keeps
// its partitioning; [Stream.Rebalance] and the like after Union set that of all.
//
// A union is no operator: it has no name and no parallelism.
func (s Stream[T]) Union(others ...Stream[T]) Stream[T] {
	s.more = slices.Clone(s.more)
	for _, o := range others {
		if o.graph != s.graph {
			s.graph.Mistake(dataflow.Caller(), "a union with a stream of another Env")
			continue
		}
		more := o.more
		o.more = nil
		s.more = append(append(s.more, o), more...)
	}
	return s
}

// ConnectedStreams are two streams that go into one operator, which may have state
// in common for both.
type ConnectedStreams[A, B any] struct {
	first  Stream[A]
	second Stream[B]
}

// Connect joins two streams of any types in one operator. Its watermark is the
// smaller of theirs. Connect a stream with a [Stream.Broadcast] one to give every
// subtask all records of that.
func (s Stream[A]) Connect[B any](other Stream[B]) ConnectedStreams[A, B] {
	if other.graph != s.graph {
		s.graph.Mistake(dataflow.Caller(), "two streams of different Envs cannot be connected")
	}
	return ConnectedStreams[A, B]{first: s, second: other}
}

// Map turns each record of the first stream into another with f, and each of the
// second with g. One instance calls one of them at a time.
func (c ConnectedStreams[A, B]) Map[U any](f func(A) U, g func(B) U) Stream[U] {
	at := c.first.caller("function of the map", f == nil || g == nil)
	return thenBoth[A, B, U](c, &dataflow.Node{Kind: "co-map", Position: at}, task.Connected{
		First: task.Map[A, U]{F: each(f)}, Second: task.Map[B, U]{F: each(g)},
	})
}

// FlatMap turns each record of the first stream into any number of others with f,
// and each of the second with g; see [Stream.FlatMap].
func (c ConnectedStreams[A, B]) FlatMap[U any](f func(value A, emit func(U)), g func(value B, emit func(U))) Stream[U] {
	at := c.first.caller("function of the flat map", f == nil || g == nil)
	return thenBoth[A, B, U](c, &dataflow.Node{Kind: "co-flat map", Position: at}, task.Connected{
		First:  task.FlatMap[A, U]{F: infallible(f)},
		Second: task.FlatMap[B, U]{F: infallible(g)},
	})
}

// thenBoth adds an operator with two inputs.
func thenBoth[A, B, U any](c ConnectedStreams[A, B], n *dataflow.Node, code task.Operator) Stream[U] {
	n.Inputs = append(c.first.edges(n.Position, 0), c.second.edges(n.Position, 1)...)
	c.first.inherit(n)
	return add[U](c.first.graph, n, code, c.first.timed() && c.second.timed())
}

// each makes a function of a batch of one of a value.
func each[T, U any](f func(T) U) func(values []T, out []U) error {
	return func(values []T, out []U) error {
		for i := range values {
			out[i] = f(values[i])
		}
		return nil
	}
}

// infallible makes a flat map's function of one that cannot fail.
func infallible[T, U any](f func(T, func(U))) func(T, func(U)) error {
	return func(v T, emit func(U)) error {
		f(v, emit)
		return nil
	}
}
