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
