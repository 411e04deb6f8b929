package key

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
)

// ErrIncompatible is what [Kind.Accepts] returns, wrapped, for a kind of key whose
// keys the Kind cannot take over.
var ErrIncompatible = errors.New("incompatible key")

// Shape describes a kind of key, beside keys that are stored: see the package
// documentation. Kinds whose keys are encoded, and mean, the same have one shape.
type Shape []byte

// shapeVersion is the first byte of a shape. It stands for the encoding of shapes
// and that of the keys that they describe, and for their hash.
const shapeVersion = 1

// shapeKind says what a part of a key is. The numbers are frozen.
type shapeKind uint8

const (
	kindBool   shapeKind = 1
	kindInt8   shapeKind = 2
	kindInt16  shapeKind = 3
	kindInt32  shapeKind = 4
	kindInt64  shapeKind = 5 // and int
	kindUint8  shapeKind = 6
	kindUint16 shapeKind = 7
	kindUint32 shapeKind = 8
	kindUint64 shapeKind = 9 // and uint
	kindString shapeKind = 10
	kindBytes  shapeKind = 11 // an array of bytes
	kindStruct shapeKind = 12
	kindArray  shapeKind = 13
)

var kindNames = [...]string{
	kindBool: "bool", kindInt8: "int8", kindInt16: "int16", kindInt32: "int32", kindInt64: "int64",
	kindUint8: "uint8", kindUint16: "uint16", kindUint32: "uint32", kindUint64: "uint64", kindString: "string",
}

// bits is how wide an integer is, and whether it has a sign. Others have 0 bits.
func (k shapeKind) bits() (n int, signed bool) {
	switch {
	case k >= kindInt8 && k <= kindInt64:
		return 8 << (k - kindInt8), true
	case k >= kindUint8 && k <= kindUint64:
		return 8 << (k - kindUint8), false
	}
	return 0, false
}

var shapeKinds = map[reflect.Kind]shapeKind{
	reflect.Bool:   kindBool,
	reflect.Int8:   kindInt8,
	reflect.Int16:  kindInt16,
	reflect.Int32:  kindInt32,
	reflect.Int64:  kindInt64,
	reflect.Int:    kindInt64,
	reflect.Uint8:  kindUint8,
	reflect.Uint16: kindUint16,
	reflect.Uint32: kindUint32,
	reflect.Uint64: kindUint64,
	reflect.Uint:   kindUint64,
	reflect.String: kindString,
}

// node is what a key is, or a part of one.
type node struct {
	kind   shapeKind
	n      int         // bytes, or elements of an array
	elem   *node       // of an array
	fields []nodeField // of a struct: none, or two and more
}

type nodeField struct {
	name string
	node *node
}

// shapeOf returns the shape of a type whose values are keys. A struct with one
// field is that field, and what takes no room in a key is left out.
func shapeOf(t reflect.Type) *node {
	switch t.Kind() {
	case reflect.Struct:
		n := &node{kind: kindStruct}
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Name == "_" {
				continue
			}
			if sub := shapeOf(f.Type); !sub.empty() {
				n.fields = append(n.fields, nodeField{f.Name, sub})
			}
		}
		if len(n.fields) == 1 {
			return n.fields[0].node
		}
		return n
	case reflect.Array:
		if t.Len() > 0 && t.Elem().Kind() == reflect.Uint8 {
			return &node{kind: kindBytes, n: t.Len()}
		}
		if elem := shapeOf(t.Elem()); t.Len() > 0 && !elem.empty() {
			return &node{kind: kindArray, n: t.Len(), elem: elem}
		}
		return &node{kind: kindStruct}
	}
	return &node{kind: shapeKinds[t.Kind()]}
}

func (n *node) empty() bool { return n.kind == kindStruct && len(n.fields) == 0 }

func appendNode(dst Shape, n *node) Shape {
	dst = append(dst, byte(n.kind))
	switch n.kind {
	case kindStruct:
		dst = binary.AppendUvarint(dst, uint64(len(n.fields)))
		for _, f := range n.fields {
			dst = binary.AppendUvarint(dst, uint64(len(f.name)))
			dst = appendNode(append(dst, f.name...), f.node)
		}
	case kindBytes:
		dst = binary.AppendUvarint(dst, uint64(n.n))
	case kindArray:
		dst = appendNode(binary.AppendUvarint(dst, uint64(n.n)), n.elem)
	default: // nothing more is said of others
	}
	return dst
}

// Shape returns what describes the keys to [Kind.Accepts]. The caller must not
// change it.
func (k *Kind[K]) Shape() Shape { return k.described }

// Accepts returns nil if keys that were written with the given shape are keys of
// the same meaning, with the same encoding and hash, for this kind: if it is the
// kind's own, or has narrower integers. Otherwise, it returns an error that wraps
// [ErrIncompatible], and has what has changed and both shapes; or [ErrCorrupt], if
// the bytes are no shape.
func (k *Kind[K]) Accepts(written []byte) error {
	if string(written) == string(k.described) {
		return nil
	}
	if err := accepts(written, k.described); err != nil {
		return fmt.Errorf("keys of type %v: %w", reflect.TypeFor[K](), err)
	}
	return nil
}

func accepts(written, now Shape) error {
	w, err := parseShape(written)
	if err != nil {
		return fmt.Errorf("the shape of those that were written: %w", err)
	}
	n, err := parseShape(now)
	if err != nil {
		return err
	}
	if why := w.becomes(n, ""); why != "" {
		return fmt.Errorf("%w: %s; written was %v, and it is now %v; use keys of the type that was written, or restore without this state",
			ErrIncompatible, why, written, now)
	}
	return nil
}

// becomes says why keys of one shape are not those of another, or nothing.
func (n *node) becomes(now *node, path string) string {
	a, aSigned := n.kind.bits()
	b, bSigned := now.kind.bits()
	switch {
	case a > 0 && b > 0 && (aSigned == bSigned && a <= b || !aSigned && a < b):
		return ""
	case n.kind != now.kind || n.n != now.n || len(n.fields) != len(now.fields):
		return fmt.Sprintf("%s%s was written, and it is now %s", before(path), n.text(maxPartText), now.text(maxPartText))
	case n.kind == kindArray:
		return n.elem.becomes(now.elem, path+"[]")
	}
	for i, f := range n.fields {
		if g := now.fields[i]; f.name != g.name {
			return fmt.Sprintf("%sfield %d was %s, and it is now %s", before(path), i+1, f.name, g.name)
		}
		if why := f.node.becomes(now.fields[i].node, join(path, f.name)); why != "" {
			return why
		}
	}
	return ""
}

func before(path string) string {
	if path == "" {
		return ""
	}
	return path + ": "
}

// Limits of a shape.
const (
	maxShape      = 1 << 18 // bytes
	maxShapeDepth = 500     // of structs and arrays in each other
	maxShapeText  = 2000    // bytes of its text
	maxPartText   = 200     // and of that of a part
)

// parseShape reads a shape. Only what appendNode writes is accepted.
func parseShape(src Shape) (*node, error) {
	if len(src) > maxShape {
		return nil, fmt.Errorf("%w: a shape of %d bytes: the longest has %d", ErrCorrupt, len(src), maxShape)
	}
	if len(src) == 0 {
		return nil, fmt.Errorf("%w: a shape without a byte", ErrCorrupt)
	}
	if src[0] != shapeVersion {
		return nil, fmt.Errorf("%w: a shape of version %d: this program reads version %d; if it was written by a newer one, use that or a newer one", ErrCorrupt, src[0], shapeVersion)
	}
	p := &shapeParser{src: src[1:]}
	n, err := p.node(0)
	if err == nil && len(p.src) > 0 {
		err = fmt.Errorf("%d bytes after its end", len(p.src))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: a shape: at byte %d of %d: %w", ErrCorrupt, len(src)-len(p.src), len(src), err)
	}
	return n, nil
}

// shapeParser has what is left to read.
type shapeParser struct{ src Shape }

func (p *shapeParser) node(depth int) (*node, error) {
	if len(p.src) == 0 {
		return nil, errors.New("a kind is missing")
	}
	if depth > maxShapeDepth {
		return nil, errDeep
	}
	n := &node{kind: shapeKind(p.src[0])}
	p.src = p.src[1:]
	var err error
	switch n.kind {
	case kindStruct:
		return n, p.fields(n, depth)
	case kindBytes:
		n.n, err = p.number()
	case kindArray:
		if n.n, err = p.number(); err == nil {
			n.elem, err = p.node(depth + 1)
		}
		if err == nil && n.elem.empty() {
			err = errors.New("an array of nothing")
		}
	default:
		if int(n.kind) >= len(kindNames) || n.kind == 0 {
			err = fmt.Errorf("the unknown kind %d", n.kind)
		}
		return n, err
	}
	if err == nil && n.n == 0 {
		err = errors.New("an empty array")
	}
	return n, err
}

var errDeep = fmt.Errorf("types are nested deeper than %d", maxShapeDepth)

func (p *shapeParser) fields(n *node, depth int) error {
	count, err := p.number()
	if err != nil {
		return err
	}
	if count == 1 || count > len(p.src)/2 { // a name's length and a kind each
		return fmt.Errorf("a struct of %d fields", count)
	}
	names := map[string]bool{}
	for range count {
		length, err := p.number()
		if err != nil {
			return err
		}
		if length > len(p.src) {
			return fmt.Errorf("a name of %d bytes, %d are left", length, len(p.src))
		}
		name := string(p.src[:length])
		p.src = p.src[length:]
		if names[name] {
			return fmt.Errorf("the field %.100q twice", name)
		}
		names[name] = true
		sub, err := p.node(depth + 1)
		if err != nil {
			return err
		}
		if sub.empty() {
			return fmt.Errorf("nothing in the field %.100q", name)
		}
		n.fields = append(n.fields, nodeField{name, sub})
	}
	return nil
}

func (p *shapeParser) number() (int, error) {
	v, n := binary.Uvarint(p.src)
	if n <= 0 || n != uvarintLen(v) || v > math.MaxInt {
		return 0, errors.New("a length expected")
	}
	p.src = p.src[n:]
	return int(v), nil
}

// String returns the shape as Go writes types, such as
// struct{Origin string; Day int64}. What would be very long ends with an ellipsis.
func (s Shape) String() string {
	n, err := parseShape(s)
	if err != nil {
		return fmt.Sprintf("(no shape: %v)", err)
	}
	return n.text(maxShapeText)
}

// text returns the text of a shape, cut to a limit in bytes.
func (n *node) text(limit int) string {
	dst := n.appendText(nil, limit)
	if len(dst) > limit {
		return string(dst[:limit]) + "..."
	}
	return string(dst)
}

func (n *node) appendText(dst []byte, limit int) []byte {
	switch n.kind {
	case kindStruct:
		dst = append(dst, "struct{"...)
		for i, f := range n.fields {
			if len(dst) > limit {
				return dst
			}
			if i > 0 {
				dst = append(dst, "; "...)
			}
			dst = f.node.appendText(append(append(dst, f.name...), ' '), limit)
		}
		return append(dst, '}')
	case kindBytes:
		return append(dst, "["+strconv.Itoa(n.n)+"]uint8"...)
	case kindArray:
		return n.elem.appendText(append(dst, "["+strconv.Itoa(n.n)+"]"...), limit)
	default:
		return append(dst, kindNames[n.kind]...)
	}
}
