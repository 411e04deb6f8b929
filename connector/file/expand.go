package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// found is a file that a pattern names.
type found struct {
	path  string
	size  int64
	mtime time.Time
}

// expand returns the files that pattern names, sorted, each once. What cannot be
// read is an error: a part of the input that is skipped goes unnoticed.
func expand(ctx context.Context, system fileSystem, pattern string) ([]found, error) {
	e := &expansion{ctx: ctx, system: system}
	err := e.expand(pattern)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, unreadable(pattern, err)
	case err != nil:
		return nil, fmt.Errorf("%w (on %s)", err, here(pattern))
	case len(e.files) == 0:
		return nil, fmt.Errorf("it matches no file on %s: every TaskManager must see the input under this path", here(pattern))
	}
	return e.sorted(), nil
}

// glance returns the files that pattern names now, sorted, each once. There may
// be none; only the directory in which they are looked for must exist.
func glance(ctx context.Context, system fileSystem, pattern string) ([]found, error) {
	dir := fixed(pattern)
	info, err := system.Stat(cmp.Or(dir, "."))
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is not a directory", dir)
	}
	if err != nil {
		return nil, fmt.Errorf("the directory %q cannot be watched on %s: %w: the TaskManager must see it under this path", dir, here(pattern), err)
	}
	e := &expansion{ctx: ctx, system: system, fleeting: true}
	if err := absent(e.expand(pattern)); err != nil {
		return nil, fmt.Errorf("%w (on %s)", err, here(pattern))
	}
	return e.sorted(), nil
}

// fixed is the directory that every file of pattern lies in: the elements before
// the first wildcard.
func fixed(pattern string) string {
	dir := pattern
	for hasMeta(dir) {
		dir, _ = filepath.Split(strings.TrimRight(dir, "/"))
	}
	return dir
}

// checkPattern reports what is wrong with a pattern wherever it is expanded.
func checkPattern(pattern string) error {
	if pattern == "" {
		return errors.New("the pattern is empty: name a file, a directory or a glob")
	}
	if _, err := filepath.Match(pattern, ""); err != nil {
		return fmt.Errorf("this is not a pattern: %w", err)
	}
	return nil
}

// expansion collects files.
type expansion struct {
	ctx      context.Context
	system   fileSystem
	fleeting bool // what is gone when it is looked at was never there
	files    []found
}

func (e *expansion) expand(pattern string) error {
	err := e.named(pattern) // also a name that looks like a pattern
	if errors.Is(err, fs.ErrNotExist) && hasMeta(pattern) {
		return e.glob("", strings.Split(filepath.ToSlash(pattern), "/"))
	}
	return err
}

func (e *expansion) sorted() []found {
	slices.SortFunc(e.files, func(a, b found) int { return strings.Compare(a.path, b.path) })
	return slices.CompactFunc(e.files, func(a, b found) bool { return a.path == b.path })
}

// named adds a file, or all files below a directory.
func (e *expansion) named(path string) error {
	info, err := e.system.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return e.add(path, info)
	}
	return e.below(strings.TrimRight(filepath.Clean(path), "/") + "/")
}

// below adds all files below dir, which ends in a slash. It follows symbolic
// links to files, and not to directories, which might lead in a circle.
func (e *expansion) below(dir string) error {
	entries, err := e.entries(dir)
	if err != nil {
		return e.gone(err)
	}
	for _, entry := range entries {
		path := strings.TrimPrefix(dir, "./") + entry.Name()
		switch {
		case left(entry.Name()):
			continue
		case entry.IsDir():
			err = e.below(path + "/")
		default:
			err = e.gone(e.named(path))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// left reports whether a directory's file is not among its input.
func left(name string) bool { return name[0] == '.' || name[0] == '_' }

// entries returns what a directory holds.
func (e *expansion) entries(dir string) ([]fs.DirEntry, error) {
	if e.ctx.Err() != nil {
		return nil, context.Cause(e.ctx)
	}
	return e.system.ReadDir(cmp.Or(dir, "."))
}

// gone takes away the error of a file that was there a moment ago.
func (e *expansion) gone(err error) error {
	if e.fleeting && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (e *expansion) add(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file but %v", path, info.Mode().Type())
	}
	e.files = append(e.files, found{path: path, size: info.Size(), mtime: info.ModTime()})
	return nil
}

// glob adds what matches the elements of a pattern below dir, which ends in a
// slash or is empty. filepath.Glob would leave out directories that it cannot
// read.
func (e *expansion) glob(dir string, elements []string) error {
	element, rest := elements[0], elements[1:]
	switch {
	case element == "**":
		return e.deep(dir, elements)
	case hasMeta(element):
	case len(rest) > 0:
		return e.glob(dir+element+"/", rest)
	default:
		return absent(e.named(dir + element))
	}
	entries, err := e.entries(dir)
	if err != nil {
		return absent(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if ok, err := filepath.Match(element, name); err != nil || !ok || name[0] == '.' && element[0] != '.' {
			continue
		}
		if err := e.matched(dir+name, rest); err != nil {
			return err
		}
	}
	return nil
}

// matched goes on with what an element of a pattern matched.
func (e *expansion) matched(path string, rest []string) error {
	if len(rest) > 0 {
		return e.glob(path+"/", rest)
	}
	return e.gone(e.named(path))
}

// deep adds what matches the elements behind "**" in dir and in every directory
// below it.
func (e *expansion) deep(dir string, elements []string) error {
	if len(elements) > 1 {
		if err := e.glob(dir, elements[1:]); err != nil {
			return err
		}
	}
	entries, err := e.entries(dir)
	if err != nil {
		return absent(err)
	}
	for _, entry := range entries {
		path := dir + entry.Name()
		switch {
		case left(entry.Name()):
			continue
		case entry.IsDir():
			err = e.deep(path+"/", elements)
		case len(elements) == 1:
			err = e.gone(e.named(path))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// absent takes away the error of a path that is not there, which a pattern may
// have tried.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return err
}

func hasMeta(pattern string) bool { return strings.ContainsAny(pattern, `*?[\`) }
