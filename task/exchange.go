package task

import (
	"fmt"
	"unsafe"

	"github.com/weirstream/weir/internal/codec"
	"github.com/weirstream/weir/internal/key"
	"github.com/weirstream/weir/shuffle"
)

// Exchange builds the two ends of an edge between two tasks.
type Exchange interface {
	// Writer returns the Receiver[T] that writes into o's partition.
	Writer(ctx *Context, o *outlet) (receiver any, err error)
	// Reader returns the reader that feeds next, a Receiver[T].
	Reader(ctx *Context, next any) (reader, error)
	// Direct returns the Receiver[T] that hands records to next and signals to to,
	// where both ends of the edge are in one goroutine.
	Direct(next any, to signals) any
}

// reader turns the buffers of an exchange into batches.
type reader interface {
	// take begins with a buffer that came on a channel; the one before is used up.
	// It keeps b until step reports that it is done with it.
	take(b *shuffle.Buffer, channel int) error
	// step pushes up to limit records and reports whether the buffer is used up.
	step(limit int) (n int, done bool, err error)
}

// Records is how records of type T lie in buffers: as their memory image if
// they are free of pointers, encoded otherwise.
type Records[T any] struct {
	codec *codec.Codec[T]
}

// NewRecords compiles how records of type T lie in buffers. The error lists
// what in T cannot be sent.
func NewRecords[T any]() (Records[T], error) {
	c, err := codec.For[T]()
	return Records[T]{codec: c}, err
}

// raw reports whether records are sent as their memory image, in buffers with
// this payload. A record that leaves no room for a second one goes through the
// codec, which cuts it into a run if it must.
func (r Records[T]) raw(payload int) bool {
	return r.codec.Raw() && 2*rawSize[T]() <= payload
}

// rawSize is what a record takes in a buffer of memory images: its event time
// and itself.
func rawSize[T any]() int {
	var v T
	return 8 + int(unsafe.Sizeof(v))
}

// lanes returns the open buffers of o; mark tells them from others that use the
// same channels.
func (r Records[T]) lanes(o *outlet, mark bool) lanes[T] {
	if r.raw(o.payload) {
		return newRawLanes[T](o, mark)
	}
	return newCodecLanes(o, r.codec, mark)
}

func (r Records[T]) reader(next Receiver[T]) reader {
	return &recordReader[T]{
		codec: &codecReader[T]{codec: r.codec, next: next, values: make([]T, BatchSize), times: make([]int64, BatchSize)},
		raw:   &rawReader[T]{next: next}, records: r,
	}
}

// recordReader chooses by the size of the buffer that arrived, as the sender
// did: both ends have segments of the same size.
type recordReader[T any] struct {
	records Records[T]
	raw     *rawReader[T]
	codec   *codecReader[T]
	current reader
}

func (r *recordReader[T]) take(b *shuffle.Buffer, channel int) error {
	if r.current == nil {
		r.current = r.codec
		if r.records.raw(len(b.Payload())) {
			r.current = r.raw
		}
	}
	return r.current.take(b, channel)
}

func (r *recordReader[T]) step(limit int) (int, bool, error) { return r.current.step(limit) }

// lanes are the open buffers of an exchange, one for each channel.
type lanes[T any] interface {
	// scatter writes each value to the channel that to names.
	scatter(values []T, times []int64, to []uint32) error
	// fill writes all values to one channel.
	fill(values []T, times []int64, channel int) error
	// seal sends a channel's open buffer, if there is one.
	seal(channel int)
	// isOpen reports whether a channel has an open buffer.
	isOpen(channel int) bool
	// discard gives the open buffers back unsent, when the task ends too early.
	discard()
}

// HashExchange is an exchange in which a record goes to the subtask that owns
// its key's group.
type HashExchange[K comparable, T any] struct {
	Keys    KeySelector[K, T]
	Records Records[T]
}

// Writer implements [Exchange].
func (x HashExchange[K, T]) Writer(ctx *Context, o *outlet) (any, error) {
	w := &hashWriter[K, T]{keyed: newKeyed(x.Keys), to: make([]uint32, BatchSize)}
	w.writer = newWriter(ctx, o, x.Records.lanes(o, false))
	return w, nil
}

// Reader implements [Exchange].
func (x HashExchange[K, T]) Reader(ctx *Context, next any) (reader, error) {
	return x.Records.reader(next.(Receiver[T])), nil
}

// Direct implements [Exchange].
func (x HashExchange[K, T]) Direct(next any, to signals) any { return x.Records.direct(next, to) }

type hashWriter[K comparable, T any] struct {
	writer[T]
	keyed keyed[K, T]
	to    []uint32
}

func (w *hashWriter[K, T]) Push(values []T, times []int64) error {
	w.count(len(values))
	if w.outlet.channels == 1 {
		return w.lanes.fill(values, times, 0)
	}
	_, hashes := w.keyed.of(values)
	to := w.to[:len(hashes)]
	route(hashes, to, w.outlet.channels)
	return w.lanes.scatter(values, times, to)
}

// route stores the channel of each hash. It is key.Subtask, written out.
func route(hashes []uint64, to []uint32, channels int) {
	p := uint64(channels)
	to = to[:len(hashes)]
	for i, h := range hashes {
		to[i] = uint32((h >> 48) * p >> 16)
	}
}

var _ = key.Subtask // the definition that route repeats

// TurnExchange is an exchange in which records are dealt out in turn, or, from
// subtask i to subtask i, handed straight on.
type TurnExchange[T any] struct{ Records Records[T] }

// Writer implements [Exchange].
func (x TurnExchange[T]) Writer(ctx *Context, o *outlet) (any, error) {
	w := &turnWriter[T]{writer: newWriter(ctx, o, x.Records.lanes(o, false)), to: make([]uint32, BatchSize)}
	w.next = uint32(ctx.Subtask % o.channels)
	return w, nil
}

// Reader implements [Exchange].
func (x TurnExchange[T]) Reader(ctx *Context, next any) (reader, error) {
	return x.Records.reader(next.(Receiver[T])), nil
}

// Direct implements [Exchange].
func (x TurnExchange[T]) Direct(next any, to signals) any { return x.Records.direct(next, to) }

type turnWriter[T any] struct {
	writer[T]
	to   []uint32
	next uint32
}

func (w *turnWriter[T]) Push(values []T, times []int64) error {
	w.count(len(values))
	if w.outlet.channels == 1 {
		return w.lanes.fill(values, times, 0)
	}
	to, next, channels := w.to[:len(values)], w.next, uint32(w.outlet.channels)
	for i := range to {
		to[i] = next
		if next++; next == channels {
			next = 0
		}
	}
	w.next = next
	return w.lanes.scatter(values, times, to)
}

// writer is the end of a chain from which records leave the task.
type writer[T any] struct {
	lanes  lanes[T]
	outlet *outlet
	ctx    *Context
}

func newWriter[T any](ctx *Context, o *outlet, l lanes[T]) writer[T] {
	o.seal, o.open = l.seal, l.isOpen
	ctx.OnClose(func() error { l.discard(); return nil })
	return writer[T]{lanes: l, outlet: o, ctx: ctx}
}

func (w *writer[T]) count(n int) { w.ctx.figures.RecordsOut.Add(uint64(n)) }

// Watermark implements [Receiver]: the watermark travels in the headers of the
// buffers that follow.
func (w *writer[T]) Watermark(t int64) error {
	w.outlet.raise(t)
	return nil
}

// Idle implements [Receiver].
func (w *writer[T]) Idle() error {
	w.outlet.idle()
	return nil
}

// End implements [Receiver].
func (w *writer[T]) End() error {
	w.outlet.end()
	return nil
}

// errCorrupt is what a buffer with an impossible content ends its task with.
func errCorrupt[T any](b *shuffle.Buffer) error {
	var v T
	return fmt.Errorf("a buffer of %d bytes cannot hold %d records of type %T", len(b.Bytes()), b.Records, v)
}
