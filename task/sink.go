package task

import (
	"context"
	"fmt"

	"github.com/weirstream/weir/state/snapshot"
)

// syncer is what a writer is besides that sends without waiting: see the public package.
type syncer interface{ Sync() error }

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
	r := &sinkReceiver[T]{writer: w, done: ctx.Done}
	if c, ok := w.(committer); ok {
		r.end, err = commitsOf(ctx, c)
		return Inputs{r}, err
	}
	// What it has buffered belongs to the checkpoint, and what is on its way.
	ctx.onPrepare(func(uint64) error {
		err := w.Flush()
		if s, ok := w.(syncer); ok && err == nil {
			err = s.Sync()
		}
		return err
	})
	if f, ok := w.(finisher); ok {
		r.end = f.Finish
		if ctx.checkpoints != nil {
			r.end = nil
			ctx.checkpoints.finishes = append(ctx.checkpoints.finishes, f.Finish)
		}
	}
	return Inputs{r}, nil
}

// recorded returns what stands in the sink's place in a direct run.
func (s SinkCode[T]) recorded() any { return &Recorded[T]{Reached: NoTime} }

// Join implements [Operator]; nothing follows a sink.
func (s SinkCode[T]) Join([]any) any { return nil }

type sinkReceiver[T any] struct {
	writer Writer[T]
	// end is what follows the last record, or nil.
	end  func() error
	done context.Context // of the task
}

func (s *sinkReceiver[T]) Push(values []T, _ []int64) error { return s.writer.Write(values) }
func (s *sinkReceiver[T]) Watermark(int64) error            { return nil }
func (s *sinkReceiver[T]) Idle() error                      { return nil }

// End implements [Receiver].
func (s *sinkReceiver[T]) End() error {
	if err := s.writer.Flush(); err != nil || s.end == nil {
		return err
	}
	if s.done.Err() != nil { // which nobody has looked at since the last chunk
		return ErrCanceled
	}
	return s.end()
}

// committer is what a writer is besides whose output becomes visible with a
// checkpoint: see the public package.
type committer interface {
	Flush() error
	Prepare(checkpoint uint64) ([]byte, error)
	Commit(prepared []byte) error
	Recover(prepared [][]byte) error
}

// commits are what a writer has prepared and not committed.
type commits struct {
	writer  committer
	pending []prepared
}

type prepared struct {
	checkpoint uint64
	data       []byte
}

// commitsOf has a writer take part in checkpoints, and returns what follows its last
// record: where there are no checkpoints everything is committed then.
func commitsOf(ctx *Context, w committer) (end func() error, err error) {
	c := &commits{writer: w}
	if ctx.checkpoints == nil {
		return func() error {
			if err := c.prepare(0); err != nil {
				return err
			}
			return c.complete(0)
		}, nil
	}
	const section = "prepared"
	var restored [][]byte
	ctx.register(section, snapshot.List, nil, func() capture { return entries(c.entries()...) })
	if err := ctx.restoreShare(section, func(entry string) error {
		_, data, err := takeUvarint(entry)
		restored = append(restored, []byte(data))
		return err
	}); err != nil {
		return nil, err
	}
	// They belong to a checkpoint that is complete, or nobody would have restored it.
	if err := w.Recover(restored); err != nil {
		return nil, fmt.Errorf("commit what was prepared before the restart: %w", err)
	}
	ctx.onPrepare(c.prepare)
	ctx.checkpoints.completes = append(ctx.checkpoints.completes, c.complete)
	return nil, nil
}

func (c *commits) prepare(checkpoint uint64) error {
	if err := c.writer.Flush(); err != nil {
		return err
	}
	data, err := c.writer.Prepare(checkpoint)
	if err != nil {
		return fmt.Errorf("prepare the output: %w", err)
	}
	if data != nil {
		c.pending = append(c.pending, prepared{checkpoint, data})
	}
	return nil
}

// complete commits what was prepared for a checkpoint and before. Those in between
// were not complete, or their notice was lost.
func (c *commits) complete(checkpoint uint64) error {
	for len(c.pending) > 0 && c.pending[0].checkpoint <= checkpoint {
		if err := c.writer.Commit(c.pending[0].data); err != nil {
			return fmt.Errorf("commit the output of checkpoint %d: %w", c.pending[0].checkpoint, err)
		}
		c.pending[0] = prepared{}
		c.pending = c.pending[1:]
	}
	return nil
}

func (c *commits) entries() (list [][]byte) {
	for _, p := range c.pending {
		list = append(list, append(appendUvarint(nil, p.checkpoint), p.data...))
	}
	return list
}
