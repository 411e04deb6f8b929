package task

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/key"
	"github.com/weirstream/weir/state/snapshot"
)

// Trigger has every task take part in a checkpoint, which was triggered at timestamp,
// in ms since the epoch. An [Event] brings the snapshot of each. Ids rise.
func (h *Host) Trigger(id uint64, timestamp int64) {
	h.tell(func(t *task) error { return t.head.announce(alignment{id: id, timestamp: timestamp}) })
}

// Abort says that a checkpoint will not be complete, and with earlier those before it.
// Snapshots of them may still come, and are to be disposed of.
func (h *Host) Abort(id uint64, earlier bool) {
	h.mu.Lock()
	for s := range h.mu.writing {
		if s.id == id || earlier && s.id < id {
			s.aborted.Store(true)
			s.close()
		}
	}
	h.mu.Unlock()
	h.tell(func(t *task) error {
		t.head.abort(id, earlier)
		return nil
	})
}

// Complete says that a checkpoint is complete, for sinks to commit what they have
// prepared for it and before.
func (h *Host) Complete(checkpoint uint64) {
	h.tell(func(t *task) error { return t.complete(checkpoint) })
}

// Finish says that the last checkpoint is complete: tasks whose input has ended end.
func (h *Host) Finish() {
	h.tell(func(t *task) error {
		t.finished = true
		return nil
	})
}

// tell has every task run f between two chunks.
func (h *Host) tell(f func(*task) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range h.tasks {
		t.post(func() error { return f(t) })
	}
}

// write has a snapshot written by a goroutine of its own.
func (h *Host) write(id ids.Subtask, t *task, s *taken) {
	h.mu.Lock()
	if h.mu.writing == nil {
		h.mu.writing = map[*taken]bool{}
	}
	h.mu.writing[s] = true
	h.mu.Unlock()
	if !h.group.Go(func(context.Context) error {
		done := h.writeSnapshot(id, t, s)
		h.cfg.Events(Event{Vertex: id.Vertex, Subtask: id.Index, State: Running, Snapshot: done})
		return nil
	}) {
		h.written(s) // The host is closing.
	}
}

// written lets go of a snapshot, and reports whether nobody wants it any more.
func (h *Host) written(s *taken) (aborted bool) {
	s.close()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.mu.writing, s)
	return s.aborted.Load()
}

func (h *Host) writeSnapshot(id ids.Subtask, t *task, s *taken) *Snapshot {
	start := t.ctx.clock.now()
	done := &Snapshot{
		Checkpoint: s.id, Alignment: s.aligned, Synchronous: s.sync, StartDelay: s.delay,
		Path: filepath.Join(t.ctx.checkpoints.Directory, fmt.Sprintf("chk-%d-%d-%d", s.id, id.Vertex, id.Index)),
	}
	first, last := key.GroupRange(t.ctx.Subtask, t.ctx.Parallelism)
	done.Summary, done.Err = writeFile(done.Path, s, first, last)
	if h.written(s) {
		done.Err = errGivenUp
	}
	if done.Err != nil {
		done.Err = errors.Join(fmt.Errorf("snapshot of %s for checkpoint %d: %w", t.ctx.Name, s.id, done.Err), remove(done.Path))
	}
	done.Asynchronous = t.ctx.clock.now() - start
	return done
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// writeFile writes what a task that owns the key groups from first to last has taken.
// What the encoding of the user's values panics with is an error: it runs in a
// goroutine that is not the task's.
func writeFile(path string, s *taken, first, last uint16) (summary snapshot.Summary, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.Join(newPanicError(p), err)
		}
	}()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return summary, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffered := bufio.NewWriterSize(f, 1<<18)
	w := snapshot.NewWriter(buffered)
	if err := w.Groups(first, last); err != nil {
		return summary, err
	}
	for i, p := range s.parts {
		if err := w.Begin(p.section); err != nil {
			return summary, err
		}
		if err := s.captures[i].write(w); err != nil {
			return summary, err
		}
	}
	if summary, err = w.Close(); err != nil {
		return summary, err
	}
	return summary, buffered.Flush()
}
