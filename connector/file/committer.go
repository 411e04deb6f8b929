package file

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
)

// Prepare implements [weir.Committer].
func (w *writer[T]) Prepare(uint64) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.enter(); err != nil {
		return nil, err
	}
	b, err := w.prepare()
	if err != nil {
		return nil, w.fail(err)
	}
	return b, nil
}

func (w *writer[T]) prepare() ([]byte, error) {
	if w.dir.run != "" && w.part != nil {
		if err := w.end(); err != nil {
			return nil, err
		}
	}
	if w.dir.run == "" {
		if w.part == nil {
			return nil, nil
		}
		if err := w.settle(); err != nil {
			return nil, err
		}
		w.complete, w.part = append(w.complete, w.part), nil
	} else if len(w.complete) > 0 {
		// The temporary names must survive a crash of the machine, too. Without
		// checkpoints they need not, since the final ones follow at once.
		if err := w.dir.storage.SyncDir(w.dir.path); err != nil {
			return nil, fmt.Errorf("put the name of part %s on the disk: %w", w.complete[0].hidden(), err)
		}
	}
	d := description{
		subtask: w.dir.subtask, parallelism: w.dir.parallelism, run: w.dir.run, attempt: w.dir.attempt,
		next: w.dir.next, inherited: w.inherited,
	}
	for _, p := range w.complete {
		d.parts = append(d.parts, p.prepared())
		w.described[p.name] = p
	}
	w.complete = nil
	return d.encode(), nil
}

// Commit implements [weir.Committer].
func (w *writer[T]) Commit(prepared []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.commit(prepared); err != nil {
		return w.fail(err)
	}
	return nil
}

func (w *writer[T]) commit(prepared []byte) error {
	d, err := decodeDescription(prepared)
	if err != nil {
		return err
	}
	if err := w.dir.commit(d.run, d.parts, false); err != nil {
		return err
	}
	for _, p := range d.parts {
		if part := w.described[p.final]; part != nil {
			delete(w.described, p.final)
			if err := part.close(); err != nil {
				return err
			}
		}
	}
	if d.attempt != w.dir.attempt || len(w.inherited) == 0 {
		return nil
	}
	// A checkpoint that this attempt has taken is complete. So all subtasks have
	// committed what they were given when it began, and what is left is nobody's.
	if err := w.dir.clean(w.inherited); err != nil {
		return err
	}
	w.inherited = nil
	return nil
}

// Recover implements [weir.Committer].
func (w *writer[T]) Recover(prepared [][]byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready = true
	if err := w.recover(prepared); err != nil {
		return w.fail(err)
	}
	return nil
}

func (w *writer[T]) recover(prepared [][]byte) error {
	w.dir.attempt = newToken()
	if len(prepared) == 0 {
		return w.start()
	}
	given := make([]*description, len(prepared))
	for i, b := range prepared {
		var err error
		if given[i], err = decodeDescription(b); err != nil {
			return err
		}
	}
	for _, d := range given {
		if err := w.dir.commit(d.run, d.parts, true); err != nil {
			return err
		}
		w.dir.next = max(w.dir.next, d.next)
	}
	return w.succeed(given)
}

// start prepares the directory for a job that has nothing to go on from. Subtask 0
// decides for all what is done with the parts that are there. For only that knows that
// the job begins: at each checkpoint every subtask describes something, which the engine
// deals out from subtask 0 on; of a job that goes on with more subtasks than it had, some
// are given nothing, but never that one.
func (w *writer[T]) start() error {
	w.dir.run = newToken()
	return w.dir.prepare(w.settings.existing, func(int) bool { return w.dir.subtask == 0 })
}

// succeed takes over the runs that are given, all of whose parts have been committed.
func (w *writer[T]) succeed(given []*description) error {
	var runs []string
	same := true
	for _, d := range given {
		same = same && d.subtask == w.dir.subtask && d.parallelism == w.dir.parallelism
		runs = append(append(runs, d.run), d.inherited...)
	}
	slices.Sort(runs)
	runs = slices.DeleteFunc(slices.Compact(runs), func(run string) bool { return run == "" })
	if same {
		// All of what the subtask has described came here, and nothing of another.
		w.dir.run = given[len(given)-1].run
		if w.dir.run == "" {
			w.dir.run = newToken()
		}
		return w.dir.clean(runs)
	}
	// What belongs to the runs may be with other subtasks, which have yet to commit
	// it. The new run's name follows from theirs, so that the next attempt, which is
	// given the same, finds what this one leaves.
	w.inherited = runs
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d %s", w.dir.subtask, w.dir.parallelism, strings.Join(runs, " ")))
	w.dir.run = token(sum[:])
	return w.dir.clean([]string{w.dir.run})
}

// newToken returns a name of a run or an attempt that nobody else has.
func newToken() string {
	b := make([]byte, 5)
	_, _ = rand.Read(b) // which never fails
	return token(b)
}

// token makes a name of the first 40 bits.
func token(b []byte) string {
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:5]))
}
