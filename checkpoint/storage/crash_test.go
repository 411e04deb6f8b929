package storage_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/weirstream/weir/checkpoint/storage"
)

// What a process is told that stores a file and kills itself.
const (
	victimRoot = "WEIR_STORAGE_TEST_ROOT"
	victimStep = "WEIR_STORAGE_TEST_STEP"
)

var victimContent = strings.Repeat("half of it is not enough ", 30_000)

// victim stores a file in the process of a test, which dies before one of the steps.
func victim(root string) {
	last, err := strconv.Atoi(os.Getenv(victimStep))
	if err != nil {
		panic(err)
	}
	at := 0
	s := storage.OpenWith(root, job, troubled{before: func(string) error {
		if at == last {
			if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
				panic(err)
			}
			select {}
		}
		at++
		return nil
	}})
	if err := s.Put(context.Background(), storage.MetadataName(1), 1, storage.Bytes([]byte(victimContent))); err != nil {
		panic(err)
	}
}

// TestKilledAtEveryStep kills a process before each step that it makes: the name has
// all or nothing, the next attempt stores it, and nothing else is left.
func TestKilledAtEveryStep(t *testing.T) {
	for step := 0; ; step++ {
		root := t.TempDir()
		c := exec.CommandContext(t.Context(), os.Args[0])
		c.Env = append(os.Environ(), victimRoot+"="+root, fmt.Sprintf("%s=%d", victimStep, step))
		out, err := c.CombinedOutput()
		s := storage.OpenDirectory(root, job)
		checkAfter(t, fmt.Sprintf("killed before step %d", step), s, storage.MetadataName(1), storage.Bytes([]byte(victimContent)))
		if err == nil {
			if step < 12 {
				t.Errorf("it was killed %d times only", step)
			}
			return
		}
		if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
			t.Fatalf("step %d: %v\n%s", step, err, out)
		}
	}
}
