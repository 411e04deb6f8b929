package weir

import (
	"fmt"
	"math"
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
// sent to the subtask that owns the key, where that pays. It must not change other,
// nor have acc refer to what other refers to. Sliding windows need it: they add up
// each record once, in a pane, and merge panes. An aggregator for them may have a
// method
//
//	Subtract(acc, other *A)
//
// too, which takes from acc what Merge has added to it. It keeps long windows with
// short slides as fast as others.
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

// Window is a span of event or processing time: from Start to before End, in ms
// since the epoch. The empty Window stands for all of time.
type Window struct {
	Start, End int64
}

// StartTime returns the beginning of the window, in UTC.
func (w Window) StartTime() time.Time { return time.UnixMilli(w.Start).UTC() }

// EndTime returns the end of the window, in UTC. It does not belong to it.
func (w Window) EndTime() time.Time { return time.UnixMilli(w.End).UTC() }

// WindowAssigner says to which windows a record belongs. Windows are of event time
// unless it was told [WindowAssigner.ProcessingTime].
type WindowAssigner struct {
	kind                windowKind
	size, slide, offset time.Duration
	processing          bool
}

// windowKind tells the windows apart that an assigner may make.
type windowKind int

const (
	tumblingWindows windowKind = iota
	slidingWindows
	sessionWindows
)

// Tumbling are windows that follow one another without a gap. They are aligned to
// 1970-01-01T00:00Z. The size is at least 1 ms, and whole milliseconds.
func Tumbling(size time.Duration) WindowAssigner {
	return WindowAssigner{kind: tumblingWindows, size: size}
}

// Sliding are windows of a size of which one begins after every slide, so that a
// record belongs to several. They are aligned to 1970-01-01T00:00Z. Both are at least
// 1 ms, and whole milliseconds; the slide is no larger than the size.
func Sliding(size, slide time.Duration) WindowAssigner {
	return WindowAssigner{kind: slidingWindows, size: size, slide: slide}
}

// Offset shifts the windows: one of them begins at the epoch plus d, which is whole
// milliseconds.
func (w WindowAssigner) Offset(d time.Duration) WindowAssigner {
	w.offset = d
	return w
}

// ProcessingTime makes them windows of processing time: a record belongs to the
// window of the moment at which the operator takes it, and a window fires when the
// clock of that machine reaches its end. Nothing is late, and results depend on
// when records come. Windows that are open when the input ends do not fire.
func (w WindowAssigner) ProcessingTime() WindowAssigner {
	w.processing = true
	return w
}

// mistake says what is wrong with the assigner, or nothing.
func (w WindowAssigner) mistake() string {
	switch w.kind {
	case slidingWindows:
		if !wholeMillis(w.slide, 1) || !wholeMillis(w.size, w.slide.Milliseconds()) || !wholeMillis(w.offset, math.MinInt64) {
			return fmt.Sprintf("windows of size %v every %v with offset %v: all must be whole milliseconds, the slide at least one and no larger than the size", w.size, w.slide, w.offset)
		}
	case sessionWindows:
		return w.sessionMistake()
	default:
		if !wholeMillis(w.size, 1) || !wholeMillis(w.offset, math.MinInt64) {
			return fmt.Sprintf("a window of size %v and offset %v: both must be whole milliseconds, and the size at least one", w.size, w.offset)
		}
	}
	return ""
}

// wholeMillis reports whether d is whole milliseconds, and so many at least.
func wholeMillis(d time.Duration, least int64) bool {
	return d%time.Millisecond == 0 && d.Milliseconds() >= least
}

// WindowedStream is a keyed stream whose records are in windows.
type WindowedStream[K comparable, T any] struct {
	keyed    KeyedStream[K, T]
	window   WindowAssigner
	lateness task.Lateness
}

// Window puts the records of each key into windows. Windows of event time need a
// stream with event times: see [Stream.WithWatermarks].
//
// A window of event time fires when the watermark passes its last millisecond,
// which is the event time of its results.
func (k KeyedStream[K, T]) Window(w WindowAssigner) WindowedStream[K, T] {
	at := dataflow.Caller()
	g := k.stream.graph
	if m := w.mistake(); m != "" {
		g.Mistake(at, "%s", m)
	}
	if !w.processing && !k.stream.timed() {
		g.Mistake(at, "the records of %q have no event times: give the stream WithWatermarks before the window, or the window ProcessingTime", k.stream.node.Name)
	}
	return WindowedStream[K, T]{keyed: k, window: w}
}

// AllowedLateness keeps windows for so long, in whole milliseconds of event time,
// after the watermark has passed their end. Each record that comes for such a window
// makes it fire again for the record's key at once, with the updated result. It is
// none by default.
//
// A record is late only if all of its windows are gone.
func (w WindowedStream[K, T]) AllowedLateness(d time.Duration) WindowedStream[K, T] {
	at := dataflow.Caller()
	switch {
	case !wholeMillis(d, 0):
		w.keyed.stream.graph.Mistake(at, "an allowed lateness of %v: it must be whole milliseconds and not negative", d)
	case w.window.processing:
		w.keyed.stream.graph.Mistake(at, "an allowed lateness in windows of processing time, in which nothing is late")
	}
	w.lateness.Allowed = d.Milliseconds()
	return w
}

// LateOutput sends late records, unchanged, to a side output of the stream of the
// results, in place of dropping and counting them:
//
//	results := windowed.LateOutput(late).Reduce(add)
//	tooLate := results.SideOutput(late)
func (w WindowedStream[K, T]) LateOutput(tag OutputTag[T]) WindowedStream[K, T] {
	at := dataflow.Caller()
	switch {
	case tag.name == "":
		w.keyed.stream.graph.Mistake(at, "the late output's tag has no name: make one with weir.NewOutputTag")
	case w.window.processing:
		w.keyed.stream.graph.Mistake(at, "a late output of windows of processing time, in which nothing is late")
	}
	w.lateness.Output = tag.name
	return w
}

// Aggregate emits, for each key and window, the result of the window's records.
// Late records are dropped and counted, unless there is a [WindowedStream.LateOutput].
func (w WindowedStream[K, T]) Aggregate[A, O any](aggregate Aggregator[K, T, A, O]) Stream[O] {
	at := w.keyed.stream.caller("aggregator", aggregate == nil)
	return thenWindow(w, &dataflow.Node{Kind: "window aggregate", Position: at}, aggregation(aggregate))
}

// Reduce emits, for each key and window, what f makes of the window's records,
// as [WindowedStream.Aggregate] does: f gets what it returned before, at first
// the first record, and the next. f must be associative, and must not change what
// its arguments refer to.
func (w WindowedStream[K, T]) Reduce(f func(a, b T) T) Stream[T] {
	at := w.keyed.stream.caller("function of the reduce", f == nil)
	return thenWindow(w, &dataflow.Node{Kind: "window reduce", Position: at}, task.Reduction[K](f))
}

// Process calls f, for each key and window, with all records of the window in the
// order in which they came; f hands any number of results to emit. The records are
// kept until then: prefer [WindowedStream.Aggregate] or
// [WindowedStream.AggregateProcess], which keep an accumulator. f may reorder
// records but not keep it, and must not call emit after it has returned.
func (w WindowedStream[K, T]) Process[O any](f func(key K, window Window, records []T, emit func(O))) Stream[O] {
	at := w.keyed.stream.caller("function of the window", f == nil)
	return thenWindow(w, &dataflow.Node{Kind: "window process", Position: at},
		task.Collection(func(k K, start, end int64, records []T, emit func(O)) {
			f(k, Window{Start: start, End: end}, records, emit)
		}))
}

// AggregateProcess calls f, for each key and window, with the aggregate's result;
// f hands any number of results to emit, which it must not call after it has
// returned.
func (w WindowedStream[K, T]) AggregateProcess[A, R, O any](
	aggregate Aggregator[K, T, A, R], f func(key K, window Window, result R, emit func(O)),
) Stream[O] {
	at := w.keyed.stream.caller("aggregator", aggregate == nil)
	if f == nil {
		w.keyed.stream.graph.Mistake(at, "the function of the window is nil")
	}
	results := aggregation(aggregate)
	return thenWindow(w, &dataflow.Node{Kind: "window aggregate", Position: at}, task.Aggregation[K, T, A, O]{
		Adder: results.Adder, Init: results.Init, Merge: results.Merge, Subtract: results.Subtract,
		Emit: func(k K, start, end int64, acc *A, emit func(O)) {
			f(k, Window{Start: start, End: end}, results.Result(k, start, end, acc), emit)
		},
	})
}

// thenWindow adds the operator of the windows that w has.
func thenWindow[K comparable, T, A, O any](w WindowedStream[K, T], n *dataflow.Node, a task.Aggregation[K, T, A, O]) Stream[O] {
	n.EmitsSides = w.lateness.Output != ""
	switch w.window.kind {
	case slidingWindows:
		if a.Merge == nil && a.Adder != nil {
			w.keyed.stream.graph.Mistake(n.Position, "sliding windows need an aggregator with a method Merge(acc, other *%s): they add records up in panes, and merge those", typeName[A]())
		}
		operator := task.SlidingAggregate[K, T, A, O]{
			Keys: w.keyed.keys, Aggregation: a,
			Size: w.window.size.Milliseconds(), Slide: w.window.slide.Milliseconds(), Offset: w.window.offset.Milliseconds(),
			Lateness: w.lateness, ProcessingTime: w.window.processing,
		}
		return preAggregate(w, n, thenKeyed[K, T, O](w.keyed, n, operator), a, operator.PreAggregated)
	case sessionWindows:
		return thenSession(w, n, a)
	default:
		operator := task.TumblingAggregate[K, T, A, O]{
			Keys: w.keyed.keys, Aggregation: a,
			Size: w.window.size.Milliseconds(), Offset: w.window.offset.Milliseconds(),
			Lateness: w.lateness, ProcessingTime: w.window.processing,
		}
		return preAggregate(w, n, thenKeyed[K, T, O](w.keyed, n, operator), a, operator.PreAggregated)
	}
}

// preAggregate has the edges to a window operator combine records, where that is
// possible and cannot be noticed.
func preAggregate[K comparable, T, A, O any](
	w WindowedStream[K, T], n *dataflow.Node, s Stream[O], a task.Aggregation[K, T, A, O],
	exchange func(task.Records[T]) (task.PreAggregatedExchange[K, T, A, O], error),
) Stream[O] {
	if !a.Combines() || w.window.processing || w.lateness != (task.Lateness{}) {
		return s
	}
	for _, in := range n.Inputs {
		x, err := exchange(in.Code.(task.HashExchange[K, T]).Records)
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
	if s, ok := aggregate.(interface{ Subtract(acc, other *A) }); ok {
		a.Subtract = s.Subtract
	}
	return a
}
