package codec

import (
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
)

// stateProgram reads the state encoding of one shape into values of one type, and
// writes it if that is the type's own shape. Structs in structs, and short arrays,
// are flattened into it.
type stateProgram struct {
	size  uintptr // of the value in memory
	min   int     // bytes that an encoding has at least
	ops   []stateOp
	image bool // whether an encoding is the value's memory
}

type stateCode uint8

const (
	stateMove      stateCode = iota // n bytes as they are
	stateBool                       // a byte that is checked
	stateNumber                     // a number that is not as in memory
	stateString                     // length and bytes
	stateTime                       // head and zone
	stateStrings                    // []string
	stateSlice                      // elements by sub
	stateArray                      // n elements by sub
	statePointer                    // to sub
	stateMap                        // maps
	stateInterface                  // open
	stateOwn                        // part
	stateSkip                       // a value of the shape gone that the type has no field for
)

// stateOp encodes what is at an offset from the value's start.
type stateOp struct {
	code  stateCode
	plain bool      // the elements of a slice hold no pointers
	from  shapeKind // of the number that is written
	to    shapeKind // of the number in memory
	mem   uintptr
	n     int
	sub   *stateProgram
	typ   reflect.Type
	path  string
	maps  *stateMapType
	open  *stateInterfaceType
	part  *part
	gone  *node
}

// stateMapType encodes one type of map.
type stateMapType struct {
	typ       reflect.Type
	text      bool // map[string]string
	least     int  // bytes that an element takes at least
	key, elem *stateProgram
	scratch   sync.Pool // of *mapScratch
}

// stateInterfaceType encodes one type of interface, whose values are of the types
// in its shape.
type stateInterfaceType struct {
	types  []*stateAlternative // in the order of the shape; those without a prog are registered no more
	byType map[reflect.Type]*stateAlternative
}

type stateAlternative struct {
	index   int
	name    string
	typ     reflect.Type
	prog    *stateProgram
	scratch sync.Pool // of *reflect.Value: what points to a value of typ
}

// images tells that numbers lie in memory as they are encoded. Elsewhere they are
// taken apart and put together.
const images = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"

// stateCompiler compiles one shape for one type, and the shapes and types that
// they are made of. Programs are entered before they are complete, so that
// recursive types end.
type stateCompiler struct {
	programs map[statePair]*stateProgram
	images   bool
	exact    bool // in the key of a map, which must be what was written
	errs     []string
}

type statePair struct {
	written *node
	typ     reflect.Type
	exact   bool
}

func newStateCompiler(images bool) *stateCompiler {
	return &stateCompiler{programs: map[statePair]*stateProgram{}, images: images}
}

// maxStateErrs is how many incompatibilities one error has at most.
const maxStateErrs = 20

// refuse notes why what was written at a path cannot be read.
func (c *stateCompiler) refuse(path, format string, args ...any) {
	if len(c.errs) == maxStateErrs {
		c.errs = append(c.errs, "and more")
	}
	if len(c.errs) < maxStateErrs {
		c.errs = append(c.errs, path+": "+fmt.Sprintf(format, args...))
	}
}

// maxPath bounds the path of a value, in bytes.
const maxPath = 1000

// within returns the path of a part of what is at a path. A shape, and not a type
// alone, may make it long.
func within(path, part string) string {
	if len(path)+len(part) <= maxPath {
		return path + part
	}
	return strings.TrimSuffix(path, "...") + "..."
}

func (c *stateCompiler) program(w *node, t reflect.Type, path string) *stateProgram {
	at := statePair{w, t, c.exact}
	if p, ok := c.programs[at]; ok {
		return p
	}
	p := &stateProgram{}
	c.programs[at] = p
	c.fill(p, w, t, path)
	return p
}

// fill compiles a program that was made.
func (c *stateCompiler) fill(p *stateProgram, w *node, t reflect.Type, path string) {
	p.size, p.min = t.Size(), w.min
	c.add(p, w, t, path, 0)
	p.image = len(p.ops) == 1 && p.ops[0].code == stateMove && uintptr(p.ops[0].n) == p.size
}

// add appends to p what reads a value of shape w into one of type t at an offset.
func (c *stateCompiler) add(p *stateProgram, w *node, t reflect.Type, path string, off uintptr) {
	if len(c.errs) > maxStateErrs {
		return // Nobody will use the program.
	}
	kind, name := kindOf(t)
	if w.kind != kind && kind.class() > 0 && w.kind.class() > 0 {
		c.addNumber(p, w.kind, kind, path, off)
		return
	}
	if w.kind != kind || w.name != name {
		c.refuse(path, "%s was written, and it is now %s", w.text(maxPartText), describe(t))
		return
	}
	switch kind {
	case kindBool:
		p.add(stateOp{code: stateBool, mem: off})
	case kindString:
		p.add(stateOp{code: stateString, mem: off})
	case kindTime:
		p.add(stateOp{code: stateTime, mem: off})
	case kindComplex64:
		c.addNumber(p, kindFloat32, kindFloat32, path, off)
		c.addNumber(p, kindFloat32, kindFloat32, path, off+4)
	case kindComplex128:
		c.addNumber(p, kindFloat64, kindFloat64, path, off)
		c.addNumber(p, kindFloat64, kindFloat64, path, off+8)
	case kindStruct:
		c.addStruct(p, w, t, path, off)
	case kindArray:
		c.addArray(p, w, t, path, off)
	case kindSlice:
		c.addSlice(p, w, t, path, off)
	case kindMap:
		c.addMap(p, w, t, path, off)
	case kindPointer:
		p.add(stateOp{code: statePointer, mem: off, typ: t.Elem(), path: path, sub: c.program(w.elem, t.Elem(), path)})
	case kindInterface:
		c.addInterface(p, w, t, path, off)
	case kindCodec, kindBinary, kindGob, kindMessage:
		own := &part{code: opOwn, typ: t, path: path, own: ownOf(t)}
		p.add(stateOp{code: stateOwn, mem: off, part: own, path: path})
	default:
		c.addNumber(p, kind, kind, path, off)
	}
}

// describe returns the shape of a type as a text.
func describe(t reflect.Type) string {
	n, _, err := shapeOf(t)
	if err != nil {
		return t.String()
	}
	return n.text(maxPartText)
}

// add appends an operation. Memory that follows what is moved before is moved
// with it.
func (p *stateProgram) add(op stateOp) {
	if n := len(p.ops); n > 0 && op.code == stateMove {
		if last := &p.ops[n-1]; last.code == stateMove && last.mem+uintptr(last.n) == op.mem {
			last.n += op.n
			return
		}
	}
	p.ops = append(p.ops, op)
}

// widens reports whether all numbers of one kind are of the other.
func widens(from, to shapeKind) bool {
	a, b := &basics[from], &basics[to]
	if a.class == classUnsigned && b.class == classSigned {
		return a.size < b.size
	}
	return a.class == b.class && a.size <= b.size
}

func (c *stateCompiler) addNumber(p *stateProgram, from, to shapeKind, path string, off uintptr) {
	if !widens(from, to) || c.exact && from != to {
		c.refuse(path, "%s was written, and it is now %s", basics[from].name, basics[to].name)
		return
	}
	if c.images && basics[from].size == basics[to].size {
		p.add(stateOp{code: stateMove, mem: off, n: basics[to].size})
		return
	}
	p.add(stateOp{code: stateNumber, mem: off, from: from, to: to, path: path})
}

func (c *stateCompiler) addStruct(p *stateProgram, w *node, t reflect.Type, path string, off uintptr) {
	byName := map[string]reflect.StructField{}
	for i := range t.NumField() {
		if f := t.Field(i); f.Name != "_" {
			byName[f.Name] = f
		}
	}
	if c.exact && !sameFields(w, t) {
		c.refuse(path, "%s was written, and it is now %s; the key of a map must remain what it was", w.text(maxPartText), describe(t))
		return
	}
	for _, f := range w.fields {
		today, ok := byName[f.name]
		if !ok {
			p.addSkip(f.node)
			continue
		}
		c.add(p, f.node, today.Type, within(path, "."+f.name), off+today.Offset)
	}
}

// sameFields reports whether t has the fields that were written, in their order.
func sameFields(w *node, t reflect.Type) bool {
	var names []string
	for i := range t.NumField() {
		if f := t.Field(i); f.Name != "_" {
			names = append(names, f.Name)
		}
	}
	if len(names) != len(w.fields) {
		return false
	}
	for i, f := range w.fields {
		if f.name != names[i] {
			return false
		}
	}
	return true
}

// addSkip appends what skips a value of a shape.
func (p *stateProgram) addSkip(gone *node) {
	if gone.fixed && gone.min == 0 {
		return
	}
	p.ops = append(p.ops, stateOp{code: stateSkip, gone: gone})
}

func (c *stateCompiler) addArray(p *stateProgram, w *node, t reflect.Type, path string, off uintptr) {
	elem := t.Elem()
	if w.n != t.Len() {
		c.refuse(path, "an array of %d elements was written, and it has now %d", w.n, t.Len())
		return
	}
	if t.Len() > 0 && t.Len() <= maxFlat && t.Size() <= maxFlatBytes {
		for i := range t.Len() {
			errs := len(c.errs)
			c.add(p, w.elem, elem, within(path, "[]"), off+uintptr(i)*elem.Size())
			if len(c.errs) > errs {
				return // every element says the same
			}
		}
		return
	}
	// A program of its own: an entered one may be incomplete. See addArray of the
	// compiler.
	sub := &stateProgram{}
	c.fill(sub, w.elem, elem, within(path, "[]"))
	switch {
	case w.min == 0:
	case sub.image:
		p.add(stateOp{code: stateMove, mem: off, n: int(t.Size())})
	default:
		p.add(stateOp{code: stateArray, mem: off, n: t.Len(), sub: sub, path: path})
	}
}

func (c *stateCompiler) addSlice(p *stateProgram, w *node, t reflect.Type, path string, off uintptr) {
	elem := t.Elem()
	if w.elem.min == 0 && elem.Size() > 0 {
		c.refuse(path, "elements without content, %s, were written, and they are now %s", w.elem.text(maxPartText), describe(elem))
		return
	}
	if kind, _ := kindOf(elem); kind == kindString && w.elem.kind == kindString {
		p.add(stateOp{code: stateStrings, mem: off})
		return
	}
	p.add(stateOp{
		code: stateSlice, mem: off, n: w.elem.min, typ: t, path: path, plain: pointerFree(elem),
		sub: c.program(w.elem, elem, within(path, "[]")),
	})
}

func (c *stateCompiler) addMap(p *stateProgram, w *node, t reflect.Type, path string, off uintptr) {
	text := reflect.TypeFor[string]()
	m := &stateMapType{typ: t, text: t.Key() == text && t.Elem() == text && ownOf(text) == nil, least: capped(w.key.min, 1, w.elem.min)}
	exact := c.exact
	c.exact = true
	m.key = c.program(w.key, t.Key(), within(path, "[key]"))
	c.exact = exact
	m.elem = c.program(w.elem, t.Elem(), within(path, "[value]"))
	m.scratch.New = func() any { return newMapScratch(t) }
	p.add(stateOp{code: stateMap, mem: off, path: path, maps: m})
}

func (c *stateCompiler) addInterface(p *stateProgram, w *node, t reflect.Type, path string, off uintptr) {
	byName := map[string]reflect.Type{}
	for _, typ := range implementors(t) {
		byName[fullName(typ)] = typ
	}
	i := &stateInterfaceType{byType: map[reflect.Type]*stateAlternative{}}
	for index, f := range w.fields {
		a := &stateAlternative{index: index, name: f.name}
		i.types = append(i.types, a)
		typ := byName[f.name]
		if typ == nil {
			continue
		}
		a.typ = typ
		a.prog = c.program(f.node, typ, within(path, ".("+typ.String()+")"))
		a.scratch.New = func() any { v := reflect.New(typ); return &v }
		i.byType[typ] = a
	}
	p.add(stateOp{code: stateInterface, mem: off, typ: t, path: path, open: i})
}
