package taskmanager

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// newExecutable copies the executable into a file in memory, seals it so that
// nobody can change it any more, and then verifies it: whatever happens to the
// file it came from, what was verified is what runs. Where the host forbids to
// execute memory (vm.memfd_noexec), a private file without a name serves.
func newExecutable(directory string, from io.Reader, want digest) (*executable, error) {
	e, err := sealedCopy(from)
	if errors.Is(err, errNoMemoryFile) {
		e, err = unnamedCopy(directory, from)
	}
	if err != nil {
		return nil, err
	}
	if err := e.verify(want); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// errNoMemoryFile is returned before anything is read.
var errNoMemoryFile = errors.New("executable files in memory are not to be had")

func sealedCopy(from io.Reader) (*executable, error) {
	file, err := memoryFile("weir-job", unix.MFD_EXEC)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoMemoryFile, err)
	}
	_, err = io.Copy(file, from)
	if err == nil {
		err = seal(file, unix.F_SEAL_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("copy the artefact into memory: %w", err), file.Close())
	}
	return &executable{file: file, path: descriptorPath(file)}, nil
}

func unnamedCopy(directory string, from io.Reader) (*executable, error) {
	e, err := privateCopy(directory, from)
	if err != nil {
		return nil, err
	}
	if err := e.remove(); err != nil {
		return nil, errors.Join(fmt.Errorf("copy the artefact: %w", err), e.file.Close())
	}
	e.remove = nil
	e.path = descriptorPath(e.file)
	return e, nil
}

// descriptorPath names an open file of this process. The child that executes it
// resolves it before it becomes another program, and descriptors that it is
// given cannot take the number's place, as they could below /proc/self.
func descriptorPath(file *os.File) string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), file.Fd())
}
