package main

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"

	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

// 2020-11-30 15:02:29 UTC, which is 16:02:29 in the tests' local zone.
const startMs = 1606748549000

func job(id, name string, state clientv1.JobState, start, end int64) *clientv1.JobDescription {
	return &clientv1.JobDescription{Summary: &clientv1.JobSummary{JobId: id, Name: name, State: state, StartTimeMs: start, EndTimeMs: end}}
}

func runningJob() *clientv1.JobDescription {
	running := job(jobID, "late departures", clientv1.JobState_JOB_STATE_RUNNING, startMs, 0)
	running.Summary.Tasks = map[string]uint32{"RUNNING": 2, "CREATED": 1}
	running.Plan = &planv1.Plan{Vertices: []*planv1.Vertex{{Source: true, Bounded: true}, {}}}
	running.Vertices = []*clientv1.VertexDescription{
		{Index: 0, Name: "Source: flights -> departed", Parallelism: 2, Subtasks: []*clientv1.SubtaskDescription{
			{Index: 0, State: workerv1.TaskState_TASK_STATE_RUNNING, TaskManager: "tm-1", Metrics: &workerv1.TaskMetrics{
				RecordsIn: 1200, RecordsOut: 1200, BytesOut: 9600, BusyMsPerSecond: 390, IdleMsPerSecond: 10, BackpressuredMsPerSecond: 600,
				WatermarkMs: 980000000123, ProgressDone: 1, ProgressTotal: 2,
			}},
			{Index: 1, State: workerv1.TaskState_TASK_STATE_RUNNING, TaskManager: "tm-2", Metrics: &workerv1.TaskMetrics{
				BackpressuredMsPerSecond: 101, WatermarkMs: math.MaxInt64, ProgressDone: 1, ProgressTotal: 2,
			}},
		}},
		{Index: 1, Name: "delays", Parallelism: 1, Subtasks: []*clientv1.SubtaskDescription{
			{Index: 0, State: workerv1.TaskState_TASK_STATE_CREATED},
		}},
	}
	return running
}

func everyKindOfJob() []*clientv1.JobDescription {
	return []*clientv1.JobDescription{
		job("00000000000000000000000000000001", "done", clientv1.JobState_JOB_STATE_FINISHED, startMs-3000, startMs-1000),
		job("00000000000000000000000000000002", "planned", clientv1.JobState_JOB_STATE_INITIALIZING, startMs-2000, 0),
		job("00000000000000000000000000000003", "stopping", clientv1.JobState_JOB_STATE_CANCELLING, startMs-1000, 0),
		runningJob(),
		job("00000000000000000000000000000004", "waits", clientv1.JobState_JOB_STATE_CREATED, startMs+1000, 0),
		job("00000000000000000000000000000005", "broken", clientv1.JobState_JOB_STATE_FAILED, startMs+2000, startMs+2500),
		job("00000000000000000000000000000006", "stopped", clientv1.JobState_JOB_STATE_CANCELED, startMs+86400000, startMs+86400001),
	}
}

const (
	waiting = "Waiting for response...\n"
	running = `------------------ Running/Restarting Jobs -------------------
30.11.2020 16:02:28 : 00000000000000000000000000000003 : stopping (CANCELLING)
30.11.2020 16:02:29 : fd72014d4c864993a2e5a9287b4a9c5d : late departures (RUNNING)
--------------------------------------------------------------
`
	scheduled = `----------------------- Scheduled Jobs -----------------------
30.11.2020 16:02:27 : 00000000000000000000000000000002 : planned (INITIALIZING)
30.11.2020 16:02:30 : 00000000000000000000000000000004 : waits (CREATED)
--------------------------------------------------------------
`
	terminated = `---------------------- Terminated Jobs -----------------------
30.11.2020 16:02:26 : 00000000000000000000000000000001 : done (FINISHED)
30.11.2020 16:02:31 : 00000000000000000000000000000005 : broken (FAILED)
01.12.2020 16:02:29 : 00000000000000000000000000000006 : stopped (CANCELED)
--------------------------------------------------------------
`
)

func TestListPrintsWhatFlinkPrints(t *testing.T) {
	c := newCommand(t)
	j := (&jobManager{jobs: everyKindOfJob()}).serve(t)
	for _, test := range []struct {
		options []string
		want    string
	}{
		{nil, waiting + running + scheduled},
		{[]string{"-r"}, waiting + running},
		{[]string{"--running"}, waiting + running},
		{[]string{"-s"}, waiting + scheduled},
		{[]string{"-scheduled"}, waiting + scheduled},
		{[]string{"-r", "-s"}, waiting + running + scheduled},
		{[]string{"-a"}, waiting + running + scheduled + terminated},
		{[]string{"-t", "remote", "-all"}, waiting + running + scheduled + terminated},
	} {
		c.expect(t, 0, test.want, "", append([]string{"list", "-m", j.address}, test.options...)...)
	}
}

func TestListWithoutJobs(t *testing.T) {
	c := newCommand(t)
	j := new(jobManager).serve(t)
	c.expect(t, 0, waiting+"No running jobs.\nNo scheduled jobs.\n", "", "list", "-m", j.address)
	c.expect(t, 0, waiting+"No running jobs.\nNo scheduled jobs.\n", "", "list", "-m", j.address, "-a")
	c.expect(t, 0, waiting+"No scheduled jobs.\n", "", "list", "-m", j.address, "-s")
}

func TestListVerboseShowsSubtasks(t *testing.T) {
	c := newCommand(t)
	waits := job("00000000000000000000000000000004", "waits", clientv1.JobState_JOB_STATE_CREATED, startMs+1000, 0)
	waits.Summary.StatusMessage = "it needs 4 slots\nand there are 2"
	j := (&jobManager{jobs: []*clientv1.JobDescription{runningJob(), waits}}).serve(t)
	c.expect(t, 0, waiting+`------------------ Running/Restarting Jobs -------------------
30.11.2020 16:02:29 : fd72014d4c864993a2e5a9287b4a9c5d : late departures (RUNNING)
  Source: flights -> departed
    SUBTASK  STATE    TASKMANAGER  BUSY      IDLE     BACKPRESSURED  LEVEL  RECORDS IN  RECORDS OUT  WATERMARK
    1/2      RUNNING  tm-1         390 ms/s  10 ms/s  600 ms/s       high   1200        1200         2001-01-20T14:13:20.123Z
    2/2      RUNNING  tm-2         0 ms/s    0 ms/s   101 ms/s       low    0           0            end of input
  delays
    SUBTASK  STATE    TASKMANAGER  BUSY    IDLE    BACKPRESSURED  LEVEL  RECORDS IN  RECORDS OUT  WATERMARK
    1/1      CREATED  -            0 ms/s  0 ms/s  0 ms/s         ok     0           0            -
--------------------------------------------------------------
----------------------- Scheduled Jobs -----------------------
30.11.2020 16:02:30 : 00000000000000000000000000000004 : waits (CREATED)
  it needs 4 slots
  and there are 2
--------------------------------------------------------------
`, "", "list", "-m", j.address, "--verbose")
}

// TestListShowsRestarts: how often, when the next one is due, and why.
func TestListShowsRestarts(t *testing.T) {
	c := newCommand(t)
	restarting := job(jobID, "late departures", clientv1.JobState_JOB_STATE_RESTARTING, startMs, 0)
	restarting.Summary.StatusMessage = "restart 3 after 10s: row 7"
	restarting.Summary.Restarts, restarting.Summary.NextRestartTimeMs = 2, startMs+60_000
	restarting.Attempt = 3
	restarting.Failures = []*clientv1.JobFailure{
		{Message: "row 7\nof a.csv", Task: "Source: flights (1/2)", TaskManager: "tm-2", TimeMs: startMs + 50_000, LogFile: "/l", Stack: "goroutine 1"},
		{Message: "TaskManager tm-1 was lost: silence", TaskManager: "tm-1", TimeMs: startMs + 20_000},
	}
	j := (&jobManager{jobs: []*clientv1.JobDescription{restarting}}).serve(t)
	line := "------------------ Running/Restarting Jobs -------------------\n30.11.2020 16:02:29 : " + jobID + " : late departures (RESTARTING)\n"
	c.expect(t, 0, waiting+line+blockEnd+"\n", "", "list", "-r", "-m", j.address)
	c.expect(t, 0, waiting+line+`  restart 3 after 10s: row 7
  Attempt 3, restarted 2 times, next restart 30.11.2020 16:03:29
    30.11.2020 16:03:19 : Source: flights (1/2): row 7 (on TaskManager tm-2)
    30.11.2020 16:02:49 : TaskManager tm-1 was lost: silence
`+blockEnd+"\n", "", "list", "-r", "-v", "-m", j.address)

	c.stdout.Reset()
	if code := c.run([]string{"list", "-m", j.address, "-r", "-v", "-o=json"}); code != 0 {
		t.Fatalf("exit code %d: %s", code, c.stderr)
	}
	var got struct{ Jobs []map[string]any }
	if err := json.Unmarshal(c.stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := []any{
		map[string]any{
			"timestamp": startMs + 50_000.0, "message": "row 7\nof a.csv", "task": "Source: flights (1/2)", "taskmanager-id": "tm-2",
			"log-file": "/l", "stack": "goroutine 1",
		},
		map[string]any{"timestamp": startMs + 20_000.0, "message": "TaskManager tm-1 was lost: silence", "taskmanager-id": "tm-1"},
	}
	if j := got.Jobs[0]; j["restarts"] != 2.0 || j["next-restart"] != startMs+60_000.0 || !reflect.DeepEqual(j["exceptions"], want) {
		t.Errorf("got %v", j)
	}
}

func TestListAsJSON(t *testing.T) {
	c := newCommand(t)
	failed := job("00000000000000000000000000000005", "broken", clientv1.JobState_JOB_STATE_FAILED, startMs+2000, startMs+2500)
	failed.Summary.StatusMessage = "a <bad> row"
	j := (&jobManager{jobs: []*clientv1.JobDescription{failed}}).serve(t)
	c.expect(t, 0, `{
  "jobs": [
    {
      "jid": "00000000000000000000000000000005",
      "name": "broken",
      "state": "FAILED",
      "start-time": 1606748551000,
      "end-time": 1606748551500,
      "duration": 500,
      "tasks": {
        "total": 0
      },
      "status-message": "a <bad> row",
      "restarts": 0
    }
  ]
}
`, "", "list", "-m", j.address, "-a", "-o", "json")
	c.expect(t, 0, "{\n  \"jobs\": []\n}\n", "", "list", "-m", j.address, "-o", "json")
}

func TestListAsJSONVerbose(t *testing.T) {
	c := newCommand(t)
	j := (&jobManager{jobs: []*clientv1.JobDescription{runningJob()}}).serve(t)
	if code := c.run([]string{"list", "-m", j.address, "-v", "-o=json"}); code != 0 {
		t.Fatalf("exit code %d: %s", code, c.stderr)
	}
	var got struct{ Jobs []map[string]any }
	if err := json.Unmarshal(c.stdout.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	job := got.Jobs[0]
	if job["end-time"] != -1.0 || job["duration"].(float64) <= 0 {
		t.Errorf("end %v, duration %v of a job that runs", job["end-time"], job["duration"])
	}
	if want := map[string]any{"total": 3.0, "running": 2.0, "created": 1.0}; !reflect.DeepEqual(job["tasks"], want) {
		t.Errorf("tasks %v, want %v", job["tasks"], want)
	}
	vertices := job["vertices"].([]any)
	subtask := vertices[0].(map[string]any)["subtasks"].([]any)[0]
	want := map[string]any{
		"subtask": 0.0, "status": "RUNNING", "taskmanager-id": "tm-1",
		"read-records": 1200.0, "write-records": 1200.0, "read-bytes": 0.0, "write-bytes": 9600.0, "read-records-remote": 0.0,
		"busyTimeMsPerSecond": 390.0, "idleTimeMsPerSecond": 10.0, "backPressuredTimeMsPerSecond": 600.0, "backpressureLevel": "high",
		"currentInputWatermark": 980000000123.0,
	}
	if !reflect.DeepEqual(subtask, want) {
		t.Errorf("got %v, want %v", subtask, want)
	}
	waiting := vertices[1].(map[string]any)["subtasks"].([]any)[0].(map[string]any)
	if _, ok := waiting["currentInputWatermark"]; ok {
		t.Error("a watermark where there is none")
	}
}
