package taskmanager

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newSlotMemory returns a file of size zero bytes that lives in memory only and
// can be neither resized nor executed by whom it is handed to.
func newSlotMemory(slot int, size int64) (*os.File, error) {
	f, err := memoryFile(fmt.Sprintf("weir-slot-%d", slot), unix.MFD_NOEXEC_SEAL)
	if err != nil {
		return nil, fmt.Errorf("network memory of slot %d: %w", slot, err)
	}
	if err := f.Truncate(size); err != nil {
		f.Close()
		return nil, fmt.Errorf("network memory of slot %d: resize it to %d bytes: %w", slot, size, err)
	}
	if err := seal(f, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		f.Close()
		return nil, fmt.Errorf("network memory of slot %d: %w", slot, err)
	}
	return f, nil
}

// newInputFile returns an empty file that only who inherits it can read.
func newInputFile() (*os.File, error) { return memoryFile("weir-input", unix.MFD_NOEXEC_SEAL) }

// memoryFile creates a file in memory that can be sealed. The flag says whether
// it may be executed; kernels before 6.3 do not know it, and there it may.
func memoryFile(name string, executable int) (*os.File, error) {
	flags := unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|executable)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func seal(f *os.File, seals int) error {
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal the memory file: %w", err)
	}
	return nil
}
