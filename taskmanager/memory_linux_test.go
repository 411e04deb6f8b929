package taskmanager

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// The private file has no name while it is executed.
func TestUnnamedCopy(t *testing.T) {
	directory := t.TempDir()
	content := programThatPrints(t)
	e, err := unnamedCopy(directory, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	if err := e.verify(digest(sha256.Sum256(content))); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(directory); err != nil || len(left) > 0 {
		t.Errorf("it has a name: %v, %v", left, err)
	}
	out, err := (&exec.Cmd{Path: e.path, Args: []string{"echo", "unnamed"}}).Output()
	if err != nil || string(out) != "unnamed\n" {
		t.Errorf("it printed %q: %v", out, err)
	}
}

// A slot's memory keeps its size, and a renewed one has nothing of the old.
func TestSlotMemorySeals(t *testing.T) {
	m, err := newSlotMemories(2, 1<<16, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	f, err := m.get(1)
	if err != nil {
		t.Fatal(err)
	}
	if seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0); err != nil || seals&(unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL) != unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL {
		t.Errorf("seals %x, %v", seals, err)
	}
	for _, size := range []int64{1 << 15, 1 << 17} {
		if err := f.Truncate(size); err == nil {
			t.Errorf("it can be resized to %d bytes", size)
		}
	}
	if _, err := f.WriteAt([]byte("secret"), 0); err != nil {
		t.Fatal(err)
	}
	m.renew(1)
	f, err = m.get(1)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1<<16)
	if n, err := f.ReadAt(got, 0); err != nil || n != len(got) || !bytes.Equal(got, make([]byte, 1<<16)) {
		t.Errorf("read %d bytes, %v, with %q", n, err, bytes.Trim(got, "\x00"))
	}
}
