package file

import (
	"fmt"
	"log/slog"
	"sync/atomic"
)

// BadRecord is a part of a file that could not be made into a record. It is an
// error, and can be sent from task to task.
type BadRecord struct {
	// File is the path of the file.
	File string
	// Line is the number of the line at which the record begins, from 1.
	Line int64
	// Offset is the byte of the file, decompressed, at which it begins, from 0.
	Offset int64
	// Text is the record as it stands in the file, without its line end, and cut
	// off behind 64 KiB. Of a CSV record that is no CSV, it is the first line.
	Text string
	// Reason says what is wrong.
	Reason string
}

// maxBadText is how much of a bad record is kept.
const maxBadText = 64 << 10

// Error implements error: "quakes.jsonl:17: …".
func (b *BadRecord) Error() string { return fmt.Sprintf("%s:%d: %s", b.File, b.Line, b.Reason) }

// Result is a record, or what stood in its place: see [Source.Rejected].
type Result[T any] struct {
	// Record is the record if Bad is nil, and of no meaning otherwise.
	Record T
	// Bad is nil for a record.
	Bad *BadRecord
}

// OK reports whether there is a record.
func (r Result[T]) OK() bool { return r.Bad == nil }

// tally counts the bad records that were left out. Readers share the one of their
// source.
type tally struct{ total atomic.Int64 }

// split counts those of one reader and says in the log what was left out.
type splitTally struct {
	tally *tally
	what  string // is read
	count int64
}

// mostLogged is how many bad records of a split are logged one by one.
const mostLogged = 5

// add counts a bad record that is left out. It is the one place where that
// happens.
func (t *splitTally) add(bad *BadRecord) {
	t.tally.total.Add(1)
	t.count++
	if t.count <= mostLogged {
		slog.Warn("a bad record is left out", "record", bad.Error())
	}
}

// close says how many there were, if not all of them were logged.
func (t *splitTally) close() {
	if t.count > mostLogged {
		slog.Warn("bad records were left out", "file", t.what, "records", t.count, "logged", mostLogged)
	}
}

// refusal is an error of a record that was cut rightly from its file.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// refuse returns a refusal.
func refuse(format string, args ...any) error { return &refusal{fmt.Errorf(format, args...)} }
