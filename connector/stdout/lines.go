package stdout

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
)

// Option changes where a sink writes.
type Option func(*settings)

type settings struct{ to *destination }

func settingsOf(options []Option) settings {
	s := settings{to: standard}
	for _, option := range options {
		option(&s)
	}
	return s
}

// destination is a writer that subtasks share.
type destination struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu; nil for what os.Stdout is at the time
}

// standard is the process's standard output.
var standard = &destination{}

// To makes the sink write to w, where a test can read it. The sinks that are
// given the same Option value take turns; w is called by one at a time.
func To(w io.Writer) Option {
	to := &destination{w: w}
	return func(s *settings) { s.to = to }
}

// lines is the part of a writer that collects lines and writes them together. It
// implements [weir.Writer] but for Write.
type lines struct {
	to     *destination
	buffer bytes.Buffer
}

const (
	// enough is from how many bytes on lines are written without a Flush: as much
	// as a pipe takes at once.
	enough = 64 << 10
	// retained is the largest buffer that is kept for the next lines.
	retained = 1 << 20
)

// flushIfEnough writes the lines when there are enough of them. The buffer ends with a
// whole line (O1).
func (l *lines) flushIfEnough() error {
	if l.buffer.Len() < enough {
		return nil
	}
	return l.Flush()
}

// Flush implements [weir.Writer].
func (l *lines) Flush() error {
	if l.buffer.Len() == 0 {
		return nil
	}
	err := l.to.write(l.buffer.Bytes())
	if l.buffer.Cap() > retained {
		l.buffer = bytes.Buffer{} // at the same address, which an encoder keeps
	} else {
		l.buffer.Reset()
	}
	return err
}

// Close implements [weir.Writer].
func (l *lines) Close() error { return nil }

// write writes lines in one piece.
func (d *destination) write(lines []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	to, name := d.w, "its destination"
	if to == nil {
		to, name = os.Stdout, "standard output"
	}
	n, err := to.Write(lines)
	if err == nil && n < len(lines) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("stdout: %d of %d bytes written to %s: %w", n, len(lines), name, err)
	}
	return nil
}
