package task

import (
	"encoding/binary"
	"fmt"

	"github.com/weirstream/weir/internal/codec"
	"github.com/weirstream/weir/shuffle"
)

// codecLanes write records through their codec: [time: 8 bytes][value], one
// after another. A record that is larger than a buffer is a run of buffers of
// its own.
type codecLanes[T any] struct {
	outlet *outlet
	codec  *codec.Codec[T]
	lanes  []codecLane
	mark   bool
	// expect is about the length of recent records, as far as they did not fit;
	// scratch is where those are encoded.
	expect  int
	scratch []byte
}

type codecLane struct {
	buffer *shuffle.Buffer
	used   int
}

func newCodecLanes[T any](o *outlet, c *codec.Codec[T], mark bool) *codecLanes[T] {
	return &codecLanes[T]{outlet: o, codec: c, lanes: make([]codecLane, o.channels), mark: mark}
}

func (c *codecLanes[T]) scatter(values []T, times []int64, to []uint32) error {
	for i := range values {
		if err := c.write(&values[i], times[i], int(to[i])); err != nil {
			return err
		}
	}
	return nil
}

func (c *codecLanes[T]) fill(values []T, times []int64, channel int) error {
	for i := range values {
		if err := c.write(&values[i], times[i], channel); err != nil {
			return err
		}
	}
	return nil
}

// write encodes straight into the open buffer, if a record as long as the recent
// ones fits there. Near a buffer's end it encodes beside it first.
func (c *codecLanes[T]) write(v *T, time int64, channel int) error {
	l := &c.lanes[channel]
	if l.buffer == nil {
		if err := c.open(channel); err != nil {
			return err
		}
	}
	payload := l.buffer.Payload()
	room := payload[l.used:l.used:len(payload)]
	if cap(room) < c.expect {
		return c.writeBeside(v, time, channel, room)
	}
	record := c.codec.Append(binary.LittleEndian.AppendUint64(room, uint64(time)), v)
	if len(record) > cap(room) { // appending has moved it to the heap
		c.expect = len(record)
		return c.writeNext(record, channel)
	}
	c.wrote(channel, len(record))
	return nil
}

// writeBeside encodes into scratch space and copies.
func (c *codecLanes[T]) writeBeside(v *T, time int64, channel int, room []byte) error {
	record := c.codec.Append(binary.LittleEndian.AppendUint64(c.scratch[:0], uint64(time)), v)
	c.scratch = record
	if cap(record) > maxScratch {
		c.scratch = nil
	}
	// A long one is forgotten after many short ones.
	c.expect = max(len(record), c.expect-c.expect/256)
	if len(record) > cap(room) {
		return c.writeNext(record, channel)
	}
	copy(room[:len(record)], record)
	c.wrote(channel, len(record))
	return nil
}

// maxScratch bounds the scratch space that is kept, in bytes.
const maxScratch = 1 << 20

// wrote accounts for a record of n bytes in the open buffer.
func (c *codecLanes[T]) wrote(channel, n int) {
	l := &c.lanes[channel]
	l.used += n
	l.buffer.Records++
	if l.used == l.buffer.Cap() {
		c.seal(channel)
	}
}

// writeNext sends the open buffer and writes a record into the next, or into as
// many as it takes.
func (c *codecLanes[T]) writeNext(record []byte, channel int) error {
	c.seal(channel)
	if err := c.open(channel); err != nil {
		return err
	}
	b := c.lanes[channel].buffer
	if len(record) > b.Cap() {
		return c.run(record, channel)
	}
	copy(b.Payload(), record)
	c.wrote(channel, len(record))
	return nil
}

// run sends a record that is larger than a buffer.
func (c *codecLanes[T]) run(record []byte, channel int) error {
	if len(record) > MaxRecord {
		return fmt.Errorf("a record of %d bytes: the largest that can be sent is %d", len(record), MaxRecord)
	}
	for part := shuffle.RunFirst; len(record) > 0; part = shuffle.RunMiddle {
		if err := c.open(channel); err != nil {
			return err
		}
		l := &c.lanes[channel]
		n := copy(l.buffer.Payload(), record)
		record = record[n:]
		if len(record) == 0 {
			part = shuffle.RunLast
			l.buffer.Records = 1
		}
		l.buffer.Run = part
		l.used = n
		c.seal(channel)
	}
	return nil
}

// MaxRecord bounds the encoded size of a record, in bytes.
const MaxRecord = 256 << 20

func (c *codecLanes[T]) open(channel int) error {
	l := &c.lanes[channel]
	if l.buffer != nil {
		return nil
	}
	b, err := c.outlet.request()
	if err != nil {
		return err
	}
	l.buffer, l.used = b, 0
	return nil
}

func (c *codecLanes[T]) isOpen(channel int) bool { return c.lanes[channel].used > 0 }

func (c *codecLanes[T]) seal(channel int) {
	l := &c.lanes[channel]
	if l.buffer == nil || l.used == 0 {
		return
	}
	b := l.buffer
	b.SetLen(l.used)
	b.Mark = c.mark
	l.buffer, l.used = nil, 0
	c.outlet.send(channel, b)
}

func (c *codecLanes[T]) discard() {
	for i := range c.lanes {
		if b := c.lanes[i].buffer; b != nil {
			c.lanes[i] = codecLane{}
			b.Recycle()
		}
	}
}

// codecReader decodes what codecLanes wrote. All strings of a buffer share one
// copy of it on the heap, so user code may keep them.
type codecReader[T any] struct {
	codec  *codec.Codec[T]
	next   Receiver[T]
	values []T
	times  []int64

	src  string // what is left of the buffer
	left int    // records in src
	// runs are the parts so far of records larger than a buffer, by channel: the
	// buffers of different channels come between each other's.
	runs map[int][]byte
}

func (r *codecReader[T]) take(b *shuffle.Buffer, channel int) error {
	r.left = int(b.Records)
	if b.Run == shuffle.RunNone {
		r.src = string(b.Bytes())
		return nil
	}
	r.src = ""
	if r.runs == nil {
		r.runs = map[int][]byte{}
	}
	run := append(r.runs[channel], b.Bytes()...)
	if len(run) > MaxRecord {
		return fmt.Errorf("a record of more than %d bytes arrived", MaxRecord)
	}
	if b.Run != shuffle.RunLast {
		r.runs[channel] = run
		return nil
	}
	delete(r.runs, channel)
	r.src = string(run)
	return nil
}

func (r *codecReader[T]) step(limit int) (int, bool, error) {
	n := min(limit, r.left, BatchSize)
	clear(r.values[:n])
	for i := range n {
		if len(r.src) < 8 {
			return 0, true, fmt.Errorf("a buffer ends %d records too early", r.left-i)
		}
		r.times[i] = int64(le64(r.src))
		used, err := r.codec.Decode(r.src[8:], &r.values[i])
		if err != nil {
			return 0, true, fmt.Errorf("record %T cannot be decoded: %w", r.values[i], err)
		}
		r.src = r.src[8+used:]
	}
	r.left -= n
	if n > 0 {
		if err := r.next.Push(r.values[:n], r.times[:n]); err != nil {
			return n, true, err
		}
	}
	if r.left > 0 {
		return n, false, nil
	}
	if len(r.src) > 0 {
		return n, true, fmt.Errorf("%d bytes follow the last record of a buffer", len(r.src))
	}
	r.src = ""
	return n, true, nil
}

func le64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
