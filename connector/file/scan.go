package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

// Why a record is refused. encoding/csv refuses the same ones.
var (
	errBareQuote = errors.New(`a quote inside an unquoted field: enclose the whole field in quotes and double those inside`)
	errAfter     = errors.New(`text after a closing quote: a quote inside a quoted field must be doubled`)
	errTooLong   = errors.New(`the record that begins here exceeds file.MaxRecordSize`)
	errUnclosed  = errors.New(`a quote is opened and never closed`)
)

// syntaxError is a record that is not CSV.
type syntaxError struct {
	line   int64  // where the field begins
	column int    // the field's, from 0
	name   string // the column's, if it is known
	err    error
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s, on line %d: %v", e.at(), e.line, e.err) }

// at names the column.
func (e *syntaxError) at() string {
	if e.name == "" {
		return fmt.Sprintf("column %d", e.column+1)
	}
	return fmt.Sprintf("column %d (%s)", e.column+1, e.name)
}

func (e *syntaxError) Unwrap() error { return e.err }

// scanner cuts a stream of bytes into records and their fields. It looks for a
// record's end first and splits it after, with the vectorised searches of
// package bytes, since most records are a line without any quote.
type scanner struct {
	in    io.Reader
	comma byte
	limit int   // a record's bytes, at most
	lines bool  // each line is a record: a quoted field ends with it at the latest
	stop  int64 // no record begins at this offset or behind it

	buf        []byte
	start, end int   // the unread bytes are buf[start:end]
	quote      int   // where the first quote is in buf[start:end], or end
	base       int64 // the stream's offset of buf[0]
	line       int64 // the number of the line that begins at start
	record     int64 // the number of the line at which the last record began
	begun      int   // where it began in buf
	err        error // why there is nothing to read after end

	fields  [][]byte
	scratch []byte // unquoted fields, where they differ from the input
}

const scanBuffer = 64 << 10

func newScanner(in io.Reader, comma byte, buffer, limit int) *scanner {
	return &scanner{in: in, comma: comma, limit: limit, stop: math.MaxInt64, buf: make([]byte, buffer), line: 1}
}

// offset is that of the first byte that next has not consumed.
func (s *scanner) offset() int64 { return s.base + int64(s.start) }

// next returns the fields of the next record, valid until the call after, or
// io.EOF after the last, or a *syntaxError, or what reading failed with.
// Records that are complete in front of a read error come before it.
func (s *scanner) next() ([][]byte, error) {
	for {
		content, quoted, err := s.cut()
		if err != nil {
			return nil, err
		}
		if len(content) == 0 {
			continue // an empty line
		}
		if quoted || s.lines && bytes.IndexByte(content, '"') >= 0 {
			return s.splitQuoted(content)
		}
		fields, rest := s.fields[:0], content
		for {
			i := bytes.IndexByte(rest, s.comma)
			if i < 0 {
				break
			}
			fields = append(fields, rest[:i])
			rest = rest[i+1:]
		}
		s.fields = append(fields, rest)
		return s.fields, nil
	}
}

// cut consumes a record and returns its bytes without the line end, and whether
// there are quotes among them.
func (s *scanner) cut() (content []byte, quoted bool, err error) {
	if s.offset() >= s.stop {
		return nil, false, io.EOF
	}
	s.record, s.begun = s.line, s.start
	i := bytes.IndexByte(s.buf[s.start:s.end], '\n')
	if i < 0 || i > s.limit || s.start+i > s.quote {
		return s.cutSlowly()
	}
	content = s.buf[s.start : s.start+i]
	s.start += i + 1
	s.line++
	return trimCR(content), false, nil
}

// cutSlowly is cut for a record with quotes, or of which the buffer holds only
// the beginning. A newline ends a record when an even number of quotes stands
// before it: in a well-formed record quotes only enclose fields or are doubled
// inside them, and any other record is refused when it is split.
func (s *scanner) cutSlowly() (content []byte, quoted bool, err error) {
	done := 0 // lines' bytes already examined, after start
	lines := int64(0)
	odd := false
	for {
		line := s.buf[s.start+done : s.end]
		i := bytes.IndexByte(line, '\n')
		if i < 0 {
			if s.end-s.start > s.limit {
				s.begun = s.start
				return nil, false, s.tooLong()
			}
			if s.fill() {
				continue
			}
			return s.cutLast(lines)
		}
		if !s.lines && bytes.Count(line[:i], quoteByte)%2 == 1 {
			odd = !odd
		}
		done += i + 1
		lines++
		if done-1 > s.limit {
			s.begun = s.start
			return nil, false, s.tooLong()
		}
		if !odd {
			content = s.consume(done, lines)
			return trimCR(content[:len(content)-1]), bytes.IndexByte(content, '"') >= 0, nil
		}
	}
}

var quoteByte = []byte{'"'}

// cutLast returns what is left in front of the end of the stream, which is a
// record when the stream ended well. lines is the number of newlines in it.
func (s *scanner) cutLast(lines int64) (content []byte, quoted bool, err error) {
	if !errors.Is(s.err, io.EOF) || s.start == s.end {
		return nil, false, s.err
	}
	content = s.consume(s.end-s.start, lines)
	return trimCR(content), bytes.IndexByte(content, '"') >= 0, nil
}

// consume returns the next n bytes, which hold that many newlines.
func (s *scanner) consume(n int, lines int64) []byte {
	s.begun = s.start
	content := s.buf[s.start : s.start+n]
	s.start += n
	s.line += lines
	if s.quote < s.start {
		s.quote = s.findQuote(s.start)
	}
	return content
}

func (s *scanner) findQuote(from int) int {
	if s.lines {
		return s.end
	}
	if i := bytes.IndexByte(s.buf[from:s.end], '"'); i >= 0 {
		return from + i
	}
	return s.end
}

// content is the record that was cut last, without its line end. It is valid
// until the next is cut.
func (s *scanner) content() []byte {
	return trimCR(bytes.TrimSuffix(s.buf[s.begun:s.start], []byte{'\n'}))
}

// begin is the offset of the record that was cut last, or could not be.
func (s *scanner) begin() int64 { return s.base + int64(s.begun) }

// skipLine goes back to the beginning of the record that was refused last and
// passes over one line. It returns a copy of that line, of at most most bytes.
// So a quote that is never closed takes a line with it, not the rest of the file.
func (s *scanner) skipLine(most int) (line []byte, err error) {
	s.start, s.line = s.begun, s.record
	for {
		rest := s.buf[s.start:s.end]
		i := bytes.IndexByte(rest, '\n')
		if i >= 0 {
			rest = rest[:i]
		}
		line = append(line, rest[:min(len(rest), most-len(line))]...)
		s.start += len(rest)
		if i >= 0 {
			s.start++
			s.line++
			break
		}
		if !s.fill() {
			if !errors.Is(s.err, io.EOF) {
				err = s.err
			}
			break
		}
	}
	s.quote = s.findQuote(s.start)
	return trimCR(line), err
}

// fill reads until the buffer is full or the stream ends, after it has made
// room, and reports whether there is more than before.
func (s *scanner) fill() bool {
	if s.err != nil {
		return false
	}
	if s.start > 0 {
		copy(s.buf, s.buf[s.start:s.end])
		s.base += int64(s.start)
		s.end -= s.start
		s.quote -= s.start
		s.start = 0
	}
	if s.end == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	before := s.end
	for empty := 0; s.end < len(s.buf) && s.err == nil; {
		n, err := s.in.Read(s.buf[s.end:])
		s.end += n
		s.err = err
		if n > 0 {
			empty = 0
		} else if empty++; empty == 100 && err == nil {
			s.err = io.ErrNoProgress
		}
	}
	if s.quote == before {
		s.quote = s.findQuote(before)
	}
	return s.end > before
}

func (s *scanner) tooLong() error {
	hint := ""
	if s.quote < s.end {
		hint = ": is a quote in it never closed?"
	}
	return fmt.Errorf("%w of %d bytes%s", errTooLong, s.limit, hint)
}

// skipPrefix consumes prefix if the stream goes on with it.
func (s *scanner) skipPrefix(prefix string) bool {
	for s.end-s.start < len(prefix) && s.fill() {
	}
	if !bytes.HasPrefix(s.buf[s.start:s.end], []byte(prefix)) {
		return false
	}
	s.consume(len(prefix), 0)
	return true
}

// discard skips n bytes, or fails with what ended the stream before.
func (s *scanner) discard(n int64) error {
	for int64(s.end-s.start) < n {
		n -= int64(s.end - s.start)
		s.start, s.quote = s.end, s.end
		if !s.fill() {
			return s.err
		}
	}
	s.start += int(n)
	s.quote = s.findQuote(s.start)
	return nil
}

// atBoundary consumes one byte and reports whether a record may begin behind it:
// it is a newline, or the last byte of all.
func (s *scanner) atBoundary() (bool, error) {
	if err := s.discard(1); err != nil {
		return false, err
	}
	if s.buf[s.start-1] == '\n' {
		return true, nil
	}
	return s.start == s.end && !s.fill(), nil
}

// splitQuoted splits a record that holds quotes. A field is quoted as a whole or
// not at all.
func (s *scanner) splitQuoted(content []byte) ([][]byte, error) {
	s.fields, s.scratch = s.fields[:0], s.scratch[:0]
	rest := content
	for {
		begin := len(content) - len(rest)
		field, after, err := s.field(rest)
		if err != nil {
			lines := bytes.Count(content[:begin], []byte{'\n'})
			return nil, &syntaxError{line: s.record + int64(lines), column: len(s.fields), err: err}
		}
		s.fields = append(s.fields, field)
		if len(after) == 0 {
			return s.fields, nil
		}
		rest = after[1:] // the delimiter
	}
}

// field returns the first field of rest, and what follows it: nothing, or a
// delimiter and the next field.
func (s *scanner) field(rest []byte) (field, after []byte, err error) {
	if len(rest) == 0 || rest[0] != '"' {
		end := bytes.IndexByte(rest, s.comma)
		if end < 0 {
			end = len(rest)
		}
		if bytes.IndexByte(rest[:end], '"') >= 0 {
			return nil, nil, errBareQuote
		}
		return rest[:end], rest[end:], nil
	}
	end, plain := 1, true
	for {
		i := bytes.IndexByte(rest[end:], '"')
		if i < 0 {
			return nil, nil, errUnclosed
		}
		end += i + 1 // behind the quote
		if end == len(rest) || rest[end] != '"' {
			break
		}
		end++
		plain = false
	}
	if end < len(rest) && rest[end] != s.comma {
		return nil, nil, errAfter
	}
	field = rest[1 : end-1]
	if !plain || bytes.IndexByte(field, '\r') >= 0 {
		field = s.unquote(field)
	}
	return field, rest[end:], nil
}

// unquote halves doubled quotes and, as encoding/csv does, makes CRLF a LF.
func (s *scanner) unquote(field []byte) []byte {
	begin := len(s.scratch)
	for i := 0; i < len(field); i++ {
		if i+1 < len(field) && (field[i] == '"' || field[i] == '\r' && field[i+1] == '\n') {
			i++
		}
		s.scratch = append(s.scratch, field[i])
	}
	return s.scratch[begin:]
}

func trimCR(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' {
		return line[:n-1]
	}
	return line
}
