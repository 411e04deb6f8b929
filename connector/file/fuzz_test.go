package file

import (
	"bytes"
	"encoding/json/v2"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// resultsOf reads all ranges of a file, and returns the records and the bad ones
// as text, with their places.
func resultsOf[T any](t *testing.T, source Source[T], path string, least int64) (results []string, err error) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, cut := range cutFile(found{path: path, size: info.Size()}, least) {
		part, _, err := drain(t, source.Rejected(), cut.split(), nil)
		if err != nil {
			return results, err
		}
		for _, r := range part {
			if r.OK() {
				results = append(results, fmt.Sprintf("record %v", r.Record))
			} else {
				results = append(results, fmt.Sprintf("bad line %d byte %d: %q", r.Bad.Line, r.Bad.Offset, r.Bad.Text))
			}
		}
	}
	return results, nil
}

// mostFuzzed keeps the number of ranges small, each of which opens the file.
const mostFuzzed = 300

// plain reports whether a file's content is taken for text that is read as it is.
func plain(content []byte) bool {
	for _, magic := range []string{"\x1f\x8b", "\xff\xfe", "\xfe\xff", "\xef\xbb\xbf\xff\xfe", "\xef\xbb\xbf\xfe\xff"} {
		if bytes.HasPrefix(content, []byte(magic)) {
			return false
		}
	}
	return !isZstd(content[:min(4, len(content))])
}

// modelLines is a model of how lines are cut: each line with its offset, without
// its line end, and whether it is within the limit.
func modelLines(content []byte, limit int, each func(line []byte, number, offset int, fits bool)) {
	offset := 0
	if rest, ok := bytes.CutPrefix(content, []byte("\xef\xbb\xbf")); ok {
		content, offset = rest, 3
	}
	for number := 1; len(content) > 0; number++ {
		line, rest, _ := bytes.Cut(content, []byte("\n"))
		each(bytes.TrimSuffix(line, []byte("\r")), number, offset, len(line) <= limit)
		offset += len(content) - len(rest)
		content = rest
	}
}

func badText(number, offset int, text []byte) string {
	return fmt.Sprintf("bad line %d byte %d: %q", number, offset, string(text))
}

func seedLines(f *testing.F) {
	f.Helper()
	for _, seed := range []string{
		"", "\n", "a", "a\nb\n", "a\r\n\r\nb\r", "\xef\xbb\xbfa\n\xffb\nc", strings.Repeat("long ", 20) + "\nshort\n" + strings.Repeat("x", 50),
		"1\n{\"a\":[null]}\n \t\n\"\\ud800\"\nbad\n\"\xff\"\n{}", "[1,\n2]\n", "n,text\n1,a\n2,\"b\nc\"\n3,x\"\n4,\"\"\"\"\n,,\n", "\"n\",text\r\n1,\xff\r\n\r\n2,b",
	} {
		f.Add([]byte(seed), uint8(3), uint8(4), uint8(200))
		f.Add([]byte(seed), uint8(1), uint8(1), uint8(10))
	}
}

// FuzzLines compares the lines of ranges of any size, through buffers of any size,
// with a model.
func FuzzLines(f *testing.F) {
	seedLines(f)
	f.Fuzz(func(t *testing.T, content []byte, least, buffer, limit uint8) {
		if !plain(content) || len(content) > mostFuzzed {
			return
		}
		path := fuzzed(t, content)
		source := Lines(path, MaxRecordSize(1+int(limit)))
		source.settings.buffer = 1 + int(buffer)
		got, err := resultsOf(t, source, path, 1+int64(least))
		var want []string
		modelLines(content, 1+int(limit), func(line []byte, number, offset int, fits bool) {
			if fits && utf8.Valid(line) {
				want = append(want, "record "+string(line))
			} else {
				want = append(want, badText(number, offset, line))
			}
		})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q: got\n%q, %v, want\n%q", content, got, err, want)
		}
	})
}

// FuzzJSONLines does so with JSON, of which package json says what a line is.
func FuzzJSONLines(f *testing.F) {
	seedLines(f)
	f.Fuzz(func(t *testing.T, content []byte, least, buffer, limit uint8) {
		if !plain(content) || len(content) > mostFuzzed {
			return
		}
		path := fuzzed(t, content)
		source := JSONLines[any](path, MaxRecordSize(1+int(limit)))
		source.settings.buffer = 1 + int(buffer)
		got, err := resultsOf(t, source, path, 1+int64(least))
		var want []string
		modelLines(content, 1+int(limit), func(line []byte, number, offset int, fits bool) {
			var value any
			switch {
			case fits && len(bytes.Trim(line, " \t\r")) == 0:
			case fits && json.Unmarshal(line, &value, jsonText) == nil:
				want = append(want, fmt.Sprintf("record %v", value))
			default:
				want = append(want, badText(number, offset, line))
			}
		})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q: got\n%q, %v, want\n%q", content, got, err, want)
		}
	})
}

// FuzzCSVRanges compares what the ranges of a file hold with what the whole does.
func FuzzCSVRanges(f *testing.F) {
	seedLines(f)
	f.Fuzz(func(t *testing.T, content []byte, least, buffer, limit uint8) {
		if !plain(content) || len(content) > mostFuzzed {
			return
		}
		path := fuzzed(t, append([]byte("n,text\n"), content...))
		source := CSV[pair](path, OneLinePerRecord(), MaxRecordSize(6+int(limit)))
		source.settings.buffer = 1 + int(buffer)
		got, err := resultsOf(t, source, path, 1+int64(least))
		want, wantErr := resultsOf(t, source, path, 1<<30)
		if err != nil || wantErr != nil || !slices.Equal(got, want) {
			t.Fatalf("%q: got\n%q, %v, want\n%q, %v", content, got, err, want, wantErr)
		}
	})
}

// FuzzCompressed reads anything as a compressed file: it ends, with lines or an
// error that names the file.
func FuzzCompressed(f *testing.F) {
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00\xa0\x00\x00"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00\x19\x00\x00abc\x00\x00\x00\x00"))
	f.Add([]byte("\x50\x2a\x4d\x18\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, content []byte) {
		path := fuzzed(t, content)
		source := Lines(path, MaxRecordSize(1<<10), CountBadRecords())
		logged(t)
		if _, err := readAll(t, source, path, nil, 100); err != nil && !strings.Contains(err.Error(), path) {
			t.Fatalf("%x: %v", content, err)
		}
	})
}

// fuzzed writes a file.
func fuzzed(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fuzzed")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
