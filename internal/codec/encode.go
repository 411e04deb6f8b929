package codec

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"unsafe"
)

// maxDepth is how deep slices, maps and pointers may nest in a value.
const maxDepth = 10_000

// slice is the memory of any slice.
type slice struct {
	data unsafe.Pointer
	len  int
	cap  int
}

// append appends the encoding of the value at base.
func (p *program) append(dst []byte, base unsafe.Pointer, depth int) []byte {
	if n := p.room(base); n > 0 {
		start := len(dst)
		dst = slices.Grow(dst, n)[:start+n]
		head := unsafe.Pointer(&dst[start])
		texts := head
		if n > p.head {
			texts = unsafe.Add(head, p.head)
		}
		p.put(head, texts, base)
	}
	for i := range p.parts {
		s := &p.parts[i]
		dst = s.append(dst, unsafe.Add(base, s.off), depth)
	}
	return dst
}

// append appends a value that is of no fixed size.
func (s *part) append(dst []byte, at unsafe.Pointer, depth int) []byte {
	if depth > maxDepth {
		panic(fmt.Errorf("%w: %s: it is nested deeper than %d; is it cyclic?", ErrEncode, s.path, maxDepth))
	}
	switch s.code {
	case opBytes:
		v := *(*[]byte)(at)
		return append(appendLen(dst, len(v), v == nil), v...)
	case opStrings:
		v := *(*[]string)(at)
		dst = appendLen(dst, len(v), v == nil)
		for _, e := range v {
			dst = appendString(dst, e)
		}
	case opImages:
		v := (*slice)(at)
		dst = appendLen(dst, v.len, v.data == nil)
		if v.len > 0 {
			dst = append(dst, unsafe.Slice((*byte)(v.data), uintptr(v.len)*s.sub.size)...)
		}
	case opSlice, opPlainSlice:
		v := (*slice)(at)
		dst = appendLen(dst, v.len, v.data == nil)
		dst = s.sub.appendAll(dst, v.data, v.len, depth+1)
	case opArray:
		dst = s.sub.appendAll(dst, at, s.n, depth+1)
	case opPointer:
		v := *(*unsafe.Pointer)(at)
		if v == nil {
			return append(dst, 0)
		}
		dst = s.sub.append(append(dst, 1), v, depth+1)
	case opMap:
		dst = s.maps.append(dst, at, depth+1)
	case opInterface:
		dst = s.appendInterface(dst, at, depth+1)
	case opOwn:
		dst = s.appendOwn(dst, at)
	}
	return dst
}

// appendAll appends the n elements that begin at p.
func (p *program) appendAll(dst []byte, at unsafe.Pointer, n, depth int) []byte {
	if p.min == 0 {
		return dst
	}
	for i := range n {
		dst = p.append(dst, unsafe.Add(at, uintptr(i)*p.size), depth)
	}
	return dst
}

func appendUint(dst []byte, v uint64) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

func appendString(dst []byte, v string) []byte {
	return append(appendUint(dst, uint64(len(v))), v...)
}

// appendLen appends the length of a slice or map, apart from nil.
func appendLen(dst []byte, n int, isNil bool) []byte {
	if isNil {
		return append(dst, 0)
	}
	return appendUint(dst, uint64(n)+1)
}

// appendOwn appends what a value says of itself, after its length. Most lengths
// fit the byte that is left for them; else the value moves up.
func (s *part) appendOwn(dst []byte, at unsafe.Pointer) []byte {
	start := len(dst)
	dst, err := s.own.append(append(dst, 0), at)
	if err != nil {
		panic(fmt.Errorf("%w: %s (%v): %w", ErrEncode, s.path, s.typ, err))
	}
	n := len(dst) - start - 1
	if n < 0 {
		panic(fmt.Errorf("%w: %s (%v): its codec returned less than it was to append to", ErrEncode, s.path, s.typ))
	}
	if n < 0x80 {
		dst[start] = byte(n)
		return dst
	}
	var room [binary.MaxVarintLen64]byte
	more := (bits.Len64(uint64(n))+6)/7 - 1
	dst = append(dst, room[:more]...)
	copy(dst[start+1+more:], dst[start+1:])
	binary.PutUvarint(dst[start:], uint64(n))
	return dst
}
