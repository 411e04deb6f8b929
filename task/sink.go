package task

import (
	"context"
	"fmt"
)

// Sink is what the task needs of a sink: see the public package.
type Sink[T any] interface {
	Open(ctx context.Context, subtask, parallelism int, name string) (Writer[T], error)
}

// Writer is what the task needs of a sink's writer.
type Writer[T any] interface {
	Write(values []T) error
	Flush() error
	Close() error
}

// finisher is what a writer is besides that wants to know of the end of its
// input: see the public package.
type finisher interface{ Finish() error }

// SinkCode is the operator at the end of a stream.
type SinkCode[T any] struct{ Sink Sink[T] }

// Build implements [Operator].
func (s SinkCode[T]) Build(ctx *Context, _ Outputs) (Inputs, error) {
	w, err := s.Sink.Open(ctx.Done, ctx.Subtask, ctx.Parallelism, ctx.Name)
	if err != nil {
		return nil, fmt.Errorf("open sink: %w", err)
	}
	ctx.OnClose(w.Close)
	ctx.OnFlush(w.Flush)
	f, _ := w.(finisher)
	return Inputs{&sinkReceiver[T]{writer: w, finisher: f, done: ctx.Done}}, nil
}

// recorded returns what stands in the sink's place in a direct run.
func (s SinkCode[T]) recorded() any { return &Recorded[T]{Reached: NoTime} }

// Join implements [Operator]; nothing follows a sink.
func (s SinkCode[T]) Join([]any) any { return nil }

type sinkReceiver[T any] struct {
	writer   Writer[T]
	finisher finisher        // the writer, or nil
	done     context.Context // of the task
}

func (s *sinkReceiver[T]) Push(values []T, _ []int64) error { return s.writer.Write(values) }
func (s *sinkReceiver[T]) Watermark(int64) error            { return nil }
func (s *sinkReceiver[T]) Idle() error                      { return nil }

// End implements [Receiver].
func (s *sinkReceiver[T]) End() error {
	if err := s.writer.Flush(); err != nil || s.finisher == nil {
		return err
	}
	if s.done.Err() != nil { // which nobody has looked at since the last chunk
		return ErrCanceled
	}
	return s.finisher.Finish()
}
