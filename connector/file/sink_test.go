package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
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

// emit writes records through a subtask's writer, in batches, and ends it as the
// engine does.
func emit[T any](tb check, sink Sink[T], subtask weir.Subtask, records []T, batch int) error {
	tb.Helper()
	w, err := sink.Open(tb.Context(), subtask)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(records, batch) {
		if err := w.Write(part); err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return end(w)
}

// end ends a writer as the engine does when the input has ended.
func end[T any](w weir.Writer[T]) error {
	err := w.Flush()
	if err == nil {
		err = w.(weir.Finisher).Finish()
	}
	return errors.Join(err, w.Close())
}

var only = weir.Subtask{Index: 0, Parallelism: 1}

// names returns what is in a directory, and visible what is not hidden.
func names(tb rapid.TB, dir string) (all, visible []string) {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
		if e.Name()[0] != '.' {
			visible = append(visible, e.Name())
		}
	}
	return all, visible
}

// anyEverything draws a record of every type of field.
func anyEverything(t *rapid.T) everything {
	text := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune("\",\r\n \t\ufeff"))))
	at := func(label string) time.Time {
		return time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, label), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
	}
	r := everything{
		S: text.Draw(t, "S"), B: rapid.Bool().Draw(t, "B"), I: rapid.Int().Draw(t, "I"), I8: rapid.Int8().Draw(t, "I8"),
		I16: rapid.Int16().Draw(t, "I16"), I32: rapid.Int32().Draw(t, "I32"), I64: rapid.Int64().Draw(t, "I64"),
		U: rapid.Uint().Draw(t, "U"), U8: rapid.Uint8().Draw(t, "U8"), U16: rapid.Uint16().Draw(t, "U16"), U32: rapid.Uint32().Draw(t, "U32"),
		U64: rapid.Uint64().Draw(t, "U64"), F32: rapid.Float32().Draw(t, "F32"), F64: rapid.Float64().Draw(t, "F64"),
		At: at("At"), Day: at("Day").Truncate(24 * time.Hour), Took: time.Duration(rapid.Int64().Draw(t, "Took")),
		Addr: netip.AddrFrom4([4]byte{10, 0, 0, rapid.Byte().Draw(t, "Addr")}), Opt: rapid.Int().Draw(t, "Opt"),
		OptTime: time.Date(0, 1, 1, rapid.IntRange(0, 23).Draw(t, "OptTime"), 5, 0, 0, time.UTC), embedded: embedded{text.Draw(t, "Inner")},
	}
	if rapid.Bool().Draw(t, "pointers") {
		n, addr, year := rapid.Int64().Draw(t, "P"), netip.MustParseAddr("::1"), time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
		r.P, r.PText, r.PTime = &n, &addr, &year
	}
	return r
}

// TestWrittenCSVReadsBack writes records of any content, in parts of any size and
// format, and reads them back equal.
func TestWrittenCSVReadsBack(t *testing.T) {
	type record struct {
		S    string
		P    *int64
		At   time.Time
		F    float64
		D    time.Duration
		Addr netip.Addr
		T    string
	}
	root := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := filepath.Join(root, fmt.Sprint(runs))
		var records []record
		for range rapid.IntRange(0, 30).Draw(t, "records") {
			e := anyEverything(t)
			records = append(records, record{e.S, e.P, e.At, e.F64, e.Took, e.Addr, e.Inner})
		}
		delimiter := rapid.SampledFrom([]byte(",;\t |x")).Draw(t, "delimiter")
		sink := CSVSink[record](dir).RollSize(rapid.Int64Range(1, 3000).Draw(t, "roll")).Delimiter(delimiter)
		sink.storage = &troubled{log: new([]string)} // in no trouble, but quick
		sink = compressedBy(sink, rapid.SampledFrom([]string{"", "gzip", "zstd"}).Draw(t, "format"))
		if err := emit(t, sink, only, records, rapid.IntRange(1, 40).Draw(t, "batch")); err != nil {
			t.Fatal(err)
		}
		got := readParts(t, CSV[record](dir, Delimiter(delimiter)), dir)
		for i := range records {
			// As package encoding/csv reads it.
			records[i].S, records[i].T = strings.ReplaceAll(records[i].S, "\r\n", "\n"), strings.ReplaceAll(records[i].T, "\r\n", "\n")
		}
		if !reflect.DeepEqual(got, records) {
			t.Fatalf("got\n%+v, want\n%+v", got, records)
		}
	})
}

// TestEveryTypeReadsBack does so with every type of field.
func TestEveryTypeReadsBack(t *testing.T) {
	root, runs := t.TempDir(), 0
	type record struct {
		S     string
		B     bool
		I     int
		I8    int8
		I16   int16
		I32   int32
		I64   int64
		U     uint
		U8    uint8
		U16   uint16
		U32   uint32
		U64   uint64
		F32   float32
		Day   time.Time `csv:"day,layout=Jan 2, 2006"`
		PText *netip.Addr
		PTime *time.Time `csv:"ptime,layout=2006"`
		Opt   int        `csv:"opt,optional"`
	}
	rapid.Check(t, func(t *rapid.T) {
		runs++
		dir := filepath.Join(root, fmt.Sprint(runs))
		e := anyEverything(t)
		records := []record{{
			S: strings.ReplaceAll(e.S, "\r\n", ""), B: e.B, I: e.I, I8: e.I8, I16: e.I16, I32: e.I32, I64: e.I64, U: e.U, U8: e.U8, U16: e.U16,
			U32: e.U32, U64: e.U64, F32: e.F32, Day: e.Day, PText: e.PText, PTime: e.PTime, Opt: e.Opt,
		}}
		sink := CSVSink[record](dir)
		sink.storage = &troubled{log: new([]string)}
		if err := emit(t, sink, only, records, 1); err != nil {
			t.Fatal(err)
		}
		if got := readParts(t, CSV[record](dir), dir); !reflect.DeepEqual(got, records) {
			t.Fatalf("got\n%+v, want\n%+v", got, records)
		}
	})
}

func compressedBy[T any](sink Sink[T], format string) Sink[T] {
	switch format {
	case "gzip":
		return sink.Gzip()
	case "zstd":
		return sink.Zstd()
	}
	return sink
}

// readParts reads all visible files of a directory, which may be none.
func readParts[T any](tb check, source Source[T], dir string) (all []T) {
	tb.Helper()
	_, visible := names(tb, dir)
	for _, name := range visible {
		records, _, err := drain(tb, source, weir.Split{ID: filepath.Join(dir, name)}, nil)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, records...)
	}
	return all
}

// TestSingleEmptyColumn writes what would be an empty line, which is no record.
func TestSingleEmptyColumn(t *testing.T) {
	type record struct{ S string }
	dir := t.TempDir()
	records := []record{{""}, {"a"}, {""}}
	if err := emit(t, CSVSink[record](dir), only, records, 2); err != nil {
		t.Fatal(err)
	}
	if got := readParts(t, CSV[record](dir), dir); !reflect.DeepEqual(got, records) {
		t.Errorf("got %q", got)
	}
	if content, err := os.ReadFile(filepath.Join(dir, "part-00000-000000.csv")); err != nil || string(content) != "S\n\"\"\na\n\"\"\n" {
		t.Errorf("%q, %v", content, err)
	}
}

// TestWrittenLinesReadBack writes lines and JSON lines.
func TestWrittenLinesReadBack(t *testing.T) {
	lines := []string{"", "a", "<&>", strings.Repeat("é", 40000), " "}
	dir := t.TempDir()
	if err := emit(t, LinesSink(dir).Zstd(), only, lines, 2); err != nil {
		t.Fatal(err)
	}
	if got := readParts(t, Lines(dir), dir); !slices.Equal(got, lines) {
		t.Errorf("got %.100q", got)
	}
	dir = t.TempDir()
	lines = append(lines, "two\nlines", "\u2028\"\\\x00")
	if err := emit(t, JSONLinesSink[string](dir).Gzip(), only, lines, 3); err != nil {
		t.Fatal(err)
	}
	if got := readParts(t, JSONLines[string](dir), dir); !slices.Equal(got, lines) {
		t.Errorf("got %.100q", got)
	}
}

// TestParts expects the names of the parts, their sizes and what is in them.
func TestParts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "out")
	sink := LinesSink(dir).RollSize(10)
	if err := emit(t, sink, weir.Subtask{Index: 2, Parallelism: 3}, []string{"1234", "5678", "90ab", "cdef", "x"}, 5); err != nil {
		t.Fatal(err)
	}
	if err := emit(t, sink, weir.Subtask{Index: 1, Parallelism: 3}, nil, 1); err != nil {
		t.Fatal(err)
	}
	all, _ := names(t, dir)
	if want := []string{"part-00002-000000.txt", "part-00002-000001.txt", "part-00002-000002.txt"}; !slices.Equal(all, want) {
		t.Fatalf("files %q, want %q", all, want)
	}
	for i, want := range []string{"1234\n5678\n", "90ab\ncdef\n", "x\n"} {
		if content, err := os.ReadFile(filepath.Join(dir, all[i])); err != nil || string(content) != want {
			t.Errorf("%s: %q, %v; want %q", all[i], content, err, want)
		}
	}
}

// TestUnfinishedPartsAreInvisible ends a writer in every way but the right one,
// and looks at the directory before and after.
func TestUnfinishedPartsAreInvisible(t *testing.T) {
	for name, end := range map[string]func(w weir.Writer[string], cancel func()) error{
		"an error elsewhere":               func(weir.Writer[string], func()) error { return nil },
		"an error elsewhere after a flush": func(w weir.Writer[string], _ func()) error { return w.Flush() },
		"canceled":                         func(w weir.Writer[string], cancel func()) error { cancel(); return nil },
		"canceled after a flush":           func(w weir.Writer[string], cancel func()) error { cancel(); return w.Flush() },
		"a record that is no line":         func(w weir.Writer[string], _ func()) error { return errors.Join(w.Write([]string{"\n"}), w.Flush()) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			w, err := LinesSink(dir).RollSize(100000).Open(ctx, only)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Write([]string{strings.Repeat("x", 60000)}); err != nil {
				t.Fatal(err)
			}
			if all, _ := names(t, dir); !slices.Equal(all, []string{".part-00000-000000.txt.inprogress"}) {
				t.Fatalf("while writing: %q", all)
			}
			if err := end(w, cancel); (err != nil) != strings.Contains(name, "no line") {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if all, _ := names(t, dir); len(all) > 0 {
				t.Errorf("after the end: %q", all)
			}
		})
	}
}

// TestSecondJob runs jobs of several parallelisms into a directory that has parts.
func TestSecondJob(t *testing.T) {
	first := func(t *testing.T) string {
		t.Helper()
		dir := t.TempDir()
		if err := emit(t, LinesSink(dir).RollSize(1), weir.Subtask{Index: 3, Parallelism: 4}, []string{"old", "older"}, 1); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "part-x.txt"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for _, parallelism := range []int{2, 4, 8} {
		dir := first(t)
		var failures []string
		for i := range parallelism {
			if err := emit(t, LinesSink(dir), weir.Subtask{Index: i, Parallelism: parallelism}, nil, 1); err != nil {
				failures = append(failures, err.Error())
			}
		}
		if len(failures) == 0 || !strings.Contains(failures[0], "the directory holds parts of an earlier job, part-00003-000000.txt for one: choose another directory, or Append or Overwrite") || !strings.Contains(failures[0], dir) {
			t.Errorf("parallelism %d: %q", parallelism, failures)
		}

		dir = first(t)
		for i := range parallelism {
			if err := emit(t, LinesSink(dir).Overwrite(), weir.Subtask{Index: i, Parallelism: parallelism}, []string{"new"}, 1); err != nil {
				t.Fatal(err)
			}
		}
		if got := readParts(t, Lines(dir), dir); len(got) != parallelism || slices.Contains(got, "old") {
			t.Errorf("overwritten: %q", got)
		}

		dir = first(t)
		for i := range parallelism {
			if err := emit(t, LinesSink(dir).Append(), weir.Subtask{Index: i, Parallelism: parallelism}, []string{"new"}, 1); err != nil {
				t.Fatal(err)
			}
		}
		got := readParts(t, Lines(dir), dir)
		slices.Sort(got)
		if want := append(slices.Repeat([]string{"new"}, parallelism), "old", "older"); !slices.Equal(got, want) {
			t.Errorf("appended: %q, want %q", got, want)
		}
	}
}

// TestLeftovers finds the files of a process that was killed, and of one that is
// alive.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".part-00000-000007.txt.inprogress", ".part-00005-000000.csv.gz.inprogress", ".part-00001-000000.txt.inprogress", ".other", ".part-0-1.txt.inprogress"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("torn"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := emit(t, LinesSink(dir), weir.Subtask{Index: 0, Parallelism: 2}, []string{"x"}, 1); err != nil {
		t.Fatal(err)
	}
	all, _ := names(t, dir)
	if want := []string{".other", ".part-0-1.txt.inprogress", ".part-00001-000000.txt.inprogress", "part-00000-000000.txt"}; !slices.Equal(all, want) {
		t.Errorf("files %q, want %q", all, want)
	}

	dir = t.TempDir()
	w, err := LinesSink(dir).Open(t.Context(), only)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write([]string{"alive"}); err != nil {
		t.Fatal(err)
	}
	err = emit(t, LinesSink(dir).Overwrite(), only, []string{"second"}, 1)
	if err == nil || !strings.Contains(err.Error(), ".part-00000-000000.txt.inprogress is being written by another process") {
		t.Errorf("two jobs at once: %v", err)
	}
	if err := end(w); err != nil {
		t.Fatal(err)
	}
	if got := readParts(t, Lines(dir), dir); !slices.Equal(got, []string{"alive"}) {
		t.Errorf("got %q", got)
	}
}

// TestRollInterval completes a part of its age, with and without further records.
func TestRollInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w, err := LinesSink(dir).RollInterval(time.Minute).Open(t.Context(), only)
		if err != nil {
			t.Fatal(err)
		}
		write := func(line string) {
			t.Helper()
			if err := w.Write([]string{line}); err != nil {
				t.Fatal(err)
			}
		}
		wait := func(d time.Duration) (visible []string) {
			<-time.After(d)
			synctest.Wait()
			_, visible = names(t, dir)
			return visible
		}
		wait(time.Hour)
		write("a")
		if got := wait(59 * time.Second); len(got) > 0 {
			t.Errorf("after 59 s: %q", got)
		}
		write("b")
		if got := wait(2 * time.Second); len(got) != 1 {
			t.Errorf("after 61 s: %q", got)
		}
		write("c")
		if got := wait(time.Hour); len(got) != 2 {
			t.Errorf("after an hour: %q", got)
		}
		write("d")
		if err := w.Close(); err != nil { // the input has not ended: something has failed
			t.Fatal(err)
		}
		wait(time.Hour)
		if got := readParts(t, Lines(dir), dir); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Errorf("got %q", got)
		}
	})
}

// TestRollIntervalFails has the timer meet an error, which whoever calls next is
// told, and only once at the end.
func TestRollIntervalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("input/output error")
		for _, call := range []string{"Write", "Flush", "Finish", "Close"} {
			dir := t.TempDir()
			sink := LinesSink(dir).RollInterval(time.Minute)
			sink.storage = &troubled{rename: broken, log: new([]string)}
			w, err := sink.Open(t.Context(), only)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(w.Write([]string{"a"}), w.Flush()); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Hour)
			switch call {
			case "Write":
				err = w.Write([]string{"b"})
			case "Flush":
				err = w.Flush()
			case "Finish":
				err = w.(weir.Finisher).Finish()
			case "Close":
				err = w.Close()
			}
			if !errors.Is(err, broken) {
				t.Errorf("%s: error %v", call, err)
			}
			if err := w.Close(); err != nil {
				t.Errorf("%s, then Close: %v", call, err)
			}
			if all, _ := names(t, dir); len(all) > 0 {
				t.Errorf("%s: left over: %q", call, all)
			}
		}
	})
}

// troubled is a disk that fails in one place.
type troubled struct {
	disk
	space        int64 // bytes that files may have; 0 is no limit
	sync, rename error
	syncDir      error
	log          *[]string
}

var errFull = errors.New("no space left on device")

func (s *troubled) Create(path string) (partFile, error) {
	f, err := s.disk.Create(path)
	*s.log = append(*s.log, "create "+filepath.Base(path))
	return &troubledFile{f, s}, err
}

func (s *troubled) Rename(from, to string) error {
	*s.log = append(*s.log, "rename "+filepath.Base(to))
	if s.rename != nil {
		return s.rename
	}
	return s.disk.Rename(from, to)
}

func (s *troubled) SyncDir(string) error {
	*s.log = append(*s.log, "sync directory")
	return s.syncDir // a real one takes long, and nobody can tell
}

type troubledFile struct {
	partFile
	disk *troubled
}

func (f *troubledFile) Write(b []byte) (int, error) {
	if f.disk.space == 0 {
		return f.partFile.Write(b)
	}
	if int64(len(b)) < f.disk.space {
		f.disk.space -= int64(len(b))
		return f.partFile.Write(b)
	}
	n, err := f.partFile.Write(b[:f.disk.space-1])
	f.disk.space = 1
	return n, errors.Join(err, errFull)
}

func (f *troubledFile) Sync() error {
	*f.disk.log = append(*f.disk.log, "sync")
	return f.disk.sync
}

// TestDiskFails has the disk full at every byte, and every other step fail once:
// what is visible is whole, and nothing else is left.
func TestDiskFails(t *testing.T) {
	lines := make([]string, 60)
	for i := range lines {
		lines[i] = fmt.Sprintf("line %d of some", i)
	}
	for _, format := range []string{"", "gzip", "zstd"} {
		failed := 0
		for space := int64(1); space < 1400; space += 7 {
			if run(t, &troubled{space: space}, format, lines, errFull) {
				failed++
			}
		}
		if failed < 10 {
			t.Errorf("%q: the disk was full %d times only", format, failed)
		}
		broken := errors.New("input/output error")
		for name, d := range map[string]*troubled{"sync": {sync: broken}, "rename": {rename: broken}, "directory": {syncDir: broken}} {
			if !run(t, d, format, lines, broken) {
				t.Errorf("%s fails and nobody says so", name)
			}
		}
	}
}

// run writes lines to a troubled disk, and reports whether that failed.
func run(t *testing.T, d *troubled, format string, lines []string, cause error) bool {
	t.Helper()
	var log []string
	d.log = &log
	dir := t.TempDir()
	sink := compressedBy(LinesSink(dir).RollSize(300), format)
	sink.storage = d
	err := emit(t, sink, only, lines, 9)
	if err != nil && (!errors.Is(err, cause) || !strings.Contains(err.Error(), dir)) {
		t.Fatalf("error %v", err)
	}
	all, visible := names(t, dir)
	if len(all) > len(visible) {
		t.Fatalf("left over: %q", all)
	}
	got := readParts(t, Lines(dir), dir)
	if !slices.Equal(got, lines[:len(got)]) || err == nil && len(got) != len(lines) {
		t.Fatalf("error %v; visible are %q", err, got)
	}
	return err != nil
}

// TestOrderOnDisk expects a part to be on the disk before it has its name, and its
// name before anything else happens.
func TestOrderOnDisk(t *testing.T) {
	var log []string
	sink := LinesSink(t.TempDir()).RollSize(4)
	sink.storage = &troubled{log: &log}
	if err := emit(t, sink, only, []string{"abc", "d"}, 2); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"create .part-00000-000000.txt.inprogress", "sync", "rename part-00000-000000.txt", "sync directory",
		"create .part-00000-000001.txt.inprogress", "sync", "rename part-00000-000001.txt", "sync directory",
	}
	if !slices.Equal(log, want) {
		t.Errorf("got  %q\nwant %q", log, want)
	}
}

// TestFullDevice writes to a device that is really full.
func TestFullDevice(t *testing.T) {
	dir := t.TempDir()
	sink := LinesSink(dir)
	sink.storage = full{}
	err := emit(t, sink, only, []string{strings.Repeat("x", 100000)}, 1)
	if err == nil || !strings.Contains(err.Error(), "no space left on device") || !strings.Contains(err.Error(), ".part-00000-000000.txt.inprogress at byte 0") {
		t.Errorf("error %v", err)
	}
	if all, _ := names(t, dir); len(all) > 0 {
		t.Errorf("left over: %q", all)
	}
}

// full is a disk whose files are /dev/full.
type full struct{ disk }

func (full) Create(path string) (partFile, error) {
	if err := os.Symlink("/dev/full", path); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY, 0)
}

// TestNameIsTaken does not replace a file that came from elsewhere.
func TestNameIsTaken(t *testing.T) {
	dir := t.TempDir()
	w, err := LinesSink(dir).Open(t.Context(), only)
	if err := errors.Join(err, w.Flush()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "part-00000-000000.txt"), []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write([]string{"ours"}), end(w)); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "part-00000-000000.txt") {
		t.Errorf("error %v", err)
	}
	if all, _ := names(t, dir); len(all) != 1 {
		t.Errorf("left over: %q", all)
	}
	if got := readParts(t, Lines(dir), dir); !slices.Equal(got, []string{"theirs"}) {
		t.Errorf("got %q", got)
	}
}

// TestRecordsThatCannotBeWritten expects each message.
func TestRecordsThatCannotBeWritten(t *testing.T) {
	type timed struct{ At time.Time }
	type texted struct{ S string }
	far := time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"line":      {emit(t, LinesSink(t.TempDir()), only, []string{"a\nb"}, 1), `the record "a\nb" holds a newline`},
		"year":      {emit(t, CSVSink[timed](t.TempDir()), only, []timed{{far}}, 1), "timed.At of type time.Time cannot be written as CSV: "},
		"JSON year": {emit(t, JSONLinesSink[timed](t.TempDir()), only, []timed{{far}}, 1), "year outside of range"},
		"UTF-8":     {emit(t, CSVSink[texted](t.TempDir()), only, []texted{{"\xff"}}, 1), "texted.S of type string cannot be written as CSV: it is not valid UTF-8"},
		"JSON":      {emit(t, JSONLinesSink[string](t.TempDir()), only, []string{"\xff"}, 1), "invalid UTF-8"},
		"channel":   {emit(t, JSONLinesSink[chan int](t.TempDir()), only, []chan int{nil}, 1), "chan int cannot be written as JSON"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) || !strings.Contains(c.err.Error(), "file.") {
			t.Errorf("%s: %v, want %q in it", name, c.err, c.want)
		}
	}
}

// TestWrongSinks reports every mistake at once, and touches nothing.
func TestWrongSinks(t *testing.T) {
	type twice struct {
		A int `csv:"x"`
		B int `csv:"X"`
	}
	for name, c := range map[string]struct {
		sink weir.Sink[twice]
		want []string
	}{
		"columns":  {CSVSink[twice](""), []string{`file.CSVSink[file.twice](""): `, "the directory is empty", `twice.A and twice.B would be columns of the same name: "x" and "X"`}},
		"settings": {JSONLinesSink[twice]("d").RollSize(0).RollInterval(-1).Gzip().Zstd().Append().Overwrite().Delimiter(','), []string{"RollSize(0)", "RollInterval(-1ns)", "Gzip and Zstd", "Append and Overwrite", "Delimiter is for file.CSVSink"}},
	} {
		err := c.sink.(weir.Validator).Validate()
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in\n%v", name, want, err)
			}
		}
		if _, open := c.sink.Open(t.Context(), only); open == nil || open.Error() != err.Error() {
			t.Errorf("%s: Open: %v", name, open)
		}
	}
	if err := CSVSink[pair]("d").Delimiter('"').Validate(); err == nil || !strings.Contains(err.Error(), "file.Delimiter('\"')") {
		t.Errorf("a quote for a delimiter: %v", err)
	}
	if err := CSVSink[int]("d").Validate(); err == nil || !strings.Contains(err.Error(), "structs") {
		t.Errorf("CSVSink[int]: %v", err)
	}
}

func FuzzPartName(f *testing.F) {
	for _, seed := range []string{"part-00001-000002.csv", ".part-00001-000002.csv.gz.inprogress", "part-1-2.csv", "part-00001-+00002.csv", "part-00000--00001.", "part--0001-000002.csv", "part-123456-1234567.txt", "part-00001-000002-abcdefgh-234567yz.csv", ".part-00001-000002-abcdefgh-234567yz.csv.inprogress", "part-00001-000002.csv/x", ".inprogress", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		p, ok := parsePart(name)
		if !ok {
			return
		}
		visible := name
		if !p.complete {
			visible = strings.TrimSuffix(strings.TrimPrefix(name, "."), inProgress)
			if hiddenName(visible) != name {
				t.Fatalf("%q is not the hidden name of %q", name, visible)
			}
		}
		_, extension, _ := strings.Cut(visible, ".")
		if p.subtask < 0 || p.number < 0 || p.name("."+extension) != visible || p.visible(name) != visible || filepath.Base(visible) != visible {
			t.Fatalf("%q is %+v", name, p)
		}
	})
}
