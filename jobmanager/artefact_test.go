package jobmanager

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
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
