package metastore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// localTerm is a time as the leader in a directory. The process that has the lock
// is the only candidate, so a term ends only when it is resigned or the store
// cannot go on; the epoch is compared all the same, in the turn of each
// transaction.
type localTerm struct {
	l      *local
	number uint64

	ended  chan struct{}
	ending sync.Once
	err    error // set before ended is closed

	// pending is the transaction that was still being written when its context
	// ended.
	pending chan error
	wanted  Revision // the revision of pending
}

func (l *local) campaign(ctx context.Context, _ string) (term, error) {
	select {
	case l.leading <- struct{}{}:
	case <-l.broken:
		return nil, l.unavailable(l.cause())
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	t, err := l.begin(ctx)
	if err != nil {
		<-l.leading
		return nil, err
	}
	return t, nil
}

// begin writes the next epoch.
func (l *local) begin(ctx context.Context) (*localTerm, error) {
	done, err := l.use()
	if err != nil {
		return nil, err
	}
	defer done()
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	last, err := l.number(epochKey)
	if err == nil {
		err = l.room()
	}
	if err != nil {
		<-l.writing
		return nil, err
	}
	b := l.db.NewBatch()
	l.revision++
	_ = b.Set(epochKey, binary.BigEndian.AppendUint64(nil, last+1), nil) // A batch in memory cannot fail.
	_ = b.Set(revisionKey, binary.BigEndian.AppendUint64(nil, uint64(l.revision)), nil)
	t := &localTerm{l: l, number: last + 1, ended: make(chan struct{})}
	if err := l.run(func() error { defer l.exit(); return l.write(b) }); err != nil {
		l.fail(err)
		return nil, l.unavailable(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.cause != nil {
		return nil, l.unavailable(l.mu.cause)
	}
	l.mu.term = t
	return t, nil
}

// enter waits for the turn to write.
func (l *local) enter(ctx context.Context) error {
	select {
	case l.writing <- struct{}{}:
		return nil
	case <-l.broken:
		return l.unavailable(l.cause())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *local) exit() { <-l.writing }

// room refuses to write to a disk that is nearly full.
func (l *local) room() error {
	usage, err := l.fs.GetDiskUsage(l.dir)
	if err != nil {
		return nil //nolint:nilerr // a file system that cannot tell; writing will
	}
	if usage.AvailBytes < minFree {
		return failure(ErrUnavailable, nil, "metadata store in %s: the disk is full: %d MiB are free, %d are needed; nothing was written",
			l.dir, usage.AvailBytes>>20, minFree>>20)
	}
	return nil
}

func (t *localTerm) epoch() uint64         { return t.number }
func (t *localTerm) lost() <-chan struct{} { return t.ended }
func (t *localTerm) why() error            { return t.err }

// end ends the term and lets the next begin.
func (t *localTerm) end(why error) {
	t.ending.Do(func() {
		t.err = why
		close(t.ended)
		<-t.l.leading
	})
}

func (l *local) endTerm(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.term != nil {
		l.mu.term.end(why)
	}
}

func (t *localTerm) resign(context.Context) error {
	t.end(errors.New("resigned"))
	return nil
}

func (t *localTerm) commit(ctx context.Context, id string, tx *Transaction) (Revision, error) {
	done, err := t.l.use()
	if err != nil {
		return Absent, err
	}
	defer done()
	if err := t.l.enter(ctx); err != nil {
		return Absent, err
	}
	b, err := t.prepare(tx)
	if err != nil {
		t.l.exit()
		return Absent, err
	}
	t.pending, t.wanted = make(chan error, 1), t.l.revision
	pending := t.pending
	if !t.l.group.Go(func(context.Context) error {
		defer t.l.exit()
		pending <- t.l.write(b)
		return nil
	}) {
		t.l.exit()
		return Absent, ErrClosed
	}
	revision, err := t.written(ctx)
	if err == nil {
		return revision, nil
	}
	return Absent, &AmbiguousError{Transaction: id, Cause: err, Settling: errors.New("the disk has not answered yet")}
}

// prepare checks that this term still leads and that the conditions hold, and puts
// the writes into a batch. The caller has the turn.
func (t *localTerm) prepare(tx *Transaction) (*pebble.Batch, error) {
	if err := t.l.lock.check(); err != nil {
		t.end(err)
		return nil, failure(ErrNotLeader, err, "metadata store in %s", t.l.dir)
	}
	epoch, err := t.l.number(epochKey)
	if err != nil {
		return nil, err
	}
	if epoch != t.number {
		err := failure(ErrNotLeader, nil, "metadata store in %s: epoch %d leads, this is %d", t.l.dir, epoch, t.number)
		t.end(err)
		return nil, err
	}
	for _, c := range tx.conditions {
		entry, err := t.l.read(c.key)
		if err != nil {
			return nil, err
		}
		if entry.Revision != c.want {
			return nil, &ConditionError{Key: c.key, Want: c.want, Have: entry.Revision}
		}
	}
	if err := t.l.room(); err != nil {
		return nil, err
	}
	t.l.revision++
	b := t.l.db.NewBatch()
	for _, w := range tx.writes {
		if w.delete {
			_ = b.Delete(dataKey(w.key), nil) // A batch in memory cannot fail.
		} else {
			_ = b.Set(dataKey(w.key), seal(w.key, t.l.revision, w.value), nil)
		}
	}
	_ = b.Set(revisionKey, binary.BigEndian.AppendUint64(nil, uint64(t.l.revision)), nil)
	return b, nil
}

// written waits for the pending transaction; after ctx has ended, for the grace of
// the store.
func (t *localTerm) written(ctx context.Context) (Revision, error) {
	grace := ctx
	for {
		select {
		case err := <-t.pending:
			t.pending = nil
			if err != nil {
				t.l.fail(err)
				return Absent, err
			}
			return t.wanted, nil
		case <-t.l.broken:
			return Absent, t.l.unavailable(t.l.cause())
		case <-grace.Done():
			if grace != ctx {
				return Absent, fmt.Errorf("%w; the disk has not answered for %v more", context.Cause(ctx), t.l.grace)
			}
			var cancel context.CancelFunc
			grace, cancel = context.WithTimeout(context.WithoutCancel(ctx), t.l.grace)
			defer cancel()
		}
	}
}

// settle waits for the disk. Where Pebble has given up, only the next process can
// read what its log holds.
func (t *localTerm) settle(ctx context.Context) (Revision, error) {
	if t.pending == nil {
		return Absent, t.l.unavailable(t.l.cause())
	}
	ctx, cancel := context.WithTimeout(ctx, t.l.grace)
	defer cancel()
	select {
	case err := <-t.pending:
		t.pending = nil
		if err != nil {
			t.l.fail(err)
			return Absent, t.l.unavailable(err)
		}
		return t.wanted, nil
	case <-t.l.broken:
		return Absent, t.l.unavailable(t.l.cause())
	case <-ctx.Done():
		return Absent, fmt.Errorf("%w; the disk has not answered yet", context.Cause(ctx))
	}
}
