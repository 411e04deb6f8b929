package key

import "reflect"

// Dynamic is the kind of a type that is known at run time only.
type Dynamic struct {
	shape *shape
	size  uintptr
}

// ForType compiles the kind of t.
func ForType(t reflect.Type) (Dynamic, error) {
	s, err := compile(t)
	return Dynamic{s, t.Size()}, err
}

// Hash returns the hash of the key that v points to.
func (d Dynamic) Hash(v reflect.Value) uint64 {
	var h [1]uint64
	d.shape.hash(v.UnsafePointer(), 1, d.size, h[:])
	return h[0]
}

// Append appends the encoding of the key that v points to.
func (d Dynamic) Append(dst []byte, v reflect.Value) []byte {
	return d.shape.append(dst, v.UnsafePointer())
}

// Decode decodes src into what v points to.
func (d Dynamic) Decode(src []byte, v reflect.Value) (int, error) {
	return d.shape.decode(src, v.UnsafePointer())
}

// Shape returns the shape of the kind.
func (d Dynamic) Shape() Shape { return d.shape.described }

// Accepts reports whether keys of the written shape are of the kind.
func (d Dynamic) Accepts(written Shape) error { return accepts(written, d.shape.described) }

// Reencode returns a shape as it was parsed.
func Reencode(s []byte) (Shape, error) {
	n, err := parseShape(s)
	if err != nil {
		return nil, err
	}
	return appendNode(Shape{shapeVersion}, n), nil
}
