package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"sync"
	"unsafe"
)

// decode reads the value at src[pos:] into base, and returns the position after
// it.
func (p *program) decode(src string, pos int, base unsafe.Pointer, depth int) (int, error) {
	pos, err := p.decodeHead(src, pos, base)
	if err != nil {
		return 0, err
	}
	for i := range p.parts {
		s := &p.parts[i]
		if pos, err = s.decode(src, pos, unsafe.Add(base, s.off), depth); err != nil {
			return 0, err
		}
	}
	return pos, nil
}

// bytesOf returns the bytes of s, which must not be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// decode reads a value that is of no fixed size.
func (s *part) decode(src string, pos int, at unsafe.Pointer, depth int) (int, error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("%w: at byte %d: %s is nested deeper than %d", ErrCorrupt, pos, s.path, maxDepth)
	}
	switch s.code {
	case opArray:
		return s.sub.decodeAll(src, pos, at, s.n, depth+1)
	case opPointer:
		return s.decodePointer(src, pos, at, depth+1)
	case opMap:
		return s.maps.decode(src, pos, at, depth+1)
	case opInterface:
		return s.decodeInterface(src, pos, at, depth+1)
	case opOwn:
		return s.decodeOwn(src, pos, at)
	default: // the others begin with a length
	}
	least := 1
	if s.sub != nil {
		least = s.sub.min
	}
	n, pos, err := decodeLen(src, pos, least)
	if err != nil {
		return 0, err
	}
	switch s.code {
	case opBytes:
		var v []byte
		if n >= 0 {
			v = make([]byte, n)
			pos += copy(v, src[pos:])
		}
		*(*[]byte)(at) = v
		return pos, nil
	case opStrings:
		return decodeStrings(src, pos, n, (*[]string)(at))
	default:
		return s.decodeSlice(src, pos, n, (*slice)(at), depth)
	}
}

func decodeStrings(src string, pos, n int, at *[]string) (int, error) {
	if n < 0 {
		*at = nil
		return pos, nil
	}
	v := make([]string, n)
	*at = v
	var err error
	for i := range v {
		if pos, err = decodeString(src, pos, &v[i]); err != nil {
			return 0, err
		}
	}
	return pos, nil
}

// empty is what empty slices of any type point to.
var empty [1]uint64

func (s *part) decodeSlice(src string, pos, n int, at *slice, depth int) (int, error) {
	size := s.sub.size
	switch {
	case n < 0:
		*at = slice{}
		return pos, nil
	case n == 0 || size == 0:
		*at = slice{unsafe.Pointer(&empty), n, n}
		return pos, nil
	case s.code == opSlice:
		*at = slice{}
		v := reflect.NewAt(s.typ, unsafe.Pointer(at)).Elem()
		v.Grow(n)
		v.SetLen(n)
		return s.sub.decodeAll(src, pos, at.data, n, depth+1)
	}
	words := make([]uint64, (uintptr(n)*size+7)/8) // which are aligned for everything
	*at = slice{unsafe.Pointer(unsafe.SliceData(words)), n, n}
	if s.code == opImages {
		return pos + copy(unsafe.Slice((*byte)(at.data), uintptr(n)*size), src[pos:]), nil
	}
	return s.sub.decodeAll(src, pos, at.data, n, depth+1)
}

// decodeAll reads the n elements that begin at p.
func (p *program) decodeAll(src string, pos int, at unsafe.Pointer, n, depth int) (int, error) {
	var err error
	for i := range n {
		if pos, err = p.decode(src, pos, unsafe.Add(at, uintptr(i)*p.size), depth); err != nil {
			return 0, err
		}
	}
	return pos, nil
}

func (s *part) decodePointer(src string, pos int, at unsafe.Pointer, depth int) (int, error) {
	if pos >= len(src) {
		return 0, short(src, pos, 1)
	}
	switch src[pos] {
	case 0:
		*(*unsafe.Pointer)(at) = nil
		return pos + 1, nil
	case 1:
		if pos++; len(src)-pos < s.sub.min {
			return 0, short(src, pos, uint64(s.sub.min))
		}
		v := reflect.New(s.typ).UnsafePointer()
		*(*unsafe.Pointer)(at) = v
		return s.sub.decode(src, pos, v, depth)
	}
	return 0, fmt.Errorf("%w: at byte %d: %d for a pointer", ErrCorrupt, pos, src[pos])
}

func decodeUint(src string, pos int) (uint64, int, error) {
	if pos < len(src) && src[pos] < 0x80 {
		return uint64(src[pos]), pos + 1, nil
	}
	v := uint64(0)
	for i := 0; pos+i < len(src) && i < binary.MaxVarintLen64; i++ {
		b := src[pos+i]
		if i == binary.MaxVarintLen64-1 && b > 1 {
			break
		}
		v |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return v, pos + i + 1, nil
		}
	}
	return 0, 0, fmt.Errorf("%w: at byte %d of %d: a varint without end", ErrCorrupt, pos, len(src))
}

func decodeString(src string, pos int, s *string) (int, error) {
	n, pos, err := decodeUint(src, pos)
	if err != nil {
		return 0, err
	}
	if n > uint64(len(src)-pos) {
		return 0, short(src, pos, n)
	}
	end := pos + int(n)
	*s = src[pos:end]
	return end, nil
}

// decodeLen reads the length of a slice or map, -1 for nil, whose elements take
// at least the given number of bytes each. More elements than src has bytes for
// are refused before anything is allocated.
func decodeLen(src string, pos, least int) (n, next int, err error) {
	v, next, err := decodeUint(src, pos)
	if err != nil || v == 0 {
		return -1, next, err
	}
	v--
	if limit := uint64(len(src) - next); least > 0 && v > limit/uint64(least) {
		return 0, 0, fmt.Errorf("%w: at byte %d of %d: %d elements of at least %d bytes", ErrCorrupt, pos, len(src), v, least)
	}
	if v > math.MaxInt {
		return 0, 0, fmt.Errorf("%w: at byte %d: %d elements", ErrCorrupt, pos, v)
	}
	return int(v), next, nil
}

func short(src string, pos int, n uint64) error {
	return fmt.Errorf("%w: at byte %d: %d bytes expected, %d left", ErrCorrupt, pos, n, len(src)-pos)
}

// copies lends room for the bytes that a value decodes itself from: it may change
// them, and src is shared.
var copies = sync.Pool{New: func() any { return new([]byte) }}

// maxCopy bounds the room that is lent again, in bytes.
const maxCopy = 1 << 20

func (s *part) decodeOwn(src string, pos int, at unsafe.Pointer) (int, error) {
	var text string
	next, err := decodeString(src, pos, &text)
	if err != nil {
		return 0, err
	}
	buf := copies.Get().(*[]byte)
	*buf = append((*buf)[:0], text...)
	err = s.own.decode(*buf, at)
	if cap(*buf) <= maxCopy {
		copies.Put(buf)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: at byte %d: %s (%v): %w", ErrCorrupt, pos, s.path, s.typ, err)
	}
	return next, nil
}
