package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// expand returns the files that pattern names, sorted, each once. What cannot be
// read is an error: a part of the input that is skipped goes unnoticed.
func expand(ctx context.Context, pattern string) ([]string, error) {
	if pattern == "" {
		return nil, errors.New("the pattern is empty: name a file, a directory or a glob")
	}
	if _, err := filepath.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("this is not a pattern: %w", err)
	}
	e := &expansion{ctx: ctx}
	err := e.named(pattern) // also a name that looks like a pattern
	if errors.Is(err, fs.ErrNotExist) && hasMeta(pattern) {
		err = e.glob("", strings.Split(filepath.ToSlash(pattern), "/"))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, unreadable(pattern, err)
	case err != nil:
		return nil, fmt.Errorf("%w (on %s)", err, here(pattern))
	case len(e.files) == 0:
		return nil, fmt.Errorf("it matches no file on %s: every TaskManager must see the input under this path", here(pattern))
	}
	slices.Sort(e.files)
	return slices.Compact(e.files), nil
}

// expansion collects files.
type expansion struct {
	ctx   context.Context
	files []string
}

// named adds a file, or all files below a directory.
func (e *expansion) named(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return e.add(path, info)
	}
	return filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := e.ctx.Err(); err != nil {
			return context.Cause(e.ctx)
		}
		if file != path && strings.ContainsRune("._", rune(entry.Name()[0])) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.IsDir() {
			return nil
		}
		info, err := os.Stat(file) // follows a symbolic link
		if err != nil {
			return err
		}
		return e.add(file, info)
	})
}

func (e *expansion) add(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file but %v", path, info.Mode().Type())
	}
	e.files = append(e.files, path)
	return nil
}

// glob adds what matches the elements of a pattern below dir, which ends in a
// slash or is empty. filepath.Glob would leave out directories that it cannot
// read.
func (e *expansion) glob(dir string, elements []string) error {
	element, rest := elements[0], elements[1:]
	if !hasMeta(element) {
		if len(rest) > 0 {
			return e.glob(dir+element+"/", rest)
		}
		return absent(e.named(dir + element))
	}
	if err := e.ctx.Err(); err != nil {
		return context.Cause(e.ctx)
	}
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		return absent(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if ok, err := filepath.Match(element, name); err != nil || !ok || name[0] == '.' && element[0] != '.' {
			continue
		}
		if len(rest) > 0 {
			err = e.glob(dir+name+"/", rest)
		} else {
			err = e.named(dir + name)
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
