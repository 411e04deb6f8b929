package file

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
)

// departure is a record of nyc-departures-2013.csv.gz, every column of it.
type departure struct {
	Departed  time.Time `csv:"dep_utc"`
	ID        int64     `csv:"id"`
	Scheduled time.Time `csv:"sched_utc"`
	Origin    string    `csv:"origin"`
	Dest      string    `csv:"dest"`
	Carrier   string    `csv:"carrier"`
	Flight    int32     `csv:"flight"`
	Tail      string    `csv:"tailnum"`
	Delay     int32     `csv:"dep_delay_min"`
	Distance  int32     `csv:"distance_mi"`
}

// plainCopy decompresses a file of real data, n times over, leaving out the header
// of every copy but the first.
func plainCopy(b *testing.B, name string, n int, header bool) string {
	b.Helper()
	content := decompress(b, testdata(b, name))
	body := content
	if header {
		body = content[bytes.IndexByte(content, '\n')+1:]
	}
	path := filepath.Join(b.TempDir(), strings.TrimSuffix(name, ".gz"))
	if err := os.WriteFile(path, slices.Concat(content, bytes.Repeat(body, n-1)), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkCSV reads the flights of New York, all columns of them, from a plain
// and from a compressed file.
func BenchmarkCSV(b *testing.B) {
	plain := plainCopy(b, "nyc-departures-2013.csv.gz", 1, true)
	b.Run("plain", func(b *testing.B) { benchmarkRead(b, CSV[departure](plain), plain) })
	b.Run("lines", func(b *testing.B) { benchmarkRead(b, CSV[departure](plain, OneLinePerRecord()), plain) })
	gz := testdata(b, "nyc-departures-2013.csv.gz")
	b.Run("gzip", func(b *testing.B) { benchmarkRead(b, CSV[departure](gz), gz) })
	zst := filepath.Join(b.TempDir(), "departures.csv.zst")
	if err := os.WriteFile(zst, []byte(packed(b, string(decompress(b, gz)))), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("zstd", func(b *testing.B) { benchmarkRead(b, CSV[departure](zst), zst) })
	b.Run("rejected", func(b *testing.B) { benchmarkRead(b, CSV[departure](plain).Rejected(), plain) })
	b.Run("encoding-csv", func(b *testing.B) { benchmarkEncodingCSV(b, plain) })
}

// edit is a record of wiki-edits-2015-09-12.jsonl.gz, a third of its members.
type edit struct {
	Time    time.Time `json:"time"`
	Channel string    `json:"channel"`
	User    string    `json:"user"`
	Robot   bool      `json:"isRobot"`
	Delta   int64     `json:"delta"`
}

// BenchmarkJSONLines reads the edits of Wikipedia.
func BenchmarkJSONLines(b *testing.B) {
	plain := plainCopy(b, "wiki-edits-2015-09-12.jsonl.gz", 1, false)
	b.Run("plain", func(b *testing.B) { benchmarkRead(b, JSONLines[edit](plain), plain) })
	b.Run("require", func(b *testing.B) { benchmarkRead(b, JSONLines[edit](plain, RequireFields()), plain) })
	gz := testdata(b, "wiki-edits-2015-09-12.jsonl.gz")
	b.Run("gzip", func(b *testing.B) { benchmarkRead(b, JSONLines[edit](gz), gz) })
}

// BenchmarkLines reads them as lines.
func BenchmarkLines(b *testing.B) {
	plain := plainCopy(b, "wiki-edits-2015-09-12.jsonl.gz", 10, false)
	b.Run("plain", func(b *testing.B) { benchmarkRead(b, Lines(plain), plain) })
}

// benchmarkRead reads a file as often as it can.
func benchmarkRead[T any](b *testing.B, source weir.Source[T], path string) {
	b.ReportAllocs()
	values := make([]T, 1024)
	rows := 0
	for b.Loop() {
		r, err := source.Open(b.Context(), weir.Split{ID: path}, nil)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			var n int
			n, err = r.Read(values)
			rows += n
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkSinks writes the same flights with each sink.
func BenchmarkSinks(b *testing.B) {
	path := testdata(b, "nyc-departures-2013.csv.gz")
	flights, err := readAll(b, CSV[departure](path), path, nil, 1024)
	if err != nil {
		b.Fatal(err)
	}
	lines := make([]string, len(flights))
	for i, f := range flights {
		lines[i] = f.Origin + " " + f.Dest + " " + f.Tail
	}
	b.Run("CSV", func(b *testing.B) { benchmarkWrite(b, CSVSink[departure], flights) })
	b.Run("CSV-zstd", func(b *testing.B) {
		benchmarkWrite(b, func(dir string) Sink[departure] { return CSVSink[departure](dir).Zstd() }, flights)
	})
	b.Run("JSONLines", func(b *testing.B) { benchmarkWrite(b, JSONLinesSink[departure], flights) })
	b.Run("Lines", func(b *testing.B) { benchmarkWrite(b, LinesSink, lines) })
}

func benchmarkWrite[T any](b *testing.B, sink func(dir string) Sink[T], records []T) {
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		if err := emit(b, sink(b.TempDir()), only, records, 1024); err != nil {
			b.Fatal(err)
		}
		rows += len(records)
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// benchmarkEncodingCSV only splits into fields and converts nothing.
func benchmarkEncodingCSV(b *testing.B, path string) {
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		r := csv.NewReader(f)
		r.ReuseRecord = true
		for ; err == nil; rows++ {
			_, err = r.Read()
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

func decompress(tb testing.TB, path string) []byte {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return content
}
