package weir

import (
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// Aggregator combines many values of type T into an accumulator of type A, and
// an accumulator into a result of type O. The zero A is the accumulator of a
// key without records, unless the aggregator has a method
//
//	Init(acc *A)
//
// which then prepares it. An aggregator with a method
//
//	Merge(acc, other *A)
//
// which adds other to acc, allows the engine to combine records before they are
// sent to the subtask that owns the key, where that pays.
//
// One value serves all keys, windows and subtasks of a worker at the same time,
// so it must not change itself.
type Aggregator[K comparable, T, A, O any] interface {
	// Add adds a value to the accumulator, in place.
	Add(acc *A, value T)
	// Result makes the output of a key in a window. It must not keep acc, nor hand
	// on a map or a slice in it whose elements Add will change: without a window
	// the accumulator lives on.
	Result(key K, window Window, acc *A) O
}

// Window is a span of event time: from Start to before End, in ms since the
// epoch. The empty Window stands for all of time.
type Window struct {
	Start, End int64
}

// StartTime returns the beginning of the window, in UTC.
func (w Window) StartTime() time.Time { return time.UnixMilli(w.Start).UTC() }

// EndTime returns the end of the window, in UTC. It does not belong to it.
func (w Window) EndTime() time.Time { return time.UnixMilli(w.End).UTC() }

// WindowAssigner says to which windows a record belongs.
type WindowAssigner struct {
	size, offset time.Duration
}

// Tumbling are windows of event time that follow one another without a gap.
// They are aligned to 1970-01-01T00:00Z. The size is at least 1 ms, and whole
// milliseconds.
func Tumbling(size time.Duration) WindowAssigner { return WindowAssigner{size: size} }

// Offset shifts the windows: one of them begins at the epoch plus d.
func (w WindowAssigner) Offset(d time.Duration) WindowAssigner {
	w.offset = d
	return w
}

// WindowedStream is a keyed stream whose records are in windows.
type WindowedStream[K comparable, T any] struct {
	keyed  KeyedStream[K, T]
	window WindowAssigner
}

// Window puts the records of each key into windows of event time. The stream
// needs event times: see [Stream.WithWatermarks].
func (k KeyedStream[K, T]) Window(w WindowAssigner) WindowedStream[K, T] {
	at := dataflow.Caller()
	g := k.stream.graph
	if w.size < time.Millisecond || w.size%time.Millisecond != 0 || w.offset%time.Millisecond != 0 {
		g.Mistake(at, "a window of size %v and offset %v: both must be whole milliseconds, and the size at least one", w.size, w.offset)
	}
	if !k.stream.timed() {
		g.Mistake(at, "the records of %q have no event times: give the stream WithWatermarks before the window", k.stream.node.Name)
	}
	return WindowedStream[K, T]{keyed: k, window: w}
}

// Aggregate emits, for each key and window, the result of the window's records,
// once the watermark has passed its end. The result's event time is the last
// millisecond of the window. Records that come later are dropped and counted.
func (w WindowedStream[K, T]) Aggregate[A, O any](aggregate Aggregator[K, T, A, O]) Stream[O] {
	at := w.keyed.stream.caller("aggregator", aggregate == nil)
	return thenWindow(w, &dataflow.Node{Kind: "window aggregate", Position: at}, aggregation(aggregate))
}

// Reduce emits, for each key and window, what f makes of the window's records,
// as [WindowedStream.Aggregate] does: f gets what it returned before, at first
// the first record, and the next. f must be associative.
func (w WindowedStream[K, T]) Reduce(f func(a, b T) T) Stream[T] {
	at := w.keyed.stream.caller("function of the reduce", f == nil)
	return thenWindow(w, &dataflow.Node{Kind: "window reduce", Position: at}, task.Reduction[K](f))
}

func thenWindow[K comparable, T, A, O any](w WindowedStream[K, T], n *dataflow.Node, a task.Aggregation[K, T, A, O]) Stream[O] {
	operator := task.TumblingAggregate[K, T, A, O]{
		Keys: w.keyed.keys, Aggregation: a,
		Size: w.window.size.Milliseconds(), Offset: w.window.offset.Milliseconds(),
	}
	s := thenKeyed[K, T, O](w.keyed, n, operator)
	if a.Merge == nil {
		return s
	}
	for _, in := range n.Inputs {
		x, err := operator.PreAggregated(in.Code.(task.HashExchange[K, T]).Records)
		if err != nil {
			w.keyed.stream.graph.Mistake(n.Position, "%s: the accumulator cannot be sent to another task: %v", n.Kind, err)
			return s
		}
		in.PreAggregated = true
		in.Code = x
	}
	return s
}

// aggregation takes an aggregator apart into what the engine calls.
func aggregation[K comparable, T, A, O any](aggregate Aggregator[K, T, A, O]) task.Aggregation[K, T, A, O] {
	a := task.Aggregation[K, T, A, O]{
		Adder: aggregate,
		Result: func(k K, start, end int64, acc *A) O {
			return aggregate.Result(k, Window{Start: start, End: end}, acc)
		},
	}
	if i, ok := aggregate.(interface{ Init(acc *A) }); ok {
		a.Init = i.Init
	}
	if m, ok := aggregate.(interface{ Merge(acc, other *A) }); ok {
		a.Merge = m.Merge
	}
	return a
}
