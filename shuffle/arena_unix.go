//go:build unix

package shuffle

import (
	"os"
	"syscall"
)

// mapAnonymous maps private memory. Pages are given out by the system when
// they are first touched.
func mapAnonymous(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

func mapFile(f *os.File, size int) (memory []byte, err error) {
	// Through RawConn, so that the descriptor stays open during the call and
	// its file is not switched to blocking mode, as File.Fd would.
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var mapErr error
	err = raw.Control(func(fd uintptr) {
		memory, mapErr = syscall.Mmap(int(fd), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	})
	if err != nil {
		return nil, err
	}
	return memory, mapErr
}

func unmap(memory []byte) error { return syscall.Munmap(memory) }
