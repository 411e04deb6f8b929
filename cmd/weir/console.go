package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// eraseLine brings a terminal's cursor to the line's start and empties the line.
const eraseLine = "\r\x1b[K"

// console writes what a job prints, what there is to note, and one line of
// status, so that they do not run into each other. Its methods may be called
// concurrently.
type console struct {
	stdout, stderr io.Writer
	// terminal tells whether standard error is one, so that the status can be
	// replaced in place; shared, whether standard output is one as well.
	terminal, shared bool
	// columns is the terminal's width.
	columns int

	mu struct {
		sync.Mutex
		// shown tells whether the status is on the screen.
		shown bool
		// unfinished tells whether the last byte on standard output was not the
		// end of a line.
		unfinished bool
	}
}

func newConsole(stdout, stderr io.Writer) *console {
	c := &console{stdout: stdout, stderr: stderr}
	c.columns, c.terminal = width(stderr)
	c.terminal = c.terminal && os.Getenv("TERM") != "dumb"
	_, c.shared = width(stdout)
	return c
}

// width returns the number of columns if w is a terminal.
func width(w io.Writer) (int, bool) {
	file, ok := w.(*os.File)
	if !ok {
		return 0, false
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, false
	}
	return int(size.Col), true
}

// output writes what a job printed.
func (c *console) output(standardError bool, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
	if standardError {
		_, _ = c.stderr.Write(data)
		return
	}
	_, _ = c.stdout.Write(data)
	if len(data) > 0 {
		c.mu.unfinished = !bytes.HasSuffix(data, []byte("\n"))
	}
}

// say writes lines of this command to standard output. They begin on a line
// of their own.
func (c *console) say(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
	if c.mu.unfinished {
		text = "\n" + text
		c.mu.unfinished = false
	}
	_, _ = io.WriteString(c.stdout, text)
}

// note writes a line to standard error.
func (c *console) note(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
	_, _ = io.WriteString(c.stderr, text+"\n")
}

// status shows how things are: on a terminal in place of the last status,
// elsewhere as a line.
func (c *console) status(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.terminal {
		_, _ = io.WriteString(c.stderr, text+"\n")
		return
	}
	if c.shared && c.mu.unfinished {
		return // It would erase half a line of the job's.
	}
	if runes := []rune(text); c.columns > 1 && len(runes) >= c.columns {
		text = string(runes[:c.columns-1])
	}
	c.mu.shown = true
	_, _ = io.WriteString(c.stderr, eraseLine+strings.ReplaceAll(text, "\n", " "))
}

// uploaded shows, on a terminal, how much of an executable is sent.
func (c *console) uploaded(sent, total int64) {
	const mib = 1 << 20
	if c.terminal {
		c.status(fmt.Sprintf("Sending the executable: %.1f of %.1f MiB", float64(sent)/mib, float64(total)/mib))
	}
}

// clear takes the status off the screen.
func (c *console) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
}

func (c *console) clearLocked() {
	if c.mu.shown {
		c.mu.shown = false
		_, _ = io.WriteString(c.stderr, eraseLine)
	}
}
