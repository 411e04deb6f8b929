package file

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
)

// readAll reads a split from a position, at most batch records at a time.
func readAll[T any](tb testing.TB, source weir.Source[T], path string, at []byte, batch int) ([]T, error) {
	tb.Helper()
	r, err := source.Open(tb.Context(), weir.Split{ID: path}, at)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	}()
	var all []T
	values := make([]T, batch)
	for {
		n, err := r.Read(values)
		all = append(all, values[:n]...)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

func write(tb testing.TB, name, content string) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func compress(tb testing.TB, members ...string) string {
	tb.Helper()
	var b bytes.Buffer
	for _, member := range members {
		z := gzip.NewWriter(&b)
		if _, err := io.WriteString(z, member); err != nil {
			tb.Fatal(err)
		}
		if err := z.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	return b.String()
}

// TestRealData compares a year of flights with what encoding/csv, strconv and
// time make of them.
func TestRealData(t *testing.T) {
	path := testdata(t, "nyc-departures-2013.csv.gz")
	got, err := readAll(t, CSV[departure](path), path, nil, 512)
	if err != nil {
		t.Fatal(err)
	}
	reference := csv.NewReader(bytes.NewReader(decompress(t, path)))
	reference.ReuseRecord = true
	if _, err := reference.Read(); err != nil {
		t.Fatal(err)
	}
	rows := 0
	for ; ; rows++ {
		record, err := reference.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if rows >= len(got) {
			continue
		}
		d := got[rows]
		again := []string{
			d.Departed.Format(time.RFC3339), strconv.FormatInt(d.ID, 10), d.Scheduled.Format(time.RFC3339),
			d.Origin, d.Dest, d.Carrier, strconv.Itoa(int(d.Flight)), d.Tail,
			strconv.Itoa(int(d.Delay)), strconv.Itoa(int(d.Distance)),
		}
		if !slices.Equal(again, record) {
			t.Fatalf("row %d: got %q, want %q", rows+1, again, record)
		}
	}
	if rows != 328521 || len(got) != rows {
		t.Fatalf("%d records read, %d in the file, 328521 expected", len(got), rows)
	}
}

type flight struct {
	Origin string
	Delay  int16     `csv:"arr_delay_min"`
	At     time.Time `csv:"at,layout=2006-01-02T15:04"`
}

const flightHeader = "at,arr_delay_min,origin\n"

// TestBadRecords expects each message in full.
func TestBadRecords(t *testing.T) {
	good := flightHeader + "2001-01-01T00:01,33,LAS\n"
	for _, c := range []struct{ name, content, want string }{
		{"too few fields", good + "2001-01-01T00:01,33\n", ":3: the record has 2 fields and the header 3 columns: nothing for column 3 (origin)"},
		{"too many fields", good + "2001-01-01T00:01,33,LAS,5\n", `:3: the record has 4 fields and the header 3 columns: "5" is too much`},
		{"not a number", good + "\n2001-01-01T00:01,x3,LAS\n", `:4: column 2 (arr_delay_min): "x3" cannot be stored in flight.Delay of type int16: invalid syntax`},
		{"a number too large", good + "2001-01-01T00:01,32768,LAS\n", `:3: column 2 (arr_delay_min): "32768" cannot be stored in flight.Delay of type int16: value out of range`},
		{"an empty number", good + "2001-01-01T00:01,,LAS\n", `:3: column 2 (arr_delay_min): "" cannot be stored in flight.Delay of type int16: it is empty and the field is not optional`},
		{"not a time", good + "2001-01-01 00:01,1,LAS\n", `:3: column 1 (at): "2001-01-01 00:01" cannot be stored in flight.At of type time.Time: it does not follow the layout 2006-01-02T15:04 from " 00:01" on, where "T" is expected`},
		{"not a date", good + "2001-02-30T00:01,1,LAS\n", `:3: column 1 (at): "2001-02-30T00:01" cannot be stored in flight.At of type time.Time: it does not follow the layout 2006-01-02T15:04: day out of range`},
		{"a long value", good + strings.Repeat("9", 100) + ",1,LAS\n", `:3: column 1 (at): "` + strings.Repeat("9", 60) + `"… (100 bytes) cannot be stored`},
		{"an unclosed quote", good + "2001-01-01T00:01,1,\"LAS\n", ":3: column 3 (origin): a quote is opened and never closed"},
		{"a quote in the wrong place", good + "2001-01-01T00:01,1,L\"AS\n", ":3: column 3 (origin): a quote inside an unquoted field: "},
		{"a quote behind the last column", good + "2001-01-01T00:01,1,LAS,5\"\n", ":3: column 4: a quote inside an unquoted field: "},
		{"no header", "", ": it is empty: its first line must be a header"},
		{"UTF-16", "\xff\xfea\x00", " is UTF-16: convert it to UTF-8"},
		{"a column is missing", "at,delay,origin\n", `: no column "arr_delay_min" for flight.Delay: the header has at, delay, origin`},
		{"an untagged column is missing", "at,arr_delay_min,from\n", ": no column for flight.Origin: the header has at, arr_delay_min, from; "},
		{"a column is there twice", "at,arr_delay_min,origin,Origin\n", `: columns 3 and 4 could both fill flight.Origin: they are named "origin" and "Origin"`},
		{"a tag matches exactly", "AT,arr_delay_min,origin\n", `: no column "at" for flight.At: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, "flights.csv", c.content)
			got, err := readAll(t, CSV[flight](path), path, nil, 10)
			if err == nil || !strings.Contains(err.Error(), path+c.want) {
				t.Fatalf("error %v, want %q in it", err, path+c.want)
			}
			if good := strings.HasPrefix(c.content, good); good != (len(got) == 1) {
				t.Errorf("%d records before the error", len(got))
			}
		})
	}
}

// TestForms reads the same two records from files written in different ways.
func TestForms(t *testing.T) {
	plain := flightHeader + "2001-01-01T00:01,33,LAS\n2001-01-01T00:02,-4,\n"
	at := time.Date(2001, 1, 1, 0, 1, 0, 0, time.UTC)
	want := []flight{{"LAS", 33, at}, {"", -4, at.Add(time.Minute)}}
	for _, c := range []struct {
		name, file, content string
		options             []Option
	}{
		{"plain", "a.csv", plain, nil},
		{"no last newline", "a.csv", strings.TrimSuffix(plain, "\n"), nil},
		{"CRLF", "a.csv", strings.ReplaceAll(plain, "\n", "\r\n"), nil},
		{"CRLF, no last newline", "a.csv", strings.TrimSuffix(strings.ReplaceAll(plain, "\n", "\r\n"), "\n"), nil},
		{"byte order mark", "a.csv", "\xef\xbb\xbf" + plain, nil},
		{"byte order mark and quotes", "a.csv", "\xef\xbb\xbf\"at\",\"arr_delay_min\",ORIGIN\n" + strings.TrimPrefix(plain, flightHeader), nil},
		{"empty lines", "a.csv", strings.ReplaceAll(plain, "\n", "\n\r\n\n"), nil},
		{"spaces in the header", "a.csv", strings.ReplaceAll(plain, ",origin", ", O_rig in "), nil},
		{"other columns", "a.csv", strings.ReplaceAll(strings.ReplaceAll(plain, "\n2", "\nx,2"), "at,", "zz,at,"), nil},
		{"quotes", "a.csv", strings.ReplaceAll(plain, "LAS", `"LAS"`), nil},
		{"tabs", "a.csv", strings.ReplaceAll(plain, ",", "\t"), []Option{Delimiter('\t')}},
		{"gzip", "a.csv.gz", compress(t, plain), nil},
		{"gzip without the suffix", "a.csv", compress(t, plain), nil},
		{"gzip in members", "a.csv.GZ", compress(t, "", plain[:10], plain[10:60], "", plain[60:]), nil},
		{"small limit", "a.csv", plain, []Option{MaxRecordSize(24)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := write(t, c.file, c.content)
			got, err := readAll(t, CSV[flight](path, c.options...), path, nil, 1)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// TestTruncatedGzip cuts a compressed file at every length: none may pass for
// the whole, whatever the suffix.
func TestTruncatedGzip(t *testing.T) {
	whole := compress(t, flightHeader+"2001-01-01T00:01,33,LAS\n", "2001-01-01T00:02,-4,ATL\n")
	boundary := len(compress(t, flightHeader+"2001-01-01T00:01,33,LAS\n")) // there it looks complete
	for size := range len(whole) {
		if size == boundary {
			continue
		}
		path := write(t, "flights.csv.gz", whole[:size])
		_, err := readAll(t, CSV[flight](path), path, nil, 10)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Fatalf("cut at byte %d of %d: error %v", size, len(whole), err)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "truncated") {
			t.Fatalf("cut at byte %d of %d: error %v", size, len(whole), err)
		}
	}
	damaged := []byte(whole)
	damaged[boundary-8] ^= 1 // the checksum
	for name, c := range map[string]struct{ content, want string }{
		"damaged":  {string(damaged), "the gzip data is damaged"},
		"garbage":  {whole + "garbage behind", "not gzip data"},
		"not gzip": {flightHeader, "not gzip data"},
	} {
		path := write(t, "flights.csv.gz", c.content)
		_, err := readAll(t, CSV[flight](path), path, nil, 10)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestPositions goes on from every position of a file that takes many buffers,
// plain and compressed, and expects what was still to come (F2).
func TestPositions(t *testing.T) {
	var content strings.Builder
	content.WriteString("\xef\xbb\xbf" + strings.ReplaceAll(flightHeader, "\n", "\r\n"))
	const records = 3000
	for i := range records {
		name := fmt.Sprintf("airport %d", i)
		if i%7 == 0 {
			name = "\"airport\n\"\"" + strings.Repeat("x", i%90) + "\"\"\""
		}
		fmt.Fprintf(&content, "2001-01-01T00:01,%d,%s\n", i, name)
		if i%11 == 0 {
			content.WriteString("\n")
		}
	}
	content.WriteString("2001-01-01T00:01,1,last") // no newline
	for _, c := range []struct{ name, path string }{
		{"plain", write(t, "flights.csv", content.String())},
		{"gzip", write(t, "flights.csv.gz", compress(t, content.String()[:5000], content.String()[5000:]))},
	} {
		t.Run(c.name, func(t *testing.T) {
			source := CSV[flight](c.path)
			all, err := readAll(t, source, c.path, nil, 100)
			if err != nil || len(all) != records+1 {
				t.Fatalf("%d records, error %v", len(all), err)
			}
			r, err := source.Open(t.Context(), weir.Split{ID: c.path}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			values := make([]flight, 61)
			for read := 0; ; {
				at, err := r.Position()
				if err != nil {
					t.Fatal(err)
				}
				rest, err := readAll(t, source, c.path, at, 1000)
				if err != nil {
					t.Fatalf("from record %d: %v", read, err)
				}
				if len(rest) != len(all)-read || len(rest) > 0 && !reflect.DeepEqual(rest, all[read:]) {
					t.Fatalf("from record %d: %d records that are not the %d still to come", read, len(rest), len(all)-read)
				}
				n, err := r.Read(values)
				if read += n; n == 0 {
					if !errors.Is(err, io.EOF) || read != len(all) {
						t.Fatalf("%d records, then %v", read, err)
					}
					return
				}
			}
		})
	}
}

// TestPositionKeepsLines expects a record's line number in the error of a reader
// that did not begin at the first.
func TestPositionKeepsLines(t *testing.T) {
	content := flightHeader + "2001-01-01T00:01,1,\"A\nB\"\n\n2001-01-01T00:01,2,LAS\n2001-01-01T00:01,bad,LAS\n"
	for _, path := range []string{write(t, "a.csv", content), write(t, "a.csv.gz", compress(t, content))} {
		source := CSV[flight](path)
		r, err := source.Open(t.Context(), weir.Split{ID: path}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if n, err := r.Read(make([]flight, 1)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		at, err := r.Position()
		if err != nil {
			t.Fatal(err)
		}
		got, err := readAll(t, source, path, at, 10)
		if len(got) != 1 || err == nil || !strings.Contains(err.Error(), path+":6: ") {
			t.Errorf("%d records, error %v, want line 6", len(got), err)
		}
	}
}

// TestPositionsOfAnotherFile refuses to go on where the file has changed.
func TestPositionsOfAnotherFile(t *testing.T) {
	content := flightHeader + "2001-01-01T00:01,33,LAS\n2001-01-01T00:01,34,LAS"
	for name, p := range map[string]position{
		"inside the header":  {int64(len(flightHeader)) - 2, 1},
		"inside a record":    {int64(len(flightHeader)) + 3, 2},
		"inside the last":    {int64(len(content)) - 1, 2},
		"behind the end":     {int64(len(content)) + 1, 3},
		"far behind the end": {math.MaxInt64, 3},
	} {
		for _, path := range []string{write(t, "a.csv", content), write(t, "a.csv.gz", compress(t, content))} {
			_, err := readAll(t, CSV[flight](path), path, p.encode(), 10)
			if !errors.Is(err, errChanged) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s, %s: error %v", name, filepath.Base(path), err)
			}
		}
	}
	path := write(t, "a.csv", content)
	if _, err := readAll(t, CSV[flight](path), path, []byte("what?"), 10); err == nil || !strings.Contains(err.Error(), "not a position in a file") {
		t.Errorf("garbage: error %v", err)
	}
}

func FuzzPosition(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{positionVersion})
	f.Add(position{offset: 1 << 40, line: 1 << 33}.encode())
	f.Add(append(position{offset: 1, line: 1}.encode(), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodePosition(b)
		if err != nil {
			return
		}
		if p.offset < 0 || p.line < 0 {
			t.Fatalf("%x is %+v", b, p)
		}
		if again, err := decodePosition(p.encode()); err != nil || again != p {
			t.Fatalf("%+v comes back as %+v, %v", p, again, err)
		}
	})
}

// TestProgress rises to the size of the file as it is stored.
func TestProgress(t *testing.T) {
	content := flightHeader + strings.Repeat("2001-01-01T00:01,33,LAS\n", 20000)
	for _, path := range []string{write(t, "a.csv", content), write(t, "a.csv.gz", compress(t, content))} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := CSV[flight](path).Open(t.Context(), weir.Split{ID: path}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		r := opened.(interface {
			weir.Reader[flight]
			weir.Progresser
		})
		values := make([]flight, 100)
		var last uint64
		for read := 0; err == nil; {
			var n int
			n, err = r.Read(values)
			read += n
			done, total := r.Progress()
			if done < last || total != uint64(info.Size()) {
				t.Fatalf("progress %d of %d after %d of %d", done, total, last, info.Size())
			}
			if want := uint64(len(flightHeader) + 24*read); filepath.Ext(path) == ".csv" && done != want {
				t.Fatalf("progress %d after %d records, want %d", done, read, want)
			}
			last = done
		}
		if !errors.Is(err, io.EOF) || last != uint64(info.Size()) {
			t.Errorf("%s: %v at %d of %d bytes", filepath.Base(path), err, last, info.Size())
		}
	}
}

// TestProgressFromPosition counts what was read before.
func TestProgressFromPosition(t *testing.T) {
	path := write(t, "a.csv", flightHeader+strings.Repeat("2001-01-01T00:01,33,LAS\n", 20000))
	offset := int64(len(flightHeader) + 24*15000)
	r, err := CSV[flight](path).Open(t.Context(), weir.Split{ID: path}, position{offset: offset, line: 15002}.encode())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	done, total := r.(weir.Progresser).Progress()
	if done != uint64(offset) || total != uint64(len(flightHeader)+24*20000) {
		t.Errorf("progress %d of %d, want %d of %d", done, total, offset, len(flightHeader)+24*20000)
	}
}
