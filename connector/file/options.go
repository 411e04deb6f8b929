package file

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Option changes how files are read.
type Option func(*settings)

type settings struct {
	delimiter     byte
	maxRecord     int
	splitSize     int64
	also          []string
	lines         bool // each line of a CSV file is a record
	rejectUnknown bool
	requireFields bool
	countBad      bool

	given  []string // the options that not every format has
	buffer int      // of scanners, at first
	system fileSystem
}

func newSettings(options []Option) settings {
	s := settings{delimiter: ',', maxRecord: 16 << 20, splitSize: 32 << 20, buffer: scanBuffer, system: machine{}}
	for _, option := range options {
		option(&s)
	}
	return s
}

// Delimiter sets the byte between two fields of a CSV file, a comma unless it is
// set. It is an ASCII character other than a quote, CR, LF and NUL.
func Delimiter(delimiter byte) Option {
	return func(s *settings) { s.delimiter, s.given = delimiter, append(s.given, "Delimiter") }
}

// MaxRecordSize sets how many bytes a record may have, 16 MiB unless it is set:
// in a CSV file more than that is taken for a quote that is never closed. At
// least 1.
func MaxRecordSize(bytes int) Option {
	return func(s *settings) { s.maxRecord = bytes }
}

// Also adds further patterns to the one that the source was given. Each of them
// must match a file.
func Also(patterns ...string) Option {
	return func(s *settings) { s.also = append(s.also, patterns...) }
}

// SplitSize sets how many bytes a range of a file has at least, 32 MiB unless it
// is set, and at least 1 MiB. A file that is not compressed and as large as two
// ranges or more is read by several subtasks at once.
func SplitSize(bytes int64) Option {
	return func(s *settings) { s.splitSize = bytes }
}

const leastSplit = 1 << 20

// OneLinePerRecord promises that no field of a CSV file holds a newline, so that
// a large file can be cut into ranges. A quoted field that does not end with its
// line is then a bad record: a promise that is not kept is found out, whatever
// the ranges.
func OneLinePerRecord() Option {
	return func(s *settings) { s.lines, s.given = true, append(s.given, "OneLinePerRecord") }
}

// RejectUnknownFields makes what the record type has no field for an error: a
// member of a JSON object, at any depth, which makes the record a bad one; or a
// column of a CSV file, which fails the job. Without it, both are ignored.
func RejectUnknownFields() Option {
	return func(s *settings) { s.rejectUnknown, s.given = true, append(s.given, "RejectUnknownFields") }
}

// RequireFields makes a JSON object a bad record if it lacks a member for a field
// of the record type itself, be it one of an embedded struct. Fields whose tag
// says omitempty or omitzero may be absent. Without it, a field whose member is
// absent has its zero value. Columns of a CSV file are always required.
func RequireFields() Option {
	return func(s *settings) { s.requireFields, s.given = true, append(s.given, "RequireFields") }
}

// FailOnBadRecord fails the job at the first bad record. This is how a source
// behaves unless it is told otherwise.
func FailOnBadRecord() Option {
	return func(s *settings) { s.countBad = false }
}

// CountBadRecords leaves bad records out. The first few are logged, and when a
// split has been read, how many of its records were bad; [Source.BadRecords]
// returns how many there have been.
func CountBadRecords() Option {
	return func(s *settings) { s.countBad = true }
}

// check returns all that is wrong with the settings of a format, which has the
// options that are named.
func (s settings) check(format string, options ...string) error {
	var errs []error
	errs = append(errs, checkDelimiter(s.delimiter))
	if s.maxRecord < 1 {
		errs = append(errs, fmt.Errorf("file.MaxRecordSize(%d): it is at least 1", s.maxRecord))
	}
	if s.splitSize < leastSplit {
		errs = append(errs, fmt.Errorf("file.SplitSize(%d): it is at least %d", s.splitSize, leastSplit))
	}
	for _, given := range s.given {
		if !slices.Contains(options, given) {
			errs = append(errs, fmt.Errorf("file.%s is no option of file.%s", given, format))
		}
	}
	return errors.Join(errs...)
}

func checkDelimiter(delimiter byte) error {
	if delimiter == 0 || delimiter >= 0x80 || strings.IndexByte("\"\r\n", delimiter) >= 0 {
		return fmt.Errorf("file.Delimiter(%q): it is an ASCII character other than a quote, CR, LF and NUL", delimiter)
	}
	return nil
}
