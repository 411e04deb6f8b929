//go:build !linux

package taskmanager

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// childAttributes puts a child into a process group of its own, so that a
// signal reaches what it started, too. Only Linux ties a child to its parent:
// here a worker ends when its session does.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// sacrifice has no meaning here.
func sacrifice(int) {}

// awaitExit returns when the child has exited, and leaves it to be reaped.
// Without an event queue it returns at once, and reaping waits.
func awaitExit(pid int) {
	queue, err := unix.Kqueue()
	if err != nil {
		return
	}
	defer unix.Close(queue)
	unix.CloseOnExec(queue)
	var watch unix.Kevent_t
	unix.SetKevent(&watch, pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	watch.Fflags = unix.NOTE_EXIT
	for {
		// An error other than an interruption says that it has exited.
		if _, err := unix.Kevent(queue, []unix.Kevent_t{watch}, make([]unix.Kevent_t, 1), nil); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// outOfMemoryKills is not known here.
func outOfMemoryKills() int { return -1 }
