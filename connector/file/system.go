package file

import (
	"io"
	"io/fs"
	"os"
)

// handle is an open file that is read.
type handle interface {
	io.ReadSeekCloser
}

// fileSystem is what sources need of one. Tests put one in its place that
// refuses, shrinks or forgets files, which root cannot make a real one do.
type fileSystem interface {
	Stat(path string) (fs.FileInfo, error)
	Open(path string) (handle, error)
	ReadDir(path string) ([]fs.DirEntry, error)
}

// machine is the file system of the machine that the worker runs on.
type machine struct{}

func (machine) Stat(path string) (fs.FileInfo, error)      { return os.Stat(path) }
func (machine) Open(path string) (handle, error)           { return os.Open(path) }
func (machine) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }
