//go:build !linux

package taskmanager

import (
	"errors"
	"io"
)

// newExecutable copies the executable into a private file and verifies the
// copy.
func newExecutable(directory string, from io.Reader, want digest) (*executable, error) {
	e, err := privateCopy(directory, from)
	if err != nil {
		return nil, err
	}
	if err := e.verify(want); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}
