package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal of so many columns: what is written to file
// can be read from screen.
func terminal(t *testing.T, columns int) (screen, file *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	file, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	resize(t, file, columns)
	return screen, file
}

func resize(t *testing.T, file *os.File, columns int) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(file.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)}); err != nil {
		t.Fatal(err)
	}
}

// TestTheStatusOnARealTerminal: it is redrawn in place, keeps to the width also
// when that changes, and is gone at the end.
func TestTheStatusOnARealTerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	screen, file := terminal(t, 20)
	c := newConsole(file, file, textFormat)
	c.status("the first line is too long")
	resize(t, file, 10)
	c.status("so is the second")
	c.clear()
	c.note("done")
	const e = "\r\x1b[K"
	want := e + "the first line is t" + e + "so is the" + e + "done\r\n"
	got := make([]byte, len(want)) // A terminal's end of line is \r\n.
	for read := 0; read < len(want); {
		n, err := screen.Read(got[read:])
		if err != nil {
			t.Fatalf("%v after %q", err, got[:read])
		}
		read += n
	}
	if string(got) != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	for name, c := range map[string]*console{
		"with -o json":     newConsole(file, file, jsonFormat),
		"in a file":        newConsole(file, &strings.Builder{}, textFormat),
		"on a dumb screen": func() *console { t.Setenv("TERM", "dumb"); return newConsole(file, file, textFormat) }(),
	} {
		if c.terminal {
			t.Errorf("%s the status would be redrawn", name)
		}
	}
}
