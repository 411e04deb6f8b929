package file

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// scanAll returns the records of s and what ended them, nil for io.EOF.
func scanAll(s *scanner) (records [][]string, err error) {
	for {
		fields, err := s.next()
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return records, err
		}
		record := make([]string, len(fields))
		for i, field := range fields {
			record[i] = string(field)
		}
		records = append(records, record)
	}
}

// FuzzScanner compares the scanner with encoding/csv, at buffers so small that
// records cross their ends, and with readers that return little at a time.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		"",
		"a,b\n1,2\n",
		"a,b\r\n1,2\r\n\r\n3,4",
		"\"a\",\"b\"\n\"1,2\",\"3\n4\"\n",
		"\"say \"\"hi\"\"\",\"\",\"\r\n\"\r\n",
		"a\"b\n", "\"a\"b\n", "\"a\n", "\"", "a,\"", ",\n,,\n", "\r", "a\r", "a\rb\n", "\"a\"\r", "\"\r\"", "\"a\"\r\r\n",
		"\n\n\n", "\"\"\"\"\n", "\"a\"\"\n", "x\"\n\"y\n", "\"a\nb\nc\"d\n",
		strings.Repeat("long,", 50) + "\n" + strings.Repeat("\"q\",", 50) + "\n",
	} {
		f.Add([]byte(seed), byte(','), uint8(3))
		f.Add([]byte(strings.ReplaceAll(seed, ",", "\t")), byte('\t'), uint8(200))
	}
	f.Fuzz(func(t *testing.T, input []byte, comma byte, buffer uint8) {
		if newSettings([]Option{Delimiter(comma)}).check("CSV", "Delimiter") != nil {
			return
		}
		reference := csv.NewReader(bytes.NewReader(input))
		reference.Comma = rune(comma)
		reference.FieldsPerRecord = -1
		var want [][]string
		var wantErr error
		for {
			record, err := reference.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				wantErr = err
				break
			}
			want = append(want, record)
		}
		for name, in := range []io.Reader{
			bytes.NewReader(input),
			iotest.OneByteReader(bytes.NewReader(input)),
			iotest.DataErrReader(bytes.NewReader(input)),
		} {
			s := newScanner(in, comma, 1+int(buffer), 1<<20)
			got, err := scanAll(s)
			if (err != nil) != (wantErr != nil) {
				t.Fatalf("reader %d: error %v; encoding/csv: %v", name, err, wantErr)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("reader %d: records %q; encoding/csv: %q", name, got, want)
			}
			if err == nil && s.offset() != int64(len(input)) {
				t.Fatalf("reader %d: offset %d at the end of %d bytes", name, s.offset(), len(input))
			}
			if lines := int64(bytes.Count(input, []byte{'\n'})); err == nil && s.line != 1+lines {
				t.Fatalf("reader %d: line %d behind %d newlines", name, s.line, lines)
			}
		}
	})
}

func TestScannerSaysWhere(t *testing.T) {
	for _, c := range []struct {
		name, input string
		line        int64
		column      int
		err         error
	}{
		{"quote in an unquoted field", "a,b\n1,2\n3,x\"y\n", 3, 1, errBareQuote},
		{"quote in an unquoted field, quotes balanced", "a\n\nx\"y\"\n", 3, 0, errBareQuote},
		{"text after a quote", "a,b,c\n1,\"x\ny\",\"z\"!\n", 3, 2, errAfter},
		{"unclosed", "a,b\n1,\"x\ny\n", 2, 1, errUnclosed},
		{"unclosed behind a quoted newline", "a,b\n\"1\n\n\",\"x\n", 4, 1, errUnclosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := scanAll(newScanner(strings.NewReader(c.input), ',', 4, 1<<10))
			var syntax *syntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("error %v", err)
			}
			if syntax.line != c.line || syntax.column != c.column || !errors.Is(err, c.err) {
				t.Fatalf("got %v, want line %d, column %d: %v", err, c.line, c.column+1, c.err)
			}
		})
	}
}

// TestScannerIsBounded reads records around the limit, and endless ones (F3).
func TestScannerIsBounded(t *testing.T) {
	const limit = 1000
	fits := strings.Repeat("x", limit) + "\n"
	if got, err := scanAll(newScanner(strings.NewReader(fits+fits), ',', 64, limit)); err != nil || len(got) != 2 {
		t.Errorf("two records of %d bytes: %d records, error %v", limit, len(got), err)
	}
	for name, in := range map[string]io.Reader{
		"one byte more":                    strings.NewReader("x" + fits),
		"one byte more, in a large buffer": strings.NewReader(strings.Repeat("x\n", 3000) + "x" + fits),
		"one byte more, no newline":        strings.NewReader(strings.Repeat("x", limit+1)),
		"quoted":                           strings.NewReader("\"" + strings.Repeat("x\n", limit/2) + "\"\n"),
		"endless":                          io.MultiReader(strings.NewReader("\""), endless{}),
	} {
		buffer := 64
		if strings.Contains(name, "large") {
			buffer = 8 * limit
		}
		s := newScanner(in, ',', buffer, limit)
		if _, err := scanAll(s); !errors.Is(err, errTooLong) {
			t.Errorf("%s: error %v", name, err)
		}
		if len(s.buf) > max(buffer, 4*limit) {
			t.Errorf("%s: the buffer grew to %d bytes", name, len(s.buf))
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "x\n"[i%2]
	}
	return len(p), nil
}

// TestScannerReadError gets the records that are complete before the error.
func TestScannerReadError(t *testing.T) {
	broken := errors.New("the disk is gone")
	in := io.MultiReader(strings.NewReader("a,b\n1,2\n3,"), iotest.ErrReader(broken))
	got, err := scanAll(newScanner(in, ',', 4, 100))
	if !errors.Is(err, broken) || !reflect.DeepEqual(got, [][]string{{"a", "b"}, {"1", "2"}}) {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := scanAll(newScanner(stuck{}, ',', 4, 100)); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that returns nothing for ever: error %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }
