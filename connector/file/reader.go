package file

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/weirstream/weir"
)

// decoder makes the records of one file. It belongs to one reader.
type decoder[T any] interface {
	// header reads what stands before the first record. A refusal is an error of the
	// whole file.
	header(scan *scanner) error
	// decode stores the next records in values, and returns how many. It returns
	// io.EOF behind the last one, a refusal or what the scanner refuses for the one
	// that follows if that is bad, and any other error if there is nothing more to
	// read.
	decode(values []T, scan *scanner) (n int, err error)
}

// fileReader takes the records of a range one by one. What is done with the bad
// ones is up to who calls it.
type fileReader[T any] struct {
	ctx   context.Context
	in    *input
	scan  *scanner
	dec   decoder[T]
	check func(*T) error
	cut   fileRange
	// counted tells that scan.line counts from the beginning of the file. In a
	// range that begins later it does not, until a message needs it.
	counted bool
}

// openFile opens a range, and goes to a position in it unless that is nil.
func openFile[T any](ctx context.Context, s *Source[T], cut fileRange, at []byte) (_ *fileReader[T], err error) {
	in, err := open(s.settings.system, cut.path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.Close())
		}
	}()
	r := &fileReader[T]{ctx: ctx, in: in, dec: s.decoder(), check: s.check, cut: cut, counted: true}
	if err := cut.same(in); err != nil {
		return nil, fmt.Errorf("%s: %w", cut.path, err)
	}
	r.scan = r.scanner(s, 0)
	r.scan.stop = cut.end
	r.scan.skipPrefix("\xef\xbb\xbf")
	if r.scan.skipPrefix("\xff\xfe") || r.scan.skipPrefix("\xfe\xff") {
		return nil, fmt.Errorf("%s is UTF-16: convert it to UTF-8", cut.path)
	}
	if err := r.header(); err != nil {
		return nil, err
	}
	if at != nil {
		return r, r.resume(s, at)
	}
	if cut.begin > r.scan.offset() {
		if err := r.enter(s, cut.begin); err != nil {
			return nil, fmt.Errorf("%s: cannot begin at byte %d: %w", cut.path, cut.begin, err)
		}
	}
	return r, nil
}

// same reports whether a file is still the one that was cut into ranges.
func (f fileRange) same(in *input) error {
	switch {
	case f.whole():
		return nil
	case in.compressed():
		return fmt.Errorf("it is %s data now: %w", in.format, errChanged)
	case in.size < f.size:
		return fmt.Errorf("%w: it had %d bytes when the job began and has %d now", errShrank, f.size, in.size)
	}
	return nil
}

// scanner returns one whose first byte is at offset of the file.
func (r *fileReader[T]) scanner(s *Source[T], offset int64) *scanner {
	scan := newScanner(r.in, s.settings.delimiter, s.settings.buffer, s.settings.maxRecord)
	scan.lines = s.lines
	scan.base = offset
	return scan
}

// header reads the header, which may lie before the range, or reach into it.
func (r *fileReader[T]) header() error {
	r.scan.stop = wholeFile("").end
	defer func() { r.scan.stop = r.cut.end }()
	err := r.dec.header(r.scan)
	var refused *refusal
	if errors.As(err, &refused) {
		return fmt.Errorf("%s: %w", r.in.path, refused.err)
	}
	if err != nil {
		err = r.explain(err) // a bad record that nobody asks what to do with
	}
	return err
}

// enter goes to the first record that begins at or behind begin. The one before
// belongs to the range before, so what stands up to the first newline from
// begin - 1 on is passed over.
func (r *fileReader[T]) enter(s *Source[T], begin int64) error {
	if err := r.jump(s, begin-1); err != nil {
		return err
	}
	r.scan.begun, r.counted = r.scan.start, false
	_, err := r.scan.skipLine(0)
	return err
}

// jump goes on reading a file that is not compressed at offset.
func (r *fileReader[T]) jump(s *Source[T], offset int64) error {
	if uint64(offset) > r.in.size {
		return errChanged
	}
	if err := r.in.seek(offset); err != nil {
		return err
	}
	r.scan = r.scanner(s, offset)
	r.scan.stop = r.cut.end
	return nil
}

// resume goes to a position that position returned.
func (r *fileReader[T]) resume(s *Source[T], at []byte) error {
	p, err := decodePosition(at)
	if err != nil {
		return fmt.Errorf("%s: %w", r.in.path, err)
	}
	if err := r.seek(s, p.offset); err != nil {
		return fmt.Errorf("%s: cannot go on at byte %d, line %d: %w", r.in.path, p.offset, p.line, err)
	}
	r.counted = p.line > 0
	r.scan.line = max(1, p.line)
	return nil
}

// seek goes to where a record begins behind the header.
func (r *fileReader[T]) seek(s *Source[T], offset int64) error {
	if offset < r.scan.offset() || offset < r.cut.begin {
		return errChanged
	}
	if offset == r.scan.offset() {
		return nil
	}
	before := offset - 1 // the newline that ends the record before
	if !r.in.compressed() {
		if err := r.jump(s, before); err != nil {
			return err
		}
	}
	err := r.pass(before - r.scan.offset())
	boundary := false
	if err == nil {
		boundary, err = r.scan.atBoundary()
	}
	if errors.Is(err, io.EOF) || err == nil && !boundary {
		return errChanged
	}
	return err
}

// pass passes over n bytes, and ends early with the task: decompressing a large
// file takes minutes.
func (r *fileReader[T]) pass(n int64) error {
	const step = 16 << 20
	for ; n > 0; n -= step {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		if err := r.scan.discard(min(n, step)); err != nil {
			return err
		}
	}
	return nil
}

// next stores the next records in values, and returns how many. It returns io.EOF
// behind the last one, a [*BadRecord] for the one that follows if that is bad,
// behind which it can go on, and any other error when there is nothing more to
// read.
func (r *fileReader[T]) next(values []T) (n int, err error) {
	if r.check == nil {
		if n, err = r.dec.decode(values, r.scan); err != nil {
			err = r.explain(err)
		}
		return n, err
	}
	for n < len(values) {
		// One by one, for a message to find the place of the one that is bad.
		if _, err := r.dec.decode(values[n:n+1], r.scan); err != nil {
			return n, r.explain(err)
		}
		if err := r.check(&values[n]); err != nil {
			return n, r.explain(&refusal{err})
		}
		n++
	}
	return n, nil
}

// explain tells bad records from other errors, and says where.
func (r *fileReader[T]) explain(err error) error {
	var refused *refusal
	var syntax *syntaxError
	switch {
	case errors.As(err, &refused):
		content := r.scan.content()
		return r.bad(string(content[:min(len(content), maxBadText)]), refused.err.Error())
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.As(err, &syntax):
		reason := syntax.Error()
		if syntax.line == r.scan.record {
			reason = syntax.at() + ": " + syntax.err.Error()
		}
		return r.skip(reason)
	case errors.Is(err, errTooLong):
		return r.skip(err.Error())
	case r.counted:
		return fmt.Errorf("%s: after line %d, at byte %d: %w", r.in.path, r.scan.line-1, r.scan.offset(), err)
	default:
		return fmt.Errorf("%s: at byte %d: %w", r.in.path, r.scan.offset(), err)
	}
}

// skip makes a bad record of a line.
func (r *fileReader[T]) skip(reason string) error {
	offset, line := r.scan.begin(), r.scan.record
	text, err := r.scan.skipLine(maxBadText)
	if err != nil {
		return r.explain(err)
	}
	r.scan.record = line
	return r.badAt(offset, string(text), reason)
}

func (r *fileReader[T]) bad(text, reason string) error {
	return r.badAt(r.scan.begin(), text, reason)
}

// badAt makes a bad record of the one that was cut last. It counts the lines
// before it if nobody has.
func (r *fileReader[T]) badAt(offset int64, text, reason string) error {
	if !r.counted {
		before, err := r.in.newlines(r.ctx, offset)
		if err != nil {
			return fmt.Errorf("%s: at byte %d: %s: %w", r.in.path, offset, reason, err)
		}
		r.scan.line += 1 + before - r.scan.record
		r.scan.record, r.counted = 1+before, true
	}
	return &BadRecord{File: r.in.path, Line: r.scan.record, Offset: offset, Text: text, Reason: reason}
}

// Position implements [weir.Reader].
func (r *fileReader[T]) Position() ([]byte, error) {
	p := position{offset: r.scan.offset()}
	if r.counted {
		p.line = r.scan.line
	}
	return p.encode(), nil
}

// Progress implements [weir.Progresser], in bytes of the file as it is stored.
func (r *fileReader[T]) Progress() (done, total uint64) {
	if r.in.compressed() {
		done = r.in.consumed()
		return done, max(done, r.in.size)
	}
	begin, end := uint64(r.cut.begin), uint64(r.cut.end)
	done = uint64(r.scan.offset())
	if r.cut.end == wholeFile("").end {
		end = max(done, r.in.size)
	}
	return min(max(done, begin), end) - begin, end - begin
}

// Close implements [weir.Reader].
func (r *fileReader[T]) Close() error { return r.in.Close() }

// always is the channel of a reader that may return early, and never waits.
var always = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// mostSkipped bounds how many bad records one Read passes over.
const mostSkipped = 1000

// reader reads a range. It implements [weir.Reader], [weir.Notifier] and
// [weir.Progresser].
type reader[T any] struct {
	*fileReader[T]
	skipBad bool
	tally   splitTally
}

// Read implements [weir.Reader].
func (r *reader[T]) Read(values []T) (n int, err error) {
	for range mostSkipped {
		m, err := r.next(values[n:])
		n += m
		if err == nil {
			return n, nil
		}
		var bad *BadRecord
		if !r.skipBad || !errors.As(err, &bad) {
			return n, err
		}
		r.tally.add(bad)
	}
	return n, nil
}

// Ready implements [weir.Notifier]: a reader that returns nothing has skipped
// many bad records and wants to be called again.
func (r *reader[T]) Ready() <-chan struct{} { return always }

// Close implements [weir.Reader].
func (r *reader[T]) Close() error {
	r.tally.close()
	return r.fileReader.Close()
}

// resultReader reads a range and hands on its bad records. It implements
// [weir.Reader] and [weir.Progresser].
type resultReader[T any] struct {
	*fileReader[T]
	records []T
}

// Read implements [weir.Reader].
func (r *resultReader[T]) Read(results []Result[T]) (n int, err error) {
	if len(r.records) < len(results) {
		r.records = make([]T, len(results))
	}
	for n < len(results) {
		m, err := r.next(r.records[:len(results)-n])
		for i := range m {
			results[n+i] = Result[T]{Record: r.records[i]}
		}
		n += m
		var bad *BadRecord
		if err != nil && !errors.As(err, &bad) {
			return n, err
		}
		if bad != nil {
			results[n] = Result[T]{Bad: bad}
			n++
		}
	}
	return n, nil
}

var _ weir.Notifier = (*reader[struct{}])(nil)
