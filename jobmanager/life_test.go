package jobmanager_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/internal/dataflow"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

// TestLifeOfAJob follows one job over two TaskManagers from its submission to
// its end, and checks every message that they get.
func TestLifeOfAJob(t *testing.T) {
	settings := map[string]string{"pipeline.auto-watermark-interval": "50 ms", "task.cancellation.timeout": "1 min", "taskmanager.network.memory.floating-buffers-per-gate": "16"}
	inCluster(t, settings, func(c *cluster) {
		t := c.t
		tm1, tm2 := c.taskManager("tm-1", 1), c.taskManager("tm-2", 1)
		answer := c.start(t.Context(), submission{
			arguments: []string{"--topic", "clicks"}, configuration: map[string]string{"parallelism.default": "2", "execution.buffer-timeout.interval": "0"},
		})
		recorded := func(p *dataflow.Plan) {
			p.Recorded = map[string][]byte{"start": {1, 2, 3}}
			p.Settings = map[string]string{"execution.buffer-timeout.interval": "7 ms"}
			p.Warnings = []string{"main.go:3: no stable id"}
		}
		first := tm1.plan(&tmv1.PlanDone{Plan: flightsPlan(recorded), Stdout: []byte("planning\n"), Stderr: []byte("a warning\n")})
		second := tm2.plan(&tmv1.PlanDone{Plan: flightsPlan(recorded), Stdout: []byte("planning\n")})
		checkRuns(t, first, second)

		got := <-answer
		if got.err != nil || got.accepted.GetJobName() != "late departures" || !got.wanted {
			t.Fatalf("answer %+v", got)
		}
		if got.stdout != "planning\n" || got.stderr != "a warning\n" {
			t.Errorf("the user saw %q and %q", got.stdout, got.stderr)
		}
		if len(got.warnings) != 1 || got.warnings[0] != "main.go:3: no stable id" {
			t.Errorf("warnings %q", got.warnings)
		}
		start1, start2 := startWorker(tm1), startWorker(tm2)
		checkStarts(t, start1, start2)
		id := got.accepted.GetJobId()
		if s := c.state(id); s != "CREATED" {
			t.Errorf("job is %s before its workers are ready", s)
		}
		tm1.say(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_WorkerHello{WorkerHello: &tmv1.WorkerHello{
			JobId: start1.GetJobId(), Attempt: 1, ProtocolVersion: 1, EngineVersion: "1.2.3", Pid: 99,
		}}})
		tm1.ready(start1)
		tm1.nothing()
		tm2.ready(start2)
		checkTasks(t, tm1, tm2)
		c.finish(tm1, tm2, start1, start2, id)
	})
}

func checkRuns(t *testing.T, first, second *tmv1.RunPlan) {
	t.Helper()
	if first.GetRun() != 1 || second.GetRun() != 2 || len(first.GetRecorded()) != 0 || string(second.GetRecorded()["start"]) != "\x01\x02\x03" {
		t.Errorf("runs %v and %v", first, second)
	}
	for _, run := range []*tmv1.RunPlan{first, second} {
		if run.GetTimeoutMs() != 60_000 || run.GetFileName() != "flights" || len(run.GetArguments()) != 2 || run.GetArguments()[1] != "clicks" ||
			run.GetConfiguration()["execution.buffer-timeout.interval"] == "" || run.GetConfiguration()["parallelism.default"] != "2" {
			t.Errorf("run %v", run)
		}
	}
}

func checkStarts(t *testing.T, start1, start2 *tmv1.StartWorker) {
	t.Helper()
	if start1.GetWorker() != 0 || start2.GetWorker() != 1 || start1.GetSlots()[0] != 0 || start2.GetSlots()[0] != 1 {
		t.Errorf("workers %d and %d hold slots %v and %v", start1.GetWorker(), start2.GetWorker(), start1.GetSlots(), start2.GetSlots())
	}
	if len(start1.GetSecret()) != 32 || string(start1.GetSecret()) != string(start2.GetSecret()) {
		t.Errorf("secrets %x and %x", start1.GetSecret(), start2.GetSecret())
	}
	for _, s := range []*tmv1.StartWorker{start1, start2} {
		if s.GetAttempt() != 1 || !s.GetDataListener() || s.GetDefaultParallelism() != 2 || s.GetJobName() != "late departures" ||
			string(s.GetPlan().GetRecorded()["start"]) != "\x01\x02\x03" || len(s.GetDataCertificate()) != 0 {
			t.Errorf("start %v", s)
		}
		want := map[string]string{
			"parallelism.default":                                  "2",
			"execution.buffer-timeout.interval":                    "7 ms",
			"pipeline.auto-watermark-interval":                     "50 ms",
			"task.cancellation.timeout":                            "1 min",
			"taskmanager.memory.segment-size":                      "32 kb",
			"taskmanager.network.memory.buffers-per-channel":       "2",
			"taskmanager.network.memory.floating-buffers-per-gate": "16",
		}
		if !maps.Equal(s.GetConfiguration(), want) {
			t.Errorf("configuration %v", s.GetConfiguration())
		}
	}
}

func checkTasks(t *testing.T, tm1, tm2 *taskManager) {
	t.Helper()
	tasks1, tasks2 := command(tm1, (*workerv1.SessionResponse).GetStartTasks), command(tm2, (*workerv1.SessionResponse).GetStartTasks)
	if a, b := tasksOf(tasks1.GetTasks()), tasksOf(tasks2.GetTasks()); a != "0/0@0 1/0@0 " || b != "0/1@1 1/1@1 " {
		t.Errorf("tasks %s and %s", a, b)
	}
	want := &workerv1.Peer{Worker: 1, DataAddress: "tm-2:1", TaskManager: "tm-2", Tasks: tasks2.GetTasks()}
	if peers := tasks1.GetPeers(); len(peers) != 1 || !proto.Equal(peers[0], want) {
		t.Errorf("peers of worker 0: %v", peers)
	}
	if v := command(tm1, (*workerv1.SessionResponse).GetEnumerateSplits).GetVertex(); v != 0 {
		t.Errorf("splits of vertex %d are wanted", v)
	}
}

// finish lets the tasks of the job read three splits and finish.
func (c *cluster) finish(tm1, tm2 *taskManager, start1, start2 *tmv1.StartWorker, id string) {
	t := c.t
	t.Helper()
	for v := range uint32(2) {
		tm1.state(start1, v, 0, workerv1.TaskState_TASK_STATE_RUNNING)
		tm2.state(start2, v, 1, workerv1.TaskState_TASK_STATE_RUNNING)
	}
	tm1.worker(start1, &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Splits{Splits: &workerv1.SplitsEnumerated{
		Bounded: true, Splits: []*workerv1.Split{{Id: "a.csv", Data: []byte("A")}, {Id: "b.csv", Data: []byte("B")}},
	}}})
	if s := c.state(id); s != "RUNNING" {
		t.Errorf("job is %s", s)
	}
	for _, want := range []string{"b.csv", "a.csv", ""} {
		tm2.worker(start2, &workerv1.SessionRequest{Message: &workerv1.SessionRequest_SplitRequest{SplitRequest: &workerv1.SplitRequest{Subtask: 1}}})
		got := command(tm2, (*workerv1.SessionResponse).GetAssignSplit)
		switch {
		case want == "" && (!got.GetNoMore() || len(got.GetSplits()) != 0):
			t.Errorf("assigned %v, want no more", got)
		case want != "" && (len(got.GetSplits()) != 1 || got.GetSplits()[0].GetId() != want || got.GetNoMore()):
			t.Errorf("assigned %v, want %s", got, want)
		}
	}
	tm1.worker(start1, &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Metrics{Metrics: &workerv1.MetricsReport{
		Tasks: []*workerv1.TaskMetrics{{Vertex: 1, Subtask: 0, RecordsIn: 42}, {Vertex: 9, Subtask: 9}, {Vertex: 1, Subtask: 1 << 31}},
	}}})
	for v := range uint32(2) {
		tm1.state(start1, v, 0, workerv1.TaskState_TASK_STATE_FINISHED)
		tm2.state(start2, v, 1, workerv1.TaskState_TASK_STATE_FINISHED)
	}
	for _, tm := range []*taskManager{tm1, tm2} {
		command(tm, (*workerv1.SessionResponse).GetShutdown)
	}
	tm1.exited(start1, &tmv1.WorkerExited{LogFile: "/var/log/weir/1.log"})
	if s := c.state(id); s != "RUNNING" {
		t.Errorf("job is %s while a worker is still there", s)
	}
	if e := c.summary(id).GetEndTimeMs(); e != 0 {
		t.Errorf("a job that runs has ended at %d", e)
	}
	tm2.exited(start2, &tmv1.WorkerExited{})
	if s := c.state(id); s != "FINISHED" {
		t.Errorf("job is %s in the end", s)
	}
	d := c.describe(id)
	if e := d.GetSummary().GetEndTimeMs(); e != time.Now().UnixMilli() || d.GetSummary().GetStartTimeMs() != e {
		t.Errorf("the job ran from %d to %d", d.GetSummary().GetStartTimeMs(), e)
	}
	if n := d.GetSummary().GetTasks()["FINISHED"]; n != 4 || len(d.GetSummary().GetTasks()) != 1 {
		t.Errorf("tasks %v", d.GetSummary().GetTasks())
	}
	sink := d.GetVertices()[1].GetSubtasks()
	if sink[0].GetMetrics().GetRecordsIn() != 42 || sink[0].GetTaskManager() != "tm-1" || sink[1].GetTaskManager() != "tm-2" ||
		sink[1].GetState() != workerv1.TaskState_TASK_STATE_FINISHED {
		t.Errorf("sink %v", sink)
	}
	if d.GetPlan().GetJobName() != "late departures" || len(d.GetPlan().GetRecorded()) != 0 || d.GetDefaultParallelism() != 2 || d.GetAttempt() != 1 {
		t.Errorf("description %v", d)
	}
	cluster, err := c.client.GetCluster(context.Background(), &clientv1.GetClusterRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for i, tm := range cluster.GetTaskManagers() {
		want := &clientv1.TaskManager{
			Id: []string{"tm-1", "tm-2"}[i], Host: "127.0.0.1", Slots: 1, FreeSlots: 1, Version: "1.2.3",
			NetworkMemoryPerSlot: 64 << 20, Platform: "linux/amd64",
		}
		if !proto.Equal(tm, want) {
			t.Errorf("TaskManager %v, want %v", tm, want)
		}
	}
	if cluster.GetVersion() != "1.2.3" || len(cluster.GetTaskManagers()) != 2 {
		t.Errorf("cluster %v", cluster)
	}
}
