package codec

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// decode reads the value at src[pos:] into base, and returns the position after
// it.
func (p *program) decode(src string, pos int, base unsafe.Pointer, depth int) (int, error) {
	var err error
	for i := range p.steps {
		s := &p.steps[i]
		at := unsafe.Add(base, s.off)
		switch s.code {
		case opString:
			// The most frequent one, with the length in one byte, by hand.
			if pos < len(src) && src[pos] < 0x80 && int(src[pos]) < len(src)-pos {
				end := pos + 1 + int(src[pos])
				*(*string)(at) = src[pos+1 : end]
				pos = end
				continue
			}
			pos, err = decodeString(src, pos, (*string)(at))
		case op8Bytes:
			if len(src)-pos < 8 {
				return 0, short(src, pos, 8)
			}
			*(*uint64)(at) = binary.LittleEndian.Uint64(bytesOf(src[pos : pos+8]))
			pos += 8
		case op4Bytes:
			if len(src)-pos < 4 {
				return 0, short(src, pos, 4)
			}
			*(*uint32)(at) = binary.LittleEndian.Uint32(bytesOf(src[pos : pos+4]))
			pos += 4
		case opBool, opByte, opByteArray:
			pos, err = s.decodeBytes(src, pos, at)
		case opInt16, opInt32, opInt64, opUint16, opUint32, opUint64:
			var v uint64
			if pos < len(src) && src[pos] < 0x80 {
				v = uint64(src[pos])
				pos++
			} else if v, pos, err = decodeUint(src, pos); err != nil {
				return 0, err
			}
			if !s.store(at, v) {
				return 0, fmt.Errorf("%w: at byte %d: an integer that overflows its type", ErrCorrupt, pos)
			}
		default:
			pos, err = s.decodeParts(src, pos, at, depth)
		}
		if err != nil {
			return 0, err
		}
	}
	return pos, nil
}

// bytesOf returns the bytes of s, which must not be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// store stores the varint's value, and reports whether it fits.
func (s *step) store(at unsafe.Pointer, v uint64) bool {
	signed := int64(v>>1) ^ -int64(v&1)
	switch s.code {
	case opInt64:
		*(*int64)(at) = signed
	case opUint64:
		*(*uint64)(at) = v
	case opInt32:
		*(*int32)(at) = int32(signed)
		return int64(int32(signed)) == signed
	case opUint32:
		*(*uint32)(at) = uint32(v)
		return v <= math.MaxUint32
	case opInt16:
		*(*int16)(at) = int16(signed)
		return int64(int16(signed)) == signed
	case opUint16:
		*(*uint16)(at) = uint16(v)
		return v <= math.MaxUint16
	default: // no integer is stored as anything else
	}
	return true
}

func (s *step) decodeBytes(src string, pos int, at unsafe.Pointer) (int, error) {
	n := max(1, s.n)
	if len(src)-pos < n {
		return 0, short(src, pos, uint64(n))
	}
	if s.code == opBool && src[pos] > 1 {
		return 0, fmt.Errorf("%w: at byte %d: %d for a boolean", ErrCorrupt, pos, src[pos])
	}
	copy(unsafe.Slice((*byte)(at), n), src[pos:])
	return pos + n, nil
}

// decodeParts reads a value that is not of fixed size in memory, or has parts.
func (s *step) decodeParts(src string, pos int, at unsafe.Pointer, depth int) (int, error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("%w: at byte %d: nested deeper than %d", ErrCorrupt, pos, maxDepth)
	}
	switch s.code {
	case opArray:
		return s.sub.decodeAll(src, pos, at, s.n, depth+1)
	case opPointer:
		return s.decodePointer(src, pos, at, depth+1)
	case opMap:
		return s.maps.decode(src, pos, at, depth+1)
	case opTime:
		return decodeTime(src, pos, (*time.Time)(at))
	case opMarshal:
		return s.own.decode(src, pos, at)
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

func (s *step) decodeSlice(src string, pos, n int, at *slice, depth int) (int, error) {
	size := s.sub.size
	switch {
	case n < 0:
		*at = slice{}
		return pos, nil
	case n == 0 || size == 0:
		*at = slice{unsafe.Pointer(&empty), n, n}
		return pos, nil
	case s.code == opPlainSlice: // words are aligned for everything
		words := make([]uint64, (uintptr(n)*size+7)/8)
		*at = slice{unsafe.Pointer(unsafe.SliceData(words)), n, n}
	default:
		*at = slice{}
		v := reflect.NewAt(s.typ, unsafe.Pointer(at)).Elem()
		v.Grow(n)
		v.SetLen(n)
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

func (s *step) decodePointer(src string, pos int, at unsafe.Pointer, depth int) (int, error) {
	if pos >= len(src) {
		return 0, short(src, pos, 1)
	}
	switch src[pos] {
	case 0:
		*(*unsafe.Pointer)(at) = nil
		return pos + 1, nil
	case 1:
		v := reflect.New(s.typ).UnsafePointer()
		*(*unsafe.Pointer)(at) = v
		return s.sub.decode(src, pos+1, v, depth)
	}
	return 0, fmt.Errorf("%w: at byte %d: %d for a pointer", ErrCorrupt, pos, src[pos])
}

func decodeUint(src string, pos int) (uint64, int, error) {
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

func decodeTime(src string, pos int, t *time.Time) (int, error) {
	sec, pos, err := decodeInt(src, pos)
	if err != nil {
		return 0, err
	}
	nsec, pos, err := decodeUint(src, pos)
	if err != nil {
		return 0, err
	}
	if nsec > 999_999_999 || pos >= len(src) || src[pos] > zoneFixed {
		return 0, fmt.Errorf("%w: at byte %d: no time", ErrCorrupt, pos)
	}
	loc := time.UTC
	switch src[pos] {
	case zoneLocal:
		loc = time.Local
	case zoneFixed:
		var name string
		if pos, err = decodeString(src, pos+1, &name); err != nil {
			return 0, err
		}
		offset, next, err := decodeInt(src, pos)
		if err != nil {
			return 0, err
		}
		if offset < math.MinInt32 || offset > math.MaxInt32 {
			return 0, fmt.Errorf("%w: at byte %d: a zone %d seconds off", ErrCorrupt, pos, offset)
		}
		*t = time.Unix(sec, int64(nsec)).In(fixedZone(name, int(offset)))
		return next, nil
	}
	*t = time.Unix(sec, int64(nsec)).In(loc)
	return pos + 1, nil
}

func decodeInt(src string, pos int) (int64, int, error) {
	v, pos, err := decodeUint(src, pos)
	return int64(v>>1) ^ -int64(v&1), pos, err
}

// zones has the fixed zones that were decoded, so that each is allocated once.
// It holds maxZones of them at most, since names come from outside.
var zones struct {
	sync.RWMutex
	known map[zone]*time.Location
}

type zone struct {
	name   string
	offset int
}

const maxZones = 1024

func fixedZone(name string, offset int) *time.Location {
	zones.RLock()
	loc := zones.known[zone{name, offset}]
	zones.RUnlock()
	if loc != nil {
		return loc
	}
	name = strings.Clone(name)
	loc = time.FixedZone(name, offset)
	zones.Lock()
	defer zones.Unlock()
	if was := zones.known[zone{name, offset}]; was != nil {
		return was
	}
	if zones.known == nil {
		zones.known = map[zone]*time.Location{}
	}
	if len(zones.known) < maxZones {
		zones.known[zone{name, offset}] = loc
	}
	return loc
}

// copies lends room for the bytes that a value decodes itself from: it may change
// them, and src is shared.
var copies = sync.Pool{New: func() any { return new([]byte) }}

func (m *marshaler) decode(src string, pos int, at unsafe.Pointer) (int, error) {
	var s string
	next, err := decodeString(src, pos, &s)
	if err != nil {
		return 0, err
	}
	v := reflect.NewAt(m.typ, at)
	v.Elem().SetZero()
	buf := copies.Get().(*[]byte)
	defer copies.Put(buf)
	*buf = append((*buf)[:0], s...)
	if err := v.Interface().(encoding.BinaryUnmarshaler).UnmarshalBinary(*buf); err != nil {
		return 0, fmt.Errorf("%w: at byte %d: UnmarshalBinary of a %v: %w", ErrCorrupt, pos, m.typ, err)
	}
	return next, nil
}
