package metastore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
)

// backend is what a [Store] needs of an implementation. Keys and transactions
// have been checked. All methods may be called concurrently.
type backend interface {
	// get returns the entry of a key, with revision [Absent] if there is none. It
	// sees every transaction whose commit has returned anywhere.
	get(ctx context.Context, key string) (Entry, error)
	// list returns the entries whose keys begin with prefix, in the order of keys,
	// all as of one moment.
	list(ctx context.Context, prefix string) ([]Entry, error)
	// campaign waits until this process leads.
	campaign(ctx context.Context, candidate string) (term, error)
	// close gives up every term and releases everything.
	close() error
}

// term is a time as the leader in an implementation. Its commit and settle are
// never called concurrently.
type term interface {
	epoch() uint64
	// lost is closed when the term has ended, with why.
	lost() <-chan struct{}
	why() error
	// commit applies the transaction under a name. Where it cannot tell whether it
	// did, the error is an [*AmbiguousError], and settle is called until it answers.
	commit(ctx context.Context, id string, t *Transaction) (Revision, error)
	// settle finds out about the last, ambiguous transaction: its revision if it
	// was applied, [Absent] if it was not and never will be.
	settle(ctx context.Context) (Revision, error)
	resign(ctx context.Context) error
}

// Store is an open metadata store. [Open] makes one. All methods may be called
// concurrently.
type Store struct {
	backend backend
	closed  atomic.Bool
	closing sync.Once
	err     error
}

// Get returns the value and the revision of a key; the revision is [Absent] for
// a key that is not there, which is no error. It sees every transaction that was
// committed before it was called, whoever committed it.
//
// Errors: [ErrInvalid], [ErrTooLarge], [ErrUnavailable], [ErrCorrupt],
// [ErrDenied], [ErrClosed].
func (s *Store) Get(ctx context.Context, key string) (Entry, error) {
	if err := s.ready(ctx); err != nil {
		return Entry{}, err
	}
	if err := checkKey(key); err != nil {
		return Entry{}, err
	}
	return s.backend.get(ctx, key)
}

// List returns all entries whose keys begin with prefix in the order of their
// keys, as of one moment; the empty prefix is that of all keys. "jobs/a" is also
// a prefix of "jobs/ab/record": end it with a slash for what lies below jobs/a.
//
// Errors: as [Store.Get].
func (s *Store) List(ctx context.Context, prefix string) ([]Entry, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if err := checkPrefix(prefix); err != nil {
		return nil, err
	}
	return s.backend.list(ctx, prefix)
}

// Campaign waits until this process leads, and returns its leadership. The
// candidate is a name for operators, such as the address of the JobManager. A
// store that already leads waits for its own leadership to end.
//
// Errors: that of ctx when it ends first, [ErrUnavailable], [ErrCorrupt],
// [ErrDenied], [ErrClosed].
func (s *Store) Campaign(ctx context.Context, candidate string) (*Leadership, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	if !visible(candidate) || len(candidate) > MaxKey {
		return nil, failure(ErrInvalid, nil, "candidate %q: want at most %d visible ASCII characters", candidate, MaxKey)
	}
	t, err := s.backend.campaign(ctx, candidate)
	if err != nil {
		return nil, err
	}
	l := &Leadership{store: s, term: t, turn: make(chan struct{}, 1)}
	l.guarded.settled = map[string]Revision{}
	return l, nil
}

// Close ends every leadership and releases the store; the next JobManager can
// lead at once. It waits for calls that are under way, which may end with an error.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.closed.Store(true)
		s.err = s.backend.close()
	})
	return s.err
}

func (s *Store) ready(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	return context.Cause(ctx)
}

// Leadership is the time in which this process leads, and its right to write.
// All methods may be called concurrently; transactions are applied one after
// another.
type Leadership struct {
	store *Store
	term  term

	// turn is held while a transaction is under way.
	turn chan struct{}
	// guarded is guarded by turn.
	guarded struct {
		sequence uint64
		// pending is the transaction that has to be settled before the next.
		pending string
		// settled has what became of ambiguous transactions, until somebody asks.
		settled map[string]Revision
	}
}

// maxSettled bounds the answers that are kept for nobody who asks.
const maxSettled = 1024

// Epoch is larger than that of every earlier leadership of the store.
func (l *Leadership) Epoch() uint64 { return l.term.epoch() }

// Lost is closed when this process does not lead any more, or can no longer be
// sure that it does. It never leads again through this leadership.
func (l *Leadership) Lost() <-chan struct{} { return l.term.lost() }

// Err returns why the leadership was lost, and nil while it was not. It wraps
// [ErrNotLeader].
func (l *Leadership) Err() error {
	select {
	case <-l.term.lost():
		return failure(ErrNotLeader, l.term.why(), "leadership %d", l.term.epoch())
	default:
		return nil
	}
}

// Commit applies a transaction: all of it, if all its conditions hold and this
// process still leads, and else nothing. The store compares both in the same
// transaction. It returns the revision that what was put has now.
//
// When the answer is lost Commit finds out what became of the transaction, for
// which it takes up to a request's deadline more than ctx allows.
//
// Errors: [ErrCondition], [ErrNotLeader], [ErrTooLarge], [ErrInvalid],
// [ErrUnavailable], [ErrDenied], [ErrCorrupt], [ErrClosed] and those of ctx:
// nothing was applied, nor will be. [ErrAmbiguous]: not known.
func (l *Leadership) Commit(ctx context.Context, t *Transaction) (Revision, error) {
	if err := t.check(); err != nil {
		return Absent, err
	}
	if err := l.enter(ctx); err != nil {
		return Absent, err
	}
	defer l.leave()
	return l.commit(ctx, t)
}

// Allocate returns the next number of the counter that key names: 1, or one more
// than the last. No number is given twice, not after crashes and not by two
// leaders; one is left out where an answer was lost. The counter is the value of
// the key, in decimal: it begins anew when the key is deleted.
//
// Errors: as [Leadership.Commit], where [ErrAmbiguous] means that a number was
// perhaps used up.
func (l *Leadership) Allocate(ctx context.Context, key string) (uint64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	if err := l.enter(ctx); err != nil {
		return 0, err
	}
	defer l.leave()
	entry, err := l.store.backend.get(ctx, key)
	if err != nil {
		return 0, err
	}
	last, err := counterValue(entry)
	if err != nil {
		return 0, err
	}
	var t Transaction
	t.If(key, entry.Revision).Put(key, strconv.AppendUint(nil, last+1, 10))
	if _, err := l.commit(ctx, &t); err != nil {
		return 0, fmt.Errorf("allocate a number of %q: %w", key, err)
	}
	return last + 1, nil
}

// counterValue reads the last number that a counter gave.
func counterValue(e Entry) (uint64, error) {
	if e.Revision == Absent {
		return 0, nil
	}
	last, err := strconv.ParseUint(string(e.Value), 10, 64)
	if err != nil || last+1 == 0 {
		return 0, failure(ErrCorrupt, nil, "key %q is no counter, or one that is used up: its value is %.40q", e.Key, e.Value)
	}
	return last, nil
}

// Settle finds out about a transaction for which Commit or Allocate returned an
// [*AmbiguousError]: its revision if it was applied, and [Absent] if it was not
// and never will be. It answers once about each transaction, and answers also
// after the leadership was lost.
//
// Errors: [ErrAmbiguous] as long as the store cannot tell, [ErrInvalid] for a
// transaction that is not waiting for an answer, [ErrClosed], those of ctx.
func (l *Leadership) Settle(ctx context.Context, transaction string) (Revision, error) {
	if err := l.enter(ctx); err != nil {
		return Absent, err
	}
	defer l.leave()
	if l.guarded.pending == transaction {
		if err := l.settlePending(ctx); err != nil {
			return Absent, err
		}
	}
	revision, ok := l.guarded.settled[transaction]
	if !ok {
		return Absent, failure(ErrInvalid, nil, "transaction %q is not waiting for an answer", transaction)
	}
	delete(l.guarded.settled, transaction)
	return revision, nil
}

// Resign ends the leadership; the next JobManager can lead at once. Where the
// store cannot be told it finds out by itself, and Resign says so. To resign
// twice is no error.
func (l *Leadership) Resign(ctx context.Context) error {
	return l.term.resign(ctx)
}

// enter waits for the turn of this call.
func (l *Leadership) enter(ctx context.Context) error {
	if err := l.store.ready(ctx); err != nil {
		return err
	}
	select {
	case l.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *Leadership) leave() { <-l.turn }

// commit settles what is not settled yet and commits. A transaction that nobody
// knows about must not be applied after a later one.
func (l *Leadership) commit(ctx context.Context, t *Transaction) (Revision, error) {
	if err := l.Err(); err != nil {
		return Absent, err
	}
	if l.guarded.pending != "" {
		if err := l.settlePending(ctx); err != nil {
			return Absent, failure(ErrUnavailable, nil, "an earlier transaction is not settled, so no later one is sent (%v)", err)
		}
	}
	l.guarded.sequence++
	id := fmt.Sprintf("%d-%d", l.term.epoch(), l.guarded.sequence)
	revision, err := l.term.commit(ctx, id, t)
	if _, ok := err.(*AmbiguousError); ok { //nolint:errorlint // term.commit returns it unwrapped, and only for this transaction
		l.guarded.pending = id
	}
	return revision, err
}

func (l *Leadership) settlePending(ctx context.Context) error {
	revision, err := l.term.settle(ctx)
	if err != nil {
		return &AmbiguousError{Transaction: l.guarded.pending, Cause: errors.New("its answer was lost"), Settling: err}
	}
	if len(l.guarded.settled) >= maxSettled {
		clear(l.guarded.settled)
	}
	l.guarded.settled[l.guarded.pending] = revision
	l.guarded.pending = ""
	return nil
}
