package weir

import (
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// OutputTag names a side output, and says of which type its records are. Tags with
// the same name and type mean the same output.
type OutputTag[T any] struct{ name string }

// NewOutputTag returns the tag with that name, which users see in the job's graph.
func NewOutputTag[T any](name string) OutputTag[T] { return OutputTag[T]{name: name} }

// Name returns the tag's name.
func (t OutputTag[T]) Name() string { return t.name }

// SideOutput returns the stream of what the operator that s comes from emits under
// a tag: a process function what it chooses to, a window its late records (see
// [WindowedStream.LateOutput]). What is emitted under a tag that nobody asked for
// is dropped.
func (s Stream[T]) SideOutput[U any](tag OutputTag[U]) Stream[U] {
	at := dataflow.Caller()
	n := s.single(at, "side outputs")
	switch {
	case tag.name == "":
		s.graph.Mistake(at, "the side output's tag has no name: make one with weir.NewOutputTag")
	case !n.EmitsSides:
		s.graph.Mistake(at, "%s %q has no side outputs: process functions have, and windows for late records", n.Kind, n.Name)
	}
	side := newStream[U](s.graph, n)
	for i, other := range n.Sides {
		if other.Name != tag.name {
			continue
		}
		if other.Type != typeName[U]() {
			s.graph.Mistake(at, "side output %q of %q has records of type %s and is asked for ones of type %s", tag.name, n.Name, other.Type, typeName[U]())
			continue
		}
		side.port = 1 + i
		return side
	}
	n.Sides = append(n.Sides, dataflow.Side{Name: tag.name, Type: typeName[U](), Code: task.SideOutput[U]{}})
	side.port = len(n.Sides)
	return side
}
