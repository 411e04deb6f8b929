package codec

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"unsafe"
)

// program encodes one type: a head, whose size does not depend on the value; the
// bytes of its texts; and its parts one after the other. Structs within structs,
// and short arrays, are flattened into it.
type program struct {
	size  uintptr // of the value in memory
	head  int     // bytes of the head
	moves []move
	bools []int  // where in the head a byte must be 0 or 1
	texts []text // strings
	times []text // times, whose zones follow the strings
	parts []part
	min   int // bytes that an encoding has at least
}

// move is a run of memory that the head has as it is: fields without pointers,
// with nothing between them.
type move struct {
	mem uintptr // where in the value
	at  int     // where in the head
	n   int
}

// text is a string or the zone of a time: its length is in the head, its bytes
// follow.
type text struct {
	mem uintptr
	at  int
}

const (
	stringHead = 4  // its length
	timeHead   = 16 // seconds, nanoseconds, and the length of its zone
)

// opcode says what a part encodes.
type opcode uint8

const (
	opBytes      opcode = iota // []byte, and slices of other one-byte integers
	opStrings                  // []string
	opImages                   // a slice of elements whose memory is their encoding
	opPlainSlice               // elements by sub, without pointers
	opSlice                    // elements by sub, with pointers in them
	opArray                    // n elements by sub
	opPointer                  // to sub
	opMap
	opInterface
	opOwn // encodes itself
)

// part is a value of no fixed size at an offset from the value's start.
type part struct {
	code opcode
	off  uintptr
	n    int      // elements of an array
	sub  *program // of the elements, or of what a pointer points to
	typ  reflect.Type
	path string // where the part was met first
	maps *mapType
	open *interfaceType
	own  own
}

// own is how a type's values are encoded other than by what they consist of.
type own interface {
	// append appends the value at a place in memory.
	append(dst []byte, at unsafe.Pointer) ([]byte, error)
	// decode makes the value of src, which it may change and must not keep.
	decode(src []byte, at unsafe.Pointer) error
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
	refused := len(c.errs) // Refused fields leave nothing, too.
	for _, e := range c.elements {
		if refused == 0 && e.prog.min == 0 && e.prog.size > 0 {
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

// add appends to p what a value of type t at the offset takes.
func (c *compiler) add(p *program, t reflect.Type, path string, off uintptr) {
	own := ownOf(t)
	switch {
	case own != nil:
		p.addPart(part{code: opOwn, off: off, typ: t, path: path, own: own}, 1)
		return
	case isTime(t):
		p.times = p.addText(p.times, off, timeHead)
		return
	case refusal(t) != "":
		c.refuse(t, path, refusal(t))
		return
	case dense(t):
		p.addMove(off, t.Size())
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		p.bools = append(p.bools, p.head)
		p.addMove(off, 1)
	case reflect.String:
		p.texts = p.addText(p.texts, off, stringHead)
	case reflect.Struct:
		c.addStruct(p, t, path, off)
	case reflect.Array:
		c.addArray(p, t, path, off)
	case reflect.Slice:
		c.addSlice(p, t, path, off)
	case reflect.Pointer:
		p.addPart(part{code: opPointer, off: off, sub: c.program(t.Elem(), path), typ: t.Elem(), path: path}, 1)
	case reflect.Map:
		c.addMap(p, t, path, off)
	case reflect.Interface:
		p.addPart(part{code: opInterface, off: off, typ: t, path: path, open: c.interfaceType(t, path)}, 1)
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
			c.refuse(f.Type, at, "it is not exported; export it, give "+t.String()+" the methods MarshalBinary and UnmarshalBinary, or register a codec for it")
		default:
			c.add(p, f.Type, at, off+f.Offset)
		}
	}
}

// An array of so many elements and bytes at most is flattened into a program.
const (
	maxFlat      = 16
	maxFlatBytes = 512
)

func (c *compiler) addArray(p *program, t reflect.Type, path string, off uintptr) {
	elem := t.Elem()
	if t.Len() <= maxFlat && t.Size() <= maxFlatBytes {
		for i := range t.Len() {
			errs := len(c.errs)
			c.add(p, elem, path+"[]", off+uintptr(i)*elem.Size())
			if len(c.errs) > errs {
				return // every element says the same
			}
		}
		return
	}
	// A program of its own: an entered one may be incomplete, and the array's
	// length in bytes is needed now. A type contains itself only by reference, so
	// this ends.
	sub := &program{size: elem.Size()}
	c.add(sub, elem, path+"[]", 0)
	if sub.min > 0 {
		p.addPart(part{code: opArray, off: off, n: t.Len(), sub: sub, path: path}, t.Len()*sub.min)
	}
}

func (c *compiler) addSlice(p *program, t reflect.Type, path string, off uintptr) {
	elem := t.Elem()
	s := part{off: off, typ: t, path: path}
	switch {
	case ownOf(elem) != nil: // whatever it looks like
		s.code = opSlice
	case elem.Kind() == reflect.Uint8 || elem.Kind() == reflect.Int8:
		s.code = opBytes
		p.addPart(s, 1)
		return
	case elem.Kind() == reflect.String:
		s.code = opStrings
		p.addPart(s, 1)
		return
	case dense(elem):
		s.code = opImages
	default:
		s.code = opSlice
	}
	if s.code == opSlice && pointerFree(elem) {
		s.code = opPlainSlice
	}
	s.sub = c.program(elem, path+"[]")
	c.elements = append(c.elements, element{path: path + "[]", typ: elem, prog: s.sub})
	p.addPart(s, 1)
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
	text := reflect.TypeFor[string]()
	m.text = t.Key() == text && t.Elem() == text && ownOf(text) == nil
	m.scratch = sync.Pool{New: func() any { return newMapScratch(t) }}
	p.addPart(part{code: opMap, off: off, path: path, maps: m}, 1)
}

// addMove adds memory to the head, and to the last move if it goes on there.
func (p *program) addMove(off, size uintptr) {
	n := int(size)
	if n == 0 {
		return
	}
	if last := len(p.moves) - 1; last >= 0 && p.moves[last].mem+uintptr(p.moves[last].n) == off && p.moves[last].at+p.moves[last].n == p.head {
		p.moves[last].n += n
	} else {
		p.moves = append(p.moves, move{mem: off, at: p.head, n: n})
	}
	p.head += n
	p.min += n
}

func (p *program) addText(texts []text, off uintptr, head int) []text {
	texts = append(texts, text{mem: off, at: p.head})
	p.head += head
	p.min += head
	return texts
}

func (p *program) addPart(s part, least int) {
	p.parts = append(p.parts, s)
	p.min += least
}

func (c *compiler) refuse(t reflect.Type, path, why string) {
	c.errs = append(c.errs, fmt.Sprintf("%s (%v): %s", path, t, why))
}

// ownOf returns how values of type t are encoded other than by what they consist
// of, or nil: by the codec that was registered for them, as protobuf messages,
// or by their own methods.
func ownOf(t reflect.Type) own {
	if r := registeredCodec(t); r != nil {
		return r
	}
	if t.Kind() == reflect.Pointer {
		if isMessage(t.Elem()) {
			return message{t.Elem()}
		}
		return nil
	}
	if isTime(t) {
		return nil
	}
	if m := marshalerOf(t); m != nil {
		return m
	}
	return nil
}
