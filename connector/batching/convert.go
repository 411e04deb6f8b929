package batching

import (
	"context"
	"fmt"
	"reflect"

	"github.com/weirstream/weir"
)

// Convert returns a sink that writes to another one what convert makes of each
// record: the form in which the destination takes it. A record is converted once,
// before it is buffered, however often it is sent; so what [Sink.BatchBytes]
// measures can be the bytes that are sent. convert is called by the goroutines of
// all tasks at once; its error fails the job.
func Convert[T, E any](sink Sink[E], convert func(T) (E, error)) weir.Sink[T] {
	return converting[T, E]{sink, convert}
}

// converting implements [weir.Sink] and [weir.Validator].
type converting[T, E any] struct {
	sink    Sink[E]
	convert func(T) (E, error)
}

// Validate implements [weir.Validator].
func (c converting[T, E]) Validate() error {
	if c.convert == nil {
		return fmt.Errorf("a batching sink of %v: there is no function that converts it to %v", reflect.TypeFor[T](), reflect.TypeFor[E]())
	}
	return c.sink.Validate()
}

// Open implements [weir.Sink].
func (c converting[T, E]) Open(ctx context.Context, subtask weir.Subtask) (weir.Writer[T], error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	w, err := c.sink.openWriter(ctx, subtask)
	if err != nil {
		return nil, err
	}
	return &convertingWriter[T, E]{writer: w, convert: c.convert}, nil
}

// convertingWriter is a writer of other values.
type convertingWriter[T, E any] struct {
	*writer[E]
	convert   func(T) (E, error)
	converted []E
}

// Write implements [weir.Writer].
func (w *convertingWriter[T, E]) Write(values []T) error {
	defer func() { clear(w.converted) }() // the writer has its own copies
	w.converted = w.converted[:0]
	for i := range values {
		v, err := w.convert(values[i])
		if err != nil {
			return fmt.Errorf("batching: a value of type %v cannot be converted to %v: %w", reflect.TypeFor[T](), reflect.TypeFor[E](), err)
		}
		w.converted = append(w.converted, v)
	}
	return w.writer.Write(w.converted)
}
