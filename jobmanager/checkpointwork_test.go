package jobmanager

import (
	"context"
	"slices"
	"testing"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/jobmanager/metastore"
)

// TestWorkQueue does what it is told in order, also what is added by what it does, and
// ends when it is closed and nothing is left.
func TestWorkQueue(t *testing.T) {
	q, group := newWorkQueue(), goroutine.New(t.Context())
	var done []int
	q.add(func(context.Context) { done = append(done, 1) })
	q.add(func(context.Context) {
		done = append(done, 2)
		q.add(func(context.Context) { done = append(done, 3); q.close() })
	})
	group.Go(q.run)
	if err := group.Wait(); err != nil || !slices.Equal(done, []int{1, 2, 3}) {
		t.Errorf("%v, %v", done, err)
	}
}

// TestBooks of both kinds: ids rise, a checkpoint is recorded once and never comes back
// behind a newer one, and nothing is left of a job that is forgotten.
func TestBooks(t *testing.T) {
	store, err := metastore.Open(t.Context(), metastore.Config{StorageDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	lead, err := store.Campaign(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	job, other := ids.NewJobID(), ids.NewJobID()
	for name, b := range map[string]books{"stored": &storedBooks{store: store, lead: lead}, "memory": newMemoryBooks()} {
		for want := range checkpoint.ID(3) {
			if id, err := b.allocate(t.Context(), job); id != want+1 || err != nil {
				t.Errorf("%s: id %d, %v", name, id, err)
			}
		}
		for range 2 { // an answer may be lost
			if err := b.record(t.Context(), job, checkpoint.Record{ID: 2}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		recorded := func(job ids.JobID, id checkpoint.ID, want bool) {
			t.Helper()
			if got, err := b.recorded(t.Context(), job, id); got != want || err != nil {
				t.Errorf("%s: checkpoint %d: %v, %v, want %v", name, id, got, err, want)
			}
		}
		recorded(job, 2, true)
		recorded(job, 1, false)
		recorded(other, 2, false)
		if err := b.remove(t.Context(), job, 2); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		recorded(job, 2, false)
		if err := b.forget(t.Context(), job); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, err := store.List(t.Context(), ""); err != nil || len(left) != 0 {
		t.Errorf("left in the store: %v, %v", left, err)
	}
	b := &storedBooks{store: store, lead: lead}
	if err := b.record(t.Context(), job, checkpoint.Record{ID: 5}); err != nil {
		t.Fatal(err)
	}
	if err := b.remove(t.Context(), job, 5); err != nil {
		t.Fatal(err)
	}
	// A write that was on its way for long must not bring back what was removed.
	for _, id := range []checkpoint.ID{4, 5} {
		if err := b.record(t.Context(), job, checkpoint.Record{ID: id}); err == nil {
			t.Errorf("checkpoint %d was recorded behind checkpoint 5", id)
		}
	}
}
