package generator

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"time"

	"github.com/weirstream/weir"
)

// Generator is a source of records that are computed. Make one with [Of] or
// [Paced]. It may be used concurrently.
type Generator[T any] struct {
	count int64
	rate  float64 // records per second over all splits; 0 is as many as are taken
	plain func(i int64) T
	paced func(i int64, due time.Time) T
	err   error
}

// Of returns a source of the records f(0), f(1), … f(count-1), or of records
// without end if count is negative. It has no rate unless [Generator.Rate] gives
// it one. The subtasks call f concurrently. f is not called twice for an index,
// unless the job goes on from an earlier point after a failure.
func Of[T any](count int64, f func(i int64) T) Generator[T] {
	g := Generator[T]{count: count, plain: f}
	if f == nil {
		g.err = errors.New("the function is nil")
	}
	return g
}

// Paced returns a source like [Of] with a rate, in records per second over all
// subtasks, whose function is told when the record was due. With that a job's
// latency is measured from the intended time on, so that a source that is held
// back does not hide it. due has a monotonic clock reading.
func Paced[T any](count int64, rate float64, f func(i int64, due time.Time) T) Generator[T] {
	g := Generator[T]{count: count, paced: f}
	if f == nil {
		g.err = errors.New("the function is nil")
	}
	return g.Rate(rate)
}

// The rates for which due times are exact to the nanosecond.
const (
	minRate = 1e-9
	maxRate = 1e9
)

// Rate returns the source with a rate, in records per second over all subtasks,
// between 1e-9 and 1e9.
func (g Generator[T]) Rate(perSecond float64) Generator[T] {
	if !(perSecond >= minRate && perSecond <= maxRate) { // NaN is neither
		g.err = errors.Join(g.err, fmt.Errorf("the rate is %v records per second; it is between %v and %v", perSecond, minRate, maxRate))
	}
	g.rate = perSecond
	return g
}

// Validate implements [weir.Validator]: it returns what is wrong with the
// function and the rate.
func (g Generator[T]) Validate() error {
	if g.err != nil {
		return fmt.Errorf("a generator of %v: %w", reflect.TypeFor[T](), g.err)
	}
	return nil
}

// Bounded implements [weir.Source]: it reports whether there is a count.
func (g Generator[T]) Bounded() bool { return g.count >= 0 }

// Splits implements [weir.Source]: one for each subtask.
func (g Generator[T]) Splits(_ context.Context, parallelism int) ([]weir.Split, error) {
	if err := g.Validate(); err != nil {
		return nil, err
	}
	splits := make([]weir.Split, parallelism)
	for s := range splits {
		splits[s] = stride{int64(s), int64(parallelism)}.split()
	}
	return splits, nil
}

// Open implements [weir.Source].
func (g Generator[T]) Open(_ context.Context, split weir.Split, at []byte) (weir.Reader[T], error) {
	if err := g.Validate(); err != nil {
		return nil, err
	}
	s, err := decodeStride(split.Data)
	if err != nil {
		return nil, fmt.Errorf("generator split %q: %w", split.ID, err)
	}
	r := reader[T]{source: g, stride: s, next: s.first}
	if at != nil {
		if r.next, err = s.decodePosition(at); err != nil {
			return nil, fmt.Errorf("generator split %q: %w", split.ID, err)
		}
	}
	if g.rate > 0 {
		alarm, err := newAlarm()
		if err != nil {
			return nil, fmt.Errorf("generator split %q: %w", split.ID, err)
		}
		return newPacedReader(r, alarm, time.Now(), time.Since), nil
	}
	if g.Bounded() {
		return &boundedReader[T]{r}, nil
	}
	return &r, nil
}

// stride is what a split covers: first, first + step, and so on.
type stride struct{ first, step int64 }

// split writes a stride as a split: its two numbers, eight bytes each.
func (s stride) split() weir.Split {
	data := binary.BigEndian.AppendUint64(nil, uint64(s.first))
	data = binary.BigEndian.AppendUint64(data, uint64(s.step))
	return weir.Split{ID: fmt.Sprintf("%d/%d", s.first+1, s.step), Data: data}
}

func decodeStride(data []byte) (stride, error) {
	if len(data) == 16 {
		s := stride{int64(binary.BigEndian.Uint64(data)), int64(binary.BigEndian.Uint64(data[8:]))}
		if s.first >= 0 && s.first < s.step && s.step <= math.MaxInt32 {
			return s, nil
		}
	}
	return stride{}, fmt.Errorf("%d bytes that are not a generator's split: % .32x", len(data), data)
}

// decodePosition reads the next index, written in eight bytes.
func (s stride) decodePosition(at []byte) (next int64, err error) {
	if len(at) == 8 {
		next = int64(binary.BigEndian.Uint64(at))
		if next >= s.first && (next-s.first)%s.step == 0 {
			return next, nil
		}
	}
	return 0, fmt.Errorf("%d bytes that are not a position in it: % .32x", len(at), at)
}

// reader makes the records of one split. It implements [weir.Reader] for a
// source that has neither a count nor a rate.
type reader[T any] struct {
	source Generator[T]
	stride stride
	next   int64 // the index of the next record
}

// left returns how many records there are still to be made, at most most.
func (r *reader[T]) left(most int) int {
	if r.source.count < 0 {
		return most
	}
	if r.next >= r.source.count {
		return 0
	}
	return int(min(int64(most), (r.source.count-r.next-1)/r.stride.step+1))
}

// Read implements [weir.Reader].
func (r *reader[T]) Read(values []T) (int, error) {
	n := r.left(len(values))
	i := r.next
	for k := range values[:n] {
		values[k] = r.source.plain(i)
		i += r.stride.step
	}
	r.next = i
	if n == 0 && len(values) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Position implements [weir.Reader].
func (r *reader[T]) Position() ([]byte, error) {
	return binary.BigEndian.AppendUint64(nil, uint64(r.next)), nil
}

// Close implements [weir.Reader].
func (r *reader[T]) Close() error { return nil }

// done returns how many of its records the split has made, and how many it has.
func (r *reader[T]) done() (done, total uint64) {
	if r.source.count > r.stride.first {
		total = uint64((r.source.count-r.stride.first-1)/r.stride.step + 1)
	}
	return uint64((r.next - r.stride.first) / r.stride.step), total
}

// boundedReader is a reader of a source with a count.
type boundedReader[T any] struct{ reader[T] }

// Progress implements [weir.Progresser], in records.
func (r *boundedReader[T]) Progress() (done, total uint64) { return r.done() }
