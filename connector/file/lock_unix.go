//go:build unix && !aix && !solaris

package file

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lock locks a file until it is closed, by its process or by the kernel when that
// dies. It reports whether it could: not if somebody else has locked it, unless
// both share the lock. A file system without locks has none to wait for.
func lock(f *os.File, share bool) (free bool, err error) {
	how := unix.LOCK_EX | unix.LOCK_NB
	if share {
		how = unix.LOCK_SH | unix.LOCK_NB
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		switch {
		case err == nil, errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, err
		}
	}
}
