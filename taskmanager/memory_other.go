//go:build !linux

package taskmanager

import (
	"errors"
	"fmt"
	"os"
)

// newSlotMemory returns a file of size zero bytes that has no name any more.
func newSlotMemory(slot int, size int64) (*os.File, error) {
	f, err := unnamedFile()
	if err != nil {
		return nil, fmt.Errorf("network memory of slot %d: %w", slot, err)
	}
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, fmt.Errorf("network memory of slot %d: resize it to %d bytes: %w", slot, size, err)
	}
	return f, nil
}

// newInputFile returns an empty file that only who inherits it can read.
func newInputFile() (*os.File, error) { return unnamedFile() }

func unnamedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "weir-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
