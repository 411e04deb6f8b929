package storage_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/checkpoint/storage"
	"github.com/weirstream/weir/internal/ids"
)

func TestDirectory(t *testing.T) {
	conformance(t, func(t *testing.T) func(ids.JobID) storage.Storage {
		t.Helper()
		root := t.TempDir()
		t.Cleanup(func() {
			for _, name := range tree(t, root) {
				if strings.Contains(name, ".part") && !strings.Contains(name, "shared/") {
					t.Errorf("a temporary file is left: %s", name)
				}
			}
		})
		return func(job ids.JobID) storage.Storage {
			s, err := storage.Open("file://"+root, job)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}

// tree returns all files and directories below root.
func tree(t *testing.T, root string) (names []string) {
	t.Helper()
	if err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && path != root {
			name, _ := filepath.Rel(root, path)
			if e.IsDir() {
				name += "/"
			}
			names = append(names, name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return names
}

var job = ids.JobID{0xab, 15: 0x01}

const jobDir = "ab000000000000000000000000000001"

// TestLayout: the places are what operators and tools expect.
func TestLayout(t *testing.T) {
	root := filepath.Join(t.TempDir(), "made", "too")
	s := storage.OpenDirectory(root, job)
	if got, want := s.Location(storage.MetadataName(7)), "file://"+root+"/"+jobDir+"/chk-7/_metadata"; got != want {
		t.Errorf("location %s, want %s", got, want)
	}
	if got, want := s.Location(""), "file://"+root+"/"+jobDir; got != want {
		t.Errorf("location %s, want %s", got, want)
	}
	put(t, s, storage.MetadataName(7), "m")
	put(t, s, storage.TaskName(7, ids.Subtask{Vertex: 2, Index: 30}), "t")
	put(t, s, storage.SharedName(7, "000012.sst"), "s")
	want := []string{
		jobDir + "/", jobDir + "/chk-7/", jobDir + "/chk-7/_metadata", jobDir + "/chk-7/task-2-30",
		jobDir + "/shared/", jobDir + "/shared/7-000012.sst",
	}
	if got := tree(t, root); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	info, err := os.Stat(filepath.Join(root, want[2]))
	if err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("everybody may read it: %v, %v", info.Mode(), err)
	}
	for _, e := range []string{storage.MetadataName(7), storage.TaskName(7, ids.Subtask{Vertex: 2, Index: 30}), storage.SharedName(7, "000012.sst")} {
		if err := s.Delete(t.Context(), e); err != nil {
			t.Error(err)
		}
	}
	if got := tree(t, root); len(got) != 0 {
		t.Errorf("%v is left", got)
	}
}

func TestWriter(t *testing.T) {
	for name, want := range map[string]checkpoint.ID{
		storage.MetadataName(7):                               7,
		storage.TaskName(18446744073709551615, ids.Subtask{}): 18446744073709551615,
		storage.SharedName(12, "a-b"):                         12,
		"chk-7/anything":                                      7,
		"chk-0/x":                                             0, "chk-07/x": 0, "chk-+7/x": 0, "chk-/x": 0, "chk-18446744073709551616/x": 0, "chk-7": 0, "chk-7x/x": 0,
		"shared/x": 0, "shared/7": 0, "shared/-7-x": 0, "other/7-x": 0, "": 0, "chk-7/../x": 0,
	} {
		if got, ok := storage.Writer(name); got != want || ok != (want != 0) {
			t.Errorf("%q was written for %d, %v: want %d", name, got, ok, want)
		}
	}
}

func TestParseLocation(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ location, want, err string }{
		{"file:///var/lib/weir", "/var/lib/weir", ""},
		{"file:///var//lib/../lib/weir/", "/var/lib/weir", ""},
		{"file:/var/lib/weir", "/var/lib/weir", ""},
		{"file://localhost/var/lib/weir", "/var/lib/weir", ""},
		{"FILE:///a%20b", "/a b", ""},
		{"/a%20b", "/a%20b", ""},
		{"/var/lib/weir/", "/var/lib/weir", ""},
		{"checkpoints", here + "/checkpoints", ""},
		{"./a:b", here + "/a:b", ""},
		{".", here, ""},
		{"", "", "is empty"},
		{"file://var/lib", "", `names the host "var": a path begins after three slashes`},
		{"file://", "", "without a path"},
		{"file:", "", "without a path"},
		{"file:checkpoints", "", "with more than a path"},
		{"file:///a?b=c", "", "with more than a path"},
		{"file:///a?", "", "with more than a path"},
		{"file:///a#b", "", "with more than a path"},
		{"file:///a%zz", "", "is no URL"},
		{"file:///a%00", "", "without a path"},
		{"s3://bucket/checkpoints", "", "there is no storage for s3"},
		{"hdfs:///checkpoints", "", "there is no storage for hdfs"},
		{"a\x00b", "", "zero byte"},
	} {
		got, err := storage.ParseLocation(test.location)
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%q is %q, %v: want %q, %q", test.location, got, err, test.want, test.err)
		}
		if _, openErr := storage.Open(test.location, job); (openErr == nil) != (err == nil) {
			t.Errorf("open %q: %v", test.location, openErr)
		}
	}
}

// TestLocationIsParsed: the location of a file leads to its path, whatever is in it.
func TestLocationIsParsed(t *testing.T) {
	for _, root := range []string{"/a b", "/50%", "/a%20b", "/a?b", "/a#b", "/a:b", "/é"} {
		s := storage.OpenDirectory(root, job)
		got, err := storage.ParseLocation(s.Location(storage.MetadataName(1)))
		if want := root + "/" + jobDir + "/chk-1/_metadata"; got != want || err != nil {
			t.Errorf("%s is %q, %v: want %q", s.Location(storage.MetadataName(1)), got, err, want)
		}
	}
}

// TestCleanUp: only temporary files of older attempts of this job go (D4).
func TestCleanUp(t *testing.T) {
	root := t.TempDir()
	s := storage.OpenDirectory(root, job)
	other := ids.JobID{1}
	put(t, s, storage.MetadataName(1), "m")
	put(t, storage.OpenDirectory(root, other), storage.MetadataName(1), "m")
	dir := filepath.Join(root, jobDir)
	kept := []string{
		storage.PartName(filepath.Join(dir, "chk-1", "task-0-0"), 3),
		storage.PartName(filepath.Join(dir, "chk-1", "_metadata"), 4),
		storage.PartName(filepath.Join(root, other.String(), "chk-1", "_metadata"), 1),
		filepath.Join(dir, "chk-1", ".of-somebody-else"),
		filepath.Join(dir, "chk-1", ".x.part"),
		filepath.Join(dir, "chk-1", ".x.1x.0123456789abcdef.part"),
		filepath.Join(dir, "chk-1", "x.1.0123456789abcdef.part"),
	}
	removed := []string{
		storage.PartName(filepath.Join(dir, "chk-1", "task-0-0"), 2),
		storage.PartName(filepath.Join(dir, "chk-1", "a.b.c"), 1),
		storage.PartName(filepath.Join(dir, "chk-2", "_metadata"), 2),
		storage.PartName(filepath.Join(dir, "shared", "1-x"), 0),
		storage.PartName(filepath.Join(dir, "check"), 0),
	}
	for _, path := range append(slices.Clone(kept), removed...) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("part"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := s.CleanUp(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		for _, path := range kept {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("it is gone: %v", err)
			}
		}
		for _, path := range append(slices.Clone(removed), filepath.Join(dir, "chk-2"), filepath.Join(dir, "shared")) {
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// TestNotMounted: a root that is not there says nothing about files.
func TestNotMounted(t *testing.T) {
	root := filepath.Join(t.TempDir(), "nfs")
	s := storage.OpenDirectory(root, job)
	if _, err := s.Open(t.Context(), storage.MetadataName(1)); err == nil || errors.Is(err, storage.ErrNotFound) || !strings.Contains(err.Error(), "is it mounted?") {
		t.Errorf("open: %v", err)
	}
	if err := s.Delete(t.Context(), storage.MetadataName(1)); err == nil || !strings.Contains(err.Error(), root) {
		t.Errorf("delete: %v", err)
	}
	if got := list(t, s); len(got) != 0 {
		t.Errorf("%v is listed", got)
	}
}

// TestInTheWay has other things where files and directories belong.
func TestInTheWay(t *testing.T) {
	root := t.TempDir()
	s := storage.OpenDirectory(root, job)
	if err := os.MkdirAll(filepath.Join(root, jobDir, "chk-1", "_metadata", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, jobDir, "chk-2"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	content := storage.Bytes([]byte("m"))
	if err := s.Put(t.Context(), storage.MetadataName(1), 1, content); !errors.Is(err, storage.ErrExists) {
		t.Errorf("a directory of the name: %v", err)
	}
	if err := storage.Ensure(t.Context(), s, storage.MetadataName(1), 1, content); err == nil || !strings.Contains(err.Error(), "it is no file but d") {
		t.Errorf("a directory of the name: %v", err)
	}
	if err := s.Delete(t.Context(), storage.MetadataName(1)); err == nil {
		t.Error("a directory that is not empty is deleted")
	}
	if err := s.Put(t.Context(), storage.MetadataName(2), 1, content); err == nil || !strings.Contains(err.Error(), "not a directory") || !strings.Contains(err.Error(), "chk-2") {
		t.Errorf("a file where the checkpoint's directory belongs: %v", err)
	}
	below := storage.OpenDirectory(filepath.Join(root, "file", "below"), job)
	for what, err := range map[string]error{
		"put":   below.Put(t.Context(), storage.MetadataName(1), 1, content),
		"check": below.Check(t.Context()),
	} {
		if err == nil || !strings.Contains(err.Error(), "not a directory") || !strings.Contains(err.Error(), filepath.Join(root, "file", "below")) {
			t.Errorf("%s below a file: %v", what, err)
		}
	}
}
