package stdout

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"sync"

	"github.com/weirstream/weir"
)

// Option changes where a sink writes.
type Option func(*settings)

type settings struct{ to *destination }

// destination is a writer that subtasks share.
type destination struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu; nil for what os.Stdout is at the time
}

// standard is the process's standard output.
var standard = &destination{}

// To makes the sink write to w, where a test can read it. The sinks that are
// given the same Option value take turns; w is called by one at a time.
func To(w io.Writer) Option {
	to := &destination{w: w}
	return func(s *settings) { s.to = to }
}

// JSON returns a sink that writes each record as one line of JSON, as package
// encoding/json encodes it, except that <, > and & stay what they are. It may be
// used concurrently.
func JSON[T any](options ...Option) weir.Sink[T] {
	s := settings{to: standard}
	for _, option := range options {
		option(&s)
	}
	return sink[T](s)
}

type sink[T any] struct{ to *destination }

// Open implements [weir.Sink].
func (s sink[T]) Open(context.Context, weir.Subtask) (weir.Writer[T], error) {
	w := &writer[T]{to: s.to}
	w.encoder = json.NewEncoder(&w.lines)
	w.encoder.SetEscapeHTML(false)
	return w, nil
}

// writer is one subtask's. It implements [weir.Writer].
type writer[T any] struct {
	to      *destination
	lines   bytes.Buffer
	encoder *json.Encoder
}

const (
	// enough is from how many bytes on lines are written without a Flush: as much
	// as a pipe takes at once.
	enough = 64 << 10
	// retained is the largest buffer that is kept for the next lines.
	retained = 1 << 20
)

// Write implements [weir.Writer].
func (w *writer[T]) Write(values []T) error {
	for i := range values {
		// The encoder adds a whole line, or nothing when it fails (O1). A pointer
		// goes into the interface without a copy of the record.
		if err := w.encoder.Encode(&values[i]); err != nil {
			return fmt.Errorf("stdout: a %v cannot be written as JSON: %w", reflect.TypeFor[T](), err)
		}
		if w.lines.Len() >= enough {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Flush implements [weir.Writer].
func (w *writer[T]) Flush() error {
	if w.lines.Len() == 0 {
		return nil
	}
	err := w.to.write(w.lines.Bytes())
	if w.lines.Cap() > retained {
		w.lines = bytes.Buffer{} // at the same address, which the encoder keeps
	} else {
		w.lines.Reset()
	}
	return err
}

// write writes lines in one piece.
func (d *destination) write(lines []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	to, name := d.w, "its destination"
	if to == nil {
		to, name = os.Stdout, "standard output"
	}
	n, err := to.Write(lines)
	if err == nil && n < len(lines) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("stdout: %d of %d bytes written to %s: %w", n, len(lines), name, err)
	}
	return nil
}

// Close implements [weir.Writer].
func (w *writer[T]) Close() error { return nil }
