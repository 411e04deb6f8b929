package codec

import (
	"errors"
	"reflect"
	"unsafe"
)

var (
	// ErrCorrupt is wrapped by the errors of [Codec.Decode].
	ErrCorrupt = errors.New("corrupt value")

	// ErrEncode is wrapped by the errors with which [Codec.Append] panics: a
	// value's own MarshalBinary failed, or the value is cyclic.
	ErrEncode = errors.New("value cannot be encoded")
)

// Codec encodes and decodes values of type T. It is made by [For] and may be used
// concurrently.
type Codec[T any] struct {
	raw   bool
	prog  *program
	state *stateProgram
	shape Shape
}

// For compiles the codec of type T. The error lists every part of T that cannot
// be encoded, by its path.
func For[T any]() (*Codec[T], error) {
	t := reflect.TypeFor[T]()
	prog, err := compile(t)
	if err != nil {
		return nil, err
	}
	state, shape, err := stateOf(t)
	if err != nil {
		return nil, err
	}
	return &Codec[T]{raw: raw(t), prog: prog, state: state, shape: shape}, nil
}

// Raw reports whether T is free of pointers, so that its memory image is the
// value, for any process of the same executable.
func (c *Codec[T]) Raw() bool { return c.raw }

// Append appends the encoding of v to dst. It allocates only where dst has no
// room, or where a value's own MarshalBinary does. It panics with an error that
// wraps [ErrEncode] when the value cannot be encoded.
func (c *Codec[T]) Append(dst []byte, v *T) []byte {
	return c.prog.append(dst, unsafe.Pointer(v), 0)
}

// Decode reads the value that src begins with into v, and returns the length of
// its encoding. Strings in v are parts of src. Everything in v is overwritten,
// and what it referred to before is left alone. An error wraps [ErrCorrupt];
// then v is set in part.
func (c *Codec[T]) Decode(src string, v *T) (n int, err error) {
	n, err = c.prog.decode(src, 0, unsafe.Pointer(v), 0)
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Detach gives v copies of those of its strings that are parts of strings of
// from, so that keeping v does not keep what from shares with others. Where was
// has an equal string, that one is taken instead of a copy. It goes through the
// strings of structs and short arrays, and not into slices, maps or pointers,
// which v may share.
func (c *Codec[T]) Detach(v, from, was *T) {
	c.prog.detach(unsafe.Pointer(v), unsafe.Pointer(from), unsafe.Pointer(was))
}

// HoldsStrings reports whether there is anything for [Codec.Detach] to do.
func (c *Codec[T]) HoldsStrings() bool { return len(c.prog.texts) > 0 }
