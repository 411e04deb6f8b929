package file

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/weirstream/weir"
)

// Sink is a sink that writes records to files of a directory. Make one with
// [CSVSink], [JSONLinesSink] or [LinesSink]; its methods return variants of it.
// It may be used concurrently.
//
// The files are called part-00002-000017.csv: the subtask that wrote it, and its
// number among those of that subtask, both from 0. A part is written under a
// hidden name, .part-00002-000017.csv.inprogress; when it is complete it is put
// on the disk and given its name, at once and for ever. So nothing under such a
// name is half-written, whatever happens. A part is complete when it has its size
// or its age ([Sink.RollSize], [Sink.RollInterval]) or the input of its subtask
// has ended; one that is begun when the job fails or is canceled is removed. A
// subtask without records writes no part.
//
// # Exactly once
//
// Where the job takes checkpoints, each record is in exactly one part, whatever fails.
// A part is complete with the next checkpoint, too, so there is one for each checkpoint
// and subtask that had records; it is put on the disk before the checkpoint, and given
// its name when that is complete.
// Its name then ends in two more words, part-00002-000017-k3v7qpaz-wm4xbt6e.csv: those
// of the run, which is a subtask's for as long as its job goes on with the same
// parallelism, and of the attempt. So two jobs, or two lives of one, never have files of
// the same name.
//
// The directory .weir-commits below the sink's proves, with an empty file for each part,
// that it was given its name. So parts may be moved away or deleted as soon as they
// are visible: a checkpoint or savepoint that is gone on from, however old, does not bring
// them back and does not miss them. A proof may be deleted when no checkpoint or
// savepoint from the time of its part, or before, is kept. A part that a checkpoint names and
// that is neither there nor proven to have been is an error that names the files.
//
// When a job goes on from a checkpoint it removes the hidden parts that its earlier
// attempts have left. It knows them by the runs that the checkpoint has, and leaves
// all others: of an attempt that ended before the first checkpoint, or the first with a
// new parallelism, hidden parts may remain. They are of use to nobody when the job
// has finished, and may be deleted then; not before, since another job's look alike. A
// job that goes on from an older checkpoint gives up what a later one had prepared and not
// committed.
//
// Between two checkpoints the parts that are complete stay open: a small
// [Sink.RollSize] costs as many file descriptors.
//
// # What is in the directory
//
// A process that is killed leaves hidden files. Those of a job without checkpoints are
// removed by the next job that writes to the directory, unless the process that writes
// them still lives: then the job fails. Other files in the directory are left alone.
//
// A job fails if the directory holds parts of an earlier one, before it writes
// anything, unless [Sink.Append] or [Sink.Overwrite] says what to do with them; a job
// that goes on from a checkpoint has written them itself. Each subtask looks for its
// own, and all of them for those of subtasks that the job does not have, so that none is
// missed when the parallelism has changed; where there are checkpoints the first looks
// for all. The directory must be the same for all TaskManagers, and on Linux and the BSDs
// its file system should support flock.
type Sink[T any] struct {
	name       string // of the function that made it
	dir        string
	extension  string
	encoder    func(s *sinkSettings) encoder[T]
	settings   sinkSettings
	err        error
	storage    storage
	needsComma bool
}

type sinkSettings struct {
	rollSize     int64
	rollInterval time.Duration
	compression  string // "gzip", "zstd" or ""
	existing     existing
	delimiter    byte
}

// existing says what is done with the parts of an earlier job.
type existing int

const (
	refuseParts existing = iota
	appendParts
	overwriteParts
)

// encoder makes bytes of records. It belongs to one writer.
type encoder[T any] interface {
	// header appends what each part begins with.
	header(b []byte) []byte
	// append appends a record with its line end, or returns b as it was and an error.
	append(b []byte, record *T) ([]byte, error)
}

var (
	_ weir.Sink[string] = Sink[string]{}
	_ weir.Validator    = Sink[string]{}
	_ weir.Finisher     = (*writer[string])(nil)
	_ weir.Committer    = (*writer[string])(nil)
)

func newSink[T any](name, dir, extension string, encoder func(*sinkSettings) encoder[T]) Sink[T] {
	s := Sink[T]{
		name: name, dir: dir, extension: extension, encoder: encoder, storage: disk{},
		settings: sinkSettings{rollSize: 128 << 20, rollInterval: 30 * time.Minute, delimiter: ','},
	}
	if dir == "" {
		s.fail(errors.New("the directory is empty: name one, absolute on a cluster, since a worker's working directory is not yours"))
	}
	return s
}

// CSVSink returns a sink that writes CSV files to dir, which is made if there is
// none: RFC 4180, with a header in each, as [CSV] reads them. The fields of T,
// which is a struct type, are the columns, in their order, by the rules that CSV
// has for them; a field without a name in its tag names the column. What is read
// back is equal, except that an empty value of a pointer comes back as nil, that
// package encoding/csv, and so CSV, reads CR LF within a field as LF, and that of
// a time only the instant is certain.
func CSVSink[T any](dir string) Sink[T] {
	t := reflect.TypeFor[T]()
	columns, err := compileColumns(t)
	s := newSink(fmt.Sprintf("file.CSVSink[%v]", t), dir, ".csv", func(s *sinkSettings) encoder[T] {
		return &csvEncoder[T]{columns: columns, delimiter: s.delimiter}
	})
	s.needsComma = true
	s.fail(err)
	return s
}

// JSONLinesSink returns a sink that writes each record as a line of JSON to files
// in dir, which is made if there is none, as package [encoding/json] encodes it,
// except that <, > and & stay what they are and that text which is not valid
// UTF-8 fails the job.
func JSONLinesSink[T any](dir string) Sink[T] {
	return newSink(fmt.Sprintf("file.JSONLinesSink[%v]", reflect.TypeFor[T]()), dir, ".jsonl", func(*sinkSettings) encoder[T] { return &jsonEncoder[T]{} })
}

// LinesSink returns a sink that writes each record as a line, ended by LF, to
// files in dir, which is made if there is none. A record that holds LF fails the
// job, since it would be read as two.
func LinesSink(dir string) Sink[string] {
	return newSink("file.LinesSink", dir, ".txt", func(*sinkSettings) encoder[string] { return lineEncoder{} })
}

func (s *Sink[T]) fail(err error) {
	if err != nil {
		s.err = errors.Join(s.err, fmt.Errorf("%s(%q): %w", s.name, s.dir, err))
	}
}

// RollSize sets how many bytes a part has at most, but for its last record and
// what compression holds back: 128 MiB unless it is set. At least 1.
func (s Sink[T]) RollSize(bytes int64) Sink[T] {
	if bytes < 1 {
		s.fail(fmt.Errorf("RollSize(%d): it is at least 1", bytes))
	}
	s.settings.rollSize = bytes
	return s
}

// RollInterval sets how long after its first record a part is complete at the
// latest, whether or not further records come: 30 minutes unless it is set; 0 is
// never.
func (s Sink[T]) RollInterval(interval time.Duration) Sink[T] {
	if interval < 0 {
		s.fail(fmt.Errorf("RollInterval(%v): it is at least 0", interval))
	}
	s.settings.rollInterval = interval
	return s
}

// Gzip compresses the parts, whose names end in .gz then.
func (s Sink[T]) Gzip() Sink[T] { return s.compressed("gzip") }

// Zstd compresses the parts, whose names end in .zst then.
func (s Sink[T]) Zstd() Sink[T] { return s.compressed("zstd") }

func (s Sink[T]) compressed(format string) Sink[T] {
	if s.settings.compression != "" {
		s.fail(errors.New("Gzip and Zstd: parts are compressed once"))
	}
	s.settings.compression = format
	return s
}

// Append lets the job write to a directory that holds parts already. Its own get
// the numbers after those of the same subtask.
func (s Sink[T]) Append() Sink[T] { return s.with(appendParts) }

// Overwrite removes the parts that a directory holds before anything is written
// to it.
func (s Sink[T]) Overwrite() Sink[T] { return s.with(overwriteParts) }

func (s Sink[T]) with(e existing) Sink[T] {
	if s.settings.existing != refuseParts {
		s.fail(errors.New("Append and Overwrite: choose what is done with parts of an earlier job once"))
	}
	s.settings.existing = e
	return s
}

// Delimiter sets the byte between two fields of a CSV file, as the option
// [Delimiter] does for reading.
func (s Sink[T]) Delimiter(delimiter byte) Sink[T] {
	if !s.needsComma {
		s.fail(errors.New("Delimiter is for file.CSVSink"))
	} else {
		s.fail(checkDelimiter(delimiter))
	}
	s.settings.delimiter = delimiter
	return s
}

// Validate implements [weir.Validator].
func (s Sink[T]) Validate() error { return s.err }

// Open implements [weir.Sink].
func (s Sink[T]) Open(ctx context.Context, subtask weir.Subtask) (weir.Writer[T], error) {
	if s.err != nil {
		return nil, s.err
	}
	d := directory{
		storage: s.storage, path: strings.TrimRight(s.dir, "/") + "/", subtask: subtask.Index, parallelism: subtask.Parallelism,
		extension: s.extension + compressions[s.settings.compression],
	}
	if err := d.make(); err != nil {
		return nil, fmt.Errorf("%s(%q), subtask %d: %w", s.name, s.dir, subtask.Index, err)
	}
	return newWriter(ctx, s.name, s.settings, d, s.encoder(&s.settings)), nil
}

// compressions are the formats that parts may have, with what their names end in.
var compressions = map[string]string{"": "", "gzip": ".gz", "zstd": ".zst"}
