package codec

import (
	"encoding/binary"
	"fmt"
	"time"
	"unsafe"
)

// stampSize is what the stamp of a value takes in a block, in bytes.
const stampSize = 8

// Flat reports whether an encoding of T has nothing but a head of fixed size and
// texts, so that values lie in blocks. Then HeadSize is more than 0.
func (c *Codec[T]) Flat() bool { return len(c.prog.parts) == 0 && c.prog.head > 0 }

// Block is room that is filled with values and a stamp of eight bytes for each:
// stamps and heads from its front, texts from its back, those of the first value
// last. So heads are where the index says, and one copy serves all texts of many
// values. The zero value has room for nothing.
type Block struct {
	room  []byte
	n     int // values
	heads int // bytes in use at the front
	texts int // where those in use at the back begin
}

// NewBlock returns a block that fills room.
func NewBlock(room []byte) Block { return Block{room: room, texts: len(room)} }

// Empty reports whether nothing was put into the block.
func (b *Block) Empty() bool { return b.n == 0 }

// Len is how many values were put into the block.
func (b *Block) Len() int { return b.n }

// maxGap is how many bytes may be left unused between heads and texts: moving the
// texts costs more than sending them.
const maxGap = 512

// Close ends the block and returns how many bytes of the room it takes: all of
// it, if almost all is used.
func (b *Block) Close() int {
	gap := b.texts - b.heads
	if gap > maxGap {
		copy(b.room[b.heads:], b.room[b.texts:])
		return len(b.room) - gap
	}
	clear(b.room[b.heads:b.texts])
	return len(b.room)
}

// Stride is what a value takes in a block besides its texts.
func (c *Codec[T]) Stride() int { return stampSize + c.prog.head }

// Put adds a value to a block, and reports false if there is no room for it. T
// is flat.
func (c *Codec[T]) Put(b *Block, stamp int64, v *T) bool {
	return c.prog.putFlat(b, stamp, unsafe.Pointer(v))
}

func (p *program) putFlat(b *Block, stamp int64, base unsafe.Pointer) bool {
	texts := 0
	for i := range p.texts {
		texts += len(*(*string)(unsafe.Add(base, p.texts[i].mem)))
	}
	if len(p.times) > 0 {
		texts += p.zones(base)
	}
	stride := stampSize + p.head
	if b.texts-b.heads < stride+texts {
		return false
	}
	b.n++
	b.texts -= texts
	room := unsafe.Pointer(unsafe.SliceData(b.room))
	head := unsafe.Add(room, b.heads)
	b.heads += stride
	binary.LittleEndian.PutUint64((*[stampSize]byte)(head)[:], uint64(stamp))
	at := room // of no text
	if texts > 0 {
		at = unsafe.Add(room, b.texts)
	}
	p.put(unsafe.Add(head, stampSize), at, base)
	return true
}

// BlockReader reads the values of a block.
type BlockReader struct {
	block []byte
	left  int // values that were not read
	head  int // where the next one's begins
	texts int // where the texts of those that were read begin
}

// NewBlockReader begins to read a block of n values of T, which is flat. It
// refers to the block until all of them are read.
func (c *Codec[T]) NewBlockReader(block []byte, n int) (BlockReader, error) {
	if n < 0 || n > len(block)/c.Stride() || n == 0 && len(block) > 0 {
		return BlockReader{}, fmt.Errorf("%w: %d values of at least %d bytes in %d", ErrCorrupt, n, c.Stride(), len(block))
	}
	return BlockReader{block: block, left: n, texts: len(block)}, nil
}

// Left is how many values were not read yet.
func (r *BlockReader) Left() int { return r.left }

// Read reads the next values, as many as there are of both; no more are left.
// All of their strings are parts of one copy, which is made for them. An error
// wraps [ErrCorrupt].
func (c *Codec[T]) Read(r *BlockReader, stamps []int64, values []T) error {
	if len(values) == 0 {
		return nil
	}
	return c.prog.readFlat(r, stamps[:len(values)], unsafe.Pointer(unsafe.SliceData(values)))
}

func (p *program) readFlat(r *BlockReader, stamps []int64, base unsafe.Pointer) error {
	n := len(stamps)
	if n > r.left {
		return fmt.Errorf("%w: %d values are to be read of %d", ErrCorrupt, n, r.left)
	}
	stride := stampSize + p.head
	heads := r.block[r.head : r.head+n*stride]
	first := unsafe.Pointer(unsafe.SliceData(heads))
	for i := range stamps {
		stamps[i] = int64(binary.LittleEndian.Uint64((*[stampSize]byte)(unsafe.Add(first, i*stride))[:]))
	}
	first = unsafe.Add(first, stampSize)
	for _, at := range p.bools {
		for i := range n {
			if b := *(*byte)(unsafe.Add(first, i*stride+at)); b > 1 {
				return fmt.Errorf("%w: value %d of %d: %d for a boolean", ErrCorrupt, i+1, n, b)
			}
		}
	}
	for i := range p.moves {
		p.moves[i].all(base, p.size, first, stride, n)
	}
	if err := p.readTexts(r, first, stride, n, base); err != nil {
		return err
	}
	r.left -= n
	if r.head += n * stride; r.left > 0 {
		return nil
	}
	for _, b := range r.block[r.head:r.texts] {
		if b != 0 {
			return fmt.Errorf("%w: %d bytes between the heads and the texts of a block are not all zero", ErrCorrupt, r.texts-r.head)
		}
	}
	return nil
}

// all copies a run of memory of n values.
func (m *move) all(base unsafe.Pointer, size uintptr, heads unsafe.Pointer, stride, n int) {
	dst, src := unsafe.Add(base, m.mem), unsafe.Add(heads, m.at)
	switch m.n {
	case 8:
		for i := range n {
			*(*[8]byte)(unsafe.Add(dst, uintptr(i)*size)) = *(*[8]byte)(unsafe.Add(src, i*stride))
		}
	case 16:
		for i := range n {
			*(*[16]byte)(unsafe.Add(dst, uintptr(i)*size)) = *(*[16]byte)(unsafe.Add(src, i*stride))
		}
	default:
		for i := range n {
			copy(unsafe.Slice((*byte)(unsafe.Add(dst, uintptr(i)*size)), m.n), unsafe.Slice((*byte)(unsafe.Add(src, i*stride)), m.n))
		}
	}
}

// readTexts reads the texts of the n values whose heads begin at first.
func (p *program) readTexts(r *BlockReader, first unsafe.Pointer, stride, n int, base unsafe.Pointer) error {
	total := 0 // below 2^32 each, of no more than the block has bytes
	for i := range p.texts {
		at := unsafe.Add(first, p.texts[i].at)
		for j := range n {
			total += textLen(unsafe.Add(at, j*stride))
		}
	}
	for i := range p.times {
		at := unsafe.Add(first, p.times[i].at)
		for j := range n {
			total += zoneTextLen(unsafe.Add(at, j*stride))
		}
	}
	if limit := r.texts - (r.head + r.left*stride); total > limit {
		return fmt.Errorf("%w: texts of %d bytes where %d are left", ErrCorrupt, total, limit)
	}
	texts := string(r.block[r.texts-total : r.texts])
	r.texts -= total
	if len(p.texts) == 1 && len(p.times) == 0 {
		head, to := unsafe.Add(first, p.texts[0].at), unsafe.Add(base, p.texts[0].mem)
		for i := range n {
			start := len(texts) - textLen(unsafe.Add(head, i*stride))
			*(*string)(unsafe.Add(to, uintptr(i)*p.size)) = texts[start:]
			texts = texts[:start]
		}
		return nil
	}
	for i := range n {
		rest, err := p.readText(texts, unsafe.Add(first, i*stride), unsafe.Add(base, uintptr(i)*p.size))
		if err != nil {
			return fmt.Errorf("%w: value %d of %d: %w", ErrCorrupt, i+1, n, err)
		}
		texts = rest
	}
	return nil
}

// readText reads the texts of the value with the given head, which end with
// texts, and returns what is before them.
func (p *program) readText(texts string, head, base unsafe.Pointer) (rest string, err error) {
	for i := len(p.times) - 1; i >= 0; i-- {
		at := unsafe.Add(head, p.times[i].at)
		start := len(texts) - zoneTextLen(at)
		if err := getTime(at, texts[start:], (*time.Time)(unsafe.Add(base, p.times[i].mem))); err != nil {
			return "", err
		}
		texts = texts[:start]
	}
	for i := len(p.texts) - 1; i >= 0; i-- {
		t := &p.texts[i]
		start := len(texts) - textLen(unsafe.Add(head, t.at))
		*(*string)(unsafe.Add(base, t.mem)) = texts[start:]
		texts = texts[:start]
	}
	return texts, nil
}
