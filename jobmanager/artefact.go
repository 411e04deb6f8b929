package jobmanager

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/weirstream/weir/internal/memory"
)

const (
	// maxArtefactSize bounds an executable. Those of Go have tens of megabytes.
	maxArtefactSize = 2 * memory.GiB
	// artefactCacheSize bounds what executables that no job uses any more may
	// take: the same one is often submitted again.
	artefactCacheSize = memory.GiB
	// chunkSize is the most that one message carries of an executable.
	chunkSize = 1 << 20
)

// digest is the SHA-256 of an executable.
type digest [sha256.Size]byte

func (d digest) String() string { return hex.EncodeToString(d[:]) }

// artefactStore keeps the executables of jobs as files named by their digest.
// An executable that is held stays; one that nobody holds stays as long as all
// of those take no more than cacheSize, the one that was used last longest. All
// methods may be called concurrently.
type artefactStore struct {
	dir       string
	cacheSize memory.Size

	mu struct {
		sync.Mutex
		stored map[digest]*artefact
		uses   uint64
	}
}

type artefact struct {
	size  memory.Size
	holds int
	// used orders the artefacts by their last use.
	used uint64
}

// openArtefacts opens the store in dir. Whatever it has is of a JobManager that
// is gone, whose jobs are gone with it, and is removed.
func openArtefacts(dir string, cacheSize memory.Size) (*artefactStore, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("clear the executables of the last run: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory for executables: %w", err)
	}
	s := &artefactStore{dir: dir, cacheSize: cacheSize}
	s.mu.stored = map[digest]*artefact{}
	return s, nil
}

func (s *artefactStore) path(d digest) string { return filepath.Join(s.dir, d.String()) }

// hold keeps an artefact until release, and reports whether the store has it.
func (s *artefactStore) hold(d digest) (size memory.Size, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.mu.stored[d]
	if a == nil {
		return 0, false
	}
	a.holds++
	return a.size, true
}

// check reads an artefact, and returns an error if it is not what its digest
// says: somebody may have changed or removed the file.
func (s *artefactStore) check(d digest) error {
	f, _, err := s.open(d)
	if err != nil {
		return fmt.Errorf("stored executable: %w", err)
	}
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("stored executable: %w", err)
	}
	if got := digest(hash.Sum(nil)); got != d {
		return fmt.Errorf("the stored executable %s has changed: its SHA-256 is %s", d, got)
	}
	return nil
}

// release undoes one hold.
func (s *artefactStore) release(d digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.mu.stored[d]
	a.holds--
	s.mu.uses++
	a.used = s.mu.uses
	return s.evictLocked(s.cacheSize)
}

// evictLocked removes artefacts that nobody holds while they have more than
// limit bytes.
func (s *artefactStore) evictLocked(limit memory.Size) error {
	type unused struct {
		digest digest
		*artefact
	}
	var all []unused
	var total memory.Size
	for d, a := range s.mu.stored {
		if a.holds == 0 {
			all = append(all, unused{d, a})
			total += a.size
		}
	}
	slices.SortFunc(all, func(a, b unused) int { return cmp.Compare(a.used, b.used) })
	for _, a := range all {
		if total <= limit {
			return nil
		}
		total -= a.size
		delete(s.mu.stored, a.digest)
		if err := os.Remove(s.path(a.digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove an executable that no job uses: %w", err)
		}
	}
	return nil
}

// errArtefact is an executable that is not what was announced.
type errArtefact struct{ text string }

func (e errArtefact) Error() string { return e.text }

// store takes in an artefact of so many bytes, part by part until next returns
// io.EOF, and holds it. The error is an [errArtefact] if the parts are not what
// was announced; an error of next is returned as it is. Nothing is left of an
// artefact that was not stored.
func (s *artefactStore) store(d digest, size memory.Size, next func() ([]byte, error)) error {
	f, err := os.CreateTemp(s.dir, "upload-*")
	if err != nil {
		return fmt.Errorf("store the executable: %w", err)
	}
	err = receive(&spaceWriter{w: f, makeRoom: s.evictUnused}, d, size, next)
	err = errors.Join(err, f.Close())
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// Two uploads of the same artefact have the same bytes: the later one
	// replaces the earlier, and both hold it.
	if err := os.Rename(f.Name(), s.path(d)); err != nil {
		return errors.Join(fmt.Errorf("store the executable: %w", err), os.Remove(f.Name()))
	}
	a := s.mu.stored[d]
	if a == nil {
		a = &artefact{size: size}
		s.mu.stored[d] = a
	}
	a.holds++
	return nil
}

// evictUnused removes all artefacts that nobody holds.
func (s *artefactStore) evictUnused() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.evictLocked(0)
}

// spaceWriter makes room when the disk is full, so that what is only kept
// because it may be of use does not keep out what is of use.
type spaceWriter struct {
	w        io.Writer
	makeRoom func() error
}

func (s *spaceWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if !errors.Is(err, syscall.ENOSPC) {
		return n, err
	}
	if err := s.makeRoom(); err != nil {
		return n, err
	}
	more, err := s.w.Write(p[n:])
	return n + more, err
}

// receive copies an artefact to w. It stops at the first byte too much.
func receive(w io.Writer, d digest, size memory.Size, next func() ([]byte, error)) error {
	hash := sha256.New()
	var have memory.Size
	for {
		part, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		have += memory.Size(len(part))
		if have > size {
			return errArtefact{fmt.Sprintf("the executable was announced with %d bytes, but more were sent", size)}
		}
		hash.Write(part)
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("store the executable: %w", err)
		}
	}
	if have != size {
		return errArtefact{fmt.Sprintf("the executable was announced with %d bytes, but %d were sent", size, have)}
	}
	if got := digest(hash.Sum(nil)); got != d {
		return errArtefact{fmt.Sprintf("the executable was announced with SHA-256 %s, but what was sent has %s", d, got)}
	}
	return nil
}

// open returns an artefact's file and size, or an error that wraps
// fs.ErrNotExist. The file can be read to its end also if it is removed
// meanwhile.
func (s *artefactStore) open(d digest) (*os.File, memory.Size, error) {
	f, err := os.Open(s.path(d))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, memory.Size(info.Size()), nil
}
