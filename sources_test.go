package weir_test

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/weirstream/weir"
)

// lists is a bounded source with a split for each list.
type lists[T any] struct {
	splits [][]T
	// atMost is how many records one Read gives; 0 is as many as are asked for.
	atMost int
}

func listOf[T any](values ...T) lists[T] { return lists[T]{splits: [][]T{values}} }

func numbersTo(n int) lists[int] {
	values := make([]int, n)
	for i := range values {
		values[i] = i
	}
	return listOf(values...)
}

// dealt is values in n splits, of which some may be empty.
func dealt[T any](values []T, n int) lists[T] {
	splits := make([][]T, n)
	for i, v := range values {
		splits[i%n] = append(splits[i%n], v)
	}
	return lists[T]{splits: splits}
}

func (l lists[T]) Bounded() bool { return true }

func (l lists[T]) Splits(context.Context, int) ([]weir.Split, error) {
	splits := make([]weir.Split, len(l.splits))
	for i := range splits {
		splits[i].ID = fmt.Sprint(i)
	}
	return splits, nil
}

func (l lists[T]) Open(_ context.Context, s weir.Split, _ []byte) (weir.Reader[T], error) {
	i, err := strconv.Atoi(s.ID)
	if err != nil {
		return nil, err
	}
	return &listReader[T]{rest: l.splits[i], atMost: l.atMost}, nil
}

type listReader[T any] struct {
	rest   []T
	atMost int
}

func (r *listReader[T]) Read(values []T) (int, error) {
	if r.atMost > 0 {
		values = values[:min(r.atMost, len(values))]
	}
	n := copy(values, r.rest)
	r.rest = r.rest[n:]
	if len(r.rest) == 0 {
		return n, io.EOF
	}
	return n, nil
}
func (r *listReader[T]) Position() ([]byte, error) { return nil, nil }
func (r *listReader[T]) Close() error              { return nil }

// feed is a source with one split, whose records a test gives while the job
// runs, and with others that have nothing. It is unbounded unless it ends.
type feed[T any] struct {
	idle int
	ends bool

	ready chan struct{}
	mu    sync.Mutex
	rest  []T
	ended bool
}

func newFeed[T any]() *feed[T] { return &feed[T]{ready: make(chan struct{}, 1)} }

func (f *feed[T]) send(values ...T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rest = append(f.rest, values...)
	f.signalLocked()
}

// end ends the split.
func (f *feed[T]) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	f.signalLocked()
}

func (f *feed[T]) signalLocked() {
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

func (f *feed[T]) Bounded() bool { return f.ends }

func (f *feed[T]) Splits(context.Context, int) ([]weir.Split, error) {
	splits := []weir.Split{{ID: "values"}}
	for i := range f.idle {
		splits = append(splits, weir.Split{ID: fmt.Sprint("idle ", i)})
	}
	return splits, nil
}

func (f *feed[T]) Open(_ context.Context, s weir.Split, _ []byte) (weir.Reader[T], error) {
	if s.ID != "values" {
		f = newFeed[T]()
	}
	return feedReader[T]{f}, nil
}

type feedReader[T any] struct{ f *feed[T] }

func (r feedReader[T]) Read(values []T) (int, error) {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	n := copy(values, r.f.rest)
	r.f.rest = r.f.rest[n:]
	if r.f.ended && len(r.f.rest) == 0 {
		return n, io.EOF
	}
	return n, nil
}
func (r feedReader[T]) Ready() <-chan struct{}    { return r.f.ready }
func (r feedReader[T]) Position() ([]byte, error) { return nil, nil }
func (r feedReader[T]) Close() error              { return nil }

// collect is a sink that keeps everything.
type collect[T any] struct {
	mu   sync.Mutex
	rows []T
	// by has the rows of each subtask.
	by map[int][]T
}

func (c *collect[T]) Open(_ context.Context, s weir.Subtask) (weir.Writer[T], error) {
	return &collectWriter[T]{c: c, subtask: s.Index}, nil
}

type collectWriter[T any] struct {
	c       *collect[T]
	subtask int
}

func (w *collectWriter[T]) Write(values []T) error {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	w.c.rows = append(w.c.rows, values...)
	if w.c.by == nil {
		w.c.by = map[int][]T{}
	}
	w.c.by[w.subtask] = append(w.c.by[w.subtask], values...)
	return nil
}
func (w *collectWriter[T]) Flush() error { return nil }
func (w *collectWriter[T]) Close() error { return nil }
