package recovery

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/weirstream/weir"
)

// store is where sinks put their rows: what is prepared survives, and what is
// committed is seen. It outlives attempts, as a file system does.
type store struct {
	sync.Mutex
	prepared  map[string][]string
	committed map[string]int // rows
	done      map[string]bool
	made      int
	// recovered counts the calls of Recover that had something to commit.
	recovered int
	// prepares counts the calls of Prepare.
	prepares atomic.Int64
}

func newStore() *store {
	return &store{prepared: map[string][]string{}, committed: map[string]int{}, done: map[string]bool{}}
}

func (s *store) Open(_ context.Context, _ weir.Subtask) (weir.Writer[string], error) {
	return &storeWriter{store: s}, nil
}

type storeWriter struct {
	store *store
	rows  []string
}

func (w *storeWriter) Write(rows []string) error {
	for _, r := range rows {
		w.rows = append(w.rows, strings.Clone(r))
	}
	return nil
}

func (w *storeWriter) Flush() error { return nil }
func (w *storeWriter) Close() error { return nil }

func (w *storeWriter) Prepare(checkpoint uint64) ([]byte, error) {
	w.store.prepares.Add(1)
	if len(w.rows) == 0 {
		return nil, nil
	}
	w.store.Lock()
	defer w.store.Unlock()
	w.store.made++
	name := fmt.Sprintf("%d-%d", checkpoint, w.store.made)
	w.store.prepared[name], w.rows = w.rows, nil
	return []byte(name), nil
}

func (w *storeWriter) Commit(prepared []byte) error {
	w.store.Lock()
	defer w.store.Unlock()
	return w.store.commit(string(prepared))
}

func (s *store) commit(name string) error {
	rows, ok := s.prepared[name]
	switch {
	case s.done[name]:
		return nil
	case !ok:
		return fmt.Errorf("%s was never prepared", name)
	}
	s.done[name] = true
	for _, r := range rows {
		s.committed[r]++
	}
	return nil
}

func (w *storeWriter) Recover(prepared [][]byte) error {
	w.store.Lock()
	defer w.store.Unlock()
	if len(prepared) > 0 {
		w.store.recovered++
	}
	for _, p := range prepared {
		if err := w.store.commit(string(p)); err != nil {
			return err
		}
	}
	return nil
}
