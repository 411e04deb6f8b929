package jobmanager

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/checkpoint/metadata"
	"github.com/weirstream/weir/checkpoint/storage"
)

// workTimeout bounds one access to the metadata store or to checkpoint storage.
const workTimeout = time.Minute

// workQueue has what is to be done for the checkpoints of a job outside of the core's
// lock, one after the other. Adding never blocks.
type workQueue struct {
	wake chan struct{}
	mu   struct {
		sync.Mutex
		pending []func(ctx context.Context)
		// closed says that nothing more will be added.
		closed bool
	}
}

func newWorkQueue() *workQueue { return &workQueue{wake: make(chan struct{}, 1)} }

func (q *workQueue) add(f func(ctx context.Context)) {
	q.mu.Lock()
	q.mu.pending = append(q.mu.pending, f)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// close ends run when everything is done that was added.
func (q *workQueue) close() {
	q.mu.Lock()
	q.mu.closed = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run does what is added until ctx is done, or the queue is closed.
func (q *workQueue) run(ctx context.Context) error {
	for {
		q.mu.Lock()
		pending, closed := q.mu.pending, q.mu.closed
		q.mu.pending = nil
		q.mu.Unlock()
		for _, f := range pending {
			if ctx.Err() != nil {
				return nil
			}
			bounded, cancel := context.WithTimeout(ctx, workTimeout)
			f(bounded)
			cancel()
		}
		switch {
		case len(pending) > 0:
			continue
		case closed:
			return nil
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// report takes in the result of work.
func (k *checkpoints) report(e checkpoint.Event) {
	k.core.mu.Lock()
	defer k.core.mu.Unlock()
	k.step(e)
}

func (k *checkpoints) reportKept(e checkpoint.RetentionEvent) {
	k.core.mu.Lock()
	defer k.core.mu.Unlock()
	k.retain(e)
}

func (k *checkpoints) allocate(a checkpoint.AllocateID) {
	k.work.add(func(ctx context.Context) {
		id, err := k.core.books.allocate(ctx, k.job)
		if err != nil {
			k.report(checkpoint.IDRefused{Allocation: a.Allocation, Reason: err.Error()})
			return
		}
		k.report(checkpoint.IDAllocated{Allocation: a.Allocation, ID: id})
	})
}

func (k *checkpoints) writeMetadata(a checkpoint.WriteMetadata) {
	m, err := k.metadataOf(a)
	k.work.add(func(ctx context.Context) {
		var file []byte
		if err == nil {
			file, err = metadata.Encode(m)
		}
		name := storage.MetadataName(a.ID)
		if err == nil {
			err = storage.Ensure(ctx, k.storage, name, a.Attempt, storage.Bytes(file))
		}
		if err != nil {
			k.report(checkpoint.MetadataFailed{ID: a.ID, Reason: err.Error()})
			return
		}
		k.report(checkpoint.MetadataWritten{ID: a.ID, File: checkpoint.File{Name: name, Writer: a.ID}})
	})
}

func (k *checkpoints) record(r checkpoint.Record) {
	k.work.add(func(ctx context.Context) {
		switch err := k.core.books.record(ctx, k.job, r); {
		case err == nil:
			k.report(checkpoint.Recorded{ID: r.ID})
		case errors.Is(err, errUndecided):
			k.report(checkpoint.RecordUnknown{ID: r.ID, Reason: err.Error()})
		default:
			k.report(checkpoint.RecordFailed{ID: r.ID, Reason: err.Error()})
		}
	})
}

func (k *checkpoints) readRecord(id checkpoint.ID) {
	k.work.add(func(ctx context.Context) {
		found, err := k.core.books.recorded(ctx, k.job, id)
		if err != nil {
			k.report(checkpoint.RecordUnread{ID: id})
			return
		}
		k.report(checkpoint.RecordRead{ID: id, Found: found})
	})
}

func (k *checkpoints) removePointer(id checkpoint.ID) {
	k.work.add(func(ctx context.Context) {
		if err := k.core.books.remove(ctx, k.job, id); err != nil {
			k.reportKept(checkpoint.PointerNotRemoved{ID: id, Reason: err.Error()})
			return
		}
		k.reportKept(checkpoint.PointerRemoved{ID: id})
	})
}

func (k *checkpoints) deleteFiles(names []string) {
	k.work.add(func(ctx context.Context) {
		var deleted []string
		for i, name := range names {
			if err := k.storage.Delete(ctx, name); err != nil {
				k.core.log.Warn("could not delete a file of a checkpoint", "job", k.job, "file", k.storage.Location(name), "error", err)
				k.reportKept(checkpoint.FilesNotDeleted{Names: names[i:], Reason: err.Error()})
				break
			}
			deleted = append(deleted, name)
		}
		if len(deleted) > 0 {
			k.reportKept(checkpoint.FilesDeleted{Names: deleted})
		}
	})
}

// restore reads the metadata of the checkpoint that the next attempt begins from.
func (k *checkpoints) restore(r checkpoint.Record) {
	k.work.add(func(ctx context.Context) {
		var m *metadata.Metadata
		file, err := storage.Read(ctx, k.storage, r.Metadata, metadata.MaxSize)
		if err == nil {
			if m, err = metadata.Decode(file); err != nil {
				err = fmt.Errorf("%s: %w", k.storage.Location(r.Metadata), err)
			}
		}
		k.core.mu.Lock()
		defer k.core.mu.Unlock()
		k.restoreRead(r.ID, m, err)
	})
}
