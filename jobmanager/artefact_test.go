package jobmanager

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/memory"
)

func newStore(t *testing.T, cacheSize memory.Size) *artefactStore {
	t.Helper()
	s, err := openArtefacts(t.TempDir()+"/artefacts", cacheSize)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// parts returns what yields the content in parts of n bytes.
func parts(content []byte, n int) func() ([]byte, error) {
	return func() ([]byte, error) {
		if len(content) == 0 {
			return nil, io.EOF
		}
		part := content[:min(n, len(content))]
		content = content[len(part):]
		return part, nil
	}
}

func put(t *testing.T, s *artefactStore, content []byte) digest {
	t.Helper()
	d := digest(sha256.Sum256(content))
	if err := s.store(d, memory.Size(len(content)), parts(content, 3)); err != nil {
		t.Fatal(err)
	}
	return d
}

func content(t *testing.T, s *artefactStore, d digest) []byte {
	t.Helper()
	f, size, err := s.open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil || memory.Size(len(b)) != size {
		t.Fatalf("%d bytes of %d: %v", len(b), size, err)
	}
	return b
}

func files(t *testing.T, s *artefactStore) int {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestArtefactsAreKeptWhileHeld(t *testing.T) {
	s := newStore(t, 0)
	d := put(t, s, []byte("an executable"))
	if got := content(t, s, d); string(got) != "an executable" {
		t.Errorf("stored %q", got)
	}
	if size, ok := s.hold(d); !ok || size != 13 {
		t.Errorf("hold: %d, %t", size, ok)
	}
	for range 2 {
		if files(t, s) != 1 {
			t.Fatal("the artefact is gone while it is held")
		}
		if err := s.release(d); err != nil {
			t.Fatal(err)
		}
	}
	if n := files(t, s); n != 0 {
		t.Errorf("%d files are left", n)
	}
	if _, ok := s.hold(d); ok {
		t.Error("an artefact that is gone can be held")
	}
	if _, _, err := s.open(d); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open: %v", err)
	}
}

func TestUnusedArtefactsAreACache(t *testing.T) {
	s := newStore(t, 10)
	var digests []digest
	for _, c := range []string{"aaaa", "bbbb", "cccc"} {
		digests = append(digests, put(t, s, []byte(c)))
	}
	// Released in the order b, c, a: b is the one that was not used longest.
	for _, i := range []int{1, 2, 0} {
		if err := s.release(digests[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []bool{true, false, true} {
		if _, ok := s.hold(digests[i]); ok != want {
			t.Errorf("artefact %d is there: %t", i, ok)
		}
	}
}

func TestArtefactsThatAreNotWhatWasAnnounced(t *testing.T) {
	good := []byte("an executable")
	d := digest(sha256.Sum256(good))
	broken := errors.New("the client is gone")
	tests := []struct {
		name string
		size memory.Size
		next func() ([]byte, error)
		bad  bool
	}{
		{"more", 12, parts(good, 3), true},
		{"fewer", 14, parts(good, 3), true},
		{"none", 13, parts(nil, 3), true},
		{"other bytes", 13, parts([]byte("another one, "), 3), true},
		{"broken", 13, func() ([]byte, error) { return nil, broken }, false},
	}
	for _, test := range tests {
		s := newStore(t, 0)
		err := s.store(d, test.size, test.next)
		var bad errArtefact
		if err == nil || errors.As(err, &bad) != test.bad {
			t.Errorf("%s: %v", test.name, err)
		}
		if !test.bad && !errors.Is(err, broken) {
			t.Errorf("%s: %v", test.name, err)
		}
		if n := files(t, s); n != 0 {
			t.Errorf("%s: %d files are left", test.name, n)
		}
	}
}

// TestEndlessArtefactIsCutShort stops at the first byte too much.
func TestEndlessArtefactIsCutShort(t *testing.T) {
	s := newStore(t, 0)
	calls := 0
	err := s.store(digest{}, 100, func() ([]byte, error) { calls++; return make([]byte, 30), nil })
	if err == nil || calls != 4 {
		t.Errorf("%d parts were taken: %v", calls, err)
	}
}

// TestSameArtefactAtTheSameTime uploads and releases one artefact from many
// goroutines; it is there as long as one of them holds it.
func TestSameArtefactAtTheSameTime(t *testing.T) {
	s := newStore(t, 0)
	want := bytes.Repeat([]byte("executable"), 1000)
	g := goroutine.New(t.Context())
	for range 8 {
		g.Go(func(context.Context) error {
			for range 20 {
				d := digest(sha256.Sum256(want))
				if err := s.store(d, memory.Size(len(want)), parts(want, 999)); err != nil {
					return err
				}
				f, _, err := s.open(d)
				if err != nil {
					return err
				}
				got, err := io.ReadAll(f)
				if err = errors.Join(err, f.Close()); err != nil {
					return err
				}
				if !bytes.Equal(got, want) {
					return errors.New("the content is another one")
				}
				if err := s.release(d); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	if n := files(t, s); n != 0 {
		t.Errorf("%d files are left", n)
	}
}

func TestStoreBeginsEmpty(t *testing.T) {
	dir := t.TempDir() + "/artefacts"
	s, err := openArtefacts(dir, memory.GiB)
	if err != nil {
		t.Fatal(err)
	}
	d := put(t, s, []byte("of the last run"))
	if s, err = openArtefacts(dir, memory.GiB); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.hold(d); ok || files(t, s) != 0 {
		t.Error("something is left of the last run")
	}
}

// What was damaged or removed is found out, so that it is asked for again, and
// does not keep the store from removing others.
func TestDamagedArtefacts(t *testing.T) {
	s := newStore(t, 0)
	d := put(t, s, []byte("an executable"))
	if err := s.check(d); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(s.path(d), []byte("an executablf"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.check(d); err == nil {
		t.Error("an artefact that was overwritten is taken for good")
	}
	if put(t, s, []byte("an executable")); s.check(d) != nil {
		t.Error("it was not replaced")
	}
	if err := os.Remove(s.path(d)); err != nil {
		t.Fatal(err)
	}
	if err := s.check(d); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("check: %v", err)
	}
	for range 2 {
		if err := s.release(d); err != nil {
			t.Error(err)
		}
	}
	if _, ok := s.hold(d); ok {
		t.Error("it is still there")
	}
}

// fullDisk takes so many bytes more.
type fullDisk struct {
	bytes.Buffer
	free int
}

func (f *fullDisk) Write(p []byte) (int, error) {
	n := min(len(p), f.free)
	f.free -= n
	f.Buffer.Write(p[:n])
	if n < len(p) {
		return n, &fs.PathError{Op: "write", Path: "upload", Err: syscall.ENOSPC}
	}
	return n, nil
}

// Executables that no job uses make room for one that a job needs.
func TestFullDisk(t *testing.T) {
	s := newStore(t, memory.GiB)
	unused, used := put(t, s, []byte("not used any more")), put(t, s, []byte("in use"))
	if err := s.release(unused); err != nil {
		t.Fatal(err)
	}
	disk := &fullDisk{free: 5}
	w := &spaceWriter{w: disk, makeRoom: func() error {
		disk.free = 10
		return s.evictUnused()
	}}
	if n, err := w.Write([]byte("an executable")); n != 13 || err != nil || disk.String() != "an executable" {
		t.Errorf("%d bytes written, %v: %q", n, err, disk)
	}
	if _, ok := s.hold(unused); ok {
		t.Error("what nobody uses is still there")
	}
	if got := content(t, s, used); string(got) != "in use" {
		t.Errorf("what is used has become %q", got)
	}
	disk.free = 0
	w.makeRoom = func() error { return nil }
	if n, err := w.Write([]byte("more")); n != 0 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d bytes written, %v", n, err)
	}
}
