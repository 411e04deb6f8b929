package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/sys/unix"
)

// eraseLine brings a terminal's cursor to the line's start and empties the line.
const eraseLine = "\r\x1b[K"

// console writes what a job prints, what there is to note, and one line of
// status, so that they do not run into each other. Its methods may be called
// concurrently.
type console struct {
	stdout, stderr io.Writer
	// json is -o json: a document on each line, and no status.
	json bool
	// terminal tells whether standard error is one, so that the status can be
	// replaced in place; shared, whether standard output is one as well.
	terminal, shared bool
	// columns is the terminal's width when it was last asked for.
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

func newConsole(stdout, stderr io.Writer, format format) *console {
	c := &console{stdout: stdout, stderr: stderr, json: format == jsonFormat}
	c.columns, c.terminal = width(stderr)
	c.terminal = c.terminal && os.Getenv("TERM") != "dumb" && !c.json
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

// output writes what a job printed, in whole lines if it is to become events.
func (c *console) output(from lineSource, data []byte) {
	if c.json {
		for _, e := range outputEvents(from.taskManager, from.standardError, data) {
			c.event(e)
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
	if from.standardError {
		_, _ = c.stderr.Write(data)
		return
	}
	_, _ = c.stdout.Write(data)
	if len(data) > 0 {
		c.mu.unfinished = !bytes.HasSuffix(data, []byte("\n"))
	}
}

// event writes a document to standard output.
func (c *console) event(document any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = writeJSON(c.stdout, document, "") // An error of it has nowhere to be reported.
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
	if c.json {
		_ = writeJSON(c.stderr, messageJSON{text}, "")
		return
	}
	_, _ = io.WriteString(c.stderr, text+"\n")
}

// warning writes a line about something that did not stop the command.
func (c *console) warning(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clearLocked()
	if c.json {
		_ = writeJSON(c.stderr, warningJSON{text}, "")
		return
	}
	_, _ = io.WriteString(c.stderr, "Warning: "+text+"\n")
}

// width returns the number of columns of the terminal, which may change.
func (c *console) width() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if columns, ok := width(c.stderr); ok {
		c.columns = columns
	}
	return c.columns
}

// status shows how things are: on a terminal in place of the last status,
// elsewhere as a line.
func (c *console) status(text string) {
	columns := c.width()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.terminal {
		_, _ = io.WriteString(c.stderr, text+"\n")
		return
	}
	if c.shared && c.mu.unfinished {
		return // It would erase half a line of the job's.
	}
	c.mu.shown = true
	_, _ = io.WriteString(c.stderr, eraseLine+fitted(text, columns))
}

// fitted returns as much of a text as fits into a line of the terminal without
// its last column, which would begin a new line. Without a known width it is
// all of it.
func fitted(text string, columns int) string {
	var b strings.Builder
	used := 0
	for _, r := range text {
		if unicode.IsControl(r) {
			r = ' '
		}
		used += columnsOf(r)
		if columns > 1 && used >= columns {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// columnsOf is how many columns a character takes: none for a mark on the one
// before it, two for the wide ones of East Asia and for pictures.
func columnsOf(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff ||
		r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0xffe0 && r <= 0xffe6 || r >= 0x1f300 && r <= 0x1faff ||
		r >= 0x20000 && r <= 0x3fffd):
		return 2
	}
	return 1
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
