package weir

import (
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// KeyedConnectedStreams are two streams with keys of one type that go into one
// operator: records of a key reach the same subtask from both.
type KeyedConnectedStreams[K comparable, A, B any] struct {
	first  KeyedStream[K, A]
	second KeyedStream[K, B]
}

// KeyBy gives each record of the first stream the key that f returns, and each of the
// second what g returns; see [Stream.KeyBy].
func (c ConnectedStreams[A, B]) KeyBy[K comparable](f func(A) K, g func(B) K) KeyedConnectedStreams[K, A, B] {
	return KeyedConnectedStreams[K, A, B]{first: c.first.KeyBy(f), second: c.second.KeyBy(g)}
}

// Connect joins two streams with keys of one type in one operator. Its watermark is
// the smaller of theirs.
func (k KeyedStream[K, A]) Connect[B any](other KeyedStream[K, B]) KeyedConnectedStreams[K, A, B] {
	if other.stream.graph != k.stream.graph {
		k.stream.graph.Mistake(dataflow.Caller(), "two streams of different Envs cannot be connected")
	}
	return KeyedConnectedStreams[K, A, B]{first: k, second: other}
}

// Process calls a function for each record of the two streams. newFunction makes it;
// see [Stream.Process].
func (c ConnectedStreams[A, B]) Process[O any, F CoProcessFunction[A, B, O]](newFunction func() F) Stream[O] {
	n := &dataflow.Node{Kind: "co-process", Position: c.first.caller("function that makes the process function", newFunction == nil), EmitsSides: true}
	checkFunction(c.first.graph, n, newFunction, methodsOf())
	type ctx = *ProcessContext
	return thenBoth[A, B, O](c, n, task.ConnectedProcess[ctx, A, B, O]{Node: n, New: func(p *task.Processing) (task.ProcessFunction[ctx, A, O], task.ProcessFunction[ctx, B, O], task.Instance[ctx, O]) {
		f := newFunction()
		return processFunc[A, O](f.Process1), processFunc[B, O](f.Process2), instance[O](p, f)
	}})
}

// Process calls a function for each record of the two streams, which may have state
// for each key, and timers. newFunction makes it; see [KeyedStream.Process].
func (c KeyedConnectedStreams[K, A, B]) Process[O any, F KeyedCoProcessFunction[K, A, B, O]](newFunction func() F) Stream[O] {
	first := c.first.stream
	n := &dataflow.Node{
		Kind: "keyed co-process", Position: first.caller("function that makes the process function", newFunction == nil),
		EmitsSides: true, Stateful: true,
	}
	checkFunction(first.graph, n, newFunction, keyedMethodsOf[K, O]())
	n.Inputs = append(c.first.edges(0), c.second.edges(1)...)
	first.inherit(n)
	type ctx = *KeyedContext[K]
	code := task.KeyedConnectedProcess[ctx, K, A, B, O]{Node: n, First: c.first.keys, Second: c.second.keys, New: func(k *task.Keyed[K]) (task.ProcessFunction[ctx, A, O], task.ProcessFunction[ctx, B, O], task.Instance[ctx, O]) {
		f := newFunction()
		return keyedFunc[K, A, O](f.Process1), keyedFunc[K, B, O](f.Process2), keyedInstance[O](k, f)
	}}
	return add[O](first.graph, n, code, first.timed() && c.second.stream.timed())
}

type keyedFunc[K comparable, T, O any] func(ctx *KeyedContext[K], value T, emit func(O)) error

func (f keyedFunc[K, T, O]) Process(ctx *KeyedContext[K], value T, emit func(O)) error {
	return f(ctx, value, emit)
}
