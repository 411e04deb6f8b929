package generator

import (
	"io"
	"math"
	"time"

	"github.com/weirstream/weir"
)

// pace says when records are due, in time since the reader was opened. The k-th
// record of a split, from 0, is due at offset + k ÷ rate.
type pace struct {
	offset   float64 // ns
	interval float64 // ns between two records of the split
}

func (p pace) due(k int64) time.Duration {
	ns := p.offset + float64(k)*p.interval
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(math.Ceil(ns))
}

// ready returns how many records are due when the reader has been open for
// elapsed.
func (p pace) ready(elapsed time.Duration) int64 {
	if elapsed < p.due(0) {
		return 0
	}
	k := int64(min((float64(elapsed)-p.offset)/p.interval, math.MaxInt64/2)) + 1
	// A division and a multiplication round apart: what due says counts.
	for k > 0 && p.due(k-1) > elapsed {
		k--
	}
	for p.due(k) <= elapsed {
		k++
	}
	return k
}

// waker tells a reader that the time it waits for has come.
type waker interface {
	// C receives a value when the alarm goes off. It is always the same channel.
	C() <-chan struct{}
	// Set makes the alarm go off after d, and not at any time it was set to before.
	Set(d time.Duration) error
	Close() error
}

// pacedReader makes the records of one split as they become due. It implements
// [weir.Reader] and [weir.Notifier].
type pacedReader[T any] struct {
	reader[T]
	pace   pace
	begin  int64 // the index that is due first
	alarm  waker
	opened time.Time
	since  func(time.Time) time.Duration
}

func newPacedReader[T any](r reader[T], alarm waker, opened time.Time, since func(time.Time) time.Duration) weir.Reader[T] {
	perRecord := 1e9 / r.source.rate
	p := pacedReader[T]{
		reader: r,
		pace:   pace{offset: float64(r.stride.first) * perRecord, interval: float64(r.stride.step) * perRecord},
		begin:  r.next,
		alarm:  alarm,
		opened: opened,
		since:  since,
	}
	if r.source.Bounded() {
		return &boundedPacedReader[T]{p}
	}
	return &p
}

// Ready implements [weir.Notifier].
func (r *pacedReader[T]) Ready() <-chan struct{} { return r.alarm.C() }

// Read implements [weir.Reader]. It reads the clock once.
func (r *pacedReader[T]) Read(values []T) (int, error) {
	left := r.left(len(values))
	if left == 0 && len(values) > 0 {
		return 0, io.EOF
	}
	k := (r.next - r.begin) / r.stride.step
	elapsed := r.since(r.opened)
	n := int(min(int64(left), r.pace.ready(elapsed)-k))
	if n == 0 && left > 0 {
		return 0, r.alarm.Set(r.pace.due(k) - elapsed)
	}
	for j := range values[:n] {
		values[j] = r.make(r.next, k)
		r.next += r.stride.step
		k++
	}
	return n, nil
}

func (r *pacedReader[T]) make(i, k int64) T {
	if r.source.paced == nil {
		return r.source.plain(i)
	}
	return r.source.paced(i, r.opened.Add(r.pace.due(k)))
}

// Close implements [weir.Reader].
func (r *pacedReader[T]) Close() error { return r.alarm.Close() }

// boundedPacedReader is a pacedReader of a source with a count.
type boundedPacedReader[T any] struct{ pacedReader[T] }

// Progress implements [weir.Progresser], in records.
func (r *boundedPacedReader[T]) Progress() (done, total uint64) { return r.done() }
