package storage_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/weirstream/weir/checkpoint/storage"
)

// troubled is a file system that tells of each step before it is made, and does not
// make it if the answer is an error. It syncs nothing: the order of the steps is what
// tests look at.
type troubled struct {
	storage.Disk
	before func(step string) error
}

var random = regexp.MustCompile(`[0-9a-f]{16}\.part`)

func (f troubled) step(what, path string) error {
	return f.before(what + " " + random.ReplaceAllString(path, "part"))
}

func (f troubled) MakeDir(path string) error {
	if err := f.step("mkdir", path); err != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return f.Disk.MakeDir(path)
}

func (f troubled) Create(path string) (storage.NewFile, error) {
	if err := f.step("create", path); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	file, err := f.Disk.Create(path)
	return troubledFile{NewFile: file, system: f, path: path}, err
}

func (f troubled) Link(from, to string) error {
	if err := f.step("link", to); err != nil {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: err}
	}
	return f.Disk.Link(from, to)
}

func (f troubled) Remove(path string) error {
	if err := f.step("remove", path); err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	return f.Disk.Remove(path)
}

func (f troubled) SyncFile(path string) error {
	if err := f.step("sync file", path); err != nil {
		return &fs.PathError{Op: "sync", Path: path, Err: err}
	}
	return nil
}

func (f troubled) SyncDir(path string) error {
	if err := f.step("sync dir", path); err != nil {
		return &fs.PathError{Op: "sync", Path: path, Err: err}
	}
	return nil
}

// troubledFile is a file of troubled. A write that is not made is made in part.
type troubledFile struct {
	storage.NewFile
	system troubled
	path   string
}

func (f troubledFile) Write(b []byte) (int, error) {
	if err := f.system.step("write", f.path); err != nil {
		n, _ := f.NewFile.Write(b[:len(b)/2])
		return n, &fs.PathError{Op: "write", Path: f.path, Err: err}
	}
	return f.NewFile.Write(b)
}

func (f troubledFile) Sync() error {
	if err := f.system.step("sync new", f.path); err != nil {
		return &fs.PathError{Op: "sync", Path: f.path, Err: err}
	}
	return nil
}

func (f troubledFile) Close() error {
	err := f.system.step("close", f.path)
	return errors.Join(err, f.NewFile.Close())
}

// traced returns a storage and the steps that it makes, by paths from root.
func traced(root string) (*storage.Directory, *[]string) {
	steps := new([]string)
	return storage.OpenWith(root, job, troubled{before: func(step string) error {
		step = strings.ReplaceAll(step, jobDir, "JOB")
		*steps = append(*steps, strings.ReplaceAll(step, filepath.Dir(root)+"/", ""))
		return nil
	}}), steps
}

// TestSteps: what durability rests on is the order: content before name, name before
// the answer, and a directory before what is in it.
func TestSteps(t *testing.T) {
	parent := t.TempDir()
	s, steps := traced(filepath.Join(parent, "root"))
	check := func(what string, want ...string) {
		t.Helper()
		if !slices.Equal(*steps, want) {
			t.Errorf("%s:\n%s\nwant:\n%s", what, strings.Join(*steps, "\n"), strings.Join(want, "\n"))
		}
		*steps = nil
	}
	put(t, s, storage.MetadataName(1), "m")
	const part = "root/JOB/chk-1/._metadata.1.part"
	check(
		"the first file",
		"mkdir root/JOB/chk-1", "mkdir root/JOB", "mkdir root", "sync dir "+parent, "mkdir root/JOB", "sync dir root", "mkdir root/JOB/chk-1", "sync dir root/JOB",
		"create "+part, "write "+part, "sync new "+part, "close "+part,
		"link root/JOB/chk-1/_metadata", "remove "+part, "sync dir root/JOB/chk-1", "sync dir root/JOB", "sync dir root",
	)
	put(t, s, "chk-1/b", "m")
	const partB = "root/JOB/chk-1/.b.1.part"
	check(
		"another one",
		"mkdir root/JOB/chk-1", "create "+partB, "write "+partB, "sync new "+partB, "close "+partB,
		"link root/JOB/chk-1/b", "remove "+partB, "sync dir root/JOB/chk-1", "sync dir root/JOB",
	)
	if err := s.Put(t.Context(), "chk-1/b", 1, storage.Bytes([]byte("m"))); !errors.Is(err, storage.ErrExists) {
		t.Fatal(err)
	}
	check(
		"one that exists: it is as durable as if it had been stored now",
		"mkdir root/JOB/chk-1", "create "+partB, "write "+partB, "sync new "+partB, "close "+partB,
		"link root/JOB/chk-1/b", "sync file root/JOB/chk-1/b", "remove "+partB, "sync dir root/JOB/chk-1", "sync dir root/JOB",
	)
	if err := s.Delete(t.Context(), "chk-1/b"); err != nil {
		t.Fatal(err)
	}
	check("delete", "remove root/JOB/chk-1/b", "remove root/JOB/chk-1")
}

// TestFailsAtEveryStep has each step fail once, with each error, while a file is
// stored, and while one is that exists: the error says where and why, nothing
// half-written is visible, and the file can be stored afterwards.
func TestFailsAtEveryStep(t *testing.T) {
	content := storage.Bytes([]byte(strings.Repeat("metadata", 40_000)))
	name := storage.MetadataName(1)
	for cause, hint := range map[error]string{
		syscall.ENOSPC: "make room there", syscall.EDQUOT: "make room there",
		syscall.EACCES: "allow this process's user", syscall.EROFS: "allow this process's user", syscall.EIO: "",
	} {
		for _, exists := range []bool{false, true} {
			failed := 0
			for n := 0; ; n++ {
				root := t.TempDir()
				healthy := storage.OpenDirectory(root, job)
				if exists {
					if err := healthy.Put(t.Context(), name, 1, content); err != nil {
						t.Fatal(err)
					}
				}
				step, at := "", 0
				s := storage.OpenWith(root, job, troubled{before: func(what string) error {
					if at++; at-1 == n {
						step = what
						return cause
					}
					return nil
				}})
				err := s.Put(t.Context(), name, 1, content)
				if step == "" {
					break
				}
				failed++
				optional := strings.HasPrefix(step, "remove ") // of what nobody needs
				switch {
				case optional && exists != errors.Is(err, storage.ErrExists), optional && !exists && err != nil:
					t.Errorf("%v at %q: %v", cause, step, err)
				case optional:
				case !errors.Is(err, cause) || errors.Is(err, storage.ErrExists) || !strings.Contains(err.Error(), s.Location(name)) || !strings.Contains(err.Error(), hint):
					t.Errorf("%v at %q: %v, want %q in it", cause, step, err, hint)
				}
				checkAfter(t, step, healthy, name, content)
			}
			if failed < 10 {
				t.Errorf("%v: %d steps failed only", cause, failed)
			}
		}
	}
}

// checkAfter: the name has all or nothing, another attempt stores it, and nothing
// else is left.
func checkAfter(t *testing.T, step string, s *storage.Directory, name string, content storage.Content) {
	t.Helper()
	whole := make([]byte, content.Size)
	if _, err := content.ReadAt(whole, 0); err != nil {
		t.Fatal(err)
	}
	b, err := storage.Read(t.Context(), s, name, 1<<30)
	if !errors.Is(err, storage.ErrNotFound) && (err != nil || string(b) != string(whole)) {
		t.Errorf("%q: %d bytes are visible, %v", step, len(b), err)
	}
	if err := storage.Ensure(t.Context(), s, name, 2, content); err != nil {
		t.Errorf("%q: stored again: %v", step, err)
	}
	if got := get(t, s, name); got != string(whole) {
		t.Errorf("%q: stored again it has %d bytes", step, len(got))
	}
	if err := s.CleanUp(t.Context(), 2); err != nil {
		t.Errorf("%q: %v", step, err)
	}
	path := strings.TrimPrefix(s.Location(""), "file://")
	if got, want := tree(t, filepath.Dir(path)), []string{jobDir + "/", jobDir + "/chk-1/", jobDir + "/" + name}; !slices.Equal(got, want) {
		t.Errorf("%q: %v is left, want %v", step, got, want)
	}
}

// TestNothingIsLeftWithoutRoom: a disk that is full does not fill up further, without
// a cleaning up, and is used again when there is room.
func TestNothingIsLeftWithoutRoom(t *testing.T) {
	root := t.TempDir()
	full := true
	s := storage.OpenWith(root, job, troubled{before: func(step string) error {
		if full && strings.HasPrefix(step, "write ") {
			return syscall.ENOSPC
		}
		return nil
	}})
	for range 3 {
		if err := s.Check(t.Context()); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("check: %v", err)
		}
		if err := s.Put(t.Context(), storage.MetadataName(1), 1, storage.Bytes([]byte("m"))); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("put: %v", err)
		}
		if got := tree(t, root); len(got) != 0 {
			t.Errorf("%v is left", got)
		}
	}
	full = false
	put(t, s, storage.MetadataName(1), "m")
}

// fullDevice is a disk whose new files are /dev/full.
type fullDevice struct{ storage.Disk }

func (fullDevice) Create(path string) (storage.NewFile, error) {
	if err := os.Symlink("/dev/full", path); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY, 0)
}

// TestFullDevice writes to a device that is really full.
func TestFullDevice(t *testing.T) {
	root := t.TempDir()
	s := storage.OpenWith(root, job, fullDevice{})
	err := s.Put(t.Context(), storage.MetadataName(1), 1, storage.Bytes([]byte("m")))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "after 0 of 1 bytes") || !strings.Contains(err.Error(), s.Location(storage.MetadataName(1))) {
		t.Error(err)
	}
	if got := tree(t, root); len(got) != 0 {
		t.Errorf("%v is left", got)
	}
}

// linking is a disk whose links go wrong.
type linking struct {
	storage.Disk
	link func(from, to string) error
}

func (l linking) Link(from, to string) error { return l.link(from, to) }

// TestLinkAnswers: what the answer to a link means is found out (c4, O2).
func TestLinkAnswers(t *testing.T) {
	content := storage.Bytes([]byte("m"))
	name := storage.MetadataName(1)
	failing := func(err error) func(string, string) error {
		return func(from, to string) error { return &os.LinkError{Op: "link", Old: from, New: to, Err: err} }
	}
	for _, test := range []struct {
		what, want string
		link       func(from, to string) error
	}{
		{"a network file system asks twice by itself", "", func(from, to string) error {
			return errors.Join(os.Link(from, to), os.Link(from, to))
		}},
		{"another process is faster", "it exists already", func(from, to string) error {
			if err := os.WriteFile(to, []byte("other"), 0o600); err != nil {
				return err
			}
			return os.Link(from, to)
		}},
		{"a later attempt has cleaned up", "a later attempt of the job has removed the temporary file", func(from, to string) error {
			if err := os.Remove(from); err != nil {
				return err
			}
			return os.Link(from, to)
		}},
		{"no hard links", "the file system has no hard links", failing(syscall.EPERM)},
		{"no hard links", "the file system has no hard links", failing(syscall.ENOTSUP)},
		{"too many links", "too many links", failing(syscall.EMLINK)},
	} {
		root := t.TempDir()
		s := storage.OpenWith(root, job, linking{link: test.link})
		err := s.Put(t.Context(), name, 1, content)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.what, err, test.want)
		}
		if errors.Is(err, storage.ErrExists) != (test.what == "another process is faster") {
			t.Errorf("%s: %v", test.what, err)
		}
		for _, left := range tree(t, root) {
			if strings.HasSuffix(left, ".part") {
				t.Errorf("%s: %s is left", test.what, left)
			}
		}
	}
}

// TestUnreadable: an error is never taken for a file's absence (c6), and Ensure does
// not say that a file is there which it could not read.
func TestUnreadable(t *testing.T) {
	root := t.TempDir()
	put(t, storage.OpenDirectory(root, job), storage.MetadataName(1), "m")
	s := storage.OpenWith(root, job, unreadable{})
	if _, err := s.Open(t.Context(), storage.MetadataName(1)); !errors.Is(err, syscall.EIO) || errors.Is(err, storage.ErrNotFound) {
		t.Errorf("open: %v", err)
	}
	err := storage.Ensure(t.Context(), s, storage.MetadataName(1), 1, storage.Bytes([]byte("m")))
	if !errors.Is(err, syscall.EIO) || errors.Is(err, storage.ErrExists) {
		t.Errorf("ensure: %v", err)
	}
	for _, err := range s.List(t.Context()) {
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("list: %v", err)
		}
	}
	if err := s.CleanUp(t.Context(), 9); !errors.Is(err, syscall.EIO) {
		t.Errorf("clean up: %v", err)
	}
	if err := s.Delete(t.Context(), storage.MetadataName(2)); err == nil {
		t.Error("what cannot be looked for is said to be deleted")
	}
}

type unreadable struct{ storage.Disk }

func (unreadable) Open(path string) (*os.File, error) {
	return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EIO}
}

func (unreadable) ReadDir(path string) ([]fs.DirEntry, error) {
	return nil, &fs.PathError{Op: "open", Path: path, Err: syscall.EIO}
}
