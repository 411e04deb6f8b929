package metastore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/weirstream/weir/jobmanager/metastore"
)

// storeDir is the directory of the store of a configuration.
func storeDir(c metastore.Config) string {
	return filepath.Join(c.StorageDir, metastore.DefaultClusterID, "metadata")
}

// files returns the content of all files of the directory but the lock, which names
// the last process, and Pebble's options, which name no data.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		found[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A second JobManager on the directory is told which process has it, and gives up or
// waits as it was asked to.
func TestDirectoryIsLocked(t *testing.T) {
	c := localConfig(t)
	first := open(t, c)
	c.WaitForLock = false
	_, err := metastore.Open(t.Context(), c)
	locked, ok := errors.AsType[*metastore.LockedError](err)
	if !ok || !errors.Is(err, metastore.ErrLocked) || locked.PID != os.Getpid() || locked.Path != storeDir(c) {
		t.Fatalf("%v", err)
	}
	if want := fmt.Sprintf("(process %d)", os.Getpid()); !strings.Contains(err.Error(), want) {
		t.Errorf("%v does not say %s", err, want)
	}
	c.WaitForLock = true
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := metastore.Open(ctx, c); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, metastore.ErrLocked) {
		t.Errorf("%v", err)
	}
	c.ClusterID = "another"
	open(t, c)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	c.ClusterID = "/" + metastore.DefaultClusterID
	c.WaitForLock = false
	open(t, c)
}

// Who removes the lock file does not get two leaders.
func TestLockFileIsReplaced(t *testing.T) {
	c := localConfig(t)
	s := open(t, c)
	l := lead(t, s)
	commit(t, l, tx().Put("a", nil))
	if err := os.Remove(filepath.Join(storeDir(c), "lock")); err != nil {
		t.Fatal(err)
	}
	c.WaitForLock = false
	if other, err := metastore.Open(t.Context(), c); err == nil {
		t.Errorf("two processes have the store open")
		_ = other.Close()
	}
	if _, err := l.Commit(t.Context(), tx().Put("a", []byte("2"))); !errors.Is(err, metastore.ErrNotLeader) {
		t.Errorf("Commit: %v", err)
	}
	<-l.Lost()
}

// The epoch is compared in the store.
func TestLocalStoreFences(t *testing.T) {
	s := open(t, localConfig(t))
	l := lead(t, s)
	if err := s.SetEpoch(l.Epoch() + 1); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Commit(t.Context(), tx().Put("a", nil)); !errors.Is(err, metastore.ErrNotLeader) {
		t.Errorf("Commit: %v", err)
	}
	<-l.Lost()
	expectKeys(t, s, "")
	if next := lead(t, s); next.Epoch() != l.Epoch()+2 {
		t.Errorf("epoch %d after %d", next.Epoch(), l.Epoch()+1)
	}
}

func TestDirectoryIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := localConfig(t)
	c.StorageDir = file
	if _, err := metastore.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), metastore.KeyStorageDir) {
		t.Errorf("a file: %v", err)
	}
	// No process may create files there, whoever runs it.
	c.StorageDir = "/proc/self"
	if _, err := metastore.Open(t.Context(), c); err == nil || !strings.Contains(err.Error(), "/proc/self") {
		t.Errorf("a directory that cannot be written: %v", err)
	}
	c = localConfig(t)
	if err := os.MkdirAll(storeDir(c), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(storeDir(c), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := metastore.Open(t.Context(), c); !errors.Is(err, metastore.ErrDenied) || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("a directory of everybody: %v", err)
	}
}

// written is a store with one job, closed.
func written(t *testing.T) metastore.Config {
	t.Helper()
	c := localConfig(t)
	s := open(t, c)
	l := lead(t, s)
	for i := range 20 {
		commit(t, l, tx().Put("jobs/"+strconv.Itoa(i), bytes.Repeat([]byte{byte(i)}, 1000)))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestFormatOfTheDirectory(t *testing.T) {
	for name, test := range map[string]struct {
		damage func(dir string) error
		want   error
		says   string
	}{
		"newer":   {writeFile("format", "weir metadata store 2\n"), metastore.ErrFormat, "format 2, this version of Weir reads up to 1"},
		"unknown": {writeFile("format", "something else"), metastore.ErrCorrupt, `"something else"`},
		"empty":   {writeFile("format", ""), metastore.ErrCorrupt, "is no format"},
		"missing": {func(dir string) error { return os.Remove(filepath.Join(dir, "format")) }, metastore.ErrCorrupt, "restore it with: echo 'weir metadata store 1'"},
		"no data": {func(dir string) error { return os.RemoveAll(filepath.Join(dir, "data")) }, metastore.ErrCorrupt, "a format but no data"},
	} {
		t.Run(name, func(t *testing.T) {
			c := written(t)
			if err := test.damage(storeDir(c)); err != nil {
				t.Fatal(err)
			}
			before := files(t, storeDir(c))
			_, err := metastore.Open(t.Context(), c)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), storeDir(c)) {
				t.Errorf("%v", err)
			}
			after := files(t, storeDir(c))
			for file := range before {
				if _, ok := after[file]; !ok && name != "missing" {
					t.Errorf("%s was deleted", file)
				}
			}
		})
	}
}

func writeFile(name, content string) func(dir string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600) }
}

// c13: one bit of any file is wrong. The store may say so, when it is opened or when
// the key is read, or it is not affected; it never forgets or changes anything.
func TestBitsFlip(t *testing.T) {
	c := written(t)
	dir := storeDir(c)
	r := rand.New(rand.NewPCG(7, 7))
	whole := files(t, dir)
	refused := 0
	for name, content := range whole {
		if name == "lock" {
			continue
		}
		for range min(12, len(content)) {
			flipped := bytes.Clone(content)
			at := r.IntN(len(flipped))
			flipped[at] ^= 1 << r.IntN(8)
			replaceAll(t, dir, whole, name, flipped)
			if err := readAll(t, c); err != nil {
				refused++
				if errors.Is(err, errWrong) || !errors.Is(err, metastore.ErrCorrupt) {
					t.Errorf("%s, byte %d: %v", name, at, err)
				}
				if kept, ok := files(t, dir)[name]; !ok || !bytes.Equal(kept, flipped) {
					t.Errorf("%s, byte %d: the damaged file was changed after: %v", name, at, err)
				}
			}
		}
	}
	if refused == 0 {
		t.Error("no damage was found")
	}
	replaceAll(t, dir, whole, "", nil)
	if err := readAll(t, c); err != nil {
		t.Errorf("what was never damaged: %v", err)
	}
}

// replaceAll makes the directory hold these files, with another content of one.
func replaceAll(t *testing.T, dir string, all map[string][]byte, name string, content []byte) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for n, c := range all {
		if n == name {
			c = content
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, n)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, n), c, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

var errWrong = errors.New("the store has forgotten or changed something")

// readAll compares the store with what [written] has written.
func readAll(t *testing.T, c metastore.Config) error {
	t.Helper()
	s, err := metastore.Open(t.Context(), c)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	for i := range 20 {
		e, err := s.Get(t.Context(), "jobs/"+strconv.Itoa(i))
		if err != nil {
			return err
		}
		if !bytes.Equal(e.Value, bytes.Repeat([]byte{byte(i)}, 1000)) {
			return fmt.Errorf("%w: %s is %.20q, revision %d", errWrong, e.Key, e.Value, e.Revision)
		}
	}
	return nil
}

// A disk that is nearly full: a clear error before anything is written, and on it
// goes when there is room again.
func TestDiskIsFull(t *testing.T) {
	c := localConfig(t)
	disk := vfs.NewMem()
	s, err := metastore.OpenOn(t.Context(), c, disk)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	l := lead(t, s)
	r := commit(t, l, tx().Put("a", []byte("1")))
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: metastore.MinFree - 1})
	_, err = l.Commit(t.Context(), tx().Put("a", []byte("2")))
	if !errors.Is(err, metastore.ErrUnavailable) || !strings.Contains(err.Error(), "the disk is full: 63 MiB are free, 64 are needed") {
		t.Errorf("%v", err)
	}
	expectValue(t, s, "a", "1", r)
	if l.Err() != nil {
		t.Error(l.Err())
	}
	disk.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: metastore.MinFree})
	commit(t, l, tx().If("a", r).Put("a", []byte("2")))
}

func FuzzUnseal(f *testing.F) {
	f.Add("jobs/a/record", metastore.Seal("jobs/a/record", 7, []byte("value")))
	f.Add("a", metastore.Seal("b", 7, nil))
	f.Add("", []byte{1})
	f.Add("a", bytes.Repeat([]byte{1}, 17))
	f.Fuzz(func(t *testing.T, key string, sealed []byte) {
		e, err := metastore.Unseal(key, sealed)
		if err == nil && !bytes.Equal(metastore.Seal(key, e.Revision, e.Value), sealed) {
			t.Errorf("%q is read as %+v", sealed, e)
		}
	})
}

func FuzzParseFormat(f *testing.F) {
	for _, s := range []string{"weir metadata store 1\n", "weir metadata store 2", "weir metadata store 0", "weir metadata store +1", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		v, err := metastore.ParseFormat("format", content)
		if (err == nil) != (v == 1) || err != nil && !errors.Is(err, metastore.ErrFormat) && !errors.Is(err, metastore.ErrCorrupt) {
			t.Errorf("%q: %d, %v", content, v, err)
		}
	})
}

// An envelope never changes: stores of older versions are read.
func TestEnvelopeIsGolden(t *testing.T) {
	const golden = "\x01\x00\x00\x00\x00\x00\x00\x01\x02"
	sealed := metastore.Seal("jobs/a/record", 258, []byte("value"))
	if got := fmt.Sprintf("%x", sealed); got != fmt.Sprintf("%x", golden)+goldenSum+fmt.Sprintf("%x", "value") {
		t.Errorf("%s", got)
	}
	for i := range len(sealed) * 8 {
		flipped := bytes.Clone(sealed)
		flipped[i/8] ^= 1 << (i % 8)
		if _, err := metastore.Unseal("jobs/a/record", flipped); err == nil {
			t.Errorf("bit %d is not noticed", i)
		}
	}
	if _, err := metastore.Unseal("jobs/b/record", sealed); err == nil {
		t.Error("the value of another key is not noticed")
	}
}

const goldenSum = "cad46b063d38c242"
