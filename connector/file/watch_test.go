package file

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/weirstream/weir"
)

// observed is a watched directory, with the reader of it.
type observed struct {
	t      *testing.T
	dir    string
	source Source[string]
	reader weir.Reader[string]
}

const look = time.Second

func observe(t *testing.T) *observed {
	t.Helper()
	o := &observed{t: t, dir: t.TempDir()}
	o.source = Lines(o.dir).Watch(look)
	o.open(nil)
	return o
}

func (o *observed) open(at []byte) {
	o.t.Helper()
	splits, err := o.source.Splits(o.t.Context(), 4)
	if err != nil || len(splits) != 1 || o.source.Bounded() {
		o.t.Fatal(splits, err)
	}
	if o.reader, err = o.source.Open(o.t.Context(), splits[0], at); err != nil {
		o.t.Fatal(err)
	}
}

func (o *observed) close() {
	o.t.Helper()
	if err := o.reader.Close(); err != nil {
		o.t.Fatal(err)
	}
}

// write makes a file, or adds to it.
func (o *observed) write(name, text string) {
	o.t.Helper()
	f, err := os.OpenFile(filepath.Join(o.dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		o.t.Fatal(err)
	}
}

// read returns what is read until d has passed, waiting as the engine does.
func (o *observed) read(d time.Duration) (lines []string) {
	o.t.Helper()
	end := time.After(d)
	values := make([]string, 3)
	for {
		n, err := o.reader.Read(values)
		if err != nil {
			o.t.Fatal(err)
		}
		lines = append(lines, values[:n]...)
		if n > 0 {
			continue
		}
		select {
		case <-o.reader.(weir.Notifier).Ready():
		case <-end:
			return lines
		}
	}
}

func (o *observed) expect(d time.Duration, want ...string) {
	o.t.Helper()
	if got := o.read(d); !slices.Equal(got, want) {
		o.t.Errorf("read %q, want %q", got, want)
	}
}

// TestWatch reads each file once, in the order of their names, when it has stopped
// growing.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := observe(t)
		o.expect(10 * look)
		o.write("b", "b1\nb2\n")
		o.write("a", "a1\na2\na3\na4\na5\n")
		o.write(".hidden", "hidden\n")
		o.expect(3*look, "a1", "a2", "a3", "a4", "a5", "b1", "b2")
		for i := range 5 {
			o.write("0", fmt.Sprintln("grows", i))
			o.expect(look)
		}
		o.write("c", "c\n")
		o.expect(3*look, "grows 0", "grows 1", "grows 2", "grows 3", "grows 4", "c")
		o.write("a", "too late\n")
		o.expect(5 * look)

		// What is gone is forgotten, and new when it comes again.
		if err := os.Remove(filepath.Join(o.dir, "a")); err != nil {
			t.Fatal(err)
		}
		o.expect(2 * look)
		o.write("a", "again\n")
		o.expect(3*look, "again")
		o.close()
	})
}

// TestWatchGoesOn goes on from every position, with files of all kinds that came
// before and after it.
func TestWatchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := observe(t)
		var want []string
		for _, name := range []string{"a", "b.gz", "c"} {
			var text string
			for i := range 8 {
				want = append(want, fmt.Sprint(name, i))
				text += fmt.Sprintln(name + fmt.Sprint(i))
			}
			if name == "b.gz" {
				text = compress(t, text)
			}
			o.write(name, text)
		}
		o.read(0)
		<-time.After(look)
		first := o.reader
		one := make([]string, 1)
		for read := 0; ; read++ {
			at, err := first.Position()
			if err != nil {
				t.Fatal(err)
			}
			o.open(at)
			o.expect(3*look, want[read:]...)
			_, total := o.reader.(weir.Progresser).Progress()
			if done, _ := o.reader.(weir.Progresser).Progress(); done != total || total == 0 {
				t.Errorf("progress %d of %d at the end", done, total)
			}
			o.close()
			n, err := first.Read(one)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				if read != len(want) {
					t.Errorf("%d lines read", read)
				}
				break
			}
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestWatchFails names what is wrong.
func TestWatchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for pattern, missing := range map[string]string{dir + "/none/*/*.txt": dir + "/none/", dir + "/none": dir + "/none"} {
			if _, err := Lines(pattern).Watch(look).Splits(t.Context(), 1); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), fmt.Sprintf("the directory %q cannot be watched on ", missing)) {
				t.Errorf("%s: %v", pattern, err)
			}
		}
		single := write(t, "a.txt", "")
		if _, err := Lines(single).Watch(look).Splits(t.Context(), 1); err == nil || !strings.Contains(err.Error(), single+" is not a directory") {
			t.Errorf("a file: %v", err)
		}
		if _, err := Lines(dir+"/**/*.txt").Watch(look).Splits(t.Context(), 1); err != nil {
			t.Errorf("an empty directory: %v", err)
		}

		o := observe(t)
		o.write("a", "1\n")
		o.write("b", "2\n")
		o.read(0)
		<-time.After(look)
		one := make([]string, 1)
		if n, err := o.reader.Read(one); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if err := os.Remove(filepath.Join(o.dir, "b")); err != nil {
			t.Fatal(err)
		}
		if n, err := o.reader.Read(one); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join(o.dir, "b")) {
			t.Errorf("a file vanished: %d, %v", n, err)
		}
		o.close()

		o = observe(t)
		o.read(look / 2)
		if err := os.Remove(o.dir); err != nil {
			t.Fatal(err)
		}
		<-time.After(look)
		if n, err := o.reader.Read(one); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), o.dir) {
			t.Errorf("the directory vanished: %d, %v", n, err)
		}
		o.close()
		if _, err := o.source.Open(t.Context(), weir.Split{}, []byte("what?")); err == nil || !strings.Contains(err.Error(), "not a position in a watched directory") {
			t.Errorf("garbage: %v", err)
		}
	})
}

// TestWatchRejected hands on bad records of files that appear, and does not wait
// within many that are left out.
func TestWatchRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a"), []byte("1\nbad\n3\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		source := JSONLines[int](dir + "/*").Watch(look).Rejected()
		r, err := source.Open(t.Context(), weir.Split{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]Result[int], 10)
		if n, err := r.Read(values); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		<-r.(weir.Notifier).Ready()
		n, err := r.Read(values)
		if n != 3 || err != nil || values[1].Bad.Line != 2 || values[2].Record != 3 {
			t.Errorf("%d: %+v, %v", n, values[:n], err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}

		logged(t)
		if err := os.WriteFile(filepath.Join(dir, "a"), []byte(strings.Repeat("bad\n", 2*mostSkipped+1)+"7\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		counting := JSONLines[int](dir+"/*", CountBadRecords()).Watch(look)
		numbers, err := counting.Open(t.Context(), weir.Split{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer numbers.Close()
		got := make([]int, 1)
		for range 4 {
			n, err := numbers.Read(got)
			if err != nil {
				t.Fatal(err)
			}
			if n == 1 {
				break
			}
			<-numbers.(weir.Notifier).Ready()
		}
		if got[0] != 7 || counting.BadRecords() != 2*mostSkipped+1 {
			t.Errorf("got %d with %d bad records", got[0], counting.BadRecords())
		}
	})
}

// TestWatchedPositions encodes any set of paths, small where they are alike.
func TestWatchedPositions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.StringOfN(rapid.SampledFrom([]rune("ab/é")), 1, 12, -1)
		w := watched{
			bytes: rapid.Int64Range(0, 1<<62).Draw(t, "bytes"), current: rapid.StringOf(rapid.SampledFrom([]rune("ab/"))).Draw(t, "current"),
			at: rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(t, "at"), read: map[string]struct{}{},
		}
		for _, p := range rapid.SliceOf(path).Draw(t, "paths") {
			w.read[p] = struct{}{}
		}
		got, err := decodeWatched(w.encode())
		w.paths = nil
		if err != nil || !reflect.DeepEqual(got, w) {
			t.Fatalf("%+v comes back as %+v, %v", w, got, err)
		}
	})
	w := watched{read: map[string]struct{}{}}
	for i := range 10000 {
		w.read[fmt.Sprintf("/var/spool/orders/2026/11/orders-%08d.jsonl.gz", i)] = struct{}{}
	}
	if n := len(w.encode()); n > 14*len(w.read) {
		t.Errorf("%d bytes for %d paths", n, len(w.read))
	}
}

func FuzzWatched(f *testing.F) {
	some := watched{bytes: 7, current: "/in/c", at: []byte{1, 2, 3}, read: map[string]struct{}{"/in/a": {}, "/in/b": {}}}
	f.Add([]byte{})
	f.Add(some.encode())
	f.Add([]byte{watchedVersion, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Add([]byte{watchedVersion, 0, 0, 0, 2, 0, 1, 'a', 0, 1, 'a'})
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := decodeWatched(b)
		if err != nil {
			return
		}
		again, err := decodeWatched(w.encode())
		if err != nil || again.bytes != w.bytes || again.current != w.current || !maps.Equal(again.read, w.read) {
			t.Fatalf("%x is %+v and comes back as %+v, %v", b, w, again, err)
		}
	})
}
