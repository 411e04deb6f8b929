package file

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unsafe"
)

// reader reads one file. It implements [weir.Reader] and [weir.Progresser].
type reader[T any] struct {
	in      *input
	scan    *scanner
	columns []string
	bounds  []bound
	strings arena
}

// start reads the header, and goes to the position unless that is nil.
func (r *reader[T]) start(ctx context.Context, s *source[T], at []byte) error {
	if err := r.readHeader(); err != nil {
		return err
	}
	var err error
	if r.bounds, err = s.schema.bind(r.columns, &r.strings); err != nil {
		return fmt.Errorf("%s: %w", r.in.path, err)
	}
	if at == nil {
		return nil
	}
	p, err := decodePosition(at)
	if err != nil {
		return fmt.Errorf("%s: %w", r.in.path, err)
	}
	if err := r.seek(ctx, s, p); err != nil {
		return fmt.Errorf("%s: cannot go on at byte %d, line %d: %w", r.in.path, p.offset, p.line, err)
	}
	return nil
}

func (r *reader[T]) readHeader() error {
	r.scan.skipPrefix("\xef\xbb\xbf")
	if r.scan.skipPrefix("\xff\xfe") || r.scan.skipPrefix("\xfe\xff") {
		return fmt.Errorf("%s is UTF-16: convert it to UTF-8", r.in.path)
	}
	header, err := r.scan.next()
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%s is empty: its first line must be a header that names the columns", r.in.path)
	case err != nil:
		return r.failed(err)
	}
	for _, name := range header {
		r.columns = append(r.columns, string(bytes.TrimSpace(name)))
	}
	return nil
}

// Read implements [weir.Reader].
func (r *reader[T]) Read(values []T) (int, error) {
	var zero T
	for n := range values {
		fields, err := r.scan.next()
		if err != nil {
			return n, r.failed(err)
		}
		if len(fields) != len(r.columns) {
			return n, r.miscounted(fields)
		}
		values[n] = zero
		record := unsafe.Pointer(&values[n])
		for i := range r.bounds {
			b := &r.bounds[i]
			if err := b.set(unsafe.Add(record, b.offset), fields[b.index]); err != nil {
				return n, r.refused(b, fields[b.index], err)
			}
		}
	}
	return len(values), nil
}

// failed says where the scanner stopped; io.EOF stays as it is.
func (r *reader[T]) failed(err error) error {
	var syntax *syntaxError
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.As(err, &syntax):
		return fmt.Errorf("%s:%d: column %s: %w", r.in.path, syntax.line, r.column(syntax.column), syntax.err)
	case errors.Is(err, errTooLong):
		return fmt.Errorf("%s:%d: %w", r.in.path, r.scan.record, err)
	default:
		return fmt.Errorf("%s: after line %d: %w", r.in.path, r.scan.line-1, err)
	}
}

// column names a column, also where the header does not.
func (r *reader[T]) column(index int) string {
	if index < len(r.columns) {
		return fmt.Sprintf("%d (%s)", index+1, r.columns[index])
	}
	return fmt.Sprint(index + 1)
}

func (r *reader[T]) miscounted(fields [][]byte) error {
	line, got, want := r.scan.record, len(fields), len(r.columns)
	if got < want {
		return fmt.Errorf("%s:%d: the record has %d fields and the header %d columns: nothing for column %s",
			r.in.path, line, got, want, r.column(got))
	}
	return fmt.Errorf("%s:%d: the record has %d fields and the header %d columns: %s is too much",
		r.in.path, line, got, want, shown(fields[want]))
}

func (r *reader[T]) refused(b *bound, value []byte, err error) error {
	return fmt.Errorf("%s:%d: column %d (%s): %s cannot be stored in %s of type %v: %w",
		r.in.path, r.scan.record, b.index+1, b.header, shown(value), b.field.path, b.field.typ, err)
}

// shown is a value as messages show it.
func shown(value []byte) string {
	const most = 60
	if len(value) > most {
		return fmt.Sprintf("%q… (%d bytes)", value[:most], len(value))
	}
	return fmt.Sprintf("%q", value)
}

// Position implements [weir.Reader].
func (r *reader[T]) Position() ([]byte, error) {
	return position{offset: r.scan.offset(), line: r.scan.line}.encode(), nil
}

// Progress implements [weir.Progresser], in bytes of the file as it is stored.
func (r *reader[T]) Progress() (done, total uint64) {
	return r.in.progress(r.scan.end - r.scan.start)
}

// Close implements [weir.Reader].
func (r *reader[T]) Close() error { return r.in.Close() }

// position is where the next record begins in a file, decompressed.
type position struct {
	offset int64
	line   int64
}

// positionVersion is the first byte of every position; the offset and the line
// follow as varints.
const positionVersion = 1

func (p position) encode() []byte {
	return binary.AppendUvarint(binary.AppendUvarint([]byte{positionVersion}, uint64(p.offset)), uint64(p.line))
}

func decodePosition(b []byte) (position, error) {
	wrong := fmt.Errorf("%d bytes that are not a position in a CSV file: % .32x", len(b), b)
	if len(b) == 0 || b[0] != positionVersion {
		return position{}, wrong
	}
	offset, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return position{}, wrong
	}
	line, m := binary.Uvarint(b[1+n:])
	p := position{offset: int64(offset), line: int64(line)}
	if m <= 0 || 1+n+m != len(b) || p.offset < 0 || p.line < 1 {
		return position{}, wrong
	}
	return p, nil
}

// seek goes to a position behind the header.
func (r *reader[T]) seek(ctx context.Context, s *source[T], p position) error {
	if p.offset < r.scan.offset() {
		return errChanged
	}
	if p.offset == r.scan.offset() {
		return nil
	}
	before := p.offset - 1 // the newline that ends the record before
	if !r.in.compressed() {
		if uint64(p.offset) > r.in.size {
			return errChanged
		}
		if err := r.in.seek(before); err != nil {
			return err
		}
		r.scan = newScanner(r.in, s.settings.delimiter, scanBuffer, s.settings.maxRecord)
		r.scan.base = before
	}
	boundary := false
	err := r.skip(ctx, before-r.scan.offset())
	if err == nil {
		boundary, err = r.scan.atBoundary()
	}
	if errors.Is(err, io.EOF) || err == nil && !boundary {
		return errChanged
	}
	r.scan.line = p.line
	return err
}

var errChanged = errors.New("the file is not the one that was read before: it has no record that begins there")

// skip passes over n bytes, and ends early with the task: decompressing a large
// file takes minutes.
func (r *reader[T]) skip(ctx context.Context, n int64) error {
	const step = 16 << 20
	for ; n > 0; n -= step {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := r.scan.discard(min(n, step)); err != nil {
			return err
		}
	}
	return nil
}
