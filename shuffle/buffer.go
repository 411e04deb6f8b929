package shuffle

import (
	"bytes"
	"math"

	"github.com/weirstream/weir/internal/invariants"
)

// NoWatermark is the watermark of a buffer or delivery that carries none.
const NoWatermark = int64(math.MinInt64)

// Run says what part of a record a buffer holds. A buffer holds whole records,
// unless one is larger than a buffer: then its pieces travel as a run of
// buffers that nothing cuts, no event with priority either.
type Run uint8

// The values of [Buffer.Run].
const (
	RunNone   Run = iota // whole records
	RunFirst             // the first piece of a record; more follow
	RunMiddle            // a piece that is neither the first nor the last
	RunLast              // the last piece
)

// open tells whether a buffer with this flag leaves a run open behind it.
func (r Run) open() bool { return r == RunFirst || r == RunMiddle }

// A Buffer is one segment of network memory on loan from a [Pool]:
//
//	[64 bytes: frame header][payload][64 bytes: the receiver's read-ahead]
//
// It has one owner at a time, who alone may touch it: the one who requested
// or polled it, until he sends or recycles it. Nothing of a buffer may be
// referred to after that; a build with invariants overwrites it.
type Buffer struct {
	// Records is the number of records in the payload.
	Records uint32
	// Watermark is to be applied after the buffer's records, in milliseconds
	// of event time; [NoWatermark] when there is none.
	Watermark int64
	// Run marks the pieces of a record that is larger than a buffer.
	Run Run
	// Mark is the sender's, for the receiver: it tells two kinds of payload apart
	// that share a channel.
	Mark bool

	length  int
	segment []byte
	pool    *Pool
	// channel is the gate's channel that the buffer was received on, whose
	// credit it becomes again when it is recycled. Only gates use it.
	channel int32
	// free guards against recycling twice; it is the pool's, under its lock.
	free bool
}

// Payload is the whole room for records, aligned to 64 bytes.
func (b *Buffer) Payload() []byte {
	end := len(b.segment) - SlackSize
	return b.segment[HeaderSize:end:end]
}

// Cap is the size of the payload in bytes.
func (b *Buffer) Cap() int { return len(b.segment) - HeaderSize - SlackSize }

// Len is the number of bytes of the payload in use.
func (b *Buffer) Len() int { return b.length }

// SetLen sets how many bytes of the payload are in use, from 0 to [Buffer.Cap].
func (b *Buffer) SetLen(n int) {
	if n < 0 || n > b.Cap() {
		panic("shuffle: buffer length out of range")
	}
	b.length = n
}

// Bytes is the part of the payload that is in use.
func (b *Buffer) Bytes() []byte {
	end := HeaderSize + b.length
	return b.segment[HeaderSize:end:end]
}

// Recycle gives the buffer back to its pool. It may be called from any
// goroutine, once.
func (b *Buffer) Recycle() { b.pool.recycle(b) }

// frame is header and payload in use: what is written to a connection.
func (b *Buffer) frame() []byte { return b.segment[:HeaderSize+b.length] }

// released is the pattern that a build with invariants writes over buffers
// that are back in their pool. Segments have a multiple of its length.
var released = [64]byte(bytes.Repeat([]byte{0xDB}, 64))

// home marks the buffer as back in its pool.
func (b *Buffer) home() {
	b.free = true
	if invariants.Enabled {
		for i := 0; i < len(b.segment); i += len(released) {
			copy(b.segment[i:], released[:])
		}
	}
}

// lend makes the buffer ready for its next owner.
func (b *Buffer) lend() {
	b.free = false
	b.Records, b.Watermark, b.Run, b.Mark, b.length = 0, NoWatermark, RunNone, false, 0
	if invariants.Enabled {
		for i := 0; i < len(b.segment); i += len(released) {
			if !bytes.Equal(b.segment[i:i+len(released)], released[:]) {
				invariants.Check(false, "a buffer of pool %q was written to after it was recycled, near byte %d of its payload", b.pool.name, i-HeaderSize)
			}
		}
	}
}
