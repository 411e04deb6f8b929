package task

import (
	"errors"
	"math"
	"slices"

	"github.com/weirstream/weir/internal/dataflow"
)

// NoTime is the event time of a record that has none, and the watermark of a
// stream that has not begun.
const NoTime = int64(math.MinInt64)

// MaxTime is the watermark after the last record.
const MaxTime = int64(math.MaxInt64)

// BatchSize is the largest number of records that an operator hands on at once.
const BatchSize = 1024

// Receiver is how an operator takes what its predecessor in the chain hands on.
// All calls come from the task's goroutine. An error ends the task.
type Receiver[T any] interface {
	// Push takes at most [BatchSize] records and their event times in ms since
	// the epoch. The slices are the caller's: the receiver must neither keep nor
	// change them.
	Push(values []T, times []int64) error

	// Watermark says that no record at or before t will follow. Values rise. An
	// operator with much to emit because of it emits a part, says so with
	// [Context.Postpone], and hands the watermark on when it is done; no other
	// method is called before that.
	Watermark(t int64) error

	// Idle says that nothing comes for a while, so that whoever combines watermarks
	// should not wait for this one. The next Push or Watermark ends it.
	Idle() error

	// End says that nothing will follow. Watermark(MaxTime) came before.
	End() error
}

// signals are the calls of a Receiver that do not depend on its type.
type signals interface {
	Watermark(t int64) error
	Idle() error
	End() error
}

// passing hands signals on as they come. Operators embed it that have nothing to
// add to one of them.
type passing struct{ to signals }

func (p passing) Watermark(t int64) error { return p.to.Watermark(t) }
func (p passing) Idle() error             { return p.to.Idle() }
func (p passing) End() error              { return p.to.End() }

// Inputs are the receivers of an operator's instance, one for each of its inputs.
type Inputs []any

// Outputs is what takes an operator's output: the receiver of the main one, then
// those of its side outputs. One that nobody consumes is nil.
type Outputs struct {
	ports []any
	// sides are the names of the side outputs, the first of which is port 1.
	sides []string
}

// outputsOf joins the consumers of each output of n, which consumers returns.
func outputsOf(n *dataflow.Node, consumers func(port int) ([]any, error)) (Outputs, error) {
	out := Outputs{ports: make([]any, 1+len(n.Sides))}
	for port := range out.ports {
		joiner := n.Code
		if port > 0 {
			out.sides = append(out.sides, n.Sides[port-1].Name)
			joiner = n.Sides[port-1].Code
		}
		receivers, err := consumers(port)
		if err != nil {
			return Outputs{}, err
		}
		if len(receivers) > 0 {
			out.ports[port] = joiner.(Joiner).Join(receivers)
		}
	}
	return out, nil
}

// main returns the receiver of the main output.
func main[T any](o Outputs) Receiver[T] { return output[T](o, 0) }

// side returns the receiver of the side output with a name, which drops what
// nobody asked for.
func side[T any](o Outputs, name string) Receiver[T] {
	if !o.wants(name) {
		return dropped[T]{}
	}
	return output[T](o, 1+slices.Index(o.sides, name))
}

// wants reports whether somebody consumes the side output with a name.
func (o Outputs) wants(name string) bool {
	i := slices.Index(o.sides, name)
	return i >= 0 && o.ports[1+i] != nil
}

func output[T any](o Outputs, port int) Receiver[T] {
	if port >= len(o.ports) || o.ports[port] == nil {
		return dropped[T]{}
	}
	return o.ports[port].(Receiver[T])
}

// passing returns what hands signals on to all outputs.
func (o Outputs) passing() passing {
	var all allSignals
	for _, r := range o.ports {
		if r != nil {
			all = append(all, r.(signals))
		}
	}
	if len(all) == 1 {
		return passing{all[0]}
	}
	return passing{all}
}

// allSignals gives each signal to several receivers in turn.
type allSignals []signals

func (a allSignals) Watermark(t int64) error {
	for _, s := range a {
		if err := s.Watermark(t); err != nil {
			return err
		}
	}
	return nil
}

func (a allSignals) Idle() error {
	for _, s := range a {
		if err := s.Idle(); err != nil {
			return err
		}
	}
	return nil
}

func (a allSignals) End() error {
	for _, s := range a {
		if err := s.End(); err != nil {
			return err
		}
	}
	return nil
}

// dropped is the end of an output that nobody consumes.
type dropped[T any] struct{}

func (dropped[T]) Push([]T, []int64) error { return nil }
func (dropped[T]) Watermark(int64) error   { return nil }
func (dropped[T]) Idle() error             { return nil }
func (dropped[T]) End() error              { return nil }

// Joiner makes one receiver of several, for the consumers of an output.
type Joiner interface{ Join(receivers []any) any }

// SideOutput is the code of a side output with records of type T.
type SideOutput[T any] struct{}

// Join implements [Joiner].
func (SideOutput[T]) Join(receivers []any) any { return join[T](receivers) }

// ErrCanceled is what a task ends with that was asked to stop.
var ErrCanceled = errors.New("the task was canceled")

// fanOut hands the same records to several receivers in turn. What the values
// refer to is shared between them.
type fanOut[T any] struct {
	passing
	receivers []Receiver[T]
}

func (f *fanOut[T]) Push(values []T, times []int64) error {
	for _, r := range f.receivers {
		if err := r.Push(values, times); err != nil {
			return err
		}
	}
	return nil
}

// join makes one receiver of several. Its types are erased since the graph is.
func join[T any](receivers []any) any {
	if len(receivers) == 1 {
		return receivers[0]
	}
	f := &fanOut[T]{passing: Outputs{ports: receivers}.passing()}
	for _, r := range receivers {
		f.receivers = append(f.receivers, r.(Receiver[T]))
	}
	return f
}
