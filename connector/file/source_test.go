package file

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir"
)

// tree makes empty files below a new directory, and returns it.
func tree(t *testing.T, files ...string) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, file := range files {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestSplits(t *testing.T) {
	root := tree(t, "b.csv", "a.csv.gz", ".hidden.csv", "_SUCCESS", "x[1].csv", "x1.csv",
		"2001/01/f.csv", "2001/02/f.csv", "2001/02/g.csv", "2001/_tmp/f.csv", "2001/.git/f.csv", "2002/01/f.csv")
	if err := os.Symlink("b.csv", filepath.Join(root, "link.csv")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pattern string
		want    string
	}{
		{"b.csv", "b.csv"},
		{"*.csv", "b.csv link.csv x1.csv x[1].csv"},
		{"*.csv.gz", "a.csv.gz"},
		{"*.csv*", "a.csv.gz b.csv link.csv x1.csv x[1].csv"},
		{".h*", ".hidden.csv"},
		{"x[1].csv", "x[1].csv"}, // the file of that name comes before the glob
		{"x[0-9].csv", "x1.csv"},
		{`x\[1\].csv`, "x[1].csv"},
		{"2001", "2001/01/f.csv 2001/02/f.csv 2001/02/g.csv"},
		{"2001/", "2001/01/f.csv 2001/02/f.csv 2001/02/g.csv"},
		{"20*", "2001/01/f.csv 2001/02/f.csv 2001/02/g.csv 2002/01/f.csv"},
		{"*/0[12]/f.csv", "2001/01/f.csv 2001/02/f.csv 2002/01/f.csv"},
		{"*/02/*", "2001/02/f.csv 2001/02/g.csv"},
		{"*/../b.csv", "2001/../b.csv 2002/../b.csv"},
		{".", "2001/01/f.csv 2001/02/f.csv 2001/02/g.csv 2002/01/f.csv a.csv.gz b.csv link.csv x1.csv x[1].csv"},
	} {
		var want []weir.Split
		for file := range strings.FieldsSeq(c.want) {
			want = append(want, weir.Split{ID: file})
		}
		t.Run(c.pattern, func(t *testing.T) {
			t.Chdir(root)
			got, err := CSV[flight](c.pattern).Splits(t.Context(), 4)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("relative: got %v, %v, want %v", got, err, want)
			}
		})
		if strings.HasPrefix(c.pattern, ".") {
			continue
		}
		got, err := CSV[flight](root+"/"+c.pattern).Splits(t.Context(), 4)
		for i := range want {
			want[i].ID = root + "/" + want[i].ID
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s, absolute: got %v, %v, want %v", c.pattern, got, err, want)
		}
	}
}

func TestSplitsFail(t *testing.T) {
	root := tree(t, "a.csv", "empty/_nothing", "broken/a.csv")
	if err := syscall.Mkfifo(filepath.Join(root, "pipe.csv"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, link := range [][2]string{{"missing", "broken/b.csv"}, {"loop", "loop"}, {"empty", "linked/dir"}} {
		path := filepath.Join(root, link[1])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(link[0], path); err != nil {
			t.Fatal(err)
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, pattern, want string }{
		{"nothing", "", "the pattern is empty"},
		{"not a pattern", root + "/[", "syntax error in pattern"},
		{"a missing file", root + "/b.csv", "b.csv\" does not exist on " + host},
		{"a missing directory", root + "/b/*.csv", "it matches no file on " + host},
		{"a file for a directory", root + "/a.csv/b.csv", "not a directory"},
		{"a glob that matches nothing", root + "/*.txt", "it matches no file on " + host},
		{"an empty directory", root + "/empty", "it matches no file on " + host},
		{"a named pipe", root + "/pipe.csv", "pipe.csv is not a regular file but p"},
		{"a matched named pipe", root + "/p*.csv", "pipe.csv is not a regular file but p"},
		{"a broken link in a directory", root + "/broken", "broken/b.csv"},
		{"a broken link that matches", root + "/broken/*", "broken/b.csv"},
		{"a directory that cannot be read", root + "/loop/*", "too many levels of symbolic links"},
		{"a relative path", "surely-missing.csv", " in " + root},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(root)
			got, err := CSV[flight](c.pattern).Splits(t.Context(), 1)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "file.CSV[file.flight](") {
				t.Errorf("got %v, error %v, want %q in it", got, err, c.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := CSV[flight](root+"/*.csv").Splits(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled search: error %v", err)
	}
}

func TestOpenFails(t *testing.T) {
	root := tree(t, "a.csv")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(root, "pipe.csv"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		root + "/b.csv":    "does not exist on " + host,
		root + "/pipe.csv": "it is not a regular file",
		root:               "it is not a regular file",
	} {
		_, err := CSV[flight](path).Open(t.Context(), weir.Split{ID: path}, nil)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", path, err, want)
		}
	}
	if _, err := CSV[flight]("x").Open(t.Context(), weir.Split{ID: root + "/b.csv"}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error %v does not wrap fs.ErrNotExist", err)
	}
}

// TestSkipEndsWithTheTask cancels a reader on its way to a position.
func TestSkipEndsWithTheTask(t *testing.T) {
	content := flightHeader + strings.Repeat("2001-01-01T00:01,33,LAS\n", 100)
	path := write(t, "a.csv.gz", compress(t, content))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	at := position{offset: int64(len(content)), line: 101}.encode()
	if _, err := CSV[flight](path).Open(ctx, weir.Split{ID: path}, at); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

type wrong struct {
	Slice   []string
	Func    func()
	Pointer **int
	Opt     int       `csv:"o,optinal"`
	Lay     int       `csv:"l,layout=2006"`
	Java    string    `csv:"-"`
	hidden  int       `csv:"h"` //nolint:unused // its tag is the mistake
	Day     time.Time `csv:"d,layout=yyyy-MM-dd"`
	Nested  flight
}

// TestWrongStructs reports every mistake in a type at once, and reads nothing.
func TestWrongStructs(t *testing.T) {
	path := write(t, "a.csv", flightHeader)
	source := CSV[wrong](path, Delimiter('"'), MaxRecordSize(0))
	_, err := source.Splits(t.Context(), 1)
	if _, again := source.Open(t.Context(), weir.Split{ID: path}, nil); err == nil || again == nil || again.Error() != err.Error() {
		t.Fatalf("Splits: %v; Open: %v", err, again)
	}
	for _, want := range []string{
		"file.CSV[file.wrong](", "wrong.Slice: a column cannot fill a []string", "wrong.Func: ", "wrong.Pointer: ",
		`wrong.Opt: unknown option "optinal"`, "wrong.Lay: a layout is for a time.Time, not for a int",
		"wrong.hidden has a csv tag but is not exported", `wrong.Day: layout "yyyy-MM-dd" shows no part of a time`,
		"wrong.Nested: a column cannot fill a file.flight", "file.Delimiter('\"')", "file.MaxRecordSize(0)",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
	if _, err := CSV[int](path).Splits(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "into structs, not into int") {
		t.Errorf("CSV[int]: %v", err)
	}
	if _, err := CSV[struct{ x int }](path).Splits(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "no exported field") {
		t.Errorf("CSV[struct{ x int }]: %v", err)
	}
	if !CSV[flight](path).Bounded() {
		t.Error("files are not bounded")
	}
}
