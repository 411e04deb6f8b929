package metastore

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lockPoll is how often a JobManager that waits tries the lock again: flock
// itself would wait without an end.
const lockPoll = 50 * time.Millisecond

// lock is the exclusive right to a directory, as long as the process lives. It is
// an flock on a file that holds the process's id.
type lock struct {
	file *os.File
}

// acquire locks the directory. If another process has, it waits for as long as ctx
// allows or returns a [*LockedError] at once.
func acquire(ctx context.Context, dir string, wait bool) (*lock, error) {
	for {
		l, err := tryLock(dir)
		if err == nil || !wait || !errors.Is(err, ErrLocked) {
			return l, err
		}
		timer := time.NewTimer(lockPoll)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}

func tryLock(dir string) (*lock, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, systemError(err, "lock the metadata store in %s", dir)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer func() { _ = f.Close() }()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, systemError(err, "lock the metadata store in %s", dir)
		}
		return nil, &LockedError{Path: dir, PID: holder(f)}
	}
	l := &lock{file: f}
	if err := l.sign(); err != nil {
		return nil, errors.Join(systemError(err, "lock the metadata store in %s", dir), f.Close())
	}
	return l, nil
}

// sign writes this process's id into the file.
func (l *lock) sign() error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

// holder reads the id of the process that has the lock.
func holder(f *os.File) int {
	text := make([]byte, 32)
	n, err := f.ReadAt(text, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}

// check tells whether the lock still keeps others out: not if somebody has
// removed the file, since the next JobManager then locks another one.
func (l *lock) check() error {
	ours, err := l.file.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(l.file.Name())
	if err != nil {
		return err
	}
	if !os.SameFile(ours, there) {
		return errors.New("the lock file " + l.file.Name() + " was replaced: another JobManager may use the directory")
	}
	return nil
}

// release gives the lock up. The file stays, since somebody may have opened it to
// wait for it.
func (l *lock) release() error { return l.file.Close() }
