package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/weirstream/weir"
)

// packed compresses with zstd, each member as a frame.
func packed(tb testing.TB, members ...string) string {
	tb.Helper()
	var b bytes.Buffer
	for _, member := range members {
		z, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(z, member); err != nil {
			tb.Fatal(err)
		}
		if err := z.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	return b.String()
}

// logged sends what the package logs to the returned buffer until the test ends.
func logged(t *testing.T) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&b, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &b
}

type inner struct {
	Depth float64 `json:"depth"`
}

type quake struct {
	ID   string    `json:"id"`
	Mag  float32   `json:"mag"`
	Time time.Time `json:"time"`
	Note string    `json:"note,omitempty"`
	inner
	Deeper *inner `json:"deeper,omitzero"`
}

const goodQuake = `{"id":"a","mag":1.5,"time":"2018-01-31T02:21:31Z"}`

// TestBadJSON expects the message of each bad line, and with it that it is skipped
// alone.
func TestBadJSON(t *testing.T) {
	for _, c := range []struct {
		name, line, want string
		options          []Option
	}{
		{"not JSON", "what?", "invalid character 'w'", nil},
		{"cut off", goodQuake[:20], "unexpected EOF", nil},
		{"two values", goodQuake + goodQuake, "after top-level value", nil},
		{"no object", `[1]`, "unmarshal JSON array into Go file.quake", nil},
		{"null", ` null`, "it is null and not an object", nil},
		{"wrong type", `{"mag":"x"}`, `unmarshal JSON string into Go float32 within "/mag"`, nil},
		{"too large", `{"mag":1e39}`, "value out of range", nil},
		{"invalid UTF-8", "{\"id\":\"\xff\"}", `invalid UTF-8 within "/id"`, nil},
		{"invalid UTF-8 in an ignored member", "{\"x\":\"\xff\"}", `invalid UTF-8 within "/x"`, nil},
		{"half a surrogate pair", `{"id":"\ud800"}`, "invalid surrogate pair", nil},
		{"a time out of range", `{"time":"12018-01-31T02:21:31Z"}`, `within "/time": parsing time "12018-01-31T02:21:31Z"`, nil},
		{"no time", `{"time":1517365391235}`, `within "/time"`, nil},
		{"unknown", `{"id":"a","magType":"ml"}`, `unknown object member name "magType"`, []Option{RejectUnknownFields()}},
		{"missing", `{"ID":"a","mag":1}`, `the object has no "time", "depth", and file.RequireFields is set`, []Option{RequireFields()}},
		{"overlong", `{"id":"` + strings.Repeat("x", 300) + `"}`, "exceeds file.MaxRecordSize of 200 bytes", []Option{MaxRecordSize(200)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			good := goodQuake
			if c.name == "missing" {
				good = `{"id":"a","mag":1.5,"time":"2018-01-31T02:21:31Z","\u0064epth":0}`
			}
			path := write(t, "quakes.jsonl", good+"\n\n"+c.line+"\r\n"+good)
			for _, at := range []string{path, write(t, "quakes.jsonl.zst", packed(t, good+"\n\n"+c.line[:3], c.line[3:]+"\r\n"+good))} {
				source := JSONLines[quake](at, c.options...)
				records, _, err := drain(t, source, weir.Split{ID: at}, nil)
				if err == nil || !strings.Contains(err.Error(), at+":3: ") || !strings.Contains(err.Error(), c.want) || len(records) != 1 {
					t.Fatalf("%d records, error %v, want %q in it", len(records), err, c.want)
				}
				results, positions, err := drain(t, source.Rejected(), weir.Split{ID: at}, nil)
				if err != nil || len(results) != 3 || !results[0].OK() || results[1].OK() || !results[2].OK() {
					t.Fatalf("%+v, %v", results, err)
				}
				want := BadRecord{File: at, Line: 3, Offset: int64(len(good)) + 2, Text: c.line, Reason: results[1].Bad.Reason}
				if *results[1].Bad != want || !strings.Contains(want.Reason, c.want) {
					t.Errorf("got %+v, want %+v", results[1].Bad, want)
				}
				for i, from := range positions {
					rest, _, err := drain(t, source.Rejected(), weir.Split{ID: at}, from)
					if err != nil || len(rest) != 3-min(i, 3) || len(rest) > 0 && !reflect.DeepEqual(rest, results[i:]) {
						t.Errorf("from %d on: %+v, %v", i, rest, err)
					}
				}
			}
		})
	}
}

// TestGoodJSON reads what encoding/json does, too.
func TestGoodJSON(t *testing.T) {
	path := write(t, "a.jsonl", "\xef\xbb\xbf {\"Id\":\"\\u00e9\\ud83d\\ude00\",\"MAG\":2,\"x\":{\"y\":[null]},\"deeper\":{\"depth\":3}} \r\n\t\n{}\n{\"mag\":1,\"mag\":4}")
	got, _, err := drain(t, JSONLines[quake](path), weir.Split{ID: path}, nil)
	want := []quake{{ID: "é😀", Mag: 2, Deeper: &inner{3}}, {}, {Mag: 4}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	path = write(t, "b.jsonl", "1\nnull\n\"x\"\n")
	values, _, err := drain(t, JSONLines[*any](path), weir.Split{ID: path}, nil)
	if err != nil || len(values) != 3 || values[1] != nil {
		t.Errorf("got %v, %v", values, err)
	}
}

// TestBadCSVIsSkippedByLine leaves out what is wrong and nothing else.
func TestBadCSVIsSkippedByLine(t *testing.T) {
	path := write(t, "pairs.csv", "n,text\n1,a\n2,\"open\n3,b\n4,x\"y\"\n5,\"two\nlines\"\nx,\"bad\nnumber\"\n7,c,d\n8,\xff\n\n9,e\n10,\"")
	results, _, err := drain(t, CSV[pair](path).Rejected(), weir.Split{ID: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range results {
		if r.OK() {
			got = append(got, fmt.Sprintf("%d %q", r.Record.N, r.Record.Text))
			continue
		}
		got = append(got, fmt.Sprintf("line %d, byte %d: %q", r.Bad.Line, r.Bad.Offset, r.Bad.Text))
	}
	want := []string{
		`1 "a"`, `line 3, byte 11: "2,\"open"`, `3 "b"`, `line 5, byte 23: "4,x\"y\""`, `5 "two\nlines"`,
		`line 8, byte 44: "x,\"bad\nnumber\""`, `line 10, byte 59: "7,c,d"`, `line 11, byte 65: "8,\xff"`, `9 "e"`, `line 14, byte 74: "10,\""`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !strings.Contains(results[1].Bad.Error(), path+":3: column 2 (text)") {
		t.Errorf("error %v", results[1].Bad)
	}
}

// TestCountBadRecords counts them, and logs the first and a total.
func TestCountBadRecords(t *testing.T) {
	log := logged(t)
	source := JSONLines[quake]("x", CountBadRecords())
	path := write(t, "a.jsonl", strings.Repeat("bad\n", 7)+goodQuake+"\n"+strings.Repeat("bad\n", 2*mostSkipped)+goodQuake+"\nbad")
	got, err := readAll(t, source, path, nil, 10)
	if err != nil || len(got) != 2 || source.BadRecords() != 2*mostSkipped+8 {
		t.Errorf("%d records, %d bad, %v", len(got), source.BadRecords(), err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != mostLogged+1 || !strings.Contains(lines[0], path+":1: ") || !strings.Contains(lines[4], path+":5: ") ||
		!strings.Contains(lines[5], "records=2008 logged=5") || !strings.Contains(lines[5], path) {
		t.Errorf("logged:\n%s", log)
	}

	// A file without any record but bad ones does not hold its task.
	path = write(t, "b.jsonl", strings.Repeat("bad\n", 3*mostSkipped))
	r, err := source.Open(t.Context(), weir.Split{ID: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := r.Read(make([]quake, 10)); n != 0 || err != nil {
		t.Errorf("the first Read: %d, %v", n, err)
	}
	<-r.(weir.Notifier).Ready()
}

// TestCheck has the job decide what a bad record is.
func TestCheck(t *testing.T) {
	path := write(t, "a.csv", "n,text\n1,a\n-1,b\n2,c\n")
	source := CSV[pair](path).Check(func(p *pair) error {
		if p.N < 0 {
			return fmt.Errorf("n is %d", p.N)
		}
		return nil
	})
	got, _, err := drain(t, source, weir.Split{ID: path}, nil)
	if len(got) != 1 || err == nil || err.Error() != path+":3: n is -1" {
		t.Errorf("%v, %v", got, err)
	}
	if err := CSV[pair]("x").Check(nil).Validate(); err == nil {
		t.Error("a nil function passes")
	}
}

// TestLines reads lines as a model does, and refuses what is no text.
func TestLinesAreText(t *testing.T) {
	path := write(t, "a.txt", "\xef\xbb\xbfone\n\ntwo\r\n\xff\xfe\nlast\r")
	results, _, err := drain(t, Lines(path).Rejected(), weir.Split{ID: path}, nil)
	if err != nil || len(results) != 5 || results[3].OK() || results[3].Bad.Line != 4 || results[3].Bad.Reason != "it is not valid UTF-8" || results[4].Record != "last" {
		t.Errorf("%+v, %v", results, err)
	}
	long := write(t, "b.txt", strings.Repeat("x", 100)+"\n"+strings.Repeat("y", 101)+"\n"+strings.Repeat("z", 300000)+"\nend")
	results, _, err = drain(t, Lines(long, MaxRecordSize(100)).Rejected(), weir.Split{ID: long}, nil)
	if err != nil || len(results) != 4 || results[1].OK() || results[2].OK() || results[2].Bad.Line != 3 || len(results[2].Bad.Text) != maxBadText || results[3].Record != "end" {
		t.Errorf("%d results, %v", len(results), err)
	}
}

// fakeSystem is the machine's, but for what a test changes.
type fakeSystem struct {
	machine
	open    func(path string) (handle, error)
	readDir func(path string) ([]fs.DirEntry, error)
}

func (f fakeSystem) Open(path string) (handle, error) {
	if f.open != nil {
		return f.open(path)
	}
	return f.machine.Open(path)
}

func (f fakeSystem) ReadDir(path string) ([]fs.DirEntry, error) {
	if f.readDir != nil {
		return f.readDir(path)
	}
	return f.machine.ReadDir(path)
}

// brokenHandle fails at an offset.
type brokenHandle struct {
	handle
	after int
	err   error
}

func (b *brokenHandle) Read(p []byte) (int, error) {
	if b.after == 0 {
		return 0, b.err
	}
	n, err := b.handle.Read(p[:min(len(p), b.after)])
	b.after -= n
	return n, err
}

// TestFileFailsWhileItIsRead has a file shrink, vanish and break, plain and
// compressed: the records before that are read, and the error says where it was.
func TestFileFailsWhileItIsRead(t *testing.T) {
	text := strings.Repeat(goodQuake+"\n", 3000)
	for _, file := range []string{write(t, "a.jsonl", text), write(t, "a.jsonl.gz", compress(t, text)), write(t, "a.jsonl.zst", packed(t, text))} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]struct {
			err  error
			is   error
			want string
		}{
			"shrinks":  {io.EOF, errShrank, fmt.Sprintf("it had %d bytes when it was opened and ends at byte %d now", info.Size(), info.Size()/2)},
			"vanishes": {syscall.ESTALE, errVanished, fmt.Sprintf("at byte %d of %d", info.Size()/2, info.Size())},
			"breaks":   {syscall.EIO, syscall.EIO, fmt.Sprintf("at byte %d of %d", info.Size()/2, info.Size())},
		} {
			source := JSONLines[quake](file)
			source.settings.system = fakeSystem{open: func(path string) (handle, error) {
				h, err := machine{}.Open(path)
				return &brokenHandle{h, int(info.Size() / 2), c.err}, err
			}}
			got, _, err := drain(t, source, weir.Split{ID: file}, nil)
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), file+": ") || !strings.Contains(err.Error(), c.want) || len(got) >= 3000 {
				t.Errorf("%s %s: %d records, error %v, want %q", filepath.Base(file), name, len(got), err, c.want)
			}
		}
	}
}

// TestFileReallyShrinks truncates a file under its reader.
func TestFileReallyShrinks(t *testing.T) {
	path := write(t, "a.txt", strings.Repeat("a line\n", 100000))
	r, err := Lines(path).Open(t.Context(), weir.Split{ID: path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := r.Read(make([]string, 10)); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	if err := os.Truncate(path, 300000); err != nil {
		t.Fatal(err)
	}
	total := 10
	for err == nil {
		var n int
		n, err = r.Read(make([]string, 1000))
		total += n
	}
	if !errors.Is(err, errShrank) || !strings.Contains(err.Error(), "it had 700000 bytes when it was opened and ends at byte 300000 now") || total != 300000/7 {
		t.Errorf("%d lines, %v", total, err)
	}
}

// TestNoPermission refuses files and directories that may not be read.
func TestNoPermission(t *testing.T) {
	root := tree(t, "in/a.txt", "in/deep/b.txt")
	denied := func(path string) error { return &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES} }
	for _, pattern := range []string{root + "/in", root + "/in/*/b.txt", root + "/**/b.txt", root + "/**"} {
		source := Lines(pattern)
		source.settings.system = fakeSystem{readDir: func(path string) ([]fs.DirEntry, error) {
			if strings.HasSuffix(strings.TrimRight(path, "/"), "deep") || strings.HasSuffix(pattern, "b.txt") && strings.HasSuffix(path, "in/") {
				return nil, denied(path)
			}
			return machine{}.ReadDir(path)
		}}
		for _, source := range []Source[string]{source, source.Watch(time.Second)} {
			splits, err := source.Splits(t.Context(), 1)
			if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), pattern) {
				t.Errorf("%s: %v, %v", pattern, splits, err)
			}
		}
	}
	source := Lines(root + "/in/a.txt")
	source.settings.system = fakeSystem{open: func(path string) (handle, error) { return nil, denied(path) }}
	if _, err := source.Open(t.Context(), weir.Split{ID: root + "/in/a.txt"}, nil); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "a.txt") {
		t.Errorf("a file: %v", err)
	}
}

// TestDeepGlobs expands ** and several patterns.
func TestDeepGlobs(t *testing.T) {
	root := tree(t, "a.txt", "x/a.txt", "x/y/a.txt", "x/y/b.csv", "x/.git/a.txt", "x/_tmp/a.txt", ".a.txt", "z.txt/c.txt")
	for _, c := range []struct{ pattern, want string }{
		{"**/a.txt", "a.txt x/a.txt x/y/a.txt"},
		{"x/**/a.txt", "x/a.txt x/y/a.txt"},
		{"**/y/*", "x/y/a.txt x/y/b.csv"},
		{"x/**", "x/a.txt x/y/a.txt x/y/b.csv"},
		{"**", "a.txt x/a.txt x/y/a.txt x/y/b.csv z.txt/c.txt"},
		{"**/**/b.*", "x/y/b.csv"},
		{"**/*.txt", "a.txt x/a.txt x/y/a.txt z.txt/c.txt"},
	} {
		t.Run(c.pattern, func(t *testing.T) {
			t.Chdir(root)
			var got []string
			splits, err := Lines(c.pattern).Splits(t.Context(), 1)
			for _, s := range splits {
				got = append(got, s.ID)
			}
			if err != nil || strings.Join(got, " ") != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
	splits, err := Lines(root+"/x/*.txt", Also(root+"/a.txt", root+"/x/a*")).Splits(t.Context(), 1)
	if err != nil || len(splits) != 2 || splits[0].ID != root+"/a.txt" {
		t.Errorf("several: %v, %v", splits, err)
	}
	_, err = Lines(root+"/a.txt", Also(root+"/none/**/*.txt")).Splits(t.Context(), 1)
	if err == nil || !strings.Contains(err.Error(), "file.Lines(\""+root+"/none/**/*.txt\"): it matches no file on ") {
		t.Errorf("one of several matches nothing: %v", err)
	}
}

// TestZstdForms reads frames, skippable ones among them, and refuses what is cut
// off or damaged.
func TestZstdForms(t *testing.T) {
	skippable := "\x53\x2a\x4d\x18\x03\x00\x00\x00abc"
	whole := packed(t, "one\ntw", "o\n")
	boundary := len(packed(t, "one\ntw"))
	for name, content := range map[string]string{"a.zst": whole, "a.txt": skippable + whole, "a.ZSTD": packed(t, "one\n") + skippable + packed(t, "two\n")} {
		path := write(t, name, content)
		if got, _, err := drain(t, Lines(path), weir.Split{ID: path}, nil); err != nil || !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for size := range len(whole) {
		if size == boundary {
			continue // there it looks complete
		}
		path := write(t, "a.zst", whole[:size])
		if _, _, err := drain(t, Lines(path), weir.Split{ID: path}, nil); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), path+": ") || !strings.Contains(err.Error(), "zstd data is truncated") {
			t.Errorf("cut at byte %d of %d: %v", size, len(whole), err)
		}
	}
	damaged := []byte(whole)
	damaged[boundary-1] ^= 1 // the checksum
	for name, c := range map[string]struct{ content, want string }{
		"damaged":  {string(damaged), "the zstd data is damaged"},
		"garbage":  {whole + "garbage behind", "not zstd data"},
		"not zstd": {"plain text\n", "not zstd data"},
		"window":   {"\x28\xb5\x2f\xfd\x00\xa0" + strings.Repeat("\x00", 20), "needs a window of more than"},
	} {
		path := write(t, "a.zst", c.content)
		if _, _, err := drain(t, Lines(path), weir.Split{ID: path}, nil); err == nil || !strings.Contains(err.Error(), path+": ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOptionsOfOtherFormats are mistakes.
func TestOptionsOfOtherFormats(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{Lines("x", Delimiter(';')).Validate(), "file.Delimiter is no option of file.Lines"},
		{JSONLines[quake]("x", OneLinePerRecord()).Validate(), "file.OneLinePerRecord is no option of file.JSONLines"},
		{CSV[pair]("x", RequireFields()).Validate(), "file.RequireFields is no option of file.CSV"},
		{Lines("x", SplitSize(1)).Validate(), "file.SplitSize(1): it is at least 1048576"},
		{Lines("x").Watch(0).Validate(), "Watch(0s)"},
		{Lines("x", Also("")).Validate(), "the pattern is empty"},
		{JSONLines[int]("x", RequireFields()).Validate(), "file.RequireFields is for a struct"},
		{JSONLines[time.Time]("x", RequireFields()).Validate(), "which time.Time is not"},
		{Lines("x", CountBadRecords()).Rejected().(weir.Validator).Validate(), "CountBadRecords and Rejected"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("got %v, want %q", c.err, c.want)
		}
	}
	path := write(t, "a.csv", "n,text,more\n1,a,b\n")
	if _, _, err := drain(t, CSV[pair](path, RejectUnknownFields()), weir.Split{ID: path}, nil); err == nil || !strings.Contains(err.Error(), path+": file.pair has no field for column 3 (more)") {
		t.Errorf("an unknown column: %v", err)
	}
}

// TestCountingLinesEndsWithTheTask cancels a range that has to count lines.
func TestCountingLinesEndsWithTheTask(t *testing.T) {
	path := write(t, "a.jsonl", "1\n2\nbad\n")
	ctx, cancel := context.WithCancel(t.Context())
	r, err := JSONLines[int](path).Open(ctx, cutFile(found{path: path, size: 8}, 4)[1].split(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	if _, err := r.Read(make([]int, 1)); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "at byte 4") {
		t.Errorf("error %v", err)
	}
}
