package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
)

// Shape says what values of a type consist of, for whoever reads their state
// encoding with another version of the type. It is a function of the type alone,
// the same on every platform: the names of fields and what they are, and the names
// of types whose values encode themselves or are held by interfaces. Names of
// other types do not enter. The package documentation has its bytes.
type Shape []byte

// shapeVersion is the first byte of a shape. It stands for the encoding of shapes
// and for that of the values that they describe.
const shapeVersion = 1

// shapeKind says what a value is. The numbers are frozen.
type shapeKind uint8

const (
	kindBool       shapeKind = 1
	kindInt        shapeKind = 2
	kindInt8       shapeKind = 3
	kindInt16      shapeKind = 4
	kindInt32      shapeKind = 5
	kindInt64      shapeKind = 6
	kindUint       shapeKind = 7
	kindUint8      shapeKind = 8
	kindUint16     shapeKind = 9
	kindUint32     shapeKind = 10
	kindUint64     shapeKind = 11
	kindUintptr    shapeKind = 12
	kindFloat32    shapeKind = 13
	kindFloat64    shapeKind = 14
	kindComplex64  shapeKind = 15
	kindComplex128 shapeKind = 16
	kindString     shapeKind = 17
	kindTime       shapeKind = 18

	// Those from here on may be referred to by a number.
	kindStruct    shapeKind = 32
	kindArray     shapeKind = 33
	kindSlice     shapeKind = 34
	kindMap       shapeKind = 35
	kindPointer   shapeKind = 36
	kindInterface shapeKind = 37
	kindCodec     shapeKind = 38 // a registered codec
	kindBinary    shapeKind = 39 // UnmarshalBinary
	kindGob       shapeKind = 40 // GobDecode
	kindMessage   shapeKind = 41 // a pointer to a protobuf message

	kindReference shapeKind = 63
)

// basics has the kinds that nothing more is said of.
var basics = [...]struct {
	name   string
	class  numberClass
	size   int          // bytes of an encoding, at least
	native reflect.Kind // whose values are of the kind
}{
	kindBool:       {"bool", 0, 1, reflect.Bool},
	kindInt:        {"int", classSigned, 8, reflect.Int},
	kindInt8:       {"int8", classSigned, 1, reflect.Int8},
	kindInt16:      {"int16", classSigned, 2, reflect.Int16},
	kindInt32:      {"int32", classSigned, 4, reflect.Int32},
	kindInt64:      {"int64", classSigned, 8, reflect.Int64},
	kindUint:       {"uint", classUnsigned, 8, reflect.Uint},
	kindUint8:      {"uint8", classUnsigned, 1, reflect.Uint8},
	kindUint16:     {"uint16", classUnsigned, 2, reflect.Uint16},
	kindUint32:     {"uint32", classUnsigned, 4, reflect.Uint32},
	kindUint64:     {"uint64", classUnsigned, 8, reflect.Uint64},
	kindUintptr:    {"uintptr", classUnsigned, 8, reflect.Uintptr},
	kindFloat32:    {"float32", classFloat, 4, reflect.Float32},
	kindFloat64:    {"float64", classFloat, 8, reflect.Float64},
	kindComplex64:  {"complex64", 0, 8, reflect.Complex64},
	kindComplex128: {"complex128", 0, 16, reflect.Complex128},
	kindString:     {"string", 0, 1, reflect.String},
	kindTime:       {"time.Time", 0, timeHead, reflect.Invalid},
}

// numberClass is one of the kinds of numbers that may become wider.
type numberClass uint8

const (
	classSigned numberClass = 1 + iota
	classUnsigned
	classFloat
)

func (k shapeKind) basic() bool { return k > 0 && int(k) < len(basics) }

// class returns that of a number, or 0.
func (k shapeKind) class() numberClass {
	if !k.basic() {
		return 0
	}
	return basics[k].class
}

// own reports whether values encode themselves.
func (k shapeKind) own() bool { return k >= kindCodec && k <= kindMessage }

// kindOf returns what values of type t are, with the name of what encodes itself.
// It returns 0 for types that have no encoding.
func kindOf(t reflect.Type) (shapeKind, string) {
	if own := ownOf(t); own != nil {
		switch o := own.(type) {
		case message:
			return kindMessage, o.name()
		case *marshaler:
			if o.by == byGob {
				return kindGob, fullName(t)
			}
			return kindBinary, fullName(t)
		}
		return kindCodec, fullName(t)
	}
	if isTime(t) {
		return kindTime, ""
	}
	if refusal(t) != "" {
		return 0, ""
	}
	switch t.Kind() {
	case reflect.Struct:
		return kindStruct, ""
	case reflect.Array:
		return kindArray, ""
	case reflect.Slice:
		return kindSlice, ""
	case reflect.Map:
		return kindMap, ""
	case reflect.Pointer:
		return kindPointer, ""
	case reflect.Interface:
		return kindInterface, ""
	}
	for k := range basics {
		if b := &basics[k]; b.native == t.Kind() && b.size > 0 {
			return shapeKind(k), ""
		}
	}
	return 0, ""
}

// node is the shape of a value, with those of its parts. Those of types that
// contain themselves go round in circles.
type node struct {
	kind   shapeKind
	name   string      // of what encodes itself
	n      int         // elements of an array
	fields []nodeField // of a struct; or the types of an interface's values, by name
	key    *node       // of a map
	elem   *node       // of an array, slice or map, or what a pointer points to

	min   int  // bytes that an encoding has at least
	fixed bool // whether it has no more
	depth int  // of structs and arrays in it, 0 until it is known
}

type nodeField struct {
	name string
	node *node
}

// basicNodes are shared.
var basicNodes = func() (nodes [len(basics)]*node) {
	for k := range basics {
		kind := shapeKind(k)
		nodes[k] = &node{kind: kind, min: basics[k].size, fixed: kind != kindString && kind != kindTime, depth: 1}
	}
	return nodes
}()

// shaper makes the shapes of types.
type shaper struct {
	byType map[reflect.Type]*node
	nodes  []*node
}

// shapeOf returns the shape of a type that has an encoding.
func shapeOf(t reflect.Type) (*node, Shape, error) {
	s := &shaper{byType: map[reflect.Type]*node{}}
	n, err := s.node(t, 0)
	if err == nil {
		err = settle(s.nodes)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("no encoding: %w", err)
	}
	shape := appendShape(n)
	if len(shape) > maxShape {
		return nil, nil, fmt.Errorf("no encoding: the names and types in %v take %d bytes, the limit is %d; use smaller types", t, len(shape), maxShape)
	}
	return n, shape, nil
}

func (s *shaper) node(t reflect.Type, depth int) (*node, error) {
	kind, name := kindOf(t)
	switch {
	case kind == 0:
		return nil, fmt.Errorf("%v: it has no encoding", t)
	case kind.basic():
		return basicNodes[kind], nil
	case depth > maxShapeDepth:
		return nil, fmt.Errorf("%v: it is nested in more than %d other types", t, maxShapeDepth)
	}
	if n, ok := s.byType[t]; ok {
		return n, nil
	}
	n := &node{kind: kind, name: name}
	s.byType[t] = n
	s.nodes = append(s.nodes, n)
	var err error
	switch kind {
	case kindStruct:
		err = s.structFields(n, t, depth)
	case kindInterface:
		err = s.alternatives(n, t, depth)
	case kindMap:
		if n.key, err = s.node(t.Key(), depth+1); err == nil {
			n.elem, err = s.node(t.Elem(), depth+1)
		}
	case kindArray:
		n.n = t.Len()
		n.elem, err = s.node(t.Elem(), depth+1)
	case kindSlice, kindPointer:
		n.elem, err = s.node(t.Elem(), depth+1)
	default: // it encodes itself
	}
	return n, err
}

func (s *shaper) structFields(n *node, t reflect.Type, depth int) error {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "_" {
			continue
		}
		sub, err := s.node(f.Type, depth+1)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		n.fields = append(n.fields, nodeField{f.Name, sub})
	}
	return nil
}

// alternatives adds the types that an interface's value may have, by their names.
func (s *shaper) alternatives(n *node, t reflect.Type, depth int) error {
	for _, typ := range namedImplementors(t) {
		sub, err := s.node(typ, depth+1)
		if err != nil {
			return err
		}
		n.fields = append(n.fields, nodeField{fullName(typ), sub})
	}
	return nil
}

// namedImplementors returns the registered types that implement t in the order of
// their names.
func namedImplementors(t reflect.Type) []reflect.Type {
	var types []reflect.Type
	for _, typ := range implementors(t) {
		types = append(types, typ)
	}
	slices.SortFunc(types, func(a, b reflect.Type) int { return strings.Compare(fullName(a), fullName(b)) })
	return types
}

// settle finds out how long encodings are. It refuses values that contain
// themselves, of which there are none in Go, and deep ones.
func settle(nodes []*node) error {
	for _, n := range nodes {
		if err := n.settle(1); err != nil {
			return err
		}
	}
	return nil
}

// entered is the depth of a node that is being settled.
const entered = -1

func (n *node) settle(depth int) error {
	switch {
	case n.depth > 0:
		return nil
	case n.depth == entered:
		return fmt.Errorf("%w: a value contains itself", ErrCorrupt)
	case depth > maxShapeDepth:
		return errDeepShape
	}
	n.depth = entered
	deepest := 0
	switch n.kind {
	case kindStruct:
		n.fixed = true
		for _, f := range n.fields {
			if err := f.node.settle(depth + 1); err != nil {
				return err
			}
			deepest = max(deepest, f.node.depth)
			n.fixed = n.fixed && f.node.fixed
			n.min = capped(n.min, 1, f.node.min)
		}
	case kindArray:
		if err := n.elem.settle(depth + 1); err != nil {
			return err
		}
		deepest = n.elem.depth
		n.fixed = n.elem.fixed
		n.min = capped(0, n.n, n.elem.min)
	default:
		n.min = 1
	}
	if deepest >= maxShapeDepth {
		return errDeepShape
	}
	n.depth = deepest + 1
	return nil
}

// capped returns sum + n * size, or what no encoding has.
func capped(sum, n, size int) int {
	if size > 0 && n > (math.MaxInt-sum)/size {
		return math.MaxInt
	}
	return sum + n*size
}

// appendShape returns the bytes of a shape.
func appendShape(n *node) Shape {
	w := &shapeWriter{dst: Shape{shapeVersion}, numbers: map[*node]int{}}
	w.node(n)
	return w.dst
}

type shapeWriter struct {
	dst     Shape
	numbers map[*node]int // of the nodes that were begun, which others may refer to
}

func (w *shapeWriter) node(n *node) {
	if n.kind.basic() {
		w.dst = append(w.dst, byte(n.kind))
		return
	}
	if number, ok := w.numbers[n]; ok {
		w.dst = binary.AppendUvarint(append(w.dst, byte(kindReference)), uint64(number))
		return
	}
	w.numbers[n] = len(w.numbers)
	w.dst = append(w.dst, byte(n.kind))
	switch n.kind {
	case kindStruct, kindInterface:
		w.dst = binary.AppendUvarint(w.dst, uint64(len(n.fields)))
		for _, f := range n.fields {
			w.dst = appendString(w.dst, f.name)
			w.node(f.node)
		}
	case kindMap:
		w.node(n.key)
		w.node(n.elem)
	case kindArray:
		w.dst = binary.AppendUvarint(w.dst, uint64(n.n))
		w.node(n.elem)
	case kindSlice, kindPointer:
		w.node(n.elem)
	default: // it encodes itself
		w.dst = appendString(w.dst, n.name)
	}
}
