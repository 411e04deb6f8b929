package stdout

import (
	"context"
	"fmt"
	"strconv"

	"github.com/weirstream/weir"
)

// Print returns a sink that writes each record as fmt.Println does: a string as
// it is, another type by its String method, or as %v shows it. If the sink has
// more than one subtask, each record has the number of its subtask before it,
// from 1, as with Flink's print:
//
//	3> to be or not
//
// It may be used concurrently.
func Print[T any](options ...Option) weir.Sink[T] { return PrintAs[T]("", options...) }

// PrintAs is [Print] with an identifier before each record, to tell several sinks
// of a job apart:
//
//	late:3> to be or not     with several subtasks
//	late> to be or not       with one
func PrintAs[T any](identifier string, options ...Option) weir.Sink[T] {
	return printSink[T]{settingsOf(options), identifier}
}

type printSink[T any] struct {
	settings
	identifier string
}

// Open implements [weir.Sink].
func (s printSink[T]) Open(_ context.Context, subtask weir.Subtask) (weir.Writer[T], error) {
	return &printWriter[T]{lines{to: s.to}, prefix(s.identifier, subtask)}, nil
}

// prefix is what stands before each record: identifier and subtask, as far as
// there are such, with a colon in between and "> " behind.
func prefix(identifier string, subtask weir.Subtask) string {
	p := identifier
	if subtask.Parallelism > 1 {
		if p != "" {
			p += ":"
		}
		p += strconv.Itoa(subtask.Index + 1)
	}
	if p != "" {
		p += "> "
	}
	return p
}

// printWriter is one subtask's. It implements [weir.Writer].
type printWriter[T any] struct {
	lines
	prefix string
}

// Write implements [weir.Writer].
func (w *printWriter[T]) Write(values []T) error {
	for i := range values {
		w.buffer.WriteString(w.prefix)
		if s, ok := any(&values[i]).(*string); ok {
			w.buffer.WriteString(*s)
			w.buffer.WriteByte('\n')
		} else {
			fmt.Fprintln(&w.buffer, values[i])
		}
		if err := w.flushIfEnough(); err != nil {
			return err
		}
	}
	return nil
}
