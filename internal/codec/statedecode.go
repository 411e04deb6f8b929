package codec

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"time"
	"unsafe"
)

// decode reads the value at src[pos:] into base, and returns the position after
// it. What the shape does not have is left as it is.
func (p *stateProgram) decode(src string, pos int, base unsafe.Pointer, depth int) (int, error) {
	if len(src)-pos < p.min {
		return 0, short(src, pos, uint64(p.min))
	}
	var err error
	for i := range p.ops {
		op := &p.ops[i]
		at := unsafe.Add(base, op.mem)
		switch op.code {
		case stateMove:
			if len(src)-pos < op.n {
				return 0, short(src, pos, uint64(op.n))
			}
			pos += copy(unsafe.Slice((*byte)(at), op.n), src[pos:])
		case stateBool:
			if pos >= len(src) || src[pos] > 1 {
				return 0, badBool(src, pos)
			}
			*(*byte)(at) = src[pos]
			pos++
		case stateNumber:
			pos, err = op.decodeNumber(src, pos, at)
		case stateString:
			pos, err = decodeString(src, pos, (*string)(at))
		default:
			pos, err = op.decode(src, pos, at, depth)
		}
		if err != nil {
			return 0, err
		}
	}
	return pos, nil
}

func badBool(src string, pos int) error {
	if pos >= len(src) {
		return short(src, pos, 1)
	}
	return fmt.Errorf("%w: at byte %d: %d for a boolean", ErrCorrupt, pos, src[pos])
}

// decode reads a value that is of no fixed size.
func (op *stateOp) decode(src string, pos int, at unsafe.Pointer, depth int) (int, error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("%w: at byte %d: %s is nested deeper than %d", ErrCorrupt, pos, op.path, maxDepth)
	}
	switch op.code {
	case stateTime:
		return decodeTime(src, pos, (*time.Time)(at))
	case stateStrings:
		n, pos, err := decodeLen(src, pos, 1)
		if err != nil {
			return 0, err
		}
		return decodeStrings(src, pos, n, (*[]string)(at))
	case stateSlice:
		n, pos, err := decodeLen(src, pos, op.n)
		if err != nil {
			return 0, err
		}
		return op.decodeSlice(src, pos, n, (*slice)(at), depth+1)
	case stateArray:
		return op.sub.decodeAll(src, pos, at, op.n, depth+1)
	case statePointer:
		return op.decodePointer(src, pos, at, depth+1)
	case stateMap:
		return op.maps.decode(src, pos, at, depth+1)
	case stateInterface:
		return op.decodeInterface(src, pos, at, depth+1)
	case stateOwn:
		return op.part.decodeOwn(src, pos, at)
	default: // a field that is gone
		return op.gone.skip(src, pos, depth)
	}
}

func (op *stateOp) decodeNumber(src string, pos int, at unsafe.Pointer) (int, error) {
	n := basics[op.from].size
	if len(src)-pos < n {
		return 0, short(src, pos, uint64(n))
	}
	b := bytesOf(src[pos : pos+n])
	v := uint64(b[0])
	switch n {
	case 2:
		v = uint64(binary.LittleEndian.Uint16(b))
	case 4:
		v = uint64(binary.LittleEndian.Uint32(b))
	case 8:
		v = binary.LittleEndian.Uint64(b)
	}
	if !storeNumber(at, v, op.from, op.to) {
		return 0, fmt.Errorf("%w: at byte %d: %s: the number %#x does not fit %s on this platform", ErrCorrupt, pos, op.path, v, basics[op.to].name)
	}
	return pos + n, nil
}

func decodeTime(src string, pos int, t *time.Time) (int, error) {
	next, err := skipTime(src, pos)
	if err != nil {
		return 0, err
	}
	if err := getTime(unsafe.Pointer(unsafe.StringData(src[pos:])), src[pos+timeHead:next], t); err != nil {
		return 0, fmt.Errorf("%w: at byte %d: %w", ErrCorrupt, pos, err)
	}
	return next, nil
}

func skipTime(src string, pos int) (int, error) {
	if len(src)-pos < timeHead {
		return 0, short(src, pos, timeHead)
	}
	n := zoneTextLen(unsafe.Pointer(unsafe.StringData(src[pos:])))
	if pos += timeHead; n < 0 || n > len(src)-pos {
		return 0, short(src, pos, uint64(n))
	}
	return pos + n, nil
}

// decodeSlice reads n elements, or nil if n is negative.
func (op *stateOp) decodeSlice(src string, pos, n int, at *slice, depth int) (int, error) {
	size := op.sub.size
	switch {
	case n < 0:
		*at = slice{}
		return pos, nil
	case n == 0 || size == 0:
		*at = slice{unsafe.Pointer(&empty), n, n}
		return op.sub.decodeAll(src, pos, at.data, n, depth)
	case !op.plain:
		*at = slice{}
		v := reflect.NewAt(op.typ, unsafe.Pointer(at)).Elem()
		v.Grow(n)
		v.SetLen(n)
	case size == 1:
		*at = slice{unsafe.Pointer(unsafe.SliceData(make([]byte, n))), n, n}
	default:
		words := make([]uint64, (uintptr(n)*size+7)/8) // which are aligned for everything
		*at = slice{unsafe.Pointer(unsafe.SliceData(words)), n, n}
	}
	return op.sub.decodeAll(src, pos, at.data, n, depth)
}

// decodeAll reads the n elements that begin at p.
func (p *stateProgram) decodeAll(src string, pos int, at unsafe.Pointer, n, depth int) (int, error) {
	switch {
	case n == 0 || p.min == 0:
		return pos, nil
	case p.image:
		size := n * int(p.size)
		if len(src)-pos < size {
			return 0, short(src, pos, uint64(size))
		}
		return pos + copy(unsafe.Slice((*byte)(at), size), src[pos:]), nil
	}
	var err error
	for i := range n {
		if pos, err = p.decode(src, pos, unsafe.Add(at, uintptr(i)*p.size), depth); err != nil {
			return 0, err
		}
	}
	return pos, nil
}

// pointerAt reads the byte before what a pointer points to, and reports whether
// there is anything.
func pointerAt(src string, pos int) (is bool, next int, err error) {
	if pos >= len(src) {
		return false, 0, short(src, pos, 1)
	}
	if src[pos] > 1 {
		return false, 0, fmt.Errorf("%w: at byte %d: %d for a pointer", ErrCorrupt, pos, src[pos])
	}
	return src[pos] == 1, pos + 1, nil
}

func (op *stateOp) decodePointer(src string, pos int, at unsafe.Pointer, depth int) (int, error) {
	is, pos, err := pointerAt(src, pos)
	if err != nil || !is {
		*(*unsafe.Pointer)(at) = nil
		return pos, err
	}
	if len(src)-pos < op.sub.min {
		return 0, short(src, pos, uint64(op.sub.min))
	}
	v := reflect.New(op.typ).UnsafePointer()
	*(*unsafe.Pointer)(at) = v
	return op.sub.decode(src, pos, v, depth)
}

func (m *stateMapType) decode(src string, pos int, at unsafe.Pointer, depth int) (int, error) {
	n, pos, err := decodeLen(src, pos, m.least)
	if err != nil {
		return 0, err
	}
	v := reflect.NewAt(m.typ, at).Elem()
	if n < 0 {
		v.SetZero()
		return pos, nil
	}
	start := pos
	got := 0
	if m.text {
		pos, got, err = decodeTextMap(src, pos, n, (*map[string]string)(at))
	} else {
		pos, got, err = m.decodeAll(src, pos, n, v, depth)
	}
	if err != nil {
		return 0, err
	}
	if got != n {
		return 0, fmt.Errorf("%w: at byte %d: a map of %d elements with %d different keys", ErrCorrupt, start, n, got)
	}
	return pos, nil
}

func (m *stateMapType) decodeAll(src string, pos, n int, at reflect.Value, depth int) (next, got int, err error) {
	v := reflect.MakeMapWithSize(m.typ, min(n, presize))
	at.Set(v)
	s := m.scratch.Get().(*mapScratch)
	defer m.release(s)
	for i := range n {
		if pos, err = m.key.decode(src, pos, s.key.Addr().UnsafePointer(), depth); err != nil {
			return 0, 0, err
		}
		if pos, err = m.elem.decode(src, pos, s.elem.Addr().UnsafePointer(), depth); err != nil {
			return 0, 0, err
		}
		v.SetMapIndex(s.key, s.elem)
		if v.Len() <= i {
			break // a key twice; keys without content would have n run away
		}
	}
	return pos, v.Len(), nil
}

func (op *stateOp) decodeInterface(src string, pos int, at unsafe.Pointer, depth int) (int, error) {
	v := reflect.NewAt(op.typ, at).Elem()
	start := pos
	index, pos, err := decodeUint(src, pos)
	if err != nil {
		return 0, err
	}
	if index == 0 {
		v.SetZero()
		return pos, nil
	}
	if index > uint64(len(op.open.types)) {
		return 0, badAlternative(src, start, index, len(op.open.types))
	}
	a := op.open.types[index-1]
	if a.prog == nil {
		return 0, fmt.Errorf("at byte %d: %s (%v): %w: its value was written as a %s, which is not registered any more as a type that interfaces hold; register it",
			start, op.path, op.typ, ErrIncompatible, a.name)
	}
	if len(src)-pos < a.prog.min {
		return 0, short(src, pos, uint64(a.prog.min))
	}
	made := reflect.New(a.typ)
	pos, err = a.prog.decode(src, pos, made.UnsafePointer(), depth)
	if err != nil {
		return 0, err
	}
	v.Set(made.Elem())
	return pos, nil
}

func badAlternative(src string, pos int, index uint64, n int) error {
	return fmt.Errorf("%w: at byte %d of %d: type %d of an interface that has %d", ErrCorrupt, pos, len(src), index, n)
}

// maxSkips is how deep a value may nest that is skipped, structs and arrays
// included.
const maxSkips = 100 * maxDepth

// skip returns the position after the value of a shape at src[pos:].
func (n *node) skip(src string, pos, depth int) (int, error) {
	if len(src)-pos < n.min {
		return 0, short(src, pos, uint64(n.min))
	}
	if n.fixed {
		return pos + n.min, nil
	}
	if depth > maxSkips {
		return 0, fmt.Errorf("%w: at byte %d: a value is nested deeper than %d", ErrCorrupt, pos, maxSkips)
	}
	var text string
	switch n.kind {
	case kindTime:
		return skipTime(src, pos)
	case kindStruct:
		var err error
		for _, f := range n.fields {
			if pos, err = f.node.skip(src, pos, depth+1); err != nil {
				return 0, err
			}
		}
		return pos, nil
	case kindArray:
		return n.elem.skipAll(src, pos, n.n, depth+1)
	case kindSlice:
		count, pos, err := decodeLen(src, pos, n.elem.min)
		if err != nil {
			return 0, err
		}
		return n.elem.skipAll(src, pos, count, depth+1)
	case kindMap:
		return n.skipMap(src, pos, depth+1)
	case kindPointer:
		is, pos, err := pointerAt(src, pos)
		if err != nil || !is {
			return pos, err
		}
		return n.elem.skip(src, pos, depth+1)
	case kindInterface:
		index, next, err := decodeUint(src, pos)
		if err != nil || index == 0 {
			return next, err
		}
		if index > uint64(len(n.fields)) {
			return 0, badAlternative(src, pos, index, len(n.fields))
		}
		return n.fields[index-1].node.skip(src, next, depth+1)
	default: // a string, or what encodes itself
		return decodeString(src, pos, &text)
	}
}

// skipAll skips n elements, for which src has room if they are of fixed size.
func (n *node) skipAll(src string, pos, count, depth int) (int, error) {
	if count <= 0 || n.min == 0 {
		return pos, nil
	}
	if n.fixed {
		return pos + count*n.min, nil
	}
	var err error
	for range count {
		if pos, err = n.skip(src, pos, depth); err != nil {
			return 0, err
		}
	}
	return pos, nil
}

func (n *node) skipMap(src string, pos, depth int) (int, error) {
	count, pos, err := decodeLen(src, pos, capped(n.key.min, 1, n.elem.min))
	if err != nil || n.key.min == 0 && n.elem.min == 0 {
		return pos, err
	}
	for range count {
		if pos, err = n.key.skip(src, pos, depth); err != nil {
			return 0, err
		}
		if pos, err = n.elem.skip(src, pos, depth); err != nil {
			return 0, err
		}
	}
	return pos, nil
}
