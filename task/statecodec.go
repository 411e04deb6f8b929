package task

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/weirstream/weir/internal/codec"
)

// stateCodec writes values of a type into snapshots and reads them again.
type stateCodec[A any] struct {
	// shape says how values are written, for whoever reads them later.
	shape  []byte
	append func(dst []byte, a *A) []byte
	// reader returns what reads values of a shape: it takes one from the front of
	// src, which it may keep, and returns the rest.
	reader func(shape []byte) (func(src string, a *A) (rest string, err error), error)
	// clone copies a value that is changed in place while it is being written; nil
	// copies by assignment.
	clone func(*A) A
}

// ownCodec is implemented, on a pointer, by accumulators of this package.
type ownCodec[A any] interface {
	stateCodec() (stateCodec[A], error)
}

// stateCodecOf returns the codec of A, and what in A cannot be written.
func stateCodecOf[A any]() (stateCodec[A], error) {
	if own, ok := any(new(A)).(ownCodec[A]); ok {
		return own.stateCodec()
	}
	c, err := codec.For[A]()
	if err != nil {
		return stateCodec[A]{}, fmt.Errorf("values of type %v cannot be written to a snapshot: %w", reflect.TypeFor[A](), err)
	}
	s := stateCodec[A]{shape: c.Shape(), append: c.AppendState, reader: func(shape []byte) (func(string, *A) (string, error), error) {
		r, err := c.StateReader(shape)
		if err != nil {
			return nil, err
		}
		return func(src string, a *A) (string, error) {
			n, err := r.Decode(src, a)
			if err != nil {
				return "", err
			}
			return src[n:], nil
		}, nil
	}}
	if !c.Raw() && !c.Flat() {
		s.clone = s.copy
	}
	return s, nil
}

// copy copies a value with all that it refers to.
func (s stateCodec[A]) copy(a *A) (b A) {
	read, err := s.reader(s.shape)
	if err == nil {
		_, err = read(string(s.append(nil, a)), &b)
	}
	if err != nil {
		panic(fmt.Errorf("copy a value of type %v for a snapshot: %w", reflect.TypeFor[A](), err))
	}
	return b
}

var errShort = errors.New("it ends too early")

func appendVarint(dst []byte, v int64) []byte { return binary.AppendVarint(dst, v) }

func appendUvarint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

// takeVarint takes a signed number from the front of src.
func takeVarint(src string) (v int64, rest string, err error) {
	var u uint64
	if u, rest, err = takeUvarint(src); err != nil {
		return 0, "", err
	}
	v = int64(u >> 1)
	if u&1 != 0 {
		v = ^v
	}
	return v, rest, nil
}

// takeUvarint takes a number from the front of src.
func takeUvarint(src string) (v uint64, rest string, err error) {
	var bytes [binary.MaxVarintLen64]byte
	n := copy(bytes[:], src)
	v, n = binary.Uvarint(bytes[:n])
	if n <= 0 {
		return 0, "", errShort
	}
	return v, src[n:], nil
}
