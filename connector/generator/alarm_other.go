//go:build !linux

package generator

import "time"

// alarm is a timer of the runtime.
type alarm struct {
	timer *time.Timer
	c     chan struct{}
}

func newAlarm() (waker, error) {
	a := &alarm{c: make(chan struct{}, 1)}
	a.timer = time.AfterFunc(1<<63-1, func() {
		select {
		case a.c <- struct{}{}:
		default:
		}
	})
	return a, nil
}

// C implements waker.
func (a *alarm) C() <-chan struct{} { return a.c }

// Set implements waker.
func (a *alarm) Set(d time.Duration) error {
	a.timer.Reset(d)
	return nil
}

// Close implements waker.
func (a *alarm) Close() error {
	a.timer.Stop()
	return nil
}
