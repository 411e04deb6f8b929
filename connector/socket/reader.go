package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/weirstream/weir/internal/goroutine"
)

// reader is fed by a goroutine of its own, the feed. It implements
// [weir.Reader] and [weir.Notifier].
type reader struct {
	source source
	dial   dialFunc
	group  *goroutine.Group
	lines  chan []string // closed by the feed when it ends
	ready  chan struct{} // signalled after each change of lines
	failed error         // why the feed ended, written before lines is closed; io.EOF at the end

	rest []string // of what came from lines; the task's
}

// dialFunc is net.Dialer.DialContext.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// dialer's time-out is how long a peer may take to accept; a system's own limit
// is minutes.
var dialer = net.Dialer{Timeout: 30 * time.Second}

func newReader(ctx context.Context, s source, dial dialFunc) *reader {
	r := &reader{
		source: s,
		dial:   dial,
		group:  goroutine.New(ctx),
		lines:  make(chan []string, 1),
		ready:  make(chan struct{}, 1),
	}
	r.group.Go(func(ctx context.Context) error {
		r.failed = r.feed(ctx)
		close(r.lines)
		r.signal()
		return nil
	})
	return r
}

func (r *reader) signal() {
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// Ready implements [weir.Notifier].
func (r *reader) Ready() <-chan struct{} { return r.ready }

// Read implements [weir.Reader].
func (r *reader) Read(values []string) (int, error) {
	if len(r.rest) == 0 {
		select {
		case lines, ok := <-r.lines:
			if !ok {
				return 0, r.failed
			}
			r.rest = lines
		default:
			return 0, nil
		}
	}
	n := copy(values, r.rest)
	clear(r.rest[:n])
	r.rest = r.rest[n:]
	return n, nil
}

// Position implements [weir.Reader]. It is empty: a peer does not send again
// what it has sent.
func (r *reader) Position() ([]byte, error) { return []byte{}, nil }

// Close implements [weir.Reader].
func (r *reader) Close() error { return r.group.Close() }

// feed connects and reads until no further connection is to be made.
func (r *reader) feed(ctx context.Context) error {
	for retries := 0; ; retries++ {
		got, err := r.connect(ctx)
		if got {
			retries = 0
		}
		var final *finalError
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &final):
			return err
		case r.source.retries >= 0 && retries >= r.source.retries:
			return r.over(err)
		}
		pause := time.NewTimer(r.source.pause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return context.Cause(ctx)
		}
	}
}

// over is what the source ends with when it does not connect again.
func (r *reader) over(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case r.source.retries > 0:
		return fmt.Errorf("%w (connecting again is given up, attempts in a row: %d)", err, r.source.retries)
	default:
		return err
	}
}

// finalError is one that another connection would not mend.
type finalError struct{ error }

func (e *finalError) Unwrap() error { return e.error }

// connect makes one connection and reads it to its end, which is io.EOF when the
// peer has closed it. got reports whether a line came.
func (r *reader) connect(ctx context.Context) (got bool, err error) {
	conn, err := r.dial(ctx, "tcp", r.source.address)
	if err != nil {
		return false, fmt.Errorf("cannot connect from %s to %s: %w: is something listening there, such as nc -lk? On a cluster the address must lead there from the TaskManager",
			here(), r.source.address, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		stop()
		_ = conn.Close() // nothing was written, so nothing can be lost
	}()
	cut := newCutter(r.source.delimiter, r.source.maxLength)
	buffer := make([]byte, readSize)
	for {
		n, readErr := conn.Read(buffer)
		lines, err := cut.add(buffer[:n])
		if errors.Is(readErr, io.EOF) && err == nil {
			var last []string
			last, err = cut.end()
			lines = append(lines, last...)
		}
		if len(lines) > 0 {
			if got = true; !r.hand(ctx, lines) {
				return got, context.Cause(ctx)
			}
		}
		switch {
		case err != nil:
			return got, &finalError{fmt.Errorf("the socket %s: %w", r.source.address, err)}
		case errors.Is(readErr, io.EOF):
			return got, io.EOF
		case readErr != nil && cut.held() > 0:
			return got, &finalError{fmt.Errorf("the connection to %s broke within line %d, of which %d bytes had come: %w",
				r.source.address, cut.line, cut.held(), readErr)}
		case readErr != nil:
			return got, fmt.Errorf("the connection to %s broke: %w", r.source.address, readErr)
		}
	}
}

// readSize is how much is read from a connection at a time.
const readSize = 64 << 10

// hand gives lines to the task, which takes them when it has taken those before.
// It reports false when the reader is being closed.
func (r *reader) hand(ctx context.Context, lines []string) bool {
	select {
	case r.lines <- lines:
		r.signal()
		return true
	case <-ctx.Done():
		return false
	}
}

// here names this machine, which is rarely the user's.
func here() string {
	host, err := os.Hostname()
	if err != nil {
		return "this host"
	}
	return host
}
