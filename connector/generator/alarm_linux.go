package generator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/internal/goroutine"
)

// alarm is a timerfd that one goroutine reads, through the runtime's poller. The
// runtime's own timers end a sleep in epoll_wait, whose time-out is counted in
// milliseconds; the kernel's high-resolution timers wake it at once.
type alarm struct {
	file  *os.File
	fd    int // of file; used by the goroutine that closes it
	c     chan struct{}
	group *goroutine.Group
}

func newAlarm() (waker, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	a := &alarm{
		file:  os.NewFile(uintptr(fd), "timerfd"),
		fd:    fd,
		c:     make(chan struct{}, 1),
		group: goroutine.New(context.Background()),
	}
	a.group.Go(a.ring)
	return a, nil
}

// ring passes on that the timer has expired, until the file is closed.
func (a *alarm) ring(context.Context) error {
	var expirations [8]byte
	for {
		if _, err := a.file.Read(expirations[:]); err != nil {
			if errors.Is(err, os.ErrClosed) {
				return nil
			}
			// Without this wake-up nobody would ask again, so the channel is closed:
			// the reader polls, and its next Set fails.
			close(a.c)
			return fmt.Errorf("read timerfd: %w", err)
		}
		select {
		case a.c <- struct{}{}:
		default:
		}
	}
}

// C implements waker.
func (a *alarm) C() <-chan struct{} { return a.c }

// Set implements waker.
func (a *alarm) Set(d time.Duration) error {
	if a.group.Context().Err() != nil {
		return fmt.Errorf("the timer is gone: %w", context.Cause(a.group.Context()))
	}
	// A time of 0 would disarm the timer.
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(1, d.Nanoseconds()))}
	if err := unix.TimerfdSettime(a.fd, 0, &spec, nil); err != nil {
		return fmt.Errorf("timerfd_settime: %w", err)
	}
	return nil
}

// Close implements waker.
func (a *alarm) Close() error { return errors.Join(a.file.Close(), a.group.Close()) }
