package file

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// writer is a subtask's. It implements [weir.Writer], [weir.Committer] and, for who
// wraps it and does not know of checkpoints, [weir.Finisher].
//
// Where the job takes no checkpoints, a part is committed as soon as it is complete.
// Otherwise it is kept until it is described for the next checkpoint, and committed
// when that is complete. Which of the two it is says the first call: only where there
// are checkpoints it is Recover.
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
	ready bool  // the directory is
	part  *part // nil if there is none
	// complete are parts that no checkpoint has yet, and described those that one has
	// and that are not committed, by name.
	complete  []*part
	described map[string]*part
	// inherited are runs whose leftovers are removed when the first checkpoint of this
	// attempt is complete.
	inherited []string
	buf       []byte // whole records of it that are not handed to it yet
	timer     *time.Timer
	err       error // what has failed; nothing is completed after that
	late      error // err, if the timer met it and nobody has been told
	// closed tells that the task has ended, also to a timer that waits for mu.
	closed bool
}

// spill is from how many bytes on encoded records are handed on.
const spill = 32 << 10

// retained is the largest buffer that is kept for the next records.
const retained = 1 << 20

func newWriter[T any](ctx context.Context, name string, settings sinkSettings, dir directory, encoder encoder[T]) *writer[T] {
	return &writer[T]{ctx: ctx, name: name, settings: settings, dir: dir, encoder: encoder, described: map[string]*part{}}
}

// Write implements [weir.Writer].
func (w *writer[T]) Write(values []T) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.enter(); err != nil {
		return err
	}
	for i := range values {
		if err := w.append(&values[i]); err != nil {
			return w.fail(err)
		}
	}
	return nil
}

// enter is what each call but Recover, Commit and Close begins with.
func (w *writer[T]) enter() error {
	w.late = nil
	if w.err != nil || w.ready {
		return w.err
	}
	w.ready = true
	if err := w.dir.prepare(w.settings.existing, w.dir.mine); err != nil {
		return w.fail(err)
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
	return w.end()
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

// end ends the part. It becomes visible at once where there are no checkpoints.
func (w *writer[T]) end() error {
	if err := w.settle(); err != nil {
		return err
	}
	if w.dir.run == "" {
		if err := w.dir.commit("", []prepared{w.part.prepared()}, false); err != nil {
			return err
		}
		if err := w.part.close(); err != nil {
			return err
		}
	} else {
		w.complete = append(w.complete, w.part)
	}
	w.part = nil
	return nil
}

// settle puts the whole part on the disk.
func (w *writer[T]) settle() error {
	if w.timer != nil {
		w.timer.Stop()
	}
	if err := w.hand(); err != nil {
		return err
	}
	return w.part.prepare()
}

// expire completes a part because of its age, if it is still the current one.
func (w *writer[T]) expire(part *part) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.part != part || w.closed || w.err != nil || w.ctx.Err() != nil {
		return
	}
	if err := w.end(); err != nil {
		w.late = w.fail(err) // the next call returns it
	}
}

// fail remembers a failure.
func (w *writer[T]) fail(err error) error {
	w.err = fmt.Errorf("%s, subtask %d, in %s: %w", w.name, w.dir.subtask, w.dir.path, err)
	return w.err
}

// Flush implements [weir.Writer]. Nobody sees a part before it is complete, so
// there is nothing to send on.
func (w *writer[T]) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.enter()
}

// Finish implements [weir.Finisher]: what has been written is complete.
func (w *writer[T]) Finish() error {
	prepared, err := w.Prepare(0)
	if err != nil || prepared == nil {
		return err
	}
	return w.Commit(prepared)
}

// Close implements [weir.Writer]. Parts that no checkpoint has are removed. The others
// stay: their checkpoint may be complete, or become so, without anybody telling.
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
	errs := []error{w.late}
	if w.part != nil {
		errs = append(errs, w.part.discard())
	}
	for _, p := range w.complete {
		errs = append(errs, p.discard())
	}
	for _, p := range w.described {
		if w.dir.run == "" {
			errs = append(errs, p.discard())
		} else {
			errs = append(errs, p.close())
		}
	}
	return errors.Join(errs...)
}
