package task

import (
	"encoding/binary"
	"fmt"
	"reflect"

	"github.com/weirstream/weir/internal/codec"
	"github.com/weirstream/weir/shuffle"
)

// codecLanes write records through their codec: as a block if the codec is flat,
// otherwise [time: 8 bytes][value], one after another. A record that is larger
// than a buffer is a run of buffers of its own, and no block.
type codecLanes[T any] struct {
	outlet *outlet
	codec  *codec.Codec[T]
	lanes  []codecLane
	mark   bool
	flat   bool
	// expect is about the length of recent records, as far as they did not fit;
	// scratch is where those are encoded.
	expect  int
	scratch []byte
}

// codecLane is a channel's open buffer, if there is one. It is filled through
// block, or up to used.
type codecLane struct {
	buffer *shuffle.Buffer
	block  codec.Block
	used   int
}

func (l *codecLane) isOpen() bool { return l.used > 0 || !l.block.Empty() }

func newCodecLanes[T any](o *outlet, c *codec.Codec[T], mark bool) *codecLanes[T] {
	return &codecLanes[T]{outlet: o, codec: c, lanes: make([]codecLane, o.channels), mark: mark, flat: c.Flat()}
}

func (c *codecLanes[T]) scatter(values []T, times []int64, to []uint32) error {
	if c.flat {
		for i := range values {
			if l := &c.lanes[to[i]]; !c.codec.Put(&l.block, times[i], &values[i]) {
				if err := c.putNext(&values[i], times[i], int(to[i])); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for i := range values {
		if err := c.write(&values[i], times[i], int(to[i])); err != nil {
			return err
		}
	}
	return nil
}

func (c *codecLanes[T]) fill(values []T, times []int64, channel int) error {
	if c.flat {
		l := &c.lanes[channel]
		for i := range values {
			if !c.codec.Put(&l.block, times[i], &values[i]) {
				if err := c.putNext(&values[i], times[i], channel); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for i := range values {
		if err := c.write(&values[i], times[i], channel); err != nil {
			return err
		}
	}
	return nil
}

// putNext sends the open buffer, if there is one, and puts a record into the
// next, or into as many as it takes.
func (c *codecLanes[T]) putNext(v *T, time int64, channel int) error {
	c.seal(channel)
	if err := c.open(channel); err != nil {
		return err
	}
	l := &c.lanes[channel]
	l.block = codec.NewBlock(l.buffer.Payload())
	if c.codec.Put(&l.block, time, v) {
		return nil
	}
	l.block = codec.Block{}
	return c.run(c.encode(v, time), channel)
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
	record := c.encode(v, time)
	// A long one is forgotten after many short ones.
	c.expect = max(len(record), c.expect-c.expect/256)
	if len(record) > cap(room) {
		return c.writeNext(record, channel)
	}
	copy(room[:len(record)], record)
	c.wrote(channel, len(record))
	return nil
}

// encode encodes into scratch space, which is good until it is called again.
func (c *codecLanes[T]) encode(v *T, time int64) []byte {
	record := c.codec.Append(binary.LittleEndian.AppendUint64(c.scratch[:0], uint64(time)), v)
	c.scratch = record
	if cap(record) > maxScratch {
		c.scratch = nil
	}
	return record
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

func (c *codecLanes[T]) isOpen(channel int) bool { return c.lanes[channel].isOpen() }

func (c *codecLanes[T]) seal(channel int) {
	l := &c.lanes[channel]
	if l.buffer == nil || !l.isOpen() {
		return
	}
	b := l.buffer
	if !l.block.Empty() {
		b.Records = uint32(l.block.Len())
		l.used = l.block.Close()
	}
	b.SetLen(l.used)
	b.Mark = c.mark
	*l = codecLane{}
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

// codecReader decodes what codecLanes wrote. Strings are parts of a copy on the
// heap, one for all of a batch's or of a buffer's, so user code may keep them.
type codecReader[T any] struct {
	codec  *codec.Codec[T]
	next   Receiver[T]
	values []T
	times  []int64

	block codec.BlockReader // of the buffer, or
	src   string            // what is left of a copy of it
	left  int               // records in block or src
	// runs are the parts so far of records larger than a buffer, by channel: the
	// buffers of different channels come between each other's.
	runs map[int][]byte
}

func (r *codecReader[T]) take(b *shuffle.Buffer, channel int) (err error) {
	r.left, r.src, r.block = int(b.Records), "", codec.BlockReader{}
	switch {
	case b.Run == shuffle.RunNone && r.codec.Flat():
		if r.block, err = r.codec.NewBlockReader(b.Bytes(), r.left); err != nil {
			return r.corrupt(err)
		}
		return nil
	case b.Run == shuffle.RunNone:
		r.src = string(b.Bytes())
		return nil
	}
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
	if err := r.decode(r.values[:n], r.times[:n]); err != nil {
		return 0, true, err
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
	return n, true, nil
}

// decode reads the next records of the buffer.
func (r *codecReader[T]) decode(values []T, times []int64) error {
	if r.block.Left() > 0 {
		if err := r.codec.Read(&r.block, times, values); err != nil {
			return r.corrupt(err)
		}
		return nil
	}
	for i := range values {
		if len(r.src) < 8 {
			return fmt.Errorf("a buffer ends %d records too early", r.left-i)
		}
		times[i] = int64(le64(r.src))
		used, err := r.codec.Decode(r.src[8:], &values[i])
		if err != nil {
			return r.corrupt(err)
		}
		r.src = r.src[8+used:]
	}
	return nil
}

func (r *codecReader[T]) corrupt(err error) error {
	return fmt.Errorf("record %v cannot be decoded: %w", reflect.TypeFor[T](), err)
}

func le64(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
