package storage_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/checkpoint/storage"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/ids"
)

// conformance is what every implementation has to pass. open opens the storage of a
// job; all that a test opens have the same location, and each test has one of its
// own.
func conformance(t *testing.T, location func(t *testing.T) (open func(ids.JobID) storage.Storage)) {
	t.Helper()
	for name, test := range map[string]func(suite){
		"what is stored is read":       storedIsRead,
		"nothing is overwritten":       nothingOverwritten,
		"content is verified":          contentVerified,
		"one of many writers wins":     oneWriterWins,
		"ensure is idempotent":         ensureIsIdempotent,
		"delete is idempotent":         deleteIsIdempotent,
		"jobs are apart":               jobsAreApart,
		"bad names":                    badNames,
		"canceled":                     canceled,
		"fetch and read verify":        fetchVerifies,
		"check leaves nothing":         checkLeavesNothing,
		"clean up keeps what is there": cleanUpKeeps,
		"random lives":                 randomLives,
		"put beside delete":            putBesideDelete,
	} {
		t.Run(name, func(t *testing.T) { test(suite{T: t, open: location(t)}) })
	}
}

// suite is a test of the conformance suite.
type suite struct {
	*testing.T
	open func(ids.JobID) storage.Storage
}

func put(t testing.TB, s storage.Storage, name, content string) {
	t.Helper()
	if err := s.Put(t.Context(), name, 1, storage.Bytes([]byte(content))); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, s storage.Storage, name string) string {
	t.Helper()
	b, err := storage.Read(t.Context(), s, name, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// list returns the files of a job with their sizes.
func list(t testing.TB, s storage.Storage) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for e, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := all[e.Name]; twice || e.Modified.IsZero() {
			t.Errorf("%q is listed twice, or without a time: %+v", e.Name, e)
		}
		all[e.Name] = e.Size
	}
	return all
}

func storedIsRead(t suite) {
	s := t.open(ids.NewJobID())
	rng := rand.New(rand.NewPCG(1, 2))
	for i, size := range []int{0, 1, 4095, 256 << 10, 256<<10 + 1, 3 << 20} {
		content := make([]byte, size)
		for j := range content {
			content[j] = byte(rng.Uint32())
		}
		name := storage.TaskName(checkpoint.ID(i+1), ids.Subtask{Vertex: i, Index: 2 * i})
		put(t, s, name, string(content))
		for _, reader := range []storage.Storage{s, s} {
			if got := get(t, reader, name); got != string(content) {
				t.Errorf("%d bytes come back as %d others", size, len(got))
			}
		}
		f, err := s.Open(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if f.Size() != int64(size) {
			t.Errorf("size %d, want %d", f.Size(), size)
		}
		part := make([]byte, 10)
		n, err := f.ReadAt(part, max(0, int64(size)-3))
		if want := min(3, size); n != want || !errors.Is(err, io.EOF) || !bytes.Equal(part[:n], content[size-want:]) {
			t.Errorf("the last bytes of %d: %d, %v", size, n, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Open(t.Context(), storage.MetadataName(99)); !errors.Is(err, storage.ErrNotFound) || !strings.Contains(err.Error(), "chk-99/_metadata") {
		t.Errorf("open of what was never stored: %v", err)
	}
}

func nothingOverwritten(t suite) {
	job := ids.NewJobID()
	first, second := t.open(job), t.open(job)
	put(t, first, storage.MetadataName(1), "the first")
	for _, content := range []string{"another", "the first", ""} {
		err := second.Put(t.Context(), storage.MetadataName(1), 2, storage.Bytes([]byte(content)))
		if !errors.Is(err, storage.ErrExists) || !strings.Contains(err.Error(), "chk-1/_metadata") {
			t.Errorf("the second one: %v", err)
		}
	}
	if got := get(t, second, storage.MetadataName(1)); got != "the first" {
		t.Errorf("it is %q now", got)
	}
	if got, want := list(t, first), map[string]int64{storage.MetadataName(1): 9}; !maps.Equal(got, want) {
		t.Errorf("%v is stored, want %v", got, want)
	}
}

// failing is content that cannot be read from a byte on.
type failing struct {
	io.ReaderAt
	at int64
}

var errRead = errors.New("the local disk is broken")

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) > f.at {
		return 0, errRead
	}
	return f.ReaderAt.ReadAt(b, at)
}

// contentVerified: what is not what it is said to be does not become visible (d11).
func contentVerified(t suite) {
	s := t.open(ids.NewJobID())
	content := bytes.Repeat([]byte("content."), 100_000)
	for name, change := range map[string]func(c *storage.Content){
		"another digest":    func(c *storage.Content) { c.Digest[0]++ },
		"shorter than said": func(c *storage.Content) { c.ReaderAt = bytes.NewReader(content[:len(content)-1]) },
		"longer than said":  func(c *storage.Content) { c.Size-- },
		"unreadable":        func(c *storage.Content) { c.ReaderAt = failing{ReaderAt: c.ReaderAt, at: 300_000} },
	} {
		c := storage.Bytes(content)
		change(&c)
		err := s.Put(t.Context(), storage.TaskName(1, ids.Subtask{}), 1, c)
		if err == nil || errors.Is(err, storage.ErrExists) || !strings.Contains(err.Error(), "chk-1/task-0-0") {
			t.Errorf("%s: %v", name, err)
		}
		if name == "unreadable" && !errors.Is(err, errRead) {
			t.Errorf("%s: %v, want it to wrap %v", name, err, errRead)
		}
		if _, err := s.Open(t.Context(), storage.TaskName(1, ids.Subtask{})); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: then open: %v", name, err)
		}
	}
	if got := list(t, s); len(got) != 0 {
		t.Errorf("%v is stored", got)
	}
	put(t, s, storage.TaskName(1, ids.Subtask{}), "it is not taken")
}

func oneWriterWins(t suite) {
	job := ids.NewJobID()
	for round := range 20 {
		name := storage.MetadataName(checkpoint.ID(round + 1))
		var winners atomic.Int64
		winner := ""
		group := goroutine.New(t.Context())
		for i := range 4 {
			content := fmt.Sprintf("writer %d", i)
			s := t.open(job)
			group.Go(func(ctx context.Context) error {
				err := s.Put(ctx, name, 1, storage.Bytes([]byte(content)))
				if err == nil && winners.Add(1) == 1 {
					winner = content
				}
				if errors.Is(err, storage.ErrExists) {
					return nil
				}
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := get(t, t.open(job), name); winners.Load() != 1 || got != winner {
			t.Fatalf("%d writers were told that they have stored it; %q was, %q is stored", winners.Load(), winner, got)
		}
	}
}

func ensureIsIdempotent(t suite) {
	s := t.open(ids.NewJobID())
	for attempt := range ids.Attempt(3) {
		if err := storage.Ensure(t.Context(), s, storage.MetadataName(1), attempt, storage.Bytes([]byte("one"))); err != nil {
			t.Errorf("time %d: %v", attempt, err)
		}
	}
	for _, other := range []string{"two", "longer", ""} {
		if err := storage.Ensure(t.Context(), s, storage.MetadataName(1), 1, storage.Bytes([]byte(other))); !errors.Is(err, storage.ErrExists) {
			t.Errorf("another content: %v", err)
		}
	}
	if got := get(t, s, storage.MetadataName(1)); got != "one" {
		t.Errorf("it is %q now", got)
	}
}

func deleteIsIdempotent(t suite) {
	s := t.open(ids.NewJobID())
	put(t, s, storage.MetadataName(1), "m")
	put(t, s, storage.TaskName(1, ids.Subtask{}), "t")
	for range 3 {
		if err := s.Delete(t.Context(), storage.MetadataName(1)); err != nil {
			t.Error(err)
		}
		if _, err := s.Open(t.Context(), storage.MetadataName(1)); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("open of what was deleted: %v", err)
		}
	}
	if got := get(t, s, storage.TaskName(1, ids.Subtask{})); got != "t" {
		t.Errorf("the other one is %q", got)
	}
	if err := s.Delete(t.Context(), storage.SharedName(7, "never-stored")); err != nil {
		t.Error(err)
	}
}

func jobsAreApart(t suite) {
	one, other := t.open(ids.NewJobID()), t.open(ids.NewJobID())
	put(t, one, storage.MetadataName(1), "one")
	put(t, other, storage.MetadataName(1), "other")
	put(t, other, storage.SharedName(1, "x"), "shared")
	if err := one.Delete(t.Context(), storage.MetadataName(1)); err != nil {
		t.Error(err)
	}
	if err := one.Delete(t.Context(), storage.SharedName(1, "x")); err != nil {
		t.Error(err)
	}
	if err := one.CleanUp(t.Context(), 1<<31); err != nil {
		t.Error(err)
	}
	if got, want := list(t, other), map[string]int64{storage.MetadataName(1): 5, storage.SharedName(1, "x"): 6}; !maps.Equal(got, want) {
		t.Errorf("the other job has %v, want %v", got, want)
	}
	if one.Location("") == other.Location("") || !strings.HasPrefix(one.Location(storage.MetadataName(3)), one.Location("")+"/") {
		t.Errorf("locations %s, %s, %s", one.Location(""), other.Location(""), one.Location(storage.MetadataName(3)))
	}
}

func badNames(t suite) {
	s := t.open(ids.NewJobID())
	for _, name := range []string{
		"", ".", "..", "/", "x", "chk-1", "chk-1/", "/chk-1/x", "chk-1/../x", "../x", "chk-1/./x", "chk-1//x", "chk-1/a/b",
		"chk-1/.x", ".chk/x", "chk-1/x\x00", "chk-1/a\\b", "chk-1/" + strings.Repeat("x", 201),
	} {
		if err := s.Put(t.Context(), name, 1, storage.Bytes(nil)); err == nil || errors.Is(err, storage.ErrExists) {
			t.Errorf("put %q: %v", name, err)
		}
		if _, err := s.Open(t.Context(), name); err == nil || errors.Is(err, storage.ErrNotFound) {
			t.Errorf("open %q: %v", name, err)
		}
		if err := s.Delete(t.Context(), name); err == nil {
			t.Errorf("delete %q succeeds", name)
		}
	}
	if got := list(t, s); len(got) != 0 {
		t.Errorf("%v is stored", got)
	}
}

func canceled(t suite) {
	s := t.open(ids.NewJobID())
	put(t, s, storage.MetadataName(1), "m")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the job was canceled")
	cancel(why)
	if err := s.Put(ctx, storage.MetadataName(2), 1, storage.Bytes([]byte("m"))); !errors.Is(err, why) {
		t.Errorf("put: %v", err)
	}
	if err := storage.Fetch(ctx, s, storage.MetadataName(1), 1, sha256.Sum256([]byte("m")), io.Discard); !errors.Is(err, why) {
		t.Errorf("fetch: %v", err)
	}
	for _, err := range s.List(ctx) {
		if !errors.Is(err, why) {
			t.Errorf("list: %v", err)
		}
	}
	if got := list(t, s); len(got) != 1 {
		t.Errorf("%v is stored", got)
	}
}

func fetchVerifies(t suite) {
	s := t.open(ids.NewJobID())
	content := strings.Repeat("0123456789", 100_000)
	put(t, s, storage.MetadataName(1), content)
	size, digest := int64(len(content)), sha256.Sum256([]byte(content))
	var got bytes.Buffer
	if err := storage.Fetch(t.Context(), s, storage.MetadataName(1), size, digest, &got); err != nil || got.String() != content {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
	if err := storage.Fetch(t.Context(), s, storage.MetadataName(1), size-1, digest, io.Discard); err == nil || !strings.Contains(err.Error(), "1000000 bytes, 999999 were stored") {
		t.Errorf("another size: %v", err)
	}
	if err := storage.Fetch(t.Context(), s, storage.MetadataName(1), size, [32]byte{}, io.Discard); err == nil || !strings.Contains(err.Error(), "it has SHA-256") {
		t.Errorf("another digest: %v", err)
	}
	if err := storage.Fetch(t.Context(), s, storage.MetadataName(2), size, digest, io.Discard); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := storage.Read(t.Context(), s, storage.MetadataName(1), size-1); err == nil || !strings.Contains(err.Error(), "at most 999999") {
		t.Errorf("read with a limit: %v", err)
	}
}

func checkLeavesNothing(t suite) {
	s := t.open(ids.NewJobID())
	for range 2 {
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if got := list(t, s); len(got) > 1 {
			t.Errorf("%v is stored", got)
		}
		if err := storage.Ensure(t.Context(), s, storage.MetadataName(1), 1, storage.Bytes([]byte("m"))); err != nil {
			t.Error(err)
		}
	}
}

func cleanUpKeeps(t suite) {
	s := t.open(ids.NewJobID())
	if err := s.CleanUp(t.Context(), 1); err != nil {
		t.Errorf("of a job that has stored nothing: %v", err)
	}
	put(t, s, storage.MetadataName(1), "m")
	put(t, s, storage.SharedName(1, "1.2.part"), "s")
	if err := s.CleanUp(t.Context(), 1<<31); err != nil {
		t.Error(err)
	}
	if got, want := list(t, s), map[string]int64{storage.MetadataName(1): 1, storage.SharedName(1, "1.2.part"): 1}; !maps.Equal(got, want) {
		t.Errorf("%v is left, want %v", got, want)
	}
}

// randomLives compares random operations with a map.
func randomLives(t suite) {
	const seed = 7
	rng := rand.New(rand.NewPCG(seed, seed))
	job := ids.NewJobID()
	model := map[string]string{}
	for step := range 400 {
		s := t.open(job)
		name := storage.TaskName(checkpoint.ID(1+rng.IntN(4)), ids.Subtask{Index: rng.IntN(3)})
		_, stored := model[name]
		switch rng.IntN(4) {
		case 0, 1:
			content := strings.Repeat("x", rng.IntN(5000))
			err := s.Put(t.Context(), name, 1, storage.Bytes([]byte(content)))
			if stored != errors.Is(err, storage.ErrExists) || !stored && err != nil {
				t.Fatalf("seed %d step %d: put %s, which is stored %v: %v", seed, step, name, stored, err)
			}
			if err == nil {
				model[name] = content
			}
		case 2:
			if err := s.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			delete(model, name)
		case 3:
			b, err := storage.Read(t.Context(), s, name, 1<<20)
			if string(b) != model[name] || stored == errors.Is(err, storage.ErrNotFound) || stored && err != nil {
				t.Fatalf("seed %d step %d: read %s, which is stored %v: %v", seed, step, name, stored, err)
			}
		}
	}
	want := map[string]int64{}
	for name, content := range model {
		want[name] = int64(len(content))
	}
	if got := list(t, t.open(job)); !maps.Equal(got, want) {
		t.Errorf("%v is stored, want %v", got, want)
	}
}

// putBesideDelete stores and deletes the only file of a checkpoint while another
// process does the same with another file of it.
func putBesideDelete(t suite) {
	job := ids.NewJobID()
	group := goroutine.New(t.Context())
	for i := range 2 {
		s := t.open(job)
		group.Go(func(ctx context.Context) error {
			name := storage.TaskName(1, ids.Subtask{Index: i})
			for range 100 {
				if err := s.Put(ctx, name, 1, storage.Bytes([]byte(name))); err != nil {
					return err
				}
				b, err := storage.Read(ctx, s, name, 100)
				if err != nil || string(b) != name {
					return fmt.Errorf("%q: %w", b, err)
				}
				if err := s.Delete(ctx, name); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if got := slices.Collect(maps.Keys(list(t, t.open(job)))); len(got) != 0 {
		t.Errorf("%v is left", got)
	}
}
