package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/client"
)

// onceAgain are the options with which a job is restarted once, after a delay in
// which everybody who watches it sees that it is RESTARTING.
func onceAgain() []string {
	return []string{"-D", "restart-strategy.type=fixed-delay", "-D", "restart-strategy.fixed-delay.delay=500 ms"}
}

// finished checks that a job has finished in its second attempt after a failure
// with such a message, and has printed the sums of all of its input.
func (e endToEnd) finished(id, output, failure string) {
	e.Helper()
	job, err := e.client.Describe(e.Context(), id)
	if err != nil {
		e.Fatal(err)
	}
	if job.State != client.Finished || job.Restarts != 1 || job.Attempt != 2 || len(job.Failures) != 1 ||
		!strings.Contains(job.Failures[0].Message, failure) || job.Failure != nil || !job.NextRestart.IsZero() {
		e.Errorf("the job is %s, restarted %d times, failures %+v, want one with %q", job.State, job.Restarts, job.Failures, failure)
	}
	for _, want := range theSums() {
		if !strings.Contains(output, want+"\n") {
			e.Errorf("%s is missing", want)
		}
	}
}

func (e endToEnd) failsOnce() {
	marker := filepath.Join(e.TempDir(), "marker")
	r := e.weir(e.T, "run", append(append(onceAgain(), "-p", "2"), e.job(), "once", marker)...)
	id, _, _ := strings.Cut(strings.TrimPrefix(r.stdout, "Job has been submitted with JobID "), "\n")
	if r.code != 0 || !strings.Contains(r.stderr, "Job is RESTARTING, restart 1 after 500ms: ") || !strings.Contains(r.stderr, "not the first time") {
		e.Fatalf("exit code %d\n%s", r.code, r.stderr)
	}
	e.finished(id, r.stdout, "not the first time")
	if r := e.weir(e.T, "list", "-a", "-v"); !strings.Contains(r.stdout, "  Attempt 2, restarted 1 time\n") || !strings.Contains(r.stdout, ": panic: not the first time") {
		e.Errorf("list -a -v: %s%s", r.stdout, r.stderr)
	}
	var listed struct {
		Jobs []struct {
			JID        string
			Restarts   int
			Exceptions []struct{ Message string }
		}
	}
	r = e.weir(e.T, "list", "-a", "-v", "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &listed); err != nil {
		e.Fatal(err)
	}
	for _, job := range listed.Jobs {
		if job.JID == id && (job.Restarts != 1 || len(job.Exceptions) != 1 || !strings.Contains(job.Exceptions[0].Message, "not the first time")) {
			e.Errorf("list -a -v -o json has %+v", job)
		}
	}

	// Without a strategy the first failure is the job's.
	r = e.weir(e.T, "run", e.job(), "once", filepath.Join(e.TempDir(), "marker"))
	if r.code != 1 || !strings.Contains(r.stderr, "Job failed (JobID: ") || !strings.Contains(r.stderr, "not the first time") ||
		strings.Contains(r.stderr, "Recovery is suppressed") {
		e.Errorf("with none: exit code %d\n%s", r.code, r.stderr)
	}
	// With one, the failure after the last restart is, and says so.
	r = e.weir(e.T, "run", append(onceAgain(), e.job(), "panic")...)
	if r.code != 1 || !strings.Contains(r.stderr, "Recovery is suppressed by fixed-delay (attempts 1, delay 500ms): panic: seven is not allowed") {
		e.Errorf("a job that always fails: exit code %d\n%s", r.code, r.stderr)
	}
}

func (e endToEnd) killedWorker() {
	a := e.attach(e.T, append(append(onceAgain(), "-p", "4"), e.job(), "paced")...)
	e.await(e.T, a.id, allRunning)
	workers := descendants(e.T, e.taskManagers[1].Process.Pid)
	others := descendants(e.T, e.taskManagers[2].Process.Pid)
	if len(workers) != 1 || len(others) != 1 {
		e.Fatalf("the TaskManagers have the workers %v and %v, want one each", workers, others)
	}
	if err := unix.Kill(workers[0].pid, unix.SIGKILL); err != nil {
		e.Fatal(err)
	}
	output, code := a.rest()
	if code != 0 {
		e.Fatalf("exit code %d\n%s", code, &a.stderr)
	}
	e.finished(a.id, output, "signal killed")
	awaitGone(e.T, append(workers, others...)) // The next attempt had none of them.

	a = e.attach(e.T, "-p", "4", e.job(), "paced")
	e.await(e.T, a.id, allRunning)
	if err := unix.Kill(descendants(e.T, e.taskManagers[1].Process.Pid)[0].pid, unix.SIGKILL); err != nil {
		e.Fatal(err)
	}
	if code := a.end(); code != 1 || !strings.Contains(a.stderr.String(), "signal killed") {
		e.Errorf("with none: exit code %d\n%s", code, &a.stderr)
	}
}

// returnedTaskManager has a job wait for the slots of a TaskManager that was killed
// until it is started again. The first one is dead at the beginning.
func (e endToEnd) returnedTaskManager() {
	e.startTaskManager(e.T, 1)
	a := e.attach(e.T, append(append(onceAgain(), "-p", "4"), e.job(), "paced")...)
	e.await(e.T, a.id, allRunning)
	if err := e.taskManagers[1].Process.Kill(); err != nil {
		e.Fatal(err)
	}
	waits := e.await(e.T, a.id, func(job *client.Job) bool { return job.State == client.Created && job.StatusMessage != "" })
	if waits.StatusMessage != "needs 4 slots, 2 free of 2 in the cluster (tm-2: 2 of 2)" || waits.Restarts != 1 {
		e.Errorf("restarted %d times, the job %s", waits.Restarts, waits.StatusMessage)
	}
	e.startTaskManager(e.T, 1)
	output, code := a.rest()
	if code != 0 {
		e.Fatalf("exit code %d\n%s", code, &a.stderr)
	}
	e.finished(a.id, output, "TaskManager tm-1 was lost")

	// A job may be cancelled while its restart is due.
	id := e.submit(e.T, "-D", "restart-strategy.type=fixed-delay", "-D", "restart-strategy.fixed-delay.delay=1 h", e.job(), "panic")
	restarting := e.await(e.T, id, func(job *client.Job) bool { return job.State == client.Restarting && !job.NextRestart.IsZero() })
	if left := time.Until(restarting.NextRestart); left < 50*time.Minute || left > time.Hour {
		e.Errorf("the next restart is in %s", left)
	}
	if r := e.weir(e.T, "cancel", id); r.code != 0 {
		e.Errorf("cancel: %+v", r)
	}
	e.await(e.T, id, in(client.Canceled))
}

// rest waits for weir run and returns what it prints until then, and its exit code.
func (a *attached) rest() (output string, code int) {
	var b strings.Builder
	for a.lines.Scan() {
		b.WriteString(a.lines.Text() + "\n")
	}
	_ = a.Wait()
	return b.String(), a.ProcessState.ExitCode()
}
