package weirtest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/weirstream/weir"
)

// RunJob runs a bounded job in this process and returns when it has ended. What goes
// wrong ends the test. Options are those of [weir.Run]; without one that says
// otherwise the job has the parallelism 2.
func RunJob(t testing.TB, build func(*weir.Env), options ...weir.RunOption) {
	t.Helper()
	if err := TryJob(t, build, options...); err != nil {
		t.Fatal(err)
	}
}

// TryJob is RunJob for a job that may fail: it returns why.
func TryJob(t testing.TB, build func(*weir.Env), options ...weir.RunOption) error {
	t.Helper()
	options = append([]weir.RunOption{weir.WithoutWarnings(), weir.Setting("parallelism.default", "2")}, options...)
	return weir.Run(t.Context(), t.Name(), build, options...)
}

// Parallelism is the option of [RunJob] that sets the job's parallelism.
func Parallelism(n int) weir.RunOption {
	return weir.Setting("parallelism.default", strconv.Itoa(n))
}

// Values returns a bounded source of these records, which are read in order.
func Values[T any](values ...T) weir.Source[T] { return Splits(values) }

// Splits returns a bounded source of several parts, which subtasks read side by
// side, each in order.
func Splits[T any](splits ...[]T) weir.Source[T] { return valueSource[T]{splits} }

type valueSource[T any] struct{ splits [][]T }

// Splits implements [weir.Source].
func (s valueSource[T]) Splits(context.Context, int) ([]weir.Split, error) {
	splits := make([]weir.Split, len(s.splits))
	for i := range splits {
		splits[i].ID = strconv.Itoa(i)
	}
	return splits, nil
}

// Open implements [weir.Source].
func (s valueSource[T]) Open(_ context.Context, split weir.Split, position []byte) (weir.Reader[T], error) {
	i, err := strconv.Atoi(split.ID)
	if err != nil || i < 0 || i >= len(s.splits) {
		return nil, fmt.Errorf("there is no split %q", split.ID)
	}
	r := &valueReader[T]{values: s.splits[i]}
	if position != nil {
		if r.next, err = strconv.Atoi(string(position)); err != nil || r.next < 0 || r.next > len(r.values) {
			return nil, fmt.Errorf("split %q of %d records has no position %q", split.ID, len(r.values), position)
		}
	}
	return r, nil
}

// Bounded implements [weir.Source].
func (s valueSource[T]) Bounded() bool { return true }

type valueReader[T any] struct {
	values []T
	next   int
}

func (r *valueReader[T]) Read(values []T) (int, error) {
	n := copy(values, r.values[r.next:])
	if r.next += n; r.next == len(r.values) {
		return n, io.EOF
	}
	return n, nil
}

func (r *valueReader[T]) Position() ([]byte, error) {
	return strconv.AppendInt(nil, int64(r.next), 10), nil
}

func (r *valueReader[T]) Progress() (done, total uint64) {
	return uint64(r.next), uint64(len(r.values))
}

func (r *valueReader[T]) Close() error { return nil }

// Collector is a sink that keeps what comes to it. It may be read at any time, also
// by other goroutines.
type Collector[T any] struct {
	mu     sync.Mutex
	values map[int][]T
}

// Values returns all that came so far: subtask by subtask, in the order of each.
func (c *Collector[T]) Values() []T {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []T
	for _, s := range c.subtasksLocked() {
		all = append(all, c.values[s]...)
	}
	return all
}

// Subtask returns what came to one subtask of the sink.
func (c *Collector[T]) Subtask(index int) []T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.values[index])
}

func (c *Collector[T]) subtasksLocked() []int {
	var subtasks []int
	for s := range c.values {
		subtasks = append(subtasks, s)
	}
	slices.Sort(subtasks)
	return subtasks
}

// Open implements [weir.Sink].
func (c *Collector[T]) Open(_ context.Context, s weir.Subtask) (weir.Writer[T], error) {
	return collectorWriter[T]{c, s.Index}, nil
}

type collectorWriter[T any] struct {
	collector *Collector[T]
	subtask   int
}

func (w collectorWriter[T]) Write(values []T) error {
	c := w.collector
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil {
		c.values = map[int][]T{}
	}
	c.values[w.subtask] = append(c.values[w.subtask], values...)
	return nil
}

func (w collectorWriter[T]) Flush() error { return nil }
func (w collectorWriter[T]) Close() error { return nil }
