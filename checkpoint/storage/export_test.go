package storage

import "github.com/weirstream/weir/internal/ids"

// System is what a directory needs of a file system, NewFile a file in it, Disk
// that of this machine.
type (
	System  = system
	NewFile = newFile
	Disk    = disk
)

// OpenWith is OpenDirectory on another file system.
func OpenWith(root string, job ids.JobID, s System) *Directory {
	d := OpenDirectory(root, job)
	d.system = s
	return d
}

// PartName returns a temporary name.
func PartName(path string, attempt ids.Attempt) string { return partName(path, attempt) }
