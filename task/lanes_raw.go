package task

import (
	"unsafe"

	"github.com/weirstream/weir/shuffle"
)

// rawLanes write records without pointers as their memory image. A full buffer
// is [times: cap × 8][values: cap × size]; one that is sent early is closed up
// to the same form with n in place of cap, so that a reader needs to know only
// the number of records.
type rawLanes[T any] struct {
	outlet *outlet
	lanes  []rawLane[T]
	cap    int
	mark   bool
}

// rawLane is a channel's open buffer, seen as the two arrays. Both are empty
// when there is none. The views point outside the heap, so the collector does
// not look behind them.
type rawLane[T any] struct {
	values []T
	times  []int64
	n      int
	buffer *shuffle.Buffer
}

func newRawLanes[T any](o *outlet, mark bool) *rawLanes[T] {
	return &rawLanes[T]{outlet: o, lanes: make([]rawLane[T], o.channels), cap: o.payload / rawSize[T](), mark: mark}
}

func (r *rawLanes[T]) scatter(values []T, times []int64, to []uint32) error {
	times, to = times[:len(values)], to[:len(values)]
	lanes := r.lanes
	for i := range values {
		l := &lanes[to[i]]
		n := l.n
		if n == len(l.values) {
			if err := r.open(int(to[i])); err != nil {
				return err
			}
			n = 0
		}
		l.values[n] = values[i]
		l.times[n] = times[i]
		l.n = n + 1
		if l.n == len(l.values) {
			r.seal(int(to[i]))
		}
	}
	return nil
}

func (r *rawLanes[T]) fill(values []T, times []int64, channel int) error {
	l := &r.lanes[channel]
	for len(values) > 0 {
		if l.n == len(l.values) {
			if err := r.open(channel); err != nil {
				return err
			}
		}
		n := copy(l.values[l.n:], values)
		copy(l.times[l.n:], times[:n])
		l.n += n
		values, times = values[n:], times[n:]
		if l.n == len(l.values) {
			r.seal(channel)
		}
	}
	return nil
}

// open gives a channel a new buffer. The lane is closed: seal left it empty.
func (r *rawLanes[T]) open(channel int) error {
	b, err := r.outlet.request()
	if err != nil {
		return err
	}
	l := &r.lanes[channel]
	l.buffer, l.n = b, 0
	l.times, l.values = rawViews[T](b.Payload(), r.cap)
	return nil
}

func (r *rawLanes[T]) isOpen(channel int) bool { return r.lanes[channel].n > 0 }

func (r *rawLanes[T]) seal(channel int) {
	l := &r.lanes[channel]
	if l.n == 0 {
		return
	}
	b, n := l.buffer, l.n
	if n < r.cap {
		_, closed := rawViews[T](b.Payload(), n)
		copy(closed, l.values[:n])
	}
	b.Records, b.Mark = uint32(n), r.mark
	b.SetLen(n * rawSize[T]())
	*l = rawLane[T]{}
	r.outlet.send(channel, b)
}

func (r *rawLanes[T]) discard() {
	for i := range r.lanes {
		if b := r.lanes[i].buffer; b != nil {
			r.lanes[i] = rawLane[T]{}
			b.Recycle()
		}
	}
}

// rawViews returns the two arrays of n records that payload holds. Payloads
// begin at a multiple of 8, and event times come first, so values are aligned,
// too: no Go type without pointers needs more than 8.
func rawViews[T any](payload []byte, n int) (times []int64, values []T) {
	if n == 0 {
		return nil, nil
	}
	_ = payload[n*rawSize[T]()-1]
	times = unsafe.Slice((*int64)(unsafe.Pointer(&payload[0])), n)
	base := unsafe.Pointer(unsafe.SliceData(payload[8*n:]))
	return times, unsafe.Slice((*T)(base), n)
}

// rawReader reads what rawLanes wrote, as views of the buffer itself.
type rawReader[T any] struct {
	next   Receiver[T]
	values []T
	times  []int64
	at     int
}

func (r *rawReader[T]) take(b *shuffle.Buffer, _ int) error {
	n := int(b.Records)
	if n <= 0 || n > len(b.Bytes()) || n*rawSize[T]() != len(b.Bytes()) {
		return errCorrupt[T](b)
	}
	r.times, r.values = rawViews[T](b.Bytes(), n)
	r.at = 0
	return nil
}

func (r *rawReader[T]) step(limit int) (int, bool, error) {
	n := min(limit, len(r.values)-r.at)
	end := r.at + n
	err := r.next.Push(r.values[r.at:end:end], r.times[r.at:end:end])
	r.at = end
	if end < len(r.values) {
		return n, false, err
	}
	r.values, r.times = nil, nil
	return n, true, err
}
