package weir

import (
	"fmt"

	"github.com/weirstream/weir/internal/codec"
)

// RegisterCodec sets how values of type T are encoded, where they are records, or
// parts of records or accumulators: for a type that could not be sent without,
// or to make its values smaller. It takes precedence over everything else that
// the type offers.
//
// add appends the encoding of v to dst and returns the longer slice, as
// encoding.BinaryAppender does. decode makes the value again; src is what add has
// appended, and decode may change it but must not keep it. What decode returns
// must equal v. Both are called from many goroutines at a time. An error of
// either fails the job, with the path of the field.
//
// Call it before [Main], in an init function or at the top of main, so that
// every process that runs the job has it; not in the function that builds the
// graph, which runs more than once. It may be called concurrently. It panics if
// a function is nil or if T has a codec already.
func RegisterCodec[T any](add func(dst []byte, v T) ([]byte, error), decode func(src []byte) (T, error)) {
	if err := codec.Register(add, decode); err != nil {
		panic(fmt.Errorf("weir.RegisterCodec: %w", err))
	}
}

// RegisterType makes T a type that the values of interfaces may have, in records
// and accumulators: a field of an interface type can be encoded if types that
// implement it are registered. T is the type itself, and a pointer type if it is
// pointers that the interface holds. A value of a type that is not registered
// fails the job, with the path of the field.
//
// Call it before [Main], as [RegisterCodec]. It may be called concurrently, and
// again for the same type. It panics if T is an interface.
func RegisterType[T any]() {
	if err := codec.RegisterType[T](); err != nil {
		panic(fmt.Errorf("weir.RegisterType: %w", err))
	}
}
