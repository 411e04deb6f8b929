package codec

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"unsafe"
)

// interfaceType encodes one type of interface, whose values are of the types
// that were registered when it was compiled.
type interfaceType struct {
	byType map[reflect.Type]*alternative
	byID   map[typeID]*alternative
}

// alternative is a type that an interface's value may have.
type alternative struct {
	id      typeID
	typ     reflect.Type
	prog    *program
	scratch sync.Pool // of *reflect.Value: what points to a value of typ
}

func (c *compiler) interfaceType(t reflect.Type, path string) *interfaceType {
	types := implementors(t)
	if len(types) == 0 {
		c.refuse(t, path, "the type of an interface's value is open; register the types that it may have, or use a concrete type, or a struct with a pointer per alternative")
		return nil
	}
	i := &interfaceType{byType: map[reflect.Type]*alternative{}, byID: map[typeID]*alternative{}}
	for id, typ := range types {
		a := &alternative{id: id, typ: typ}
		a.scratch = sync.Pool{New: func() any { v := reflect.New(typ); return &v }}
		i.byType[typ], i.byID[id] = a, a
	}
	// In one order, so that errors are the same in every process.
	for _, a := range slices.SortedFunc(maps.Values(i.byID), func(a, b *alternative) int { return cmp.Compare(a.id, b.id) }) {
		a.prog = c.program(a.typ, path+".("+a.typ.String()+")")
	}
	return i
}

// appendInterface appends 0 for nil, or 1, the id of the value's type, and the
// value.
func (s *part) appendInterface(dst []byte, at unsafe.Pointer, depth int) []byte {
	v := reflect.NewAt(s.typ, at).Elem()
	if v.IsNil() {
		return append(dst, 0)
	}
	v = v.Elem()
	a := s.open.byType[v.Type()]
	if a == nil {
		panic(fmt.Errorf("%w: %s (%v): its value is a %v, which is not registered as a type that interfaces hold", ErrEncode, s.path, s.typ, v.Type()))
	}
	copied := a.scratch.Get().(*reflect.Value)
	defer a.scratch.Put(copied)
	copied.Elem().Set(v)
	defer copied.Elem().SetZero()
	dst = binary.LittleEndian.AppendUint32(append(dst, 1), uint32(a.id))
	return a.prog.append(dst, copied.UnsafePointer(), depth)
}

const interfaceHead = 1 + 4

func (s *part) decodeInterface(src string, pos int, at unsafe.Pointer, depth int) (int, error) {
	v := reflect.NewAt(s.typ, at).Elem()
	if pos >= len(src) {
		return 0, short(src, pos, 1)
	}
	switch src[pos] {
	case 0:
		v.SetZero()
		return pos + 1, nil
	case 1:
	default:
		return 0, fmt.Errorf("%w: at byte %d: %d for an interface", ErrCorrupt, pos, src[pos])
	}
	if len(src)-pos < interfaceHead {
		return 0, short(src, pos, interfaceHead)
	}
	id := typeID(binary.LittleEndian.Uint32(bytesOf(src[pos+1:])))
	a := s.open.byID[id]
	if a == nil {
		return 0, fmt.Errorf("%w: at byte %d: %s (%v): no type with the id %#x is registered", ErrCorrupt, pos, s.path, s.typ, id)
	}
	if pos += interfaceHead; len(src)-pos < a.prog.min {
		return 0, short(src, pos, uint64(a.prog.min))
	}
	made := reflect.New(a.typ)
	pos, err := a.prog.decode(src, pos, made.UnsafePointer(), depth)
	if err != nil {
		return 0, err
	}
	v.Set(made.Elem())
	return pos, nil
}
