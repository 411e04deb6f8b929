package task

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/weirstream/weir/internal/key"
)

// KeySelector is how records of type T get their keys of type K: through a
// function, or from a field at a known place.
type KeySelector[K comparable, T any] struct {
	kind   *key.Kind[K]
	f      func(T) K
	offset uintptr
}

// NewKeySelector returns the selector that calls f.
func NewKeySelector[K comparable, T any](f func(T) K) (KeySelector[K, T], error) {
	kind, err := key.For[K]()
	if err != nil {
		return KeySelector[K, T]{}, err
	}
	return KeySelector[K, T]{kind: kind, f: f}, nil
}

// NewKeyField returns the selector that reads the field to which f points. It
// returns an error if that is not a field of the value that f is given.
func NewKeyField[K comparable, T any](f func(*T) *K) (KeySelector[K, T], error) {
	kind, err := key.For[K]()
	if err != nil {
		return KeySelector[K, T]{}, err
	}
	offset, err := fieldOffset(f)
	if err != nil {
		return KeySelector[K, T]{}, err
	}
	return KeySelector[K, T]{kind: kind, offset: offset}, nil
}

// fieldOffset returns where in a T the F lies to which f points. It asks twice,
// with different values, so that a pointer to something else is found.
func fieldOffset[T, F any](f func(*T) *F) (offset uintptr, err error) {
	if f == nil {
		return 0, errors.New("there is no function")
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the function must return a pointer to a field of its argument, whatever is in it; given an empty %v it panicked: %v", reflect.TypeFor[T](), p)
		}
	}()
	var values [2]T
	var offsets [2]uintptr
	for i := range values {
		base, field := uintptr(unsafe.Pointer(&values[i])), uintptr(unsafe.Pointer(f(&values[i])))
		var zero F
		if field < base || field+unsafe.Sizeof(zero) > base+unsafe.Sizeof(values[i]) {
			return 0, fmt.Errorf("the function must return a pointer to a field of its argument, of type %v and inside the %v itself", reflect.TypeFor[F](), reflect.TypeFor[T]())
		}
		offsets[i] = field - base
	}
	if offsets[0] != offsets[1] {
		return 0, fmt.Errorf("the function must always return a pointer to the same field; it returned offsets %d and %d", offsets[0], offsets[1])
	}
	return offsets[0], nil
}

// keys stores the key of each value.
func (s *KeySelector[K, T]) keys(values []T, keys []K) {
	keys = keys[:len(values)]
	if s.f == nil {
		for i := range values {
			keys[i] = *(*K)(unsafe.Add(unsafe.Pointer(&values[i]), s.offset))
		}
		return
	}
	f := s.f
	for i := range values {
		keys[i] = f(values[i])
	}
}

// NewTimeField returns a function for [Timestamps] that reads the event time,
// in ms since the epoch, from the field to which f points.
func NewTimeField[T any](f func(*T) *int64) (func(values []T, times []int64), error) {
	offset, err := fieldOffset(f)
	if err != nil {
		return nil, err
	}
	return func(values []T, times []int64) {
		times = times[:len(values)]
		for i := range values {
			times[i] = *(*int64)(unsafe.Add(unsafe.Pointer(&values[i]), offset))
		}
	}, nil
}

// keyed are a batch's keys and their hashes: scratch space of an operator.
type keyed[K comparable, T any] struct {
	selector KeySelector[K, T]
	keys     []K
	hashes   []uint64
}

func newKeyed[K comparable, T any](s KeySelector[K, T]) keyed[K, T] {
	return keyed[K, T]{selector: s, keys: make([]K, BatchSize), hashes: make([]uint64, BatchSize)}
}

// of fills keys and hashes for values.
func (k *keyed[K, T]) of(values []T) (keys []K, hashes []uint64) {
	keys, hashes = k.keys[:len(values)], k.hashes[:len(values)]
	k.selector.keys(values, keys)
	k.selector.kind.Hash(keys, hashes)
	return keys, hashes
}
