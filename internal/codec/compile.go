package codec

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"unsafe"
)

// opcode says what a step of a program encodes.
type opcode uint8

const (
	opBool opcode = iota
	opByte        // int8 and uint8
	opInt16
	opInt32
	opInt64
	opUint16
	opUint32
	opUint64
	op4Bytes // float32
	op8Bytes // float64
	opString
	opBytes      // []byte, and slices of other one-byte integers
	opByteArray  // n bytes
	opStrings    // []string
	opSlice      // elements by sub, with pointers in them
	opPlainSlice // elements by sub, without pointers
	opArray      // n elements by sub
	opPointer    // to sub
	opMap
	opTime
	opMarshal
)

// step is one operation on the memory at an offset from the value's start.
type step struct {
	code opcode
	off  uintptr
	n    int      // elements of an array
	sub  *program // of the elements, or of what a pointer points to
	typ  reflect.Type
	maps *mapType
	own  *marshaler
}

// program encodes one type. Structs within structs are flattened into it.
type program struct {
	steps []step
	size  uintptr // of the value in memory
	min   int     // bytes that its encoding has at least
}

// compiler compiles one type and the types it is made of. Programs are entered
// before they are complete, so that recursive types end.
type compiler struct {
	programs map[reflect.Type]*program
	elements []element // to be checked when all programs are complete
	errs     []string
}

// element is the element type of a slice and where it was met.
type element struct {
	path string
	typ  reflect.Type
	prog *program
}

func compile(t reflect.Type) (*program, error) {
	c := &compiler{programs: map[reflect.Type]*program{}}
	prog := c.program(t, t.String())
	for _, e := range c.elements {
		if e.prog.min == 0 && e.prog.size > 0 {
			c.refuse(e.typ, e.path, "it has nothing but blank fields; use struct{}")
		}
	}
	if len(c.errs) > 0 {
		return nil, errors.New("no encoding: " + strings.Join(c.errs, "; "))
	}
	return prog, nil
}

// program returns the program of t, compiling it if it is new.
func (c *compiler) program(t reflect.Type, path string) *program {
	if p, ok := c.programs[t]; ok {
		return p
	}
	p := &program{size: t.Size()}
	c.programs[t] = p
	c.add(p, t, path, 0)
	return p
}

// add appends to p the steps for a value of type t at the offset.
func (c *compiler) add(p *program, t reflect.Type, path string, off uintptr) {
	if code, least, ok := basic(t); ok {
		p.add(step{code: code, off: off}, least)
		return
	}
	switch {
	case isTime(t):
		p.add(step{code: opTime, off: off}, 3)
		return
	case refusal(t) != "":
		c.refuse(t, path, refusal(t))
		return
	}
	if own := marshalerOf(t); own != nil {
		p.add(step{code: opMarshal, off: off, own: own}, 1)
		return
	}
	switch t.Kind() {
	case reflect.Complex64, reflect.Complex128:
		half, code := t.Size()/2, op4Bytes
		if half == 8 {
			code = op8Bytes
		}
		p.add(step{code: code, off: off}, int(half))
		p.add(step{code: code, off: off + half}, int(half))
	case reflect.Struct:
		c.addStruct(p, t, path, off)
	case reflect.Array:
		c.addArray(p, t, path, off)
	case reflect.Slice:
		c.addSlice(p, t, path, off)
	case reflect.Pointer:
		p.add(step{code: opPointer, off: off, sub: c.program(t.Elem(), path), typ: t.Elem()}, 1)
	case reflect.Map:
		c.addMap(p, t, path, off)
	}
}

func (c *compiler) addStruct(p *program, t reflect.Type, path string, off uintptr) {
	plain := pointerFree(t)
	for i := range t.NumField() {
		f := t.Field(i)
		at := path + "." + f.Name
		switch {
		case f.Name == "_":
		case !f.IsExported() && !f.Anonymous && !plain:
			c.refuse(f.Type, at, "it is not exported; export it, or give "+t.String()+" the methods MarshalBinary and UnmarshalBinary")
		default:
			c.add(p, f.Type, at, off+f.Offset)
		}
	}
}

func (c *compiler) addArray(p *program, t reflect.Type, path string, off uintptr) {
	if t.Len() == 0 {
		return
	}
	if isByte(t.Elem()) {
		p.add(step{code: opByteArray, off: off, n: t.Len()}, t.Len())
		return
	}
	// A program of its own: an entered one may be incomplete, and the array's
	// length in bytes is needed now. A type contains itself only by reference, so
	// this ends.
	sub := &program{size: t.Elem().Size()}
	c.add(sub, t.Elem(), path+"[]", 0)
	if len(sub.steps) > 0 {
		p.add(step{code: opArray, off: off, n: t.Len(), sub: sub}, t.Len()*sub.min)
	}
}

func (c *compiler) addSlice(p *program, t reflect.Type, path string, off uintptr) {
	elem := t.Elem()
	switch {
	case isByte(elem):
		p.add(step{code: opBytes, off: off}, 1)
		return
	case elem.Kind() == reflect.String:
		p.add(step{code: opStrings, off: off}, 1)
		return
	}
	s := step{code: opSlice, off: off, typ: t, sub: c.program(elem, path+"[]")}
	if pointerFree(elem) {
		s.code = opPlainSlice
	}
	c.elements = append(c.elements, element{path + "[]", elem, s.sub})
	p.add(s, 1)
}

func (c *compiler) addMap(p *program, t reflect.Type, path string, off uintptr) {
	if why := keyRefusal(t.Key()); why != "" {
		c.refuse(t.Key(), path+"[key]", why)
		return
	}
	m := &mapType{
		typ:  t,
		key:  c.program(t.Key(), path+"[key]"),
		elem: c.program(t.Elem(), path+"[value]"),
	}
	m.text = t.Key() == reflect.TypeFor[string]() && t.Elem() == reflect.TypeFor[string]()
	m.scratch = sync.Pool{New: func() any { return newMapScratch(t) }}
	p.add(step{code: opMap, off: off, maps: m}, 1)
}

func (p *program) add(s step, least int) {
	p.steps = append(p.steps, s)
	p.min += least
}

func (c *compiler) refuse(t reflect.Type, path, why string) {
	c.errs = append(c.errs, fmt.Sprintf("%s (%v): %s", path, t, why))
}

// basic returns the operation for a type without parts, and how many bytes it
// writes at least.
func basic(t reflect.Type) (code opcode, least int, ok bool) {
	switch t.Kind() {
	case reflect.Bool:
		return opBool, 1, true
	case reflect.Int8, reflect.Uint8:
		return opByte, 1, true
	case reflect.Int16:
		return opInt16, 1, true
	case reflect.Int32:
		return opInt32, 1, true
	case reflect.Int64:
		return opInt64, 1, true
	case reflect.Uint16:
		return opUint16, 1, true
	case reflect.Uint32:
		return opUint32, 1, true
	case reflect.Uint64:
		return opUint64, 1, true
	case reflect.Int:
		return [...]opcode{opInt32, opInt64}[unsafe.Sizeof(0)/8], 1, true
	case reflect.Uint, reflect.Uintptr:
		return [...]opcode{opUint32, opUint64}[unsafe.Sizeof(0)/8], 1, true
	case reflect.Float32:
		return op4Bytes, 4, true
	case reflect.Float64:
		return op8Bytes, 8, true
	case reflect.String:
		return opString, 1, true
	}
	return 0, 0, false
}

func isByte(t reflect.Type) bool { return t.Kind() == reflect.Uint8 || t.Kind() == reflect.Int8 }
