package weir

import (
	"context"
	"log/slog"
	"reflect"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// ProcessFunction is given each record of a stream, and emits any number of results.
// Each subtask has an instance of its own, whose methods are called one at a time, so
// it may have fields that change.
//
// It may have methods
//
//	Open(ctx *OpenContext) error
//	Close() error
//
// Open is called before the first record, and Close once after Open, also after an
// error of either.
type ProcessFunction[T, O any] interface {
	// Process takes one record. What it hands to emit gets the record's event time;
	// emit must not be called after Process has returned. An error fails the job.
	Process(ctx *ProcessContext, value T, emit func(O)) error
}

// KeyedProcessFunction is given each record of a keyed stream. It may have state
// for each key, and timers. Each subtask has an instance of its own, whose methods are
// called one at a time.
//
// It may have methods
//
//	Open(ctx *KeyedOpenContext[K]) error
//	OnTimer(ctx *KeyedContext[K], timer Timer, emit func(O)) error
//	Close() error
//
// Open is called before the first record, and is where states are declared; Close once
// after Open, also after an error of either. OnTimer is called when the time of a
// timer has come that Process or OnTimer registered, with the key that was current
// then.
type KeyedProcessFunction[K comparable, T, O any] interface {
	// Process takes one record. What it hands to emit gets the record's event time;
	// emit must not be called after Process has returned. An error fails the job.
	Process(ctx *KeyedContext[K], value T, emit func(O)) error
}

// CoProcessFunction is a [ProcessFunction] with two inputs.
type CoProcessFunction[A, B, O any] interface {
	// Process1 takes one record of the first stream, Process2 of the second; see
	// [ProcessFunction].
	Process1(ctx *ProcessContext, value A, emit func(O)) error
	Process2(ctx *ProcessContext, value B, emit func(O)) error
}

// KeyedCoProcessFunction is a [KeyedProcessFunction] with two inputs. State and timers
// belong to a key, whichever input it comes from.
type KeyedCoProcessFunction[K comparable, A, B, O any] interface {
	// Process1 takes one record of the first stream, Process2 of the second; see
	// [KeyedProcessFunction].
	Process1(ctx *KeyedContext[K], value A, emit func(O)) error
	Process2(ctx *KeyedContext[K], value B, emit func(O)) error
}

// OpenContext is what a function may use while it opens.
type OpenContext struct{ p *task.Processing }

// Context returns the context that ends with the task, for connections and the like.
func (c *OpenContext) Context() context.Context { return c.p.Done }

// Subtask says which of the operator's instances this is.
func (c *OpenContext) Subtask() Subtask {
	return Subtask{Index: c.p.Subtask, Parallelism: c.p.Parallelism, Name: c.p.Name}
}

// Operator returns the operator's name.
func (c *OpenContext) Operator() string { return c.p.Operator() }

// Attempt numbers the executions of the job from 1. It is 0 in a test of an operator
// alone.
func (c *OpenContext) Attempt() int { return c.p.Attempt }

// Logger returns a logger that names the task and the operator.
func (c *OpenContext) Logger() *slog.Logger {
	return c.p.Log.With("task", c.p.Name, "operator", c.p.Operator())
}

// KeyedOpenContext is what a function with keyed state may use while it opens. Its
// methods ValueState, ListState, MapState, ReducingState and AggregatingState declare
// states, whose names are unique in the operator.
type KeyedOpenContext[K comparable] struct {
	OpenContext
	k *task.Keyed[K]
}

// ProcessContext is what a function may ask while it processes a record. It is the
// same for all calls, and says what holds for the present one. It may be used only
// by the function that it was given to, until that returns.
type ProcessContext struct{ p *task.Processing }

// EventTime returns the event time of the record, in ms since the epoch, or false if
// it has none. For an event-time timer, it is the timer's.
func (c *ProcessContext) EventTime() (ms int64, ok bool) { return c.p.EventTime() }

// Watermark returns the watermark, in ms since the epoch: no record at or before it
// will follow but late ones. It is math.MinInt64 before the first one, and
// math.MaxInt64 after the last record.
func (c *ProcessContext) Watermark() int64 { return c.p.Watermark() }

// ProcessingTime returns the time of the machine's clock, in ms since the epoch. The
// records of a chunk of about a millisecond of work share it.
func (c *ProcessContext) ProcessingTime() int64 { return c.p.ProcessingTime() }

// Output emits a record to a side output, with the event time that emit would give
// it. See [Stream.SideOutput].
func (c *ProcessContext) Output[U any](tag OutputTag[U], value U) {
	task.EmitSide(c.p, tag.name, value)
}

// KeyedContext is what a function may ask while it processes a record of a keyed
// stream, or a timer.
type KeyedContext[K comparable] struct {
	ProcessContext
	k *task.Keyed[K]
}

// Key returns the key of the record, or of the timer.
func (c *KeyedContext[K]) Key() K { return c.k.Key() }

// RegisterEventTimeTimer has OnTimer called for the current key when the watermark
// reaches ms, a time in ms since the epoch. Registering the same time again for the
// same key changes nothing. The timer of a time that the watermark has reached
// already fires with the next watermark. When the input ends, all timers fire.
//
// Timers of an operator fire in the order of their times, and those of one time in
// the order in which they were registered.
func (c *KeyedContext[K]) RegisterEventTimeTimer(ms int64) {
	c.k.RegisterTimer(ms, task.EventTimeDomain)
}

// DeleteEventTimeTimer deletes the timer that the current key has for ms, if any.
func (c *KeyedContext[K]) DeleteEventTimeTimer(ms int64) {
	c.k.DeleteTimer(ms, task.EventTimeDomain)
}

// RegisterProcessingTimeTimer has OnTimer called for the current key when the
// machine's clock reaches ms, a time in ms since the epoch. Registering the same time
// again for the same key changes nothing. When the input ends, timers whose time has
// not come are dropped. What OnTimer emits has no event time, as in Flink.
func (c *KeyedContext[K]) RegisterProcessingTimeTimer(ms int64) {
	c.k.RegisterTimer(ms, task.ProcessingTimeDomain)
}

// DeleteProcessingTimeTimer deletes the timer that the current key has for ms, if any.
func (c *KeyedContext[K]) DeleteProcessingTimeTimer(ms int64) {
	c.k.DeleteTimer(ms, task.ProcessingTimeDomain)
}

// TimeDomain is one of the two times in which timers fire.
type TimeDomain int

// The time domains: that of the watermark, and that of the machine's clock.
const (
	EventTimeDomain      = TimeDomain(task.EventTimeDomain)
	ProcessingTimeDomain = TimeDomain(task.ProcessingTimeDomain)
)

// String returns the domain's name.
func (d TimeDomain) String() string {
	if d == ProcessingTimeDomain {
		return "processing time"
	}
	return "event time"
}

// Timer is a timer that fires.
type Timer struct {
	// Time is when it was to fire, in ms since the epoch.
	Time   int64
	Domain TimeDomain
}

// Process calls a function for each record. newFunction makes it; it is called for
// each subtask, and while the job is built, so it must do no more than that. It has
// to return a new function each time:
//
//	s.Process(func() *dedup { return &dedup{limit: 10} })
func (s Stream[T]) Process[O any, F ProcessFunction[T, O]](newFunction func() F) Stream[O] {
	n := &dataflow.Node{Kind: "process", Position: s.caller("function that makes the process function", newFunction == nil), EmitsSides: true}
	checkFunction(s.graph, n, newFunction, methodsOf())
	return then[T, O](s, n, task.Process[*ProcessContext, T, O]{Node: n, New: func(p *task.Processing) (task.ProcessFunction[*ProcessContext, T, O], task.Instance[*ProcessContext, O]) {
		f := newFunction()
		return f, instance[O](p, f)
	}})
}

// ProcessFunc calls f for each record, as [Stream.Process] does. One f serves all
// subtasks of a worker at the same time, so it must not change what it refers to.
func (s Stream[T]) ProcessFunc[O any](f func(ctx *ProcessContext, value T, emit func(O)) error) Stream[O] {
	s.caller("function of the process", f == nil)
	return s.Process(func() processFunc[T, O] { return f })
}

type processFunc[T, O any] func(ctx *ProcessContext, value T, emit func(O)) error

func (f processFunc[T, O]) Process(ctx *ProcessContext, value T, emit func(O)) error {
	return f(ctx, value, emit)
}

// Process calls a function for each record, which may have state for each key, and
// timers. newFunction makes it; it is called for each subtask, and while the job is
// built, so it must do no more than that. It has to return a new function each time:
//
//	s.KeyBy(f).Process(func() *counter { return &counter{} })
func (k KeyedStream[K, T]) Process[O any, F KeyedProcessFunction[K, T, O]](newFunction func() F) Stream[O] {
	n := &dataflow.Node{Kind: "keyed process", Position: k.stream.caller("function that makes the process function", newFunction == nil), EmitsSides: true}
	checkFunction(k.stream.graph, n, newFunction, keyedMethodsOf[K, O]())
	return thenKeyed[K, T, O](k, n, task.KeyedProcess[*KeyedContext[K], K, T, O]{Node: n, Keys: k.keys, New: func(k *task.Keyed[K]) (task.ProcessFunction[*KeyedContext[K], T, O], task.Instance[*KeyedContext[K], O]) {
		f := newFunction()
		return f, keyedInstance[O](k, f)
	}})
}

// instance is what the engine calls of a function that has no key.
func instance[O any](p *task.Processing, f any) task.Instance[*ProcessContext, O] {
	i := task.Instance[*ProcessContext, O]{Context: &ProcessContext{p}, Open: func() error { return nil }}
	if o, ok := f.(interface{ Open(*OpenContext) error }); ok {
		i.Open = func() error { return o.Open(&OpenContext{p}) }
	}
	if c, ok := f.(interface{ Close() error }); ok {
		i.Close = c.Close
	}
	return i
}

// keyedInstance is what the engine calls of a function that has a key.
func keyedInstance[O any, K comparable](k *task.Keyed[K], f any) task.Instance[*KeyedContext[K], O] {
	ctx := &KeyedContext[K]{ProcessContext{&k.Processing}, k}
	i := task.Instance[*KeyedContext[K], O]{Context: ctx}
	if o, ok := f.(interface {
		Open(*KeyedOpenContext[K]) error
	}); ok {
		i.Open = func() error { return o.Open(&KeyedOpenContext[K]{OpenContext{&k.Processing}, k}) }
	}
	if c, ok := f.(interface{ Close() error }); ok {
		i.Close = c.Close
	}
	if t, ok := f.(interface {
		OnTimer(*KeyedContext[K], Timer, func(O)) error
	}); ok {
		i.OnTimer = func(ms int64, domain task.TimeDomain, emit func(O)) error {
			return t.OnTimer(ctx, Timer{ms, TimeDomain(domain)}, emit)
		}
	}
	return i
}

// methods are the types of the methods that a function may have beside those that
// process records; nil if it cannot have one.
type methods struct{ open, close, onTimer reflect.Type }

func methodsOf() methods {
	return methods{open: reflect.TypeFor[func(*OpenContext) error](), close: reflect.TypeFor[func() error]()}
}

func keyedMethodsOf[K comparable, O any]() methods {
	return methods{
		open: reflect.TypeFor[func(*KeyedOpenContext[K]) error](), close: reflect.TypeFor[func() error](),
		onTimer: reflect.TypeFor[func(*KeyedContext[K], Timer, func(O)) error](),
	}
}

// checkFunction notes what is wrong with a function that newFunction makes: one that
// subtasks would share, and methods that would never be called.
func checkFunction[F any](g *dataflow.Graph, n *dataflow.Node, newFunction func() F, want methods) {
	if newFunction == nil {
		return
	}
	first, second := reflect.ValueOf(newFunction()), reflect.ValueOf(newFunction())
	if !first.IsValid() || (first.Kind() == reflect.Pointer || first.Kind() == reflect.Func) && first.IsNil() {
		g.MistakeOnce(n.Position, "the process function is nil")
		return
	}
	if first.Kind() == reflect.Pointer && first.Type().Elem().Size() > 0 && second.Kind() == reflect.Pointer && first.Pointer() == second.Pointer() {
		g.Mistake(n.Position, "the same %v was returned twice as the process function: each subtask needs one of its own, so make it inside the function that returns it", first.Type())
	}
	pointer := first
	if first.Kind() != reflect.Pointer && first.Kind() != reflect.Interface {
		pointer = reflect.New(first.Type())
	}
	// The names are constants at the calls, so that the linker may leave out methods
	// of other names.
	checkMethod(g, n, "Open", first.MethodByName("Open"), pointer.MethodByName("Open"), want.open)
	checkMethod(g, n, "Close", first.MethodByName("Close"), pointer.MethodByName("Close"), want.close)
	checkMethod(g, n, "OnTimer", first.MethodByName("OnTimer"), pointer.MethodByName("OnTimer"), want.onTimer)
}

// checkMethod checks one method of a function, as a value and of its pointer.
func checkMethod(g *dataflow.Graph, n *dataflow.Node, name string, value, pointer reflect.Value, want reflect.Type) {
	switch {
	case !pointer.IsValid():
	case want == nil:
		g.Mistake(n.Position, "the process function has a method %s, which would never be called: timers need a keyed stream", name)
	case !value.IsValid():
		g.Mistake(n.Position, "the process function is a value, and its method %s is the pointer's, which would never be called: return a pointer", name)
	case value.Type() != want:
		g.Mistake(n.Position, "the process function's method %s would never be called, since it is a %v: it must be a %v", name, value.Type(), want)
	}
}
