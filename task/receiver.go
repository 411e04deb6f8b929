package task

import (
	"errors"
	"math"
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

	// End says that nothing will follow. Watermark(MaxTime) came before.
	End() error
}

// ErrCanceled is what a task ends with that was asked to stop.
var ErrCanceled = errors.New("the task was canceled")

// fanOut hands the same records to several receivers in turn. What the values
// refer to is shared between them.
type fanOut[T any] struct{ receivers []Receiver[T] }

func (f *fanOut[T]) Push(values []T, times []int64) error {
	for _, r := range f.receivers {
		if err := r.Push(values, times); err != nil {
			return err
		}
	}
	return nil
}

func (f *fanOut[T]) Watermark(t int64) error {
	for _, r := range f.receivers {
		if err := r.Watermark(t); err != nil {
			return err
		}
	}
	return nil
}

func (f *fanOut[T]) End() error {
	for _, r := range f.receivers {
		if err := r.End(); err != nil {
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
	f := &fanOut[T]{}
	for _, r := range receivers {
		f.receivers = append(f.receivers, r.(Receiver[T]))
	}
	return f
}
