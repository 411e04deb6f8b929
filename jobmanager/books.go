package jobmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/jobmanager/metastore"
)

// books is where it is written which checkpoints jobs have: what decides that one is
// complete. All methods may be called concurrently.
type books interface {
	// allocate returns the next id of a job's checkpoints.
	allocate(ctx context.Context, job ids.JobID) (checkpoint.ID, error)
	// record writes a checkpoint; that it is there already is success. An error that
	// is errUndecided leaves open whether it was written.
	record(ctx context.Context, job ids.JobID, r checkpoint.Record) error
	// recorded reports whether a checkpoint is there.
	recorded(ctx context.Context, job ids.JobID, id checkpoint.ID) (bool, error)
	// remove removes a checkpoint, also one that is not there.
	remove(ctx context.Context, job ids.JobID, id checkpoint.ID) error
	// forget removes all that is written of a job.
	forget(ctx context.Context, job ids.JobID) error
}

// errUndecided says that nobody knows whether a write was applied.
var errUndecided = errors.New("whether it was written is not known")

// storedBooks are books in the metadata store, under jobs/<id>/.
type storedBooks struct {
	store *metastore.Store
	lead  *metastore.Leadership
}

func checkpointCounter(job ids.JobID) string { return fmt.Sprintf("jobs/%s/checkpoint-counter", job) }

// newestCheckpoint has the id of the newest checkpoint that was ever recorded.
func newestCheckpoint(job ids.JobID) string { return fmt.Sprintf("jobs/%s/newest-checkpoint", job) }

func checkpointKey(job ids.JobID, id checkpoint.ID) string {
	return fmt.Sprintf("jobs/%s/checkpoints/%020d", job, id)
}

func (b *storedBooks) allocate(ctx context.Context, job ids.JobID) (checkpoint.ID, error) {
	n, err := b.lead.Allocate(ctx, checkpointCounter(job))
	return checkpoint.ID(n), err
}

func (b *storedBooks) record(ctx context.Context, job ids.JobID, r checkpoint.Record) error {
	value, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode checkpoint %d: %w", r.ID, err)
	}
	key := checkpointKey(job, r.ID)
	if there, err := b.recorded(ctx, job, r.ID); there || err != nil {
		return err
	}
	newest, err := b.store.Get(ctx, newestCheckpoint(job))
	if err != nil {
		return err
	}
	// What retention has removed must not come back by a write that was under way
	// for long.
	if last, err := strconv.ParseUint(string(newest.Value), 10, 64); newest.Revision != metastore.Absent && (err != nil || last >= uint64(r.ID)) {
		return fmt.Errorf("checkpoint %d: checkpoint %q was recorded before", r.ID, newest.Value)
	}
	var t metastore.Transaction
	t.If(key, metastore.Absent).If(newest.Key, newest.Revision)
	t.Put(key, value).Put(newest.Key, strconv.AppendUint(nil, uint64(r.ID), 10))
	if _, err = b.lead.Commit(ctx, &t); errors.Is(err, metastore.ErrAmbiguous) {
		return fmt.Errorf("%w: %w", errUndecided, err)
	}
	return err
}

func (b *storedBooks) recorded(ctx context.Context, job ids.JobID, id checkpoint.ID) (bool, error) {
	e, err := b.store.Get(ctx, checkpointKey(job, id))
	return e.Revision != metastore.Absent, err
}

func (b *storedBooks) remove(ctx context.Context, job ids.JobID, id checkpoint.ID) error {
	var t metastore.Transaction
	_, err := b.lead.Commit(ctx, t.Delete(checkpointKey(job, id)))
	return err
}

func (b *storedBooks) forget(ctx context.Context, job ids.JobID) error {
	all, err := b.store.List(ctx, fmt.Sprintf("jobs/%s/", job))
	if err != nil {
		return err
	}
	for len(all) > 0 {
		part := all[:min(len(all), metastore.MaxOperations)]
		all = all[len(part):]
		var t metastore.Transaction
		for _, e := range part {
			t.Delete(e.Key)
		}
		if _, err := b.lead.Commit(ctx, &t); err != nil {
			return err
		}
	}
	return nil
}

// memoryBooks are those of an embedded JobManager: its jobs end with it.
type memoryBooks struct {
	mu   sync.Mutex
	jobs map[ids.JobID]*memoryJob
}

type memoryJob struct {
	counter     checkpoint.ID
	checkpoints map[checkpoint.ID]bool
}

func newMemoryBooks() *memoryBooks { return &memoryBooks{jobs: map[ids.JobID]*memoryJob{}} }

func (b *memoryBooks) ofLocked(job ids.JobID) *memoryJob {
	if b.jobs[job] == nil {
		b.jobs[job] = &memoryJob{checkpoints: map[checkpoint.ID]bool{}}
	}
	return b.jobs[job]
}

func (b *memoryBooks) allocate(_ context.Context, job ids.JobID) (checkpoint.ID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.ofLocked(job)
	j.counter++
	return j.counter, nil
}

func (b *memoryBooks) record(_ context.Context, job ids.JobID, r checkpoint.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ofLocked(job).checkpoints[r.ID] = true
	return nil
}

func (b *memoryBooks) recorded(_ context.Context, job ids.JobID, id checkpoint.ID) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ofLocked(job).checkpoints[id], nil
}

func (b *memoryBooks) remove(_ context.Context, job ids.JobID, id checkpoint.ID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ofLocked(job).checkpoints, id)
	return nil
}

func (b *memoryBooks) forget(_ context.Context, job ids.JobID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.jobs, job)
	return nil
}
