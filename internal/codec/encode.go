package codec

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"math/bits"
	"reflect"
	"time"
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
	for i := range p.steps {
		s := &p.steps[i]
		at := unsafe.Add(base, s.off)
		switch s.code {
		case opBool, opByte:
			dst = append(dst, *(*byte)(at))
		case opInt16:
			dst = appendInt(dst, int64(*(*int16)(at)))
		case opInt32:
			dst = appendInt(dst, int64(*(*int32)(at)))
		case opInt64:
			dst = appendInt(dst, *(*int64)(at))
		case opUint16:
			dst = appendUint(dst, uint64(*(*uint16)(at)))
		case opUint32:
			dst = appendUint(dst, uint64(*(*uint32)(at)))
		case opUint64:
			dst = appendUint(dst, *(*uint64)(at))
		case op4Bytes:
			dst = binary.LittleEndian.AppendUint32(dst, *(*uint32)(at))
		case op8Bytes:
			dst = binary.LittleEndian.AppendUint64(dst, *(*uint64)(at))
		case opString:
			dst = appendString(dst, *(*string)(at))
		case opByteArray:
			dst = append(dst, unsafe.Slice((*byte)(at), s.n)...)
		default:
			dst = s.appendParts(dst, at, depth)
		}
	}
	return dst
}

// appendParts appends a value that is not of fixed size in memory, or has parts.
func (s *step) appendParts(dst []byte, at unsafe.Pointer, depth int) []byte {
	if depth > maxDepth {
		panic(fmt.Errorf("%w: it is nested deeper than %d; is it cyclic?", ErrEncode, maxDepth))
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
	case opTime:
		dst = appendTime(dst, *(*time.Time)(at))
	case opMarshal:
		dst = s.own.append(dst, at)
	default: // plain values are encoded where the others are told apart
	}
	return dst
}

// appendAll appends the n elements that begin at p.
func (p *program) appendAll(dst []byte, at unsafe.Pointer, n, depth int) []byte {
	if len(p.steps) == 0 {
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

func appendInt(dst []byte, v int64) []byte {
	return appendUint(dst, uint64(v)<<1^uint64(v>>63))
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

// Locations of a time.
const (
	zoneUTC byte = iota
	zoneLocal
	zoneFixed
)

func appendTime(dst []byte, t time.Time) []byte {
	dst = appendInt(dst, t.Unix())
	dst = appendUint(dst, uint64(t.Nanosecond()))
	switch t.Location() {
	case time.UTC:
		return append(dst, zoneUTC)
	case time.Local:
		return append(dst, zoneLocal)
	}
	name, offset := t.Zone()
	dst = appendString(append(dst, zoneFixed), name)
	return appendInt(dst, int64(offset))
}

// append appends what the value at p says of itself, after its length. Most
// lengths fit the byte that is left for them; else the value moves up.
func (m *marshaler) append(dst []byte, at unsafe.Pointer) []byte {
	v := reflect.NewAt(m.typ, at).Interface()
	if !m.appends {
		b, err := v.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			panic(fmt.Errorf("%w: MarshalBinary of a %v: %w", ErrEncode, m.typ, err))
		}
		return append(appendUint(dst, uint64(len(b))), b...)
	}
	start := len(dst)
	dst, err := v.(encoding.BinaryAppender).AppendBinary(append(dst, 0))
	if err != nil {
		panic(fmt.Errorf("%w: AppendBinary of a %v: %w", ErrEncode, m.typ, err))
	}
	n := len(dst) - start - 1
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
