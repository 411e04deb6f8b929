package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir"
)

// check is a test, or one check of a property.
type check interface {
	rapid.TB
	Context() context.Context
}

// drain reads a split from a position to its end, and returns the records and
// the positions before each of them and behind the last.
func drain[T any](tb check, source weir.Source[T], split weir.Split, at []byte) (records []T, positions [][]byte, err error) {
	tb.Helper()
	r, err := source.Open(tb.Context(), split, at)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	}()
	one := make([]T, 1)
	for {
		p, err := r.Position()
		if err != nil {
			return records, positions, err
		}
		positions = append(positions, p)
		n, err := r.Read(one)
		records = append(records, one[:n]...)
		if errors.Is(err, io.EOF) {
			return records, positions, nil
		}
		if err != nil {
			return records, positions, err
		}
	}
}

// anyText draws lines of any length with line ends of any kind.
func anyText(t *rapid.T) string {
	line := rapid.StringOfN(rapid.RuneFrom([]rune("ab \r\",é")), 0, 40, -1)
	var text strings.Builder
	for _, l := range rapid.SliceOfN(line, 0, 30).Draw(t, "lines") {
		text.WriteString(l)
		text.WriteString(rapid.SampledFrom([]string{"\n", "\r\n", "\n\n"}).Draw(t, "end"))
	}
	text.WriteString(rapid.SampledFrom([]string{"", "", "last", "\xc3\xa9\r"}).Draw(t, "rest"))
	return rapid.SampledFrom([]string{"", "", "\xef\xbb\xbf"}).Draw(t, "mark") + text.String()
}

// linesOf is a model of Lines.
func linesOf(text string) []string {
	text = strings.TrimPrefix(text, "\xef\xbb\xbf")
	if text == "" {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	return lines
}

// TestRangesGiveEachLineOnce cuts files at every size of range, and expects from
// the ranges together what the file holds, also after going on from every
// position (F1, F2).
func TestRangesGiveEachLineOnce(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		text := anyText(t)
		path := filepath.Join(dir, "lines.txt")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		source := Lines(path)
		source.settings.buffer = rapid.IntRange(1, 50).Draw(t, "buffer")
		size := rapid.Int64Range(1, int64(len(text))+1).Draw(t, "size")
		var all []string
		for _, cut := range cutFile(found{path: path, size: int64(len(text))}, size) {
			records, positions, err := drain(t, source, cut.split(), nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, at := range positions {
				rest, _, err := drain(t, source, cut.split(), at)
				if err != nil || strings.Join(rest, "\n") != strings.Join(records[i:], "\n") || len(rest) != len(records)-i {
					t.Fatalf("%q from record %d on: %q, %v; want %q", text, i, rest, err, records[i:])
				}
			}
			all = append(all, records...)
		}
		if want := linesOf(text); len(all) != len(want) || strings.Join(all, "\n") != strings.Join(want, "\n") {
			t.Fatalf("%q in ranges of %d bytes: %q", text, size, all)
		}
	})
}

type pair struct {
	N    int64  `csv:"n"`
	Text string `csv:"text"`
}

// TestRangesOfCSV cuts a file through its header, its records and its end.
func TestRangesOfCSV(t *testing.T) {
	var text strings.Builder
	text.WriteString("\xef\xbb\xbfn,text\r\n")
	var want []pair
	for i := range int64(50) {
		p := pair{i, strings.Repeat(`x"`, int(i%7))}
		fmt.Fprintf(&text, "%d,\"%s\"\n%s", p.N, strings.ReplaceAll(p.Text, `"`, `""`), strings.Repeat("\n", int(i%3)))
		want = append(want, p)
	}
	path := write(t, "pairs.csv", text.String())
	size := int64(text.Len())
	for least := int64(1); least <= size; least++ {
		var all []pair
		for _, cut := range cutFile(found{path: path, size: size}, least) {
			records, _, err := drain(t, CSV[pair](path, OneLinePerRecord()), cut.split(), nil)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, records...)
		}
		if !reflect.DeepEqual(all, want) {
			t.Fatalf("in ranges of %d bytes: %v", least, all)
		}
	}
}

// TestQuotedNewlinesAreNotCut keeps a file whole that may hold them, and finds out
// a promise that is not kept.
func TestQuotedNewlinesAreNotCut(t *testing.T) {
	record := "1,\"two\nlines\"\n"
	path := write(t, "pairs.csv", "n,text\n"+strings.Repeat(record, 200000))
	splits, err := CSV[pair](path, SplitSize(leastSplit)).Splits(t.Context(), 4)
	if err != nil || len(splits) != 1 {
		t.Fatalf("%d splits, %v", len(splits), err)
	}
	promised := CSV[pair](path, SplitSize(leastSplit), OneLinePerRecord())
	splits, err = promised.Splits(t.Context(), 4)
	if err != nil || len(splits) != 2 {
		t.Fatalf("%d splits, %v", len(splits), err)
	}
	for _, split := range splits {
		_, _, err := drain(t, promised, split, nil)
		if err == nil || !strings.Contains(err.Error(), errUnclosed.Error()) && !strings.Contains(err.Error(), errBareQuote.Error()) && !strings.Contains(err.Error(), "nothing for column") {
			t.Errorf("%s: %v", split.ID, err)
		}
	}
}

// TestSplitsAreCut says which files become ranges.
func TestSplitsAreCut(t *testing.T) {
	text := strings.Repeat("a line of text\n", 300000)
	plain, packed := write(t, "a.txt", text), write(t, "a.txt.gz", compress(t, text))
	for _, c := range []struct {
		path        string
		parallelism int
		size        int64
		want        int
	}{
		{plain, 2, leastSplit, 4},
		{plain, 2, leastSplit * 2, 2},
		{plain, 1, leastSplit, 1},
		{plain, 2, 32 << 20, 1},
		{packed, 2, leastSplit, 1},
	} {
		splits, err := Lines(c.path, SplitSize(c.size)).Splits(t.Context(), c.parallelism)
		if err != nil || len(splits) != c.want {
			t.Errorf("%s at %d: %v, %v; want %d splits", c.path, c.size, splits, err, c.want)
		}
		if c.want == 1 && splits[0].ID != c.path {
			t.Errorf("split %+v", splits[0])
		}
		ids := map[string]bool{}
		for _, s := range splits {
			ids[s.ID] = true
		}
		if len(ids) != len(splits) {
			t.Errorf("IDs %v", ids)
		}
	}
	if cuts := cutFile(found{path: "x", size: 1 << 60}, 1<<20); len(cuts) != mostRanges || cuts[1].begin != cuts[0].end {
		t.Errorf("%d ranges", len(cuts))
	}
}

// TestLinesOfRanges expects the line of the whole file in the message of a range,
// and in the ranges' progress the size of the file.
func TestLinesOfRanges(t *testing.T) {
	text := strings.Repeat("{\"n\":1}\n\n", 100) + strings.Repeat("{\"n\":x}\n", 5) + strings.Repeat("{\"n\":1}\n", 100)
	path := write(t, "a.jsonl", text)
	bad := 0
	var done, total uint64
	for _, cut := range cutFile(found{path: path, size: int64(len(text))}, 64) {
		opened, err := JSONLines[map[string]int](path).Rejected().Open(t.Context(), cut.split(), nil)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]Result[map[string]int], 1000)
		n, err := opened.Read(values)
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		for _, v := range values[:n] {
			if v.OK() {
				continue
			}
			// The first of a range counts lines, the others know them.
			bad++
			if v.Bad.Line != (v.Bad.Offset-900)/8+201 || v.Bad.Offset < 900 || v.Bad.Text != `{"n":x}` || v.Bad.File != path {
				t.Errorf("%+v", v.Bad)
			}
		}
		d, all := opened.(weir.Progresser).Progress()
		done, total = done+d, total+all
		if err := opened.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if bad != 5 || done != uint64(len(text)) || total != done {
		t.Errorf("%d bad records; progress %d of %d, the file has %d bytes", bad, done, total, len(text))
	}
}

// TestRangesOfAnotherFile refuses a file that is not the one that was cut.
func TestRangesOfAnotherFile(t *testing.T) {
	path := write(t, "a.txt", "one\ntwo\nthree\n")
	cut := cutFile(found{path: path, size: 14}, 7)[1]
	early := position{offset: 4, line: 2}.encode()
	if _, _, err := drain(t, Lines(path), cut.split(), early); !errors.Is(err, errChanged) {
		t.Errorf("a position of another range: %v", err)
	}
	if err := os.Truncate(path, 10); err != nil {
		t.Fatal(err)
	}
	if _, _, err := drain(t, Lines(path), cut.split(), nil); !errors.Is(err, errShrank) || !strings.Contains(err.Error(), path+": ") || !strings.Contains(err.Error(), "14 bytes when the job began and has 10 now") {
		t.Errorf("shrunk: %v", err)
	}
	if err := os.WriteFile(path, []byte(compress(t, "one\ntwo\nthree\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := drain(t, Lines(path), cut.split(), nil); !errors.Is(err, errChanged) {
		t.Errorf("compressed: %v", err)
	}
	if _, _, err := drain(t, Lines(path), weir.Split{ID: "x", Data: []byte("what?")}, nil); err == nil || !strings.Contains(err.Error(), "not a range of a file") {
		t.Errorf("garbage: %v", err)
	}
}

func FuzzRange(f *testing.F) {
	f.Add([]byte{})
	f.Add(cutFile(found{path: "/a", size: 100}, 10)[3].split().Data)
	f.Add(cutFile(found{path: "/a", size: 100}, 10)[9].split().Data)
	f.Add([]byte{rangeVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 1, 1, 'x'})
	f.Fuzz(func(t *testing.T, data []byte) {
		cut, err := decodeRange(weir.Split{ID: "x", Data: data})
		if err != nil {
			return
		}
		if cut.begin < 0 || cut.begin >= cut.end || cut.path == "" {
			t.Fatalf("%x is %+v", data, cut)
		}
		if again, err := decodeRange(cut.split()); err != nil || again.begin != cut.begin || again.end != cut.end || again.path != cut.path {
			t.Fatalf("%+v comes back as %+v, %v", cut, again, err)
		}
	})
}
