package taskmanager

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func newTestCache(t *testing.T, limit int64) *artefacts {
	t.Helper()
	c, err := openArtefacts(filepath.Join(t.TempDir(), "artefacts"), limit, time.Hour, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

// sending returns a fetcher that gives content, and counts.
func sending(content []byte, count *int) fetcher {
	return func(_ context.Context, _ digest, w io.Writer, _ int64) error {
		*count++
		_, err := w.Write(content)
		return err
	}
}

// program returns the executable of a program that exists on every system that
// the tests run on.
func programThatPrints(t *testing.T) []byte {
	t.Helper()
	path, err := exec.LookPath("echo")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// T3: what was verified is what runs, whatever happens to the file meanwhile.
func TestVerifiedBytesRun(t *testing.T) {
	for name, overwrite := range map[string]func(path string) error{
		"overwritten in place": func(path string) error { return os.WriteFile(path, []byte("#!/bin/false\n"), 0o700) },
		"replaced": func(path string) error {
			if err := os.WriteFile(path+".new", []byte("#!/bin/false\n"), 0o700); err != nil {
				return err
			}
			return os.Rename(path+".new", path)
		},
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			c := newTestCache(t, 1<<30)
			content := programThatPrints(t)
			d := digest(sha256.Sum256(content))
			fetched := 0
			program, err := c.acquire(t.Context(), d, sending(content, &fetched))
			if err != nil {
				t.Fatal(err)
			}
			defer c.release(d)
			if err := overwrite(c.path(d)); err != nil {
				t.Fatal(err)
			}
			out, err := (&exec.Cmd{Path: program.path, Args: []string{"echo", "the", "original"}}).Output()
			if err != nil || string(out) != "the original\n" {
				t.Errorf("it printed %q: %v", out, err)
			}
			// The copy itself cannot be written, not even by this process.
			if f, err := os.OpenFile(program.path, os.O_WRONLY, 0); err == nil {
				if _, err := f.Write([]byte("x")); err == nil {
					t.Error("the verified copy can be written")
				}
				f.Close()
			}
		})
	}
}

// A cached file that has changed is found out and fetched again.
func TestChangedArtefactIsFetchedAgain(t *testing.T) {
	c := newTestCache(t, 1<<30)
	content := []byte("an artefact")
	d := digest(sha256.Sum256(content))
	fetched := 0
	for i := range 3 {
		program, err := c.acquire(t.Context(), d, sending(content, &fetched))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(io.NewSectionReader(program.file, 0, 1<<20))
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("got %q, %v", got, err)
		}
		c.release(d)
		c.sweep(time.Now().Add(sealedIdle)) // Only the verified copy goes.
		if i == 1 {
			if err := os.WriteFile(c.path(d), []byte("another thing"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if fetched != 2 {
		t.Errorf("it was fetched %d times: want 2", fetched)
	}
}

func TestArtefactThatIsSomethingElse(t *testing.T) {
	c := newTestCache(t, 1<<30)
	d := digest(sha256.Sum256([]byte("wanted")))
	fetched := 0
	for range 2 {
		if _, err := c.acquire(t.Context(), d, sending([]byte("given"), &fetched)); !errors.Is(err, errDigest) {
			t.Errorf("got %v", err)
		}
	}
	broken := errors.New("broken")
	if _, err := c.acquire(t.Context(), d, func(context.Context, digest, io.Writer, int64) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.mu.Lock()
	e := c.entry(d)
	c.mu.Unlock()
	e.turn <- struct{}{} // Another one is fetching it.
	if _, err := c.acquire(ctx, d, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left := files(t, c); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if len(c.mu.entries) > 0 {
		t.Errorf("left behind: %v", c.mu.entries)
	}
}

func files(t *testing.T, c *artefacts) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(c.directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestArtefactsAreSwept(t *testing.T) {
	c := newTestCache(t, 25)
	var digests []digest
	fetched := 0
	for i := range 4 {
		content := bytes.Repeat([]byte{byte('a' + i)}, 10)
		d := digest(sha256.Sum256(content))
		digests = append(digests, d)
		if _, err := c.acquire(t.Context(), d, sending(content, &fetched)); err != nil {
			t.Fatal(err)
		}
		if i != 0 {
			c.release(d) // The first stays in use.
			c.mu.entries[d].used = time.Unix(int64(1000+i), 0)
		}
	}
	want := func(when string, used ...int) {
		t.Helper()
		var names []string
		for _, i := range used {
			names = append(names, digests[i].String())
		}
		slices.Sort(names)
		if got := files(t, c); !slices.Equal(got, names) {
			t.Errorf("%s: the cache has %q, want %q", when, got, names)
		}
	}
	c.sweep(time.Unix(1010, 0))
	want("30 bytes are unused, 25 allowed", 0, 2, 3)
	c.sweep(time.Unix(1002+3600, 0))
	want("after an hour", 0, 3)
	c.sweep(time.Unix(1003+3600, 0))
	want("after another second", 0)
	c.release(digests[0])
	c.sweep(time.Now().Add(2 * time.Hour))
	want("when nothing is used")
}

// What no job uses makes room for what a job needs.
func TestArtefactsAreDroppedFromAFullDisk(t *testing.T) {
	c := newTestCache(t, 1<<30)
	fetched := 0
	used, unused, needed := []byte("in use"), []byte("not used any more"), []byte("needed")
	for _, content := range [][]byte{used, unused} {
		if _, err := c.acquire(t.Context(), sha256.Sum256(content), sending(content, &fetched)); err != nil {
			t.Fatal(err)
		}
	}
	c.release(sha256.Sum256(unused))
	full := true
	fetch := func(ctx context.Context, d digest, w io.Writer, limit int64) error {
		if full = full && len(files(t, c)) > 2; full { // The new one is not complete.
			return &os.PathError{Op: "write", Path: "artefact", Err: syscall.ENOSPC}
		}
		return sending(needed, &fetched)(ctx, d, w, limit)
	}
	if _, err := c.acquire(t.Context(), sha256.Sum256(needed), fetch); err != nil {
		t.Fatal(err)
	}
	want := sorted([]string{digest(sha256.Sum256(used)).String(), digest(sha256.Sum256(needed)).String()})
	if got := sorted(files(t, c)); !slices.Equal(got, want) {
		t.Errorf("the cache has %q, want %q", got, want)
	}
	never := func(context.Context, digest, io.Writer, int64) error { return syscall.ENOSPC }
	if _, err := c.acquire(t.Context(), digest{}, never); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("got %v", err)
	}
}

// What an earlier TaskManager has left is used, and its rubbish removed.
func TestArtefactsAreAdopted(t *testing.T) {
	directory := t.TempDir()
	content := []byte("from before")
	d := digest(sha256.Sum256(content))
	for name, data := range map[string][]byte{d.String(): content, ".fetch-123": {1}, "README": {2}} {
		if err := os.WriteFile(filepath.Join(directory, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(directory, ".run-1", "job"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := openArtefacts(directory, 1<<30, time.Hour, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	fetched := 0
	if _, err := c.acquire(t.Context(), d, sending(nil, &fetched)); err != nil || fetched != 0 {
		t.Errorf("fetched %d times, %v", fetched, err)
	}
	c.release(d)
	if got, want := files(t, c), []string{"README", d.String()}; !slices.Equal(sorted(got), sorted(want)) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// Where memory cannot be executed a private file serves.
func TestPrivateCopy(t *testing.T) {
	directory := t.TempDir()
	content := programThatPrints(t)
	e, err := privateCopy(directory, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.verify(digest(sha256.Sum256(content))); err != nil {
		t.Error(err)
	}
	if err := e.verify(digest{}); !errors.Is(err, errDigest) {
		t.Errorf("got %v", err)
	}
	if info, err := e.file.Stat(); err != nil || info.Mode().Perm() != 0o500 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	out, err := (&exec.Cmd{Path: e.path, Args: []string{"echo", "copied"}}).Output()
	if err != nil || strings.TrimSpace(string(out)) != "copied" {
		t.Errorf("it printed %q: %v", out, err)
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(directory); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
