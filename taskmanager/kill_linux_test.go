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
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
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
	stuck := watchProcess(t, g.printedPid())
	spinning := watchProcess(t, int(hello.GetPid()))
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

// What a worker has started is killed with it.
func TestKillReachesChildren(t *testing.T) {
	g, digest, _ := cluster(t)
	job := ids.NewJobID()
	g.startWorker(job, 1, digest, 1, "family")
	expect(g, (*tmv1.ConnectRequest).GetWorkerHello)
	child := watchProcess(t, g.printedPid())
	g.killWorker(job, 1, "the job was cancelled")
	child("the worker's child")
	g.expectExit()
}

// When memory runs out the kernel kills a worker, and not a daemon.
func TestWorkersAreKilledFirstWhenMemoryRunsOut(t *testing.T) {
	g, digest, _ := cluster(t)
	g.startWorker(ids.NewJobID(), 1, digest, 1, "spin")
	hello, _ := g.expectReady()
	own, workers := oomScore(t, os.Getpid()), oomScore(t, int(hello.GetPid()))
	if workers != max(own, 500) {
		t.Errorf("the score of a worker is %d, that of its TaskManager %d: want at least 500", workers, own)
	}
}

func oomScore(t *testing.T, pid int) (score int) {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(content), &score); err != nil {
		t.Fatal(err)
	}
	return score
}

// printedPid waits until a job has printed "pid" and a process id.
func (g *gateway) printedPid() (pid int) {
	g.t.Helper()
	output := g.awaitOutput(func(s string) bool { return strings.HasSuffix(s, "\n") })
	if _, err := fmt.Sscanf(output, "pid %d", &pid); err != nil {
		g.t.Fatal(err)
	}
	return pid
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
