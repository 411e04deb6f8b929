package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"time"
	"unsafe"
)

// append appends the state encoding of the value at base. The program is that of
// the type's own shape.
func (p *stateProgram) append(dst []byte, base unsafe.Pointer, depth int) []byte {
	for i := range p.ops {
		op := &p.ops[i]
		at := unsafe.Add(base, op.mem)
		switch op.code {
		case stateMove:
			dst = append(dst, unsafe.Slice((*byte)(at), op.n)...)
		case stateBool:
			dst = append(dst, *(*byte)(at))
		case stateNumber:
			dst = appendNumber(dst, at, op.from, op.to)
		case stateString:
			dst = appendString(dst, *(*string)(at))
		case stateTime:
			dst = appendTime(dst, *(*time.Time)(at))
		case stateStrings:
			v := *(*[]string)(at)
			dst = appendLen(dst, len(v), v == nil)
			for _, e := range v {
				dst = appendString(dst, e)
			}
		default:
			dst = op.append(dst, at, depth)
		}
	}
	return dst
}

// append appends a value that has others in it, or that encodes itself.
func (op *stateOp) append(dst []byte, at unsafe.Pointer, depth int) []byte {
	if depth > maxDepth {
		panic(fmt.Errorf("%w: %s: it is nested deeper than %d; is it cyclic?", ErrEncode, op.path, maxDepth))
	}
	switch op.code {
	case stateSlice:
		v := (*slice)(at)
		dst = appendLen(dst, v.len, v.data == nil)
		return op.sub.appendAll(dst, v.data, v.len, depth+1)
	case stateArray:
		return op.sub.appendAll(dst, at, op.n, depth+1)
	case statePointer:
		v := *(*unsafe.Pointer)(at)
		if v == nil {
			return append(dst, 0)
		}
		return op.sub.append(append(dst, 1), v, depth+1)
	case stateMap:
		return op.maps.append(dst, at, depth+1)
	case stateInterface:
		return op.appendInterface(dst, at, depth+1)
	case stateOwn:
		return op.part.appendOwn(dst, at)
	default: // a skip, of which the program of a type's own shape has none
		return dst
	}
}

// appendAll appends the n elements that begin at p.
func (p *stateProgram) appendAll(dst []byte, at unsafe.Pointer, n, depth int) []byte {
	switch {
	case n == 0 || p.min == 0:
		return dst
	case p.image:
		return append(dst, unsafe.Slice((*byte)(at), uintptr(n)*p.size)...)
	}
	for i := range n {
		dst = p.append(dst, unsafe.Add(at, uintptr(i)*p.size), depth)
	}
	return dst
}

// appendNumber appends a number that lies in memory as one kind, as another that
// has all of its values, or as the same.
func appendNumber(dst []byte, at unsafe.Pointer, as, kind shapeKind) []byte {
	v := loadNumber(at, kind)
	switch basics[as].size {
	case 1:
		return append(dst, byte(v))
	case 2:
		return binary.LittleEndian.AppendUint16(dst, uint16(v))
	case 4:
		return binary.LittleEndian.AppendUint32(dst, uint32(v))
	}
	return binary.LittleEndian.AppendUint64(dst, v)
}

// loadNumber returns the bits of a number in memory, with the sign of integers
// that have one.
func loadNumber(at unsafe.Pointer, kind shapeKind) uint64 {
	switch kind {
	case kindInt:
		return uint64(*(*int)(at))
	case kindInt8:
		return uint64(*(*int8)(at))
	case kindInt16:
		return uint64(*(*int16)(at))
	case kindInt32:
		return uint64(*(*int32)(at))
	case kindUint:
		return uint64(*(*uint)(at))
	case kindUintptr:
		return uint64(*(*uintptr)(at))
	case kindUint8:
		return uint64(*(*uint8)(at))
	case kindUint16:
		return uint64(*(*uint16)(at))
	case kindUint32, kindFloat32:
		return uint64(*(*uint32)(at))
	default:
		return *(*uint64)(at)
	}
}

// storeNumber stores a number that was written as one kind as another, and
// reports whether it fits.
func storeNumber(at unsafe.Pointer, v uint64, from, to shapeKind) bool {
	switch from {
	case kindInt8:
		v = uint64(int8(v))
	case kindInt16:
		v = uint64(int16(v))
	case kindInt32:
		v = uint64(int32(v))
	case kindFloat32:
		if to == kindFloat64 {
			v = math.Float64bits(float64(math.Float32frombits(uint32(v))))
		}
	default: // it fills the word, or has no sign
	}
	switch to {
	case kindInt:
		*(*int)(at) = int(v)
	case kindUint:
		*(*uint)(at) = uint(v)
	case kindUintptr:
		*(*uintptr)(at) = uintptr(v)
	case kindInt8, kindUint8:
		*(*uint8)(at) = uint8(v)
	case kindInt16, kindUint16:
		*(*uint16)(at) = uint16(v)
	case kindInt32, kindUint32, kindFloat32:
		*(*uint32)(at) = uint32(v)
	default:
		*(*uint64)(at) = v
	}
	return loadNumber(at, to) == v
}

// appendTime appends the head of a time and its zone.
func appendTime(dst []byte, t time.Time) []byte {
	start, n := len(dst), timeHead+zoneLen(t)
	dst = slices.Grow(dst, n)[:start+n]
	head := unsafe.Pointer(&dst[start])
	zone := head
	if n > timeHead {
		zone = unsafe.Add(head, timeHead)
	}
	putTime(head, zone, 0, t)
	return dst
}

func (m *stateMapType) append(dst []byte, at unsafe.Pointer, depth int) []byte {
	if m.text {
		v := *(*map[string]string)(at)
		dst = appendLen(dst, len(v), v == nil)
		for k, e := range v {
			dst = appendString(appendString(dst, k), e)
		}
		return dst
	}
	v := reflect.NewAt(m.typ, at).Elem()
	dst = appendLen(dst, v.Len(), v.IsNil())
	if v.Len() == 0 {
		return dst
	}
	s := m.scratch.Get().(*mapScratch)
	defer m.release(s)
	s.iter.Reset(v)
	for s.iter.Next() {
		s.key.SetIterKey(&s.iter)
		s.elem.SetIterValue(&s.iter)
		dst = m.key.append(dst, s.key.Addr().UnsafePointer(), depth)
		dst = m.elem.append(dst, s.elem.Addr().UnsafePointer(), depth)
	}
	return dst
}

// release gives the room back, and lets go of what is in it.
func (m *stateMapType) release(s *mapScratch) {
	s.iter.Reset(reflect.Value{})
	s.key.SetZero()
	s.elem.SetZero()
	m.scratch.Put(s)
}

// appendInterface appends 0 for nil, or the place of the value's type among those
// of the shape, from 1, and the value.
func (op *stateOp) appendInterface(dst []byte, at unsafe.Pointer, depth int) []byte {
	v := reflect.NewAt(op.typ, at).Elem()
	if v.IsNil() {
		return append(dst, 0)
	}
	v = v.Elem()
	a := op.open.byType[v.Type()]
	if a == nil {
		panic(fmt.Errorf("%w: %s (%v): its value is a %v, which is not registered as a type that interfaces hold", ErrEncode, op.path, op.typ, v.Type()))
	}
	copied := a.scratch.Get().(*reflect.Value)
	defer a.scratch.Put(copied)
	copied.Elem().Set(v)
	defer copied.Elem().SetZero()
	return a.prog.append(appendUint(dst, uint64(a.index)+1), copied.UnsafePointer(), depth)
}
