package stdout

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/weirstream/weir"
)

// JSON returns a sink that writes each record as one line of JSON, as package
// encoding/json encodes it, except that <, > and & stay what they are. It may be
// used concurrently.
func JSON[T any](options ...Option) weir.Sink[T] {
	return jsonSink[T](settingsOf(options))
}

type jsonSink[T any] struct{ to *destination }

// Open implements [weir.Sink].
func (s jsonSink[T]) Open(context.Context, weir.Subtask) (weir.Writer[T], error) {
	w := &jsonWriter[T]{lines: lines{to: s.to}}
	w.encoder = json.NewEncoder(&w.buffer)
	w.encoder.SetEscapeHTML(false)
	return w, nil
}

// jsonWriter is one subtask's. It implements [weir.Writer].
type jsonWriter[T any] struct {
	lines
	encoder *json.Encoder
}

// Write implements [weir.Writer].
func (w *jsonWriter[T]) Write(values []T) error {
	for i := range values {
		// The encoder adds a whole line, or nothing when it fails (O1). A pointer
		// goes into the interface without a copy of the record.
		if err := w.encoder.Encode(&values[i]); err != nil {
			return fmt.Errorf("stdout: a %v cannot be written as JSON: %w", reflect.TypeFor[T](), err)
		}
		if err := w.flushIfEnough(); err != nil {
			return err
		}
	}
	return nil
}
