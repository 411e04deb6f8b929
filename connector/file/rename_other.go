//go:build !linux

package file

// renameNew renames a file unless there is one of the new name.
func renameNew(from, to string) error { return linkNew(from, to) }
