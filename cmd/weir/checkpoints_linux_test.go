package main

import (
	"encoding/json"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/client"
)

// shownCheckpoints is what a script reads of weir checkpoints -v -o json.
type shownCheckpoints struct {
	Counts struct {
		Completed, Restored int
		InProgress          int `json:"in_progress"`
	}
	Config struct {
		Mode            string
		Interval        int64
		NumRetained     int `json:"num_retained"`
		Directory       string
		Externalization struct{ Enabled bool }
	}
	Latest struct {
		Completed *shownCheckpoint
		Restored  *struct {
			ID           uint64
			Timestamp    int64  `json:"restore_timestamp"`
			ExternalPath string `json:"external_path"`
		}
	}
	Retained []struct{ ID uint64 }
}

type shownCheckpoint struct {
	ID              uint64
	Status          string
	Attempt         int
	Final           bool
	Trigger         int64  `json:"trigger_timestamp"`
	StateSize       uint64 `json:"state_size"`
	NumSubtasks     int    `json:"num_subtasks"`
	NumAcknowledged int    `json:"num_acknowledged_subtasks"`
	ExternalPath    string `json:"external_path"`
	Discarded       bool
	Tasks           map[string]struct {
		Subtasks []struct {
			Index     int
			Status    string
			StateSize uint64 `json:"state_size"`
		}
	}
}

// checkpointsOf returns what weir checkpoints shows of a job with -o json -v.
func (e endToEnd) checkpointsOf(id string) (shown shownCheckpoints) {
	e.Helper()
	r := e.weir(e.T, "checkpoints", "-v", "-o", "json", id)
	if r.code != 0 || r.stderr != "" {
		e.Fatalf("checkpoints: %+v", r)
	}
	if err := json.Unmarshal([]byte(r.stdout), &shown); err != nil {
		e.Fatal(err)
	}
	return shown
}

// killedWithCheckpoints kills a worker of a job that takes checkpoints, and looks at
// what weir checkpoints shows before it, after it, and at the end.
func (e endToEnd) killedWithCheckpoints() {
	dir := e.TempDir()
	a := e.attach(e.T, append(onceAgain(), "-D", "execution.checkpointing.interval=50 ms", "-D", "execution.checkpointing.dir="+dir,
		"-p", "4", e.job(), "paced")...)
	var before shownCheckpoints
	e.await(e.T, a.id, func(job *client.Job) bool {
		if !allRunning(job) {
			return false
		}
		before = e.checkpointsOf(a.id)
		return before.Counts.Completed >= 2
	})
	path := "file://" + dir + "/" + a.id
	if c := before.Config; c.Mode != "exactly_once" || c.Interval != 50 || c.NumRetained != 1 || c.Directory != path || c.Externalization.Enabled {
		e.Errorf("the configuration is %+v", c)
	}
	last := before.Latest.Completed
	if last == nil || last.Status != "COMPLETED" || last.NumSubtasks != 8 || last.NumAcknowledged != 8 || last.StateSize == 0 ||
		!strings.HasPrefix(last.ExternalPath, path+"/chk-") || before.Latest.Restored != nil || before.Counts.Restored != 0 {
		e.Fatalf("before the kill %+v, the last is %+v", before, last)
	}
	var size uint64
	for vertex, v := range last.Tasks {
		for _, s := range v.Subtasks {
			if s.Status != "completed" {
				e.Errorf("subtask %d of %s is %s", s.Index, vertex, s.Status)
				continue
			}
			size += s.StateSize
		}
	}
	if len(last.Tasks) != 2 || size != last.StateSize {
		e.Errorf("the %d vertices have %d bytes of state, the checkpoint has %d", len(last.Tasks), size, last.StateSize)
	}

	workers := descendants(e.T, e.taskManagers[1].Process.Pid)
	if len(workers) != 1 {
		e.Fatalf("the TaskManager has the workers %v, want one", workers)
	}
	if err := unix.Kill(workers[0].pid, unix.SIGKILL); err != nil {
		e.Fatal(err)
	}
	e.await(e.T, a.id, func(job *client.Job) bool { return job.Restarts == 1 && allRunning(job) })
	after := e.checkpointsOf(a.id)
	if r := after.Latest.Restored; r == nil || after.Counts.Restored != 1 || r.ID < last.ID || !strings.HasPrefix(r.ExternalPath, path+"/chk-") || r.Timestamp < last.Trigger {
		e.Fatalf("restored %d times, the last is %+v, after %+v", after.Counts.Restored, r, last)
	}
	output, code := a.rest()
	if code != 0 {
		e.Fatalf("exit code %d\n%s", code, &a.stderr)
	}
	e.finished(a.id, output, "signal killed")

	// The last checkpoint was the final one of the second attempt; all are gone.
	end := e.checkpointsOf(a.id)
	for range 100 { // They are deleted after the job has ended.
		if len(end.Retained) == 0 {
			break
		}
		end = e.checkpointsOf(a.id)
	}
	if c := end.Latest.Completed; c == nil || !c.Final || c.Attempt != 2 || c.ID <= after.Latest.Restored.ID || !c.Discarded || len(end.Retained) != 0 || end.Counts.InProgress != 0 {
		e.Errorf("at the end %+v, the last is %+v", end, c)
	}
	r := e.weir(e.T, "checkpoints", a.id)
	for _, want := range []string{"Checkpoints of job " + a.id + "\n", ", 1 restored\n", "interval 50ms", "COMPLETED (final)", after.Latest.Restored.ExternalPath + "\n"} {
		if r.code != 0 || !strings.Contains(r.stdout, want) {
			e.Errorf("%q is missing in\n%s%s", want, r.stdout, r.stderr)
		}
	}
	id := e.submit(e.T, e.job(), "sums")
	e.await(e.T, id, in(client.Finished))
	if r := e.weir(e.T, "checkpoints", id); r.code != 1 || !strings.Contains(r.stderr, "Caused by: job "+id+" takes no checkpoints: execution.checkpointing.interval is not set") {
		e.Errorf("a job without checkpoints: %+v", r)
	}
}
