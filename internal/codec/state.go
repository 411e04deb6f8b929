package codec

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unsafe"
)

// ErrIncompatible is wrapped by the errors of [Codec.StateReader] for a type whose
// values cannot be made of those that were written.
var ErrIncompatible = errors.New("incompatible state")

// Shape returns what describes the state encoding of T to [Codec.StateReader].
// The caller must not change it.
func (c *Codec[T]) Shape() Shape { return c.shape }

// AppendState appends the state encoding of v to dst: another one than that of
// [Codec.Append], which any platform and another version of T can read if the
// shape is kept beside it. It allocates only where dst has no room, or where a
// value's own MarshalBinary does. It panics as [Codec.Append] does.
func (c *Codec[T]) AppendState(dst []byte, v *T) []byte {
	return c.state.append(dst, unsafe.Pointer(v), 0)
}

// DecodeState reads the value that src begins with, as [Codec.AppendState] of the
// same T wrote it, into v, and returns the length of its encoding. It is otherwise
// as [Codec.Decode].
func (c *Codec[T]) DecodeState(src string, v *T) (n int, err error) {
	n, err = c.state.decode(src, 0, unsafe.Pointer(v), 0)
	if err != nil {
		return 0, err
	}
	return n, nil
}

// StateReader reads values of type T of the state encoding of an earlier or later
// version of T. It is immutable and may be used concurrently.
type StateReader[T any] struct {
	prog    *stateProgram
	changed bool
}

// StateReader returns what reads values that were written with the given shape. An
// error wraps [ErrCorrupt] if that is none, or [ErrIncompatible] if T has changed
// so that it cannot hold what was written: it has the paths of all fields that
// are incompatible, and both shapes.
//
// Fields are matched by their names. One that is new is zero; one that is gone is
// skipped. Integers may have become wider, if the new type has all values of the
// old one, and a float32 a float64. The keys of maps must have remained what they
// were. The types of an interface's values are matched by their names; a value of
// a type that is no longer registered is an error when it is read.
func (c *Codec[T]) StateReader(written []byte) (*StateReader[T], error) {
	if bytes.Equal(written, c.shape) {
		return &StateReader[T]{prog: c.state}, nil
	}
	t := reflect.TypeFor[T]()
	prog, err := readerOf(written, t, c.shape)
	if err != nil {
		return nil, fmt.Errorf("state of type %v: %w", t, err)
	}
	return &StateReader[T]{prog: prog, changed: true}, nil
}

// Changed reports whether values were written with another shape than T has.
func (r *StateReader[T]) Changed() bool { return r.changed }

// Decode reads the value that src begins with into v, and returns the length of
// its encoding. Strings in v are parts of src. Everything in v is overwritten,
// and what it referred to before is left alone. An error wraps [ErrCorrupt], or
// [ErrIncompatible] for a value of an interface whose type is no longer
// registered; then v is set in part.
func (r *StateReader[T]) Decode(src string, v *T) (n int, err error) {
	if r.changed {
		*v = *new(T) // There are fields that were not written.
	}
	n, err = r.prog.decode(src, 0, unsafe.Pointer(v), 0)
	if err != nil {
		return 0, err
	}
	return n, nil
}

// stateOf compiles the state encoding of a type that has an encoding.
func stateOf(t reflect.Type) (*stateProgram, Shape, error) {
	n, shape, err := shapeOf(t)
	if err != nil {
		return nil, nil, err
	}
	c := newStateCompiler(images)
	prog := c.program(n, t, t.String())
	if len(c.errs) > 0 {
		return nil, nil, errors.New("no encoding: " + strings.Join(c.errs, "; "))
	}
	return prog, shape, nil
}

// readerOf compiles a program that reads values of the written shape into those of
// type t, which has another one.
func readerOf(written []byte, t reflect.Type, today Shape) (*stateProgram, error) {
	n, err := parseShape(written)
	if err != nil {
		return nil, fmt.Errorf("the shape of what was written: %w", err)
	}
	c := newStateCompiler(images)
	prog := c.program(n, t, t.String())
	if len(c.errs) > 0 {
		return nil, fmt.Errorf("%w: %s; written was %v, and it is now %v; give the field that changed another name and fill it in the program, or restore without this state",
			ErrIncompatible, strings.Join(c.errs, "; "), n.text(maxShapeText), today)
	}
	return prog, nil
}
