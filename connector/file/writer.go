package file

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// writer is a subtask's. It implements [weir.Writer] and [weir.Finisher].
//
// The task calls it; a timer completes a part that has reached its age while the
// task has nothing to write. A mutex keeps the two apart, for a batch at a time.
type writer[T any] struct {
	ctx      context.Context
	name     string // of the sink
	settings sinkSettings
	encoder  encoder[T]

	mu    sync.Mutex
	dir   directory
	part  *part  // nil if there is none
	buf   []byte // whole records of it that are not handed to it yet
	timer *time.Timer
	err   error // what has failed; nothing is completed after that
	late  error // err, if the timer met it and nobody has been told
	// closed tells that the task has ended, also to a timer that waits for mu.
	closed bool
}

// spill is from how many bytes on encoded records are handed on.
const spill = 32 << 10

// retained is the largest buffer that is kept for the next records.
const retained = 1 << 20

func newWriter[T any](ctx context.Context, name string, settings sinkSettings, dir directory, encoder encoder[T]) *writer[T] {
	return &writer[T]{ctx: ctx, name: name, settings: settings, dir: dir, encoder: encoder}
}

// Write implements [weir.Writer].
func (w *writer[T]) Write(values []T) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = nil
	if w.err != nil {
		return w.err
	}
	for i := range values {
		if err := w.append(&values[i]); err != nil {
			return w.fail(err)
		}
	}
	return nil
}

// append adds a record to the part, and begins and completes parts around it.
func (w *writer[T]) append(record *T) (err error) {
	if w.part == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	if w.buf, err = w.encoder.append(w.buf, record); err != nil {
		return err
	}
	if len(w.buf) < spill && w.part.size()+int64(len(w.buf)) < w.settings.rollSize {
		return nil
	}
	if err := w.hand(); err != nil || w.part.size() < w.settings.rollSize {
		return err
	}
	return w.complete()
}

// begin begins a part.
func (w *writer[T]) begin() (err error) {
	if w.part, err = w.dir.create(w.settings.compression); err != nil {
		return err
	}
	w.buf = w.encoder.header(w.buf[:0])
	if w.settings.rollInterval > 0 {
		part := w.part
		w.timer = time.AfterFunc(w.settings.rollInterval, func() { w.expire(part) })
	}
	return nil
}

// hand hands the records of the buffer to the part.
func (w *writer[T]) hand() error {
	err := w.part.write(w.buf)
	if w.buf = w.buf[:0]; cap(w.buf) > retained {
		w.buf = nil
	}
	return err
}

// complete ends the part and makes it visible.
func (w *writer[T]) complete() error {
	if w.timer != nil {
		w.timer.Stop()
	}
	if err := w.hand(); err != nil {
		return err
	}
	if err := w.part.prepare(); err != nil {
		return err
	}
	if err := w.part.commit(); err != nil {
		return err
	}
	w.part = nil
	return nil
}

// expire completes a part because of its age, if it is still the current one.
func (w *writer[T]) expire(part *part) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.part != part || w.closed || w.err != nil || w.ctx.Err() != nil {
		return
	}
	if err := w.complete(); err != nil {
		w.late = w.fail(err) // the next call returns it
	}
}

// fail remembers the first failure.
func (w *writer[T]) fail(err error) error {
	w.err = fmt.Errorf("%s: %w", w.name, err)
	return w.err
}

// Flush implements [weir.Writer]. Nobody sees a part before it is complete, so
// there is nothing to send on.
func (w *writer[T]) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = nil
	return w.err
}

// Finish implements [weir.Finisher]: what has been written is complete.
func (w *writer[T]) Finish() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.late = nil
	if w.err != nil || w.part == nil {
		return w.err
	}
	if err := w.complete(); err != nil {
		return w.fail(err)
	}
	return nil
}

// Close implements [weir.Writer]. A part that is not complete is removed.
func (w *writer[T]) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.part == nil {
		return nil
	}
	return errors.Join(w.late, w.part.discard())
}
