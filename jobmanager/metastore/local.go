package metastore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/weirstream/weir/internal/goroutine"
)

const (
	// pebbleFormat is the format of the files of Pebble. It is raised on purpose: an
	// older version of Weir cannot read them afterwards.
	pebbleFormat = pebble.FormatWALSyncChunks
	// minFree is how much of the disk must be free for a transaction to begin: the
	// memtable (4 MiB), its flush, a compaction of the few files, and a new log. A
	// write-ahead log that cannot be written ends the process's use of the store.
	minFree = 64 << 20
)

// local is the store in a directory of this machine. Pebble keeps the data, an
// flock keeps other processes out.
type local struct {
	dir  string
	lock *lock
	log  *slog.Logger
	fs   vfs.FS
	db   *pebble.DB
	// acknowledged belongs to whoever has the turn to write.
	acknowledged *acknowledged
	grace        time.Duration // how long a commit is waited for after its context
	group        *goroutine.Group

	// leading is held by the term, writing by the transaction that is under way.
	leading, writing chan struct{}
	// revision is that of the last transaction; guarded by writing.
	revision Revision

	// using is held for reading while the database is used, and for writing while it
	// is closed.
	using  sync.RWMutex
	closed bool // guarded by using

	// broken is closed when Pebble cannot go on; cause says why.
	broken chan struct{}
	mu     struct {
		sync.Mutex
		cause error
		term  *localTerm
	}
}

func openLocal(ctx context.Context, c Config, files vfs.FS) (*local, error) {
	dir := filepath.Join(c.StorageDir, c.ClusterID, "metadata")
	if err := prepareDirectory(dir); err != nil {
		return nil, err
	}
	held, err := acquire(ctx, dir, c.WaitForLock)
	if err != nil {
		return nil, err
	}
	l := &local{
		dir: dir, lock: held, log: c.Logger, fs: files, grace: c.RequestTimeout,
		group:   goroutine.New(context.WithoutCancel(ctx)),
		leading: make(chan struct{}, 1), writing: make(chan struct{}, 1), broken: make(chan struct{}),
	}
	if err := l.open(); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// prepareDirectory creates the directory if need be, and refuses one that others
// can write to.
func prepareDirectory(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return systemError(err, "create the directory of the metadata store (%s)", KeyStorageDir)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return systemError(err, "directory of the metadata store (%s)", KeyStorageDir)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return failure(ErrDenied, nil, "metadata store in %s: others can write to the directory (mode %04o): protect it with: chmod 700 %s",
			dir, info.Mode().Perm(), dir)
	}
	return nil
}

// open opens the database, which must be there if the directory has a format, and
// must hold nothing if it has none: it was not finished then. It is read first and
// only then opened for writing, so that nothing changes in one that is damaged.
func (l *local) open() error {
	version, err := readFormat(l.dir)
	if err != nil {
		return err
	}
	if version != 0 {
		if err := l.examine(); err != nil {
			return err
		}
	}
	if err := l.run(func() error { return l.openDatabase(&pebble.Options{ErrorIfNotExists: version != 0}) }); err != nil {
		return l.openError(err)
	}
	epoch, err := l.number(epochKey)
	if err != nil {
		return err
	}
	revision, err := l.number(revisionKey)
	if err != nil {
		return err
	}
	l.revision = Revision(revision)
	if version == 0 && (epoch != 0 || revision != 0) {
		return failure(ErrCorrupt, nil, "metadata store in %s: there is data, but the file that names its format is missing (%s); restore it with: echo '%s %d' > %s",
			l.dir, formatFile, formatName, localFormat, filepath.Join(l.dir, formatFile))
	}
	if l.acknowledged, _, err = openAcknowledged(l.dir, version == 0); err != nil {
		return systemError(err, "metadata store in %s: open %s", l.dir, acknowledgedFile)
	}
	if err := l.acknowledged.write(l.revision); err != nil {
		return systemError(err, "metadata store in %s: write %s", l.dir, acknowledgedFile)
	}
	if version != 0 {
		return nil
	}
	if err := writeFormat(l.dir); err != nil {
		return systemError(err, "metadata store in %s: write its format", l.dir)
	}
	return nil
}

// examine opens the database for reading and looks whether the last transaction
// that was acknowledged is there.
func (l *local) examine() error {
	a, last, err := openAcknowledged(l.dir, false)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errEnvelope) {
		return failure(ErrCorrupt, err, "metadata store in %s: %s, which has the last revision; %s", l.dir, acknowledgedFile, kept)
	}
	if err != nil {
		return systemError(err, "metadata store in %s: read %s", l.dir, acknowledgedFile)
	}
	if err := a.close(); err != nil {
		return systemError(err, "metadata store in %s: read %s", l.dir, acknowledgedFile)
	}
	if _, err := l.fs.Stat(filepath.Join(l.dir, dataDir)); errors.Is(err, fs.ErrNotExist) {
		return failure(ErrCorrupt, err, "metadata store in %s: the directory has a format but no data; %s", l.dir, kept)
	}
	if err := l.run(func() error { return l.openDatabase(&pebble.Options{ErrorIfNotExists: true, ReadOnly: true}) }); err != nil {
		return l.openError(err)
	}
	revision, err := l.number(revisionKey)
	db := l.db
	l.db = nil
	if err = errors.Join(err, l.run(db.Close)); err != nil {
		return err
	}
	if Revision(revision) < last {
		return failure(ErrCorrupt, nil, "metadata store in %s: its last revision is %d, but %d was acknowledged: the write-ahead log in %s is damaged; %s",
			l.dir, revision, last, dataDir, kept)
	}
	return nil
}

// openDatabase completes the options and opens the database.
func (l *local) openDatabase(options *pebble.Options) error {
	cache := pebble.NewCache(8 << 20)
	defer cache.Unref()
	options.FS, options.Cache, options.Logger = l.fs, cache, pebbleLogger{l}
	options.FormatMajorVersion, options.MemTableSize, options.MaxOpenFiles = pebbleFormat, 4<<20, 100
	options.EventListener = &pebble.EventListener{
		BackgroundError: func(err error) { l.fail(fmt.Errorf("in the background: %w", err)) },
		DataCorruption:  func(i pebble.DataCorruptionInfo) { l.fail(fmt.Errorf("%w: %v", ErrCorrupt, i)) },
		DiskSlow:        func(i pebble.DiskSlowInfo) { l.log.Warn("metadata store: the disk is slow", "details", i.String()) },
	}
	db, err := pebble.Open(filepath.Join(l.dir, dataDir), options)
	if err != nil {
		return err
	}
	l.db = db
	return nil
}

// kept ends the messages about a directory that is damaged.
const kept = "nothing was deleted: restore the directory from a copy, or move it away and lose the jobs in it"

// openError says what is wrong with a directory that Pebble does not open.
func (l *local) openError(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.ENOSPC):
		return systemError(err, "metadata store in %s", l.dir)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, pebble.ErrDBDoesNotExist), pebble.IsCorruptionError(err):
		return failure(ErrCorrupt, err, "metadata store in %s: %s", l.dir, kept)
	default:
		kind := ErrCorrupt // Pebble does not accept what it has read.
		if _, ok := errors.AsType[syscall.Errno](err); ok {
			kind = ErrUnavailable
		}
		return failure(kind, err, "open the metadata store in %s; %s", l.dir, kept)
	}
}

// run calls f in a goroutine of its own and waits for it, or for Pebble to break:
// f never returns then.
func (l *local) run(f func() error) error {
	result := make(chan error, 1)
	if !l.group.Go(func(context.Context) error { result <- f(); return nil }) {
		return ErrClosed
	}
	select {
	case err := <-result:
		return err
	case <-l.broken:
		return l.cause()
	}
}

// fail notes that Pebble cannot go on. It is called under Pebble's locks.
func (l *local) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.cause != nil {
		return
	}
	l.mu.cause = err
	l.log.Error("metadata store: end this process and start it anew", "directory", l.dir, "error", err)
	close(l.broken)
	if l.mu.term != nil {
		l.mu.term.end(err)
	}
}

func (l *local) cause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.cause
}

// use keeps the database open until the returned function is called.
func (l *local) use() (done func(), err error) {
	l.using.RLock()
	if l.closed {
		l.using.RUnlock()
		return nil, ErrClosed
	}
	select {
	case <-l.broken:
		l.using.RUnlock()
		return nil, l.unavailable(l.cause())
	default:
		return l.using.RUnlock, nil
	}
}

// unavailable is the answer of a store that Pebble has given up.
func (l *local) unavailable(cause error) error {
	kind := ErrUnavailable
	if errors.Is(cause, ErrCorrupt) {
		kind = ErrCorrupt
	}
	return failure(kind, cause, "metadata store in %s: end this process and start it anew", l.dir)
}

func (l *local) get(_ context.Context, key string) (Entry, error) {
	done, err := l.use()
	if err != nil {
		return Entry{}, err
	}
	defer done()
	return l.read(key)
}

// read returns an entry of the open database.
func (l *local) read(key string) (Entry, error) {
	sealed, closer, err := l.db.Get(dataKey(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return Entry{Key: key}, nil
	}
	if err != nil {
		return Entry{}, l.readError(err, key)
	}
	defer func() { _ = closer.Close() }()
	entry, err := unseal(key, sealed)
	if err != nil {
		return Entry{}, failure(ErrCorrupt, err, "metadata store in %s: key %q", l.dir, key)
	}
	return entry, nil
}

func (l *local) readError(err error, key string) error {
	kind := ErrUnavailable
	if pebble.IsCorruptionError(err) || errors.Is(err, fs.ErrNotExist) {
		kind = ErrCorrupt
	}
	return failure(kind, err, "metadata store in %s: read %q", l.dir, key)
}

func (l *local) list(ctx context.Context, prefix string) (entries []Entry, err error) {
	done, err := l.use()
	if err != nil {
		return nil, err
	}
	defer done()
	lower := dataKey(prefix)
	i, err := l.db.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lower, UpperBound: after(lower)})
	if err != nil {
		return nil, l.readError(err, prefix)
	}
	defer func() {
		if closing := i.Close(); err == nil && closing != nil {
			entries, err = nil, l.readError(closing, prefix)
		}
	}()
	for ok := i.First(); ok; ok = i.Next() {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		sealed, err := i.ValueAndErr()
		if err != nil {
			return nil, l.readError(err, prefix)
		}
		key := string(i.Key()[1:])
		entry, err := unseal(key, sealed)
		if err != nil {
			return nil, failure(ErrCorrupt, err, "metadata store in %s: key %q", l.dir, key)
		}
		entries = append(entries, entry)
	}
	if err := i.Error(); err != nil {
		return nil, l.readError(err, prefix)
	}
	return entries, nil
}

// number reads a number that the store keeps for itself, 0 if it is not there.
func (l *local) number(key []byte) (uint64, error) {
	value, closer, err := l.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, l.readError(err, string(key[1:]))
	}
	defer func() { _ = closer.Close() }()
	if len(value) != 8 {
		return 0, failure(ErrCorrupt, nil, "metadata store in %s: the %s has %d bytes, want 8", l.dir, key[1:], len(value))
	}
	return binary.BigEndian.Uint64(value), nil
}

// write applies a batch and returns when it is durable. The caller has the turn, and
// has put the revision into the batch.
func (l *local) write(b *pebble.Batch) error {
	if err := b.Commit(pebble.Sync); err != nil {
		return err
	}
	return l.acknowledged.write(l.revision)
}

// close ends the term and closes the database. One that is broken is left as it
// is, locked: closing it beside a writer that never returns would crash.
func (l *local) close() error {
	l.endTerm(ErrClosed)
	l.using.Lock()
	defer l.using.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	err := l.run(func() error {
		if l.db == nil {
			return nil
		}
		l.writing <- struct{}{} // A transaction that is under way ends first.
		return l.db.Close()
	})
	select {
	case <-l.broken:
		l.group.Stop()
		return l.unavailable(l.cause())
	default:
		if l.acknowledged != nil {
			err = errors.Join(err, l.acknowledged.close())
		}
		return errors.Join(err, l.group.Close(), l.lock.release())
	}
}

// pebbleLogger hands Pebble's messages on.
type pebbleLogger struct{ l *local }

// Infof drops what Pebble tells about flushes and compactions.
func (pebbleLogger) Infof(string, ...any) {}

// Errorf logs.
func (p pebbleLogger) Errorf(format string, args ...any) {
	p.l.log.Error("metadata store: " + fmt.Sprintf(format, args...))
}

// Fatalf notes the failure and never returns, as Pebble demands: what it would go
// on to do is not safe any more.
func (p pebbleLogger) Fatalf(format string, args ...any) {
	p.l.fail(fmt.Errorf(format, args...))
	select {}
}

func dataKey(key string) []byte { return append([]byte{dataSpace}, key...) }

// after returns the least key above all that begin with prefix, whose last byte
// is never 0xff.
func after(prefix []byte) []byte {
	upper := append([]byte(nil), prefix...)
	upper[len(upper)-1]++
	return upper
}

// systemError is an error of the operating system, with the kind that it means
// for the store.
func systemError(err error, format string, args ...any) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return failure(ErrDenied, err, format, args...)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return failure(ErrUnavailable, err, format+": the disk is full", args...)
	default:
		return failure(ErrUnavailable, err, format, args...)
	}
}
