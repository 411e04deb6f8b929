package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/weirstream/weir/internal/ids"
)

// Directory is the [Storage] of a job in a file system. It must be one that has
// hard links and that all machines see alike: a disk for a cluster on one machine,
// NFS or the like for others.
type Directory struct {
	root, dir string
	system    system
	// rooted says that this process has synced what leads to dir.
	rooted atomic.Bool
}

var _ Storage = (*Directory)(nil)

// OpenDirectory returns the storage of a job below a directory. It does no I/O; the
// directory is made when something is stored.
func OpenDirectory(root string, job ids.JobID) *Directory {
	return &Directory{root: root, dir: filepath.Join(root, job.String()), system: disk{}}
}

// Location implements [Storage].
func (d *Directory) Location(name string) string {
	return (&url.URL{Scheme: "file", Path: d.path(name)}).String()
}

func (d *Directory) path(name string) string { return filepath.Join(d.dir, filepath.FromSlash(name)) }

// fail says what could not be done, where, and what a user may do about it.
func (d *Directory) fail(what, name string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = ": make room there, or set execution.checkpointing.dir to another place"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		hint = ": allow this process's user to write there, or set execution.checkpointing.dir to another place"
	}
	return fmt.Errorf("checkpoint storage: %s %s: %w%s", what, d.Location(name), err, hint)
}

// Put implements [Storage].
func (d *Directory) Put(ctx context.Context, name string, attempt ids.Attempt, content Content) error {
	err := checkName(name)
	if err == nil {
		err = d.put(ctx, d.path(name), attempt, content)
	}
	if err != nil {
		return d.fail("store", name, err)
	}
	return nil
}

func (d *Directory) put(ctx context.Context, path string, attempt ids.Attempt, content Content) error {
	part, f, err := d.create(ctx, path, attempt)
	if err != nil {
		return err
	}
	err = copyContent(ctx, f, content)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = d.link(part, path)
	}
	// Whether the temporary name can be removed says nothing about the file; what is
	// left of it is removed when the next attempt begins.
	_ = d.system.Remove(part)
	if err != nil && !errors.Is(err, ErrExists) {
		d.prune(filepath.Dir(path))
		return err
	}
	if failed := d.syncDirs(filepath.Dir(path)); failed != nil {
		return failed // without ErrExists, which says that what exists is durable
	}
	return err
}

// create makes a temporary file for a file, and the directories that lead to it.
func (d *Directory) create(ctx context.Context, path string, attempt ids.Attempt) (part string, f newFile, err error) {
	for range 10 {
		if err := context.Cause(ctx); err != nil {
			return "", nil, err
		}
		if err = d.makeDir(filepath.Dir(path)); err == nil {
			part = partName(path, attempt)
			f, err = d.system.Create(part)
		}
		// Somebody else deletes the last file of a directory, and it with that, between
		// two of our calls: it is made again.
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return part, f, err
}

// makeDir makes a directory and those that lead to it. Names that are new are
// synced: a file is not durable in a directory that is not.
func (d *Directory) makeDir(path string) error {
	err := d.system.MakeDir(path)
	if parent := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) && parent != path {
		if err := d.makeDir(parent); err != nil {
			return err
		}
		err = d.system.MakeDir(path)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return d.system.SyncDir(filepath.Dir(path))
}

// link gives a complete file its name.
func (d *Directory) link(part, path string) error {
	err := d.system.Link(part, path)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		// A network file system may have carried the call out, lost the answer, and
		// asked again by itself.
		if same, err := d.system.Same(part, path); err == nil && same {
			return nil
		}
		if err := d.system.SyncFile(path); err != nil {
			return err
		}
		return ErrExists
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS):
		return fmt.Errorf("%w: the file system has no hard links, which the storage of checkpoints needs to overwrite nothing", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: a later attempt of the job has removed the temporary file", err)
	}
	return err
}

// syncDirs makes the names in a directory of the job durable, and its own: another
// process may have made it and not synced it yet.
func (d *Directory) syncDirs(dir string) error {
	for _, path := range []string{dir, d.dir} {
		if err := d.system.SyncDir(path); err != nil {
			return err
		}
	}
	if d.rooted.Load() {
		return nil
	}
	if err := d.system.SyncDir(d.root); err != nil {
		return err
	}
	d.rooted.Store(true)
	return nil
}

// prune removes a directory of the job, and that of the job, if they are empty. That
// they cannot be removed is no failure: mostly they are not empty.
func (d *Directory) prune(dir string) {
	if d.system.Remove(dir) == nil {
		_ = d.system.Remove(d.dir)
	}
}

// Check implements [Storage].
func (d *Directory) Check(ctx context.Context) error {
	// This is no name of a file, since it begins with a dot; CleanUp removes it.
	path := partName(filepath.Join(d.dir, "check"), 0)
	err := d.put(ctx, path, 0, Bytes([]byte("checkpoints can be stored here")))
	err = errors.Join(err, ignoreMissing(d.system.Remove(path)))
	_ = d.system.Remove(d.dir) // as in prune
	if err != nil {
		return d.fail("check", "", err)
	}
	return nil
}

// file is a stored file of a [Directory].
type file struct {
	*os.File
	size int64
}

func (f file) Size() int64 { return f.size }

// Open implements [Storage].
func (d *Directory) Open(_ context.Context, name string) (File, error) {
	f, err := d.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = d.missing()
	}
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	return f, nil
}

func (d *Directory) open(name string) (File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	f, err := d.system.Open(d.path(name))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("it is no file but %v", info.Mode().Type())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return file{File: f, size: info.Size()}, nil
}

// missing says why a file is not there: a root that is not mounted says nothing
// about files.
func (d *Directory) missing() error {
	if _, err := d.system.ReadDir(d.root); err != nil {
		return fmt.Errorf("%w: is it mounted?", err)
	}
	return ErrNotFound
}

// Delete implements [Storage]. The directory of a file goes with the last one in it.
// A deletion may be undone by the crash of a machine: what comes back is garbage, and
// found as such.
func (d *Directory) Delete(_ context.Context, name string) error {
	err := checkName(name)
	if err == nil {
		err = d.system.Remove(d.path(name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = d.missing()
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return d.fail("delete", name, err)
	}
	d.prune(filepath.Dir(d.path(name)))
	return nil
}

// List implements [Storage].
func (d *Directory) List(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for found, err := range d.walk(ctx) {
			if err != nil {
				yield(Entry{}, d.fail("list", "", err))
				return
			}
			name := found.dir + "/" + found.Name()
			if found.dir == "" || checkName(name) != nil {
				continue
			}
			info, err := found.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // it was deleted meanwhile
			}
			if err != nil {
				yield(Entry{}, d.fail("list", name, err))
				return
			}
			if !yield(Entry{Name: name, Size: info.Size(), Modified: info.ModTime()}, nil) {
				return
			}
		}
	}
}

// found is a file in the job's directory, or in one of those in it.
type found struct {
	fs.DirEntry
	dir string // empty for the job's directory itself
}

// walk yields all files of the job, temporary ones included.
func (d *Directory) walk(ctx context.Context) iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		dirs := []string{""}
		for len(dirs) > 0 {
			dir := dirs[0]
			dirs = dirs[1:]
			err := context.Cause(ctx)
			var entries []fs.DirEntry
			if err == nil {
				entries, err = d.system.ReadDir(filepath.Join(d.dir, dir))
				err = ignoreMissing(err)
			}
			if err != nil {
				yield(found{}, err)
				return
			}
			for _, e := range entries {
				if e.IsDir() {
					if dir == "" {
						dirs = append(dirs, e.Name())
					}
					continue
				}
				if !yield(found{DirEntry: e, dir: dir}, nil) {
					return
				}
			}
		}
	}
}

// CleanUp implements [Storage].
func (d *Directory) CleanUp(ctx context.Context, before ids.Attempt) error {
	var failed []error
	var dirs []string
	for found, err := range d.walk(ctx) {
		if err != nil {
			failed = append(failed, err)
			break
		}
		if attempt, temporary := partAttempt(found.Name()); temporary && attempt < before {
			failed = append(failed, ignoreMissing(d.system.Remove(filepath.Join(d.dir, found.dir, found.Name()))))
			dirs = append(dirs, found.dir)
		}
	}
	for _, dir := range slices.Compact(dirs) {
		if dir != "" {
			d.prune(filepath.Join(d.dir, dir))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return d.fail("clean up", "", err)
	}
	return nil
}

const (
	partPrefix = "."
	partSuffix = ".part"
)

// partName returns a temporary name for a file: ".<name>.<attempt>.<random>.part".
func partName(path string, attempt ids.Attempt) string {
	dir, name := filepath.Split(path)
	return fmt.Sprintf("%s%s%s.%d.%016x%s", dir, partPrefix, name, attempt, rand.Uint64(), partSuffix)
}

// partAttempt returns the attempt of a temporary name, and whether it is one.
func partAttempt(name string) (ids.Attempt, bool) {
	rest, isPart := strings.CutSuffix(name, partSuffix)
	parts := strings.Split(rest, ".")
	if n := len(parts); isPart && strings.HasPrefix(name, partPrefix) && n >= 4 {
		attempt, err := strconv.ParseUint(parts[n-2], 10, 32)
		return ids.Attempt(attempt), err == nil
	}
	return 0, false
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
