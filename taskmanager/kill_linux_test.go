package taskmanager_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/internal/ids"
)

// T2: a worker does not outlive its TaskManager, also if that is killed: neither
// one that is inside of user code nor one that never opened its session.
func TestTaskManagerIsKilled(t *testing.T) {
	jm := newJobManager(t)
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command(executable)
	daemon.Env = append(os.Environ(), daemonVariable+"="+jm.address+" "+t.TempDir())
	daemon.Stderr = os.Stderr
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Wait() }) // It was killed.
	t.Cleanup(func() { _ = daemon.Process.Kill() })
	g := jm.accept(t)
	digest := jm.offerTestBinary()
	g.startWorker(ids.NewJobID(), 1, digest, 1, "spin")
	hello, _ := g.expectReady()
	g.startWorker(ids.NewJobID(), 1, digest, 1, "hang")
	output := g.awaitOutput(func(s string) bool { return strings.HasSuffix(s, "\n") })
	var hanging int
	if _, err := fmt.Sscanf(output, "pid %d", &hanging); err != nil {
		t.Fatal(err)
	}
	spinning := watchProcess(t, int(hello.GetPid()))
	stuck := watchProcess(t, hanging)
	if err := daemon.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	spinning("the worker in user code")
	stuck("the worker without a session")
	if err := daemon.Wait(); err == nil {
		t.Error("the TaskManager ended well")
	} else if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ProcessState.ExitCode() != -1 {
		t.Errorf("the TaskManager ended with %v", err)
	}
}

// watchProcess returns a function that waits until the process is gone.
func watchProcess(t *testing.T, pid int) func(what string) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("pidfd_open %d: %v", pid, err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return func(what string) {
		t.Helper()
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case err != nil:
				t.Fatalf("poll: %v", err)
			case n == 0:
				t.Errorf("%s (process %d) is still there", what, pid)
			}
			return
		}
	}
}
