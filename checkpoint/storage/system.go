package storage

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// The permissions are for one user, or for users of one group: state is nobody
// else's business.
const (
	dirMode  = 0o750
	fileMode = 0o640
)

// system is what a [Directory] needs of a file system. Tests put one in its place
// that is full, fails or dies.
type system interface {
	// MakeDir makes one directory in one that exists.
	MakeDir(path string) error
	// Create makes a file that does not exist.
	Create(path string) (newFile, error)
	Open(path string) (*os.File, error)
	// Link gives a file another name, which must not exist.
	Link(from, to string) error
	// Same reports whether two names are of one file.
	Same(a, b string) (bool, error)
	// Remove removes a file or an empty directory.
	Remove(path string) error
	ReadDir(path string) ([]fs.DirEntry, error)
	// SyncFile makes the content of a file survive a crash, SyncDir the names in a
	// directory.
	SyncFile(path string) error
	SyncDir(path string) error
}

// newFile is a file that is written.
type newFile interface {
	io.WriteCloser
	Sync() error
}

// disk is the file system of this machine.
type disk struct{}

func (disk) MakeDir(path string) error                  { return os.Mkdir(path, dirMode) }
func (disk) Open(path string) (*os.File, error)         { return os.Open(path) }
func (disk) Link(from, to string) error                 { return os.Link(from, to) }
func (disk) Remove(path string) error                   { return os.Remove(path) }
func (disk) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }
func (disk) SyncFile(path string) error                 { return disk{}.SyncDir(path) }

func (disk) Create(path string) (newFile, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
}

func (disk) Same(a, b string) (bool, error) {
	first, err := os.Lstat(a)
	if err != nil {
		return false, err
	}
	second, err := os.Lstat(b)
	if err != nil {
		return false, err
	}
	return os.SameFile(first, second), nil
}

func (disk) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
