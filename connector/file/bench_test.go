package file

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
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

// BenchmarkCSV reads the flights of New York, all columns of them, from a plain
// and from a compressed file.
func BenchmarkCSV(b *testing.B) {
	compressed := testdata(b, "nyc-departures-2013.csv.gz")
	plain := filepath.Join(b.TempDir(), "departures.csv")
	if err := os.WriteFile(plain, decompress(b, compressed), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("plain", func(b *testing.B) { benchmarkRead(b, plain) })
	b.Run("gzip", func(b *testing.B) { benchmarkRead(b, compressed) })
	b.Run("encoding-csv", func(b *testing.B) { benchmarkEncodingCSV(b, plain) })
}

func benchmarkRead(b *testing.B, path string) {
	b.ReportAllocs()
	source := CSV[departure](path)
	values := make([]departure, 512)
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
