package codec

import "reflect"

// MaxDepth is how deep a value may nest.
const MaxDepth = maxDepth

// Dynamic is the codec of a type that is known at run time only.
type Dynamic struct{ prog *program }

// ForType compiles the codec of t.
func ForType(t reflect.Type) (Dynamic, error) {
	p, err := compile(t)
	return Dynamic{p}, err
}

// Append appends the encoding of what v points to.
func (d Dynamic) Append(dst []byte, v reflect.Value) []byte {
	return d.prog.append(dst, v.UnsafePointer(), 0)
}

// Decode decodes src into what v points to.
func (d Dynamic) Decode(src string, v reflect.Value) (int, error) {
	return d.prog.decode(src, 0, v.UnsafePointer(), 0)
}

// State is the state encoding of a type that is known at run time only.
type State struct {
	prog, portable *stateProgram
	shape          Shape
	typ            reflect.Type
}

// StateForType compiles the state encoding of t.
func StateForType(t reflect.Type) (State, error) {
	s := State{typ: t}
	if _, err := compile(t); err != nil {
		return s, err
	}
	var err error
	s.prog, s.shape, err = stateOf(t)
	if err != nil {
		return s, err
	}
	n, _, err := shapeOf(t)
	s.portable = newStateCompiler(false).program(n, t, t.String())
	return s, err
}

// Shape returns the type's shape.
func (s State) Shape() Shape { return s.shape }

// Append appends the state encoding of what v points to.
func (s State) Append(dst []byte, v reflect.Value) []byte {
	return s.prog.append(dst, v.UnsafePointer(), 0)
}

// AppendPortable is Append as it is on platforms whose memory differs.
func (s State) AppendPortable(dst []byte, v reflect.Value) []byte {
	return s.portable.append(dst, v.UnsafePointer(), 0)
}

// Decode decodes src into what v points to.
func (s State) Decode(src string, v reflect.Value) (int, error) {
	return s.prog.decode(src, 0, v.UnsafePointer(), 0)
}

// DecodePortable is Decode as it is on platforms whose memory differs.
func (s State) DecodePortable(src string, v reflect.Value) (int, error) {
	return s.portable.decode(src, 0, v.UnsafePointer(), 0)
}

// Reader returns what reads values that were written with the shape.
func (s State) Reader(written Shape) (State, error) {
	prog, err := readerOf(written, s.typ, s.shape)
	return State{prog: prog, typ: s.typ}, err
}

// Reencode returns a shape as it was parsed.
func Reencode(s []byte) (Shape, error) {
	n, err := parseShape(s)
	if err != nil {
		return nil, err
	}
	return appendShape(n), nil
}
