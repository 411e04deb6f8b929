package jobmanager_test

import (
	"strings"
	"testing"
	"time"

	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

// TestRestart: a job whose worker crashes gets a new worker after the delay, with
// figures from 0, and what clients see tells of both attempts.
func TestRestart(t *testing.T) {
	settings := map[string]string{"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.delay": "10 s"}
	inCluster(t, settings, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id, start := c.running(tm)
		measure(tm, start, 42)
		_ = c.state(id) // When all of it has arrived.
		if m := figures(c.describe(id)); m.GetRecordsIn() != 42 {
			t.Errorf("figures %v", m)
		}
		crashed := time.Now()
		tm.exited(start, &tmv1.WorkerExited{ExitCode: 2, LogFile: "/l"})
		if s := c.state(id); s != "RESTARTING" {
			t.Fatalf("job is %s", s)
		}
		d := c.describe(id)
		if s := d.GetSummary(); s.GetRestarts() != 0 || s.GetNextRestartTimeMs() != crashed.Add(10*time.Second).UnixMilli() ||
			s.GetStatusMessage() != "restart 1 after 10s: the worker exited with code 2 (on TaskManager tm-1)" {
			t.Errorf("summary %v", s)
		}
		if len(d.GetFailures()) != 1 || d.GetFailures()[0].GetLogFile() != "/l" {
			t.Errorf("failures %v", d.GetFailures())
		}
		tm.nothing()

		pass(10 * time.Second)
		again := startWorker(tm)
		if again.GetAttempt() != 2 || string(again.GetSha256()) != string(start.GetSha256()) || len(again.GetSlots()) != 2 {
			t.Errorf("the next attempt starts with %v", again)
		}
		tm.exited(start, &tmv1.WorkerExited{ExitCode: 3}) // Of an attempt that is over.
		tm.ready(again)
		tasks := command(tm, (*workerv1.SessionResponse).GetStartTasks)
		command(tm, (*workerv1.SessionResponse).GetEnumerateSplits)
		if s := c.state(id); s != "RUNNING" || len(tasks.GetTasks()) == 0 {
			t.Errorf("job is %s, its tasks are %v", s, tasks)
		}
		d = c.describe(id)
		if s := d.GetSummary(); s.GetRestarts() != 1 || s.GetNextRestartTimeMs() != 0 || s.GetStatusMessage() != "" || d.GetFailure() != nil || d.GetAttempt() != 2 {
			t.Errorf("description %v", d)
		}
		if m := figures(d); m != nil {
			t.Errorf("the new task has the figures %v of the old one", m)
		}
		measure(tm, again, 7)
		_ = c.state(id)
		if m := figures(c.describe(id)); m.GetRecordsIn() != 7 {
			t.Errorf("figures %v", m)
		}

		tm.exited(again, &tmv1.WorkerExited{ExitCode: 4})
		if s := c.state(id); s != "FAILED" {
			t.Errorf("job is %s", s)
		}
		d = c.describe(id)
		if f := d.GetFailure(); f.GetMessage() != "Recovery is suppressed by fixed-delay (attempts 1, delay 10s): the worker exited with code 4" || len(d.GetFailures()) != 2 {
			t.Errorf("failure %v of %v", f, d.GetFailures())
		}
	})
}

// TestRestartWaitsForATaskManager: what is lost comes back, and the job with it.
func TestRestartWaitsForATaskManager(t *testing.T) {
	inCluster(t, map[string]string{"restart-strategy.type": "exponential-delay", "slot.request.timeout": "1 min"}, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id, _ := c.running(tm)
		tm.silence()
		_ = tm.end()
		pass(30 * time.Second)
		if s := c.summary(id); s.GetState() != clientv1.JobState_JOB_STATE_CREATED || !strings.Contains(s.GetStatusMessage(), "no TaskManager is registered") {
			t.Errorf("summary %v", s)
		}
		tm = c.taskManager("tm-1", 2)
		again := startWorker(tm)
		if again.GetAttempt() != 2 {
			t.Errorf("attempt %d", again.GetAttempt())
		}
		// It goes once more, for longer than slots are waited for, and the job is not
		// cancelled by that but by a user.
		tm.silence()
		_ = tm.end()
		pass(2 * time.Minute)
		if s := c.summary(id); s.GetState() != clientv1.JobState_JOB_STATE_CREATED || s.GetRestarts() != 3 {
			t.Errorf("summary %v", s)
		}
		if err := c.cancel(id); err != nil {
			t.Fatal(err)
		}
		if s := c.state(id); s != "CANCELED" {
			t.Errorf("job is %s", s)
		}
	})
}

func measure(tm *taskManager, start *tmv1.StartWorker, records uint64) {
	tm.worker(start, &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Metrics{Metrics: &workerv1.MetricsReport{
		Tasks: []*workerv1.TaskMetrics{{Vertex: 1, RecordsIn: records}},
	}}})
}

func figures(d *clientv1.JobDescription) *workerv1.TaskMetrics {
	return d.GetVertices()[1].GetSubtasks()[0].GetMetrics()
}
