package key

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"unsafe"
)

// ErrCorrupt is what [Kind.Decode] returns, wrapped, for bytes that
// [Kind.Append] did not write.
var ErrCorrupt = errors.New("corrupt key")

// buffers lends room for the encodings of long keys while they are hashed.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Append appends the canonical encoding of the key to dst. It allocates only
// where dst has no room.
func (k *Kind[K]) Append(dst []byte, key *K) []byte { return k.append(dst, unsafe.Pointer(key)) }

// Decode reads the key that src begins with and returns the length of its
// encoding. Strings are copied, so src may be reused. An error wraps
// [ErrCorrupt] and leaves the key in part as it was.
func (k *Kind[K]) Decode(src []byte, key *K) (int, error) {
	return k.decode(src, unsafe.Pointer(key))
}

// encodedBound returns a bound of the length of the encoding of the key at p.
func (s *shape) encodedBound(p unsafe.Pointer) int {
	n := s.fixed
	for _, off := range s.strings {
		n += binary.MaxVarintLen64 + len(*(*string)(unsafe.Add(p, off)))
	}
	return n
}

func (s *shape) append(dst []byte, p unsafe.Pointer) []byte {
	for _, l := range s.leaves {
		at := unsafe.Add(p, l.off)
		switch l.op {
		case opString:
			v := *(*string)(at)
			dst = binary.AppendUvarint(dst, uint64(len(v)))
			dst = append(dst, v...)
		case opBytes:
			dst = append(dst, unsafe.Slice((*byte)(at), l.size)...)
		case opBool:
			dst = append(dst, *(*byte)(at))
		default:
			dst = binary.BigEndian.AppendUint64(dst, l.word(at))
		}
	}
	return dst
}

func (s *shape) decode(src []byte, p unsafe.Pointer) (int, error) {
	rest := src
	for i, l := range s.leaves {
		n, err := l.decode(rest, unsafe.Add(p, l.off))
		if err != nil {
			return 0, fmt.Errorf("%w: value %d of %d at byte %d: %w", ErrCorrupt, i+1, len(s.leaves), len(src)-len(rest), err)
		}
		rest = rest[n:]
	}
	return len(src) - len(rest), nil
}

// decode reads the leaf from the start of src into p and returns how many bytes
// it took.
func (l leaf) decode(src []byte, p unsafe.Pointer) (int, error) {
	switch l.op {
	case opString:
		return decodeString(src, (*string)(p))
	case opBytes:
		if uintptr(len(src)) < l.size {
			return 0, fmt.Errorf("%d bytes expected, %d left", l.size, len(src))
		}
		return copy(unsafe.Slice((*byte)(p), l.size), src), nil
	case opBool:
		if len(src) < 1 || src[0] > 1 {
			return 0, errors.New("a byte 0 or 1 expected")
		}
		*(*bool)(p) = src[0] == 1
		return 1, nil
	default: // an integer, in eight bytes
	}
	if len(src) < 8 {
		return 0, fmt.Errorf("8 bytes expected, %d left", len(src))
	}
	w := binary.BigEndian.Uint64(src)
	l.setWord(p, w)
	if l.word(p) != w {
		return 0, fmt.Errorf("the integer %#x does not fit %d bits", w, l.size*8)
	}
	return 8, nil
}

// setWord stores the word, cut to the leaf's width.
func (l leaf) setWord(p unsafe.Pointer, w uint64) {
	switch l.size {
	case 1:
		*(*uint8)(p) = uint8(w)
	case 2:
		*(*uint16)(p) = uint16(w)
	case 4:
		*(*uint32)(p) = uint32(w)
	default:
		*(*uint64)(p) = w
	}
}

func decodeString(src []byte, s *string) (int, error) {
	size, n := binary.Uvarint(src)
	if n <= 0 || n != uvarintLen(size) {
		return 0, errors.New("a string's length expected")
	}
	if size > uint64(len(src)-n) {
		return 0, fmt.Errorf("a string of %d bytes expected, %d left", size, len(src)-n)
	}
	*s = string(src[n : n+int(size)])
	return n + int(size), nil
}

// uvarintLen returns the length of the minimal varint.
func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }
