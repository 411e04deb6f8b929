package file

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// storage is what sinks need of a file system. Tests put one in its place that is
// full or fails.
type storage interface {
	// MakeDir makes a directory, and those above it, if there is none.
	MakeDir(path string) error
	ReadDir(path string) ([]fs.DirEntry, error)
	// Create makes a file that does not exist, and locks it for as long as it is
	// open.
	Create(path string) (partFile, error)
	// Owned reports whether a process that lives has locked a file.
	Owned(path string) (bool, error)
	// Exists reports whether there is a file.
	Exists(path string) (bool, error)
	Open(path string) (io.ReadCloser, error)
	// Rename gives a file another name, in one step and never that of a file that is
	// there: then it returns [fs.ErrExist].
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes the names in a directory survive a crash.
	SyncDir(path string) error
}

// partFile is a file that is written.
type partFile interface {
	io.WriteCloser
	// Sync makes what was written survive a crash.
	Sync() error
}

// disk is the file system of the machine that the worker runs on.
type disk struct{}

func (disk) MakeDir(path string) error {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return nil
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	return disk{}.SyncDir(filepath.Dir(filepath.Clean(path)))
}

func (disk) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

func (disk) Create(path string) (partFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	if _, err := lock(f, false); err != nil {
		return nil, errors.Join(&fs.PathError{Op: "lock", Path: path, Err: err}, f.Close(), os.Remove(path))
	}
	return f, nil
}

func (disk) Owned(path string) (owned bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	free, err := lock(f, true) // shared by all who look; ends when the file is closed
	if err != nil {
		err = &fs.PathError{Op: "lock", Path: path, Err: err}
	}
	return !free, errors.Join(err, f.Close())
}

func (disk) Exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (disk) Open(path string) (io.ReadCloser, error) { return os.Open(path) }

func (disk) Rename(from, to string) error {
	err := renameNew(from, to)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Both may be names of one file, where linkNew was cut off between its steps.
	a, errA := os.Lstat(from)
	b, errB := os.Lstat(to)
	if errA == nil && errB == nil && os.SameFile(a, b) {
		return os.Remove(from)
	}
	return err
}

// linkNew renames a file in two steps, of which the first fails if there is a file of
// the new name. Where there are no links it looks whether there is one.
func linkNew(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}

func (disk) Remove(path string) error { return os.Remove(path) }

func (disk) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
