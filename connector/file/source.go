package file

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/weirstream/weir"
)

// Source is a source of the records in files. Make one with [CSV], [JSONLines] or
// [Lines]; its methods return variants of it. It may be used concurrently.
type Source[T any] struct {
	name     string // of the function that made it
	patterns []string
	settings settings
	lines    bool // each line is a record
	decoder  func() decoder[T]
	check    func(*T) error
	interval time.Duration // between two looks at the directory; 0 if it is not watched
	tally    *tally
	err      error // what is wrong with T, the patterns or the options
}

var (
	_ weir.Source[string] = Source[string]{}
	_ weir.Validator      = Source[string]{}
)

func newSource[T any](name, pattern string, options []Option) Source[T] {
	s := Source[T]{
		name:     fmt.Sprintf("file.%s[%v]", name, reflect.TypeFor[T]()),
		settings: newSettings(options), lines: true, tally: &tally{},
	}
	if name == "Lines" {
		s.name = "file.Lines"
	}
	s.patterns = append([]string{pattern}, s.settings.also...)
	for _, p := range s.patterns {
		if err := checkPattern(p); err != nil {
			s.fail(fmt.Errorf("%q: %w", p, err))
		}
	}
	return s
}

// fail remembers what is wrong.
func (s *Source[T]) fail(errs ...error) {
	if err := errors.Join(errs...); err != nil {
		s.err = errors.Join(s.err, s.named(s.patterns[0], err))
	}
}

// named says which source an error is about.
func (s *Source[T]) named(pattern string, err error) error {
	return fmt.Errorf("%s(%q): %w", s.name, pattern, err)
}

// Check returns the source with a function that examines each record, for what a
// type cannot express: a time that lies in the future, a number that is negative.
// A record for which it returns an error is a bad one. Several subtasks call it
// concurrently.
func (s Source[T]) Check(f func(record *T) error) Source[T] {
	if f == nil {
		s.fail(errors.New("Check: the function is nil"))
	}
	s.check = f
	return s
}

// leastInterval is the shortest time between two looks at a directory.
const leastInterval = time.Millisecond

// Watch returns the source without an end: files that appear later are read, too.
// It looks for them at every interval, at least a millisecond. A file is read
// when its size and modification time have not changed from one look to the next,
// so it appears complete if it is moved to its place; it is read once, and what is
// written to it after that goes unnoticed. Files that are found together are
// read in the order of their paths.
//
// The files are one split: one subtask reads them, so the parallelism of the
// source is best set to 1. There may be no file yet, but the directory, up to the
// first wildcard of the pattern, must exist all the time. A file that vanishes
// before it was read fails the job; one that was read may go, and is forgotten
// then, so that a file of the same name is a new one.
func (s Source[T]) Watch(interval time.Duration) Source[T] {
	if interval < leastInterval {
		s.fail(fmt.Errorf("Watch(%v): the interval is at least %v", interval, leastInterval))
	}
	s.interval = interval
	return s
}

// BadRecords returns how many bad records were left out in this process: see
// [CountBadRecords].
func (s Source[T]) BadRecords() int64 { return s.tally.total.Load() }

// Rejected returns the source with its bad records in their places, so that a job
// can do with them what it likes:
//
//	results := weir.From(env, "orders", file.JSONLines[Order]("/data/orders/*.jsonl").Rejected())
//	bad := results.Filter(func(r file.Result[Order]) bool { return !r.OK() })
//	orders := results.Filter(file.Result[Order].OK).Map(func(r file.Result[Order]) Order { return r.Record })
func (s Source[T]) Rejected() weir.Source[Result[T]] {
	if s.settings.countBad {
		s.fail(errors.New("CountBadRecords and Rejected exclude each other: bad records are left out or handed on"))
	}
	return rejected[T]{s}
}

// Validate implements [weir.Validator].
func (s Source[T]) Validate() error { return s.err }

// Bounded implements [weir.Source]: files end unless they are watched.
func (s Source[T]) Bounded() bool { return s.interval == 0 }

// Splits implements [weir.Source]. A file is one split, identified by its path; or
// several, if it is large and may be cut.
func (s Source[T]) Splits(ctx context.Context, parallelism int) ([]weir.Split, error) {
	if s.err != nil {
		return nil, s.err
	}
	if !s.Bounded() {
		_, err := s.glance(ctx)
		return []weir.Split{{ID: s.patterns[0]}}, err
	}
	files, err := s.expand(ctx)
	if err != nil {
		return nil, err
	}
	var splits []weir.Split
	for _, f := range files {
		ranges, err := s.cut(f, parallelism)
		if err != nil {
			return nil, s.named(f.path, err)
		}
		for _, r := range ranges {
			splits = append(splits, r.split())
		}
	}
	return splits, nil
}

// expand returns the files of all patterns, of which each must match.
func (s *Source[T]) expand(ctx context.Context) ([]found, error) {
	var all expansion
	for _, pattern := range s.patterns {
		files, err := expand(ctx, s.settings.system, pattern)
		if err != nil {
			return nil, s.named(pattern, err)
		}
		all.files = append(all.files, files...)
	}
	return all.sorted(), nil
}

// glance returns the files of all patterns, of which none need match.
func (s *Source[T]) glance(ctx context.Context) ([]found, error) {
	var all expansion
	for _, pattern := range s.patterns {
		files, err := glance(ctx, s.settings.system, pattern)
		if err != nil {
			return nil, s.named(pattern, err)
		}
		all.files = append(all.files, files...)
	}
	return all.sorted(), nil
}

// cut cuts a file into ranges if that is possible and worth it. One subtask alone
// has nothing to gain.
func (s *Source[T]) cut(f found, parallelism int) ([]fileRange, error) {
	if !s.lines || parallelism == 1 || f.size < 2*s.settings.splitSize {
		return []fileRange{wholeFile(f.path)}, nil
	}
	in, err := open(s.settings.system, f.path)
	if err != nil {
		return nil, err
	}
	if err := in.Close(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	if in.compressed() {
		return []fileRange{wholeFile(f.path)}, nil
	}
	return cutFile(f, s.settings.splitSize), nil
}

// Open implements [weir.Source].
func (s Source[T]) Open(ctx context.Context, split weir.Split, at []byte) (weir.Reader[T], error) {
	if s.err != nil {
		return nil, s.err
	}
	if !s.Bounded() {
		return newWatcher(ctx, s.watching(), s.open, at)
	}
	cut, err := decodeRange(split)
	if err != nil {
		return nil, err
	}
	return opened(s.open(ctx, cut, at))
}

// open opens a range.
func (s *Source[T]) open(ctx context.Context, cut fileRange, at []byte) (fileReading[T], error) {
	f, err := openFile(ctx, s, cut, at)
	if err != nil {
		return nil, err
	}
	what := cut.split().ID
	return &reader[T]{fileReader: f, skipBad: s.settings.countBad, tally: splitTally{tally: s.tally, what: what}}, nil
}

// opened keeps a nil pointer out of an interface.
func opened[T any](r fileReading[T], err error) (weir.Reader[T], error) {
	if err != nil {
		return nil, err
	}
	return r, nil
}

// rejected is a source of results.
type rejected[T any] struct{ source Source[T] }

// Validate implements [weir.Validator].
func (s rejected[T]) Validate() error { return s.source.err }

// Bounded implements [weir.Source].
func (s rejected[T]) Bounded() bool { return s.source.Bounded() }

// Splits implements [weir.Source].
func (s rejected[T]) Splits(ctx context.Context, parallelism int) ([]weir.Split, error) {
	return s.source.Splits(ctx, parallelism)
}

// Open implements [weir.Source].
func (s rejected[T]) Open(ctx context.Context, split weir.Split, at []byte) (weir.Reader[Result[T]], error) {
	if s.source.err != nil {
		return nil, s.source.err
	}
	if !s.Bounded() {
		return newWatcher(ctx, s.source.watching(), s.open, at)
	}
	cut, err := decodeRange(split)
	if err != nil {
		return nil, err
	}
	return opened(s.open(ctx, cut, at))
}

func (s *rejected[T]) open(ctx context.Context, cut fileRange, at []byte) (fileReading[Result[T]], error) {
	f, err := openFile(ctx, &s.source, cut, at)
	if err != nil {
		return nil, err
	}
	return &resultReader[T]{fileReader: f}, nil
}
