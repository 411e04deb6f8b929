package file

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/weirstream/weir"
)

// Option changes how files are read.
type Option func(*settings)

type settings struct {
	delimiter byte
	maxRecord int
}

// Delimiter sets the byte between two fields, a comma unless it is set. It is an
// ASCII character other than a quote, CR, LF and NUL.
func Delimiter(delimiter byte) Option {
	return func(s *settings) { s.delimiter = delimiter }
}

// MaxRecordSize sets how many bytes a record may have, 16 MiB unless it is set:
// more than that is taken for a quote that is never closed. At least 1.
func MaxRecordSize(bytes int) Option {
	return func(s *settings) { s.maxRecord = bytes }
}

func (s *settings) check() error {
	var errs []error
	if s.delimiter == 0 || s.delimiter >= 0x80 || s.delimiter == '"' || s.delimiter == '\r' || s.delimiter == '\n' {
		errs = append(errs, fmt.Errorf("file.Delimiter(%q): it is an ASCII character other than a quote, CR, LF and NUL", s.delimiter))
	}
	if s.maxRecord < 1 {
		errs = append(errs, fmt.Errorf("file.MaxRecordSize(%d): it is at least 1", s.maxRecord))
	}
	return errors.Join(errs...)
}

// CSV returns a bounded source of the records of the CSV files that pattern
// names: a file, a directory or a glob; gzip is recognised. The package
// documentation says how columns are mapped to the fields of T, which is a
// struct type.
//
// A mistake in T or in an option is one of the program, reported before the job
// runs. A pattern that matches nothing, a file that cannot be read and a record
// that is not well-formed fail the job, with an error that says where. The
// source may be used concurrently.
func CSV[T any](pattern string, options ...Option) weir.Source[T] {
	s := &source[T]{pattern: pattern, settings: settings{delimiter: ',', maxRecord: 16 << 20}}
	for _, option := range options {
		option(&s.settings)
	}
	schema, err := compile(reflect.TypeFor[T]())
	s.schema = schema
	if err = errors.Join(err, s.settings.check()); err != nil {
		s.err = fmt.Errorf("file.CSV[%v](%q): %w", reflect.TypeFor[T](), pattern, err)
	}
	return s
}

// source is what CSV returns. It does not change.
type source[T any] struct {
	pattern  string
	settings settings
	schema   *schema
	err      error // what is wrong with T or the options
}

// Validate implements [weir.Validator].
func (s *source[T]) Validate() error { return s.err }

// Bounded implements [weir.Source]: files end.
func (s *source[T]) Bounded() bool { return true }

// Splits implements [weir.Source]: every file is one, identified by its path.
func (s *source[T]) Splits(ctx context.Context, _ int) ([]weir.Split, error) {
	if s.err != nil {
		return nil, s.err
	}
	paths, err := expand(ctx, s.pattern)
	if err != nil {
		return nil, fmt.Errorf("file.CSV[%v](%q): %w", reflect.TypeFor[T](), s.pattern, err)
	}
	splits := make([]weir.Split, len(paths))
	for i, path := range paths {
		splits[i].ID = path
	}
	return splits, nil
}

// Open implements [weir.Source].
func (s *source[T]) Open(ctx context.Context, split weir.Split, at []byte) (weir.Reader[T], error) {
	if s.err != nil {
		return nil, s.err
	}
	in, err := open(split.ID)
	if err != nil {
		return nil, err
	}
	r := &reader[T]{in: in, scan: newScanner(in, s.settings.delimiter, scanBuffer, s.settings.maxRecord)}
	if err := r.start(ctx, s, at); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return r, nil
}
