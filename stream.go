package weir

import (
	"fmt"
	"reflect"
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// Stream is a stream of records of type T, while the job is built: a place in
// the graph. Its methods add operators behind it. Methods such as
// [Stream.Name] and [Stream.Parallelism] set the operator that the stream
// comes from, and return the same stream.
//
// Functions given to a stream run on many workers, on many goroutines; each
// instance of an operator calls its own one at a time. They may panic or
// return an error, which fails the job with the task's name.
type Stream[T any] struct {
	graph *dataflow.Graph
	node  *dataflow.Node
	// port is the output of node: 0 is the main one.
	port int
	// partitioning is of the edges to what follows.
	partitioning partitioning[T]
	// more are the other streams of a union.
	more []Stream[T]
}

// From begins a stream with a source. The name is shown to users.
func From[T any](env *Env, name string, source Source[T]) Stream[T] {
	at := dataflow.Caller()
	if name == "" {
		env.graph.Mistake(at, "the source has no name")
	}
	n := &dataflow.Node{Kind: "source", Name: name, Position: at, OutputType: typeName[T](), Source: true}
	if source == nil {
		env.graph.Mistake(at, "source %q is nil", name)
	} else {
		n.Bounded = source.Bounded()
		validate(env.graph, at, "source", name, source)
	}
	n.Code = task.SourceCode[T]{Source: sourceAdapter[T]{source}}
	return newStream[T](env.graph, env.graph.Add(n))
}

// Map turns each record into another.
func (s Stream[T]) Map[U any](f func(T) U) Stream[U] {
	at := s.caller("function of the map", f == nil)
	return then[T, U](s, &dataflow.Node{Kind: "map", Position: at}, task.Map[T, U]{F: each(f)})
}

// TryMap turns each record into another, or fails the job.
func (s Stream[T]) TryMap[U any](f func(T) (U, error)) Stream[U] {
	at := s.caller("function of the map", f == nil)
	return then[T, U](s, &dataflow.Node{Kind: "map", Position: at}, task.Map[T, U]{F: func(values []T, out []U) error {
		for i := range values {
			u, err := f(values[i])
			if err != nil {
				return err
			}
			out[i] = u
		}
		return nil
	}})
}

// FlatMap turns each record into any number of others: f hands each to emit.
// They get the event time of the record that they come from. emit must not be
// called after f has returned.
func (s Stream[T]) FlatMap[U any](f func(value T, emit func(U))) Stream[U] {
	at := s.caller("function of the flat map", f == nil)
	return then[T, U](s, &dataflow.Node{Kind: "flat map", Position: at}, task.FlatMap[T, U]{F: infallible(f)})
}

// TryFlatMap is FlatMap with a function that may fail the job.
func (s Stream[T]) TryFlatMap[U any](f func(value T, emit func(U)) error) Stream[U] {
	at := s.caller("function of the flat map", f == nil)
	return then[T, U](s, &dataflow.Node{Kind: "flat map", Position: at}, task.FlatMap[T, U]{F: f})
}

// Filter keeps the records for which f returns true.
func (s Stream[T]) Filter(f func(T) bool) Stream[T] {
	at := s.caller("function of the filter", f == nil)
	return then[T, T](s, &dataflow.Node{Kind: "filter", Position: at}, task.Filter[T]{F: f})
}

// To ends the stream in a sink. The name is shown to users.
func (s Stream[T]) To(name string, sink Sink[T]) Output {
	at := dataflow.Caller()
	if name == "" {
		s.graph.Mistake(at, "the sink has no name")
	}
	if sink == nil {
		s.graph.Mistake(at, "sink %q is nil", name)
	} else {
		validate(s.graph, at, "sink", name, sink)
	}
	n := &dataflow.Node{Kind: "sink", Name: name, Position: at, Inputs: s.edges(at, 0)}
	s.inherit(n)
	n.Code = task.SinkCode[T]{Sink: sinkAdapter[T]{sink}}
	return Output{graph: s.graph, node: s.graph.Add(n)}
}

// validate notes what a connector says is wrong with its settings.
func validate(g *dataflow.Graph, at, kind, name string, connector any) {
	if v, ok := connector.(Validator); ok {
		if err := v.Validate(); err != nil {
			g.Mistake(at, "%s %q: %v", kind, name, err)
		}
	}
}

// single returns the operator that s comes from, for a method that means it. A union
// comes from several.
func (s Stream[T]) single(at, what string) *dataflow.Node {
	if len(s.more) > 0 {
		s.graph.Mistake(at, "a union is no operator and has no %s: put what you mean before or behind it", what)
		return &dataflow.Node{EmitsSides: true}
	}
	return s.node
}

// Name sets what users see of the operator.
func (s Stream[T]) Name(name string) Stream[T] {
	s.single(dataflow.Caller(), "name").Name = name
	return s
}

// ID gives the operator a stable id, by which its state is found again after
// the job was changed. It must be unique in the job.
func (s Stream[T]) ID(id string) Stream[T] {
	setID(s.graph, s.single(dataflow.Caller(), "id"), id)
	return s
}

// Parallelism sets the number of the operator's subtasks.
func (s Stream[T]) Parallelism(n int) Stream[T] {
	setParallelism(s.graph, s.single(dataflow.Caller(), "parallelism"), n)
	return s
}

// SlotSharingGroup sets which other operators the operator may share slots with:
// those of its group. Without it, an operator is in the group of its inputs, if
// all of them are in the same one, and otherwise in "default".
func (s Stream[T]) SlotSharingGroup(name string) Stream[T] {
	setSlotSharingGroup(s.graph, s.single(dataflow.Caller(), "slot sharing group"), name)
	return s
}

// BufferTimeout sets how long records that leave the operator may wait in a
// network buffer; see [Env.BufferTimeout].
func (s Stream[T]) BufferTimeout(d time.Duration) Stream[T] {
	at := dataflow.Caller()
	n := s.single(at, "buffer timeout")
	if d < 0 && d != FullBuffersOnly {
		s.graph.Mistake(at, "buffer timeout %v of %q: it must not be negative, or weir.FullBuffersOnly", d, n.Name)
		return s
	}
	n.BufferTimeout = &d
	return s
}

// StartNewChain begins a new task with the operator.
func (s Stream[T]) StartNewChain() Stream[T] {
	s.single(dataflow.Caller(), "chain").StartChain = true
	return s
}

// DisableChaining gives the operator a task of its own.
func (s Stream[T]) DisableChaining() Stream[T] {
	s.single(dataflow.Caller(), "chain").NoChain = true
	return s
}

// Output is the end of a stream, in a sink.
type Output struct {
	graph *dataflow.Graph
	node  *dataflow.Node
}

// Name sets what users see of the sink.
func (o Output) Name(name string) Output { o.node.Name = name; return o }

// ID gives the sink a stable id; see [Stream.ID].
func (o Output) ID(id string) Output { setID(o.graph, o.node, id); return o }

// Parallelism sets the number of the sink's subtasks.
func (o Output) Parallelism(n int) Output { setParallelism(o.graph, o.node, n); return o }

// SlotSharingGroup sets which operators the sink may share slots with; see
// [Stream.SlotSharingGroup].
func (o Output) SlotSharingGroup(name string) Output {
	setSlotSharingGroup(o.graph, o.node, name)
	return o
}

// StartNewChain begins a new task with the sink.
func (o Output) StartNewChain() Output { o.node.StartChain = true; return o }

// DisableChaining gives the sink a task of its own.
func (o Output) DisableChaining() Output { o.node.NoChain = true; return o }

func setID(g *dataflow.Graph, n *dataflow.Node, id string) {
	if id == "" {
		g.Mistake(dataflow.Caller(), "the id of %q is empty", n.Name)
	}
	n.ID = id
}

// setSlotSharingGroup sets a group; "default" is the one without a name.
func setSlotSharingGroup(g *dataflow.Graph, n *dataflow.Node, name string) {
	if name == "" {
		g.Mistake(dataflow.Caller(), "the slot sharing group of %q has no name", n.Name)
	}
	if name == "default" {
		name = ""
	}
	n.SlotSharingGroup = name
}

func setParallelism(g *dataflow.Graph, n *dataflow.Node, p int) {
	if p < 1 || p > dataflow.MaxParallelism {
		g.Mistake(dataflow.Caller(), "parallelism %d of %q: it must be between 1 and %d", p, n.Name, dataflow.MaxParallelism)
		return
	}
	n.Parallelism = p
}

// caller returns where the user called, and notes that what was given is nil.
func (s Stream[T]) caller(what string, missing bool) string {
	at := dataflow.Caller()
	if missing {
		s.graph.Mistake(at, "the %s is nil", what)
	}
	return at
}

// then adds an operator behind s.
func then[T, U any](s Stream[T], n *dataflow.Node, code task.Operator) Stream[U] {
	n.Inputs = s.edges(n.Position, 0)
	s.inherit(n)
	return add[U](s.graph, n, code, s.timed())
}

// add adds an operator whose inputs are known. timed tells whether what it takes
// has event times.
func add[U any](g *dataflow.Graph, n *dataflow.Node, code task.Operator, timed bool) Stream[U] {
	n.OutputType = typeName[U]()
	n.Code = code
	if n.Name == "" {
		n.Name = n.Kind
	}
	n.Timed = n.Timed || timed
	return newStream[U](g, g.Add(n))
}

func newStream[T any](g *dataflow.Graph, n *dataflow.Node) Stream[T] {
	return Stream[T]{graph: g, node: n, partitioning: partitioning[T]{kind: dataflow.Forward}}
}

// timed reports whether the records have event times.
func (s Stream[T]) timed() bool {
	for _, m := range s.more {
		if !m.timed() {
			return false
		}
	}
	return s.node.Timed
}

// inherit gives n the slot sharing group of its inputs, the default one if they
// differ.
func (s Stream[T]) inherit(n *dataflow.Node) {
	group := s.node.SlotSharingGroup
	for _, in := range n.Inputs {
		if in.From.SlotSharingGroup != group {
			group = ""
		}
	}
	n.SlotSharingGroup = group
}

// edges returns the edges from s to an operator's input, which is written at that
// place.
func (s Stream[T]) edges(at string, ordinal int) []*dataflow.Input {
	records, err := task.NewRecords[T]()
	if err != nil {
		s.graph.MistakeOnce(at, "records of type %s cannot be sent to another task: %v", typeName[T](), err)
	}
	edges := []*dataflow.Input{{
		From: s.node, Port: s.port, Ordinal: ordinal, Partitioning: s.partitioning.kind, Strict: s.partitioning.strict,
		RecordType: typeName[T](), Code: s.partitioning.exchange(records),
	}}
	for _, m := range s.more {
		edges = append(edges, m.edges(at, ordinal)...)
	}
	return edges
}

func typeName[T any]() string { return fmt.Sprint(reflect.TypeFor[T]()) }
