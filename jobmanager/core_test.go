package jobmanager

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/scheduler"
)

func newEmbedded(t testing.TB) *JobManager {
	t.Helper()
	m, err := New(Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func samplePlan() *dataflow.Plan {
	return &dataflow.Plan{
		JobName: "job", Fingerprint: [32]byte{1},
		Vertices: []dataflow.Vertex{
			{ID: "s", Name: "source", Source: true, Operators: []dataflow.Operator{{ID: "s"}}},
			{ID: "k", Name: "sink", Operators: []dataflow.Operator{{ID: "k"}}},
		},
		Exchanges: []dataflow.Exchange{{From: 0, To: 1, Partitioning: dataflow.Hash}},
	}
}

func open(t testing.TB, c *core, slots uint32) *session {
	t.Helper()
	s, err := newSession(&tmv1.Register{
		Id: "tm-1", Host: "localhost", Slots: slots, SegmentSize: 1 << 10, NetworkMemoryPerSlot: 1 << 20, Platform: "p",
		WorkerProtocolMin: 1, WorkerProtocolMax: 1,
	}, "a test")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.register(s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSubmitPlan(t *testing.T) {
	m := newEmbedded(t)
	plan := samplePlan()
	plan.Warnings = []string{"no id"}
	plan.Settings = map[string]string{"parallelism.default": "2"}
	id, warnings, err := m.SubmitPlan(PlannedJob{Plan: plan, FileName: "job", Arguments: []string{"a"}, Configuration: map[string]string{"parallelism.default": "3"}})
	if err != nil || len(warnings) != 1 {
		t.Fatalf("%v, %v", warnings, err)
	}
	s := open(t, m.core, 2)
	messages := s.out.take()
	if len(messages) != 1 {
		t.Fatalf("%d messages", len(messages))
	}
	start := messages[0].GetStartWorker()
	if ids.JobID(start.GetJobId()) != id || start.GetDefaultParallelism() != 2 || start.GetArguments()[0] != "a" || len(start.GetSlots()) != 2 || start.GetDataListener() {
		t.Errorf("start %v", start)
	}
}

func TestPlansThatCannotBeSubmitted(t *testing.T) {
	m := newEmbedded(t)
	open(t, m.core, 1)
	for word, change := range map[string]func(*PlannedJob){
		"a.go:1: wrong":       func(p *PlannedJob) { p.Plan.Mistakes = []string{"a.go:1: wrong"} },
		"topological order":   func(p *PlannedJob) { p.Plan.Exchanges[0].From = 1 },
		"parallelism.default": func(p *PlannedJob) { p.Configuration = map[string]string{"parallelism.default": "0"} },
		"the job's code":      func(p *PlannedJob) { p.Plan.Settings = map[string]string{"parallelism.default": "none"} },
		"Insufficient number": func(p *PlannedJob) { p.Plan.Vertices[0].Parallelism = 60_000 },
	} {
		p := PlannedJob{Plan: samplePlan(), FileName: "job"}
		change(&p)
		if _, _, err := m.SubmitPlan(p); err == nil || !strings.Contains(status.Convert(err).Message(), word) {
			t.Errorf("%v does not say %q", err, word)
		}
	}
}

func TestPanicsEndCallsOnly(t *testing.T) {
	m := newEmbedded(t)
	call := func() (err error) {
		defer m.recovered("/method", &err)
		panic("boom")
	}
	if err := call(); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "boom") {
		t.Errorf("the call ended with %v", err)
	}
	// A panic inside of the core does not leave it locked.
	func() {
		defer func() { _ = recover() }()
		m.core.step(nil)
	}()
	open(t, m.core, 1)
	if list := m.core.platformsLocked(); len(list) != 1 {
		t.Errorf("platforms %v", list)
	}
}

func TestServeIsCalledOnce(t *testing.T) {
	m := newEmbedded(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Serve(ctx); err != nil {
		t.Error(err)
	}
	if err := m.Serve(ctx); err == nil {
		t.Error("it was served twice")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func TestOutputOfOldJobsIsDropped(t *testing.T) {
	m := newEmbedded(t)
	s := open(t, m.core, 1)
	var jobs []ids.JobID
	for range endedOutputs + 2 {
		id, _, err := m.SubmitPlan(PlannedJob{Plan: samplePlan(), FileName: "job"})
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, id)
		say(m.core, s, &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_JobOutput{JobOutput: &tmv1.JobOutput{JobId: id[:], Attempt: 1, Data: []byte("x")}}})
		say(m.core, s, &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_WorkerExited{WorkerExited: &tmv1.WorkerExited{JobId: id[:], Attempt: 1, ExitCode: 1}}})
	}
	for i, id := range jobs {
		if got, want := m.core.mu.jobs[id].output.size(), min(1, max(0, i-1)); got != want {
			t.Errorf("%d bytes of job %d are kept, want %d", got, i, want)
		}
	}
}

func say(c *core, s *session, m *tmv1.ConnectRequest) {
	m.SessionId, m.LeaderEpoch = s.id[:], c.epoch
	c.hear(s, m)
}

// TestOverflow drops a TaskManager whose outbox is full.
func TestOverflow(t *testing.T) {
	m := newEmbedded(t)
	s := open(t, m.core, 2)
	s.out = newOutbox(10)
	s.out.put(&tmv1.ConnectResponse{LeaderEpoch: 1})
	// The job has its slots, loses them with the first command, and fails.
	id, _, err := m.SubmitPlan(PlannedJob{Plan: samplePlan(), FileName: "job"})
	if status.Code(err) != codes.FailedPrecondition {
		t.Fatal(err)
	}
	<-s.ended
	if status.Code(s.why) != codes.ResourceExhausted {
		t.Errorf("the stream ends with %v", s.why)
	}
	if state, _ := m.core.mu.scheduler.State(id); state != scheduler.Failed {
		t.Errorf("job is %s", state)
	}
}

func TestWatcherOfAJobThatIsNotDueSeesNothing(t *testing.T) {
	m := newEmbedded(t)
	s := open(t, m.core, 1)
	id, _, err := m.SubmitPlan(PlannedJob{Plan: samplePlan(), FileName: "job"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	w := m.core.watch(id, true)
	if l, _ := m.core.look(id, w, now); l.description == nil || l.last || !l.again.IsZero() {
		t.Errorf("first look %+v", l)
	}
	say(m.core, s, &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_WorkerMessage{WorkerMessage: &tmv1.WorkerMessage{
		JobId: id[:], Attempt: 1, Message: &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Metrics{Metrics: &workerv1.MetricsReport{}}},
	}}})
	if l, _ := m.core.look(id, w, now.Add(time.Millisecond)); l.description != nil || !l.again.Equal(now.Add(figurePace)) {
		t.Errorf("figures too early: %+v", l)
	}
	say(m.core, s, &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_WorkerMessage{WorkerMessage: &tmv1.WorkerMessage{
		JobId: id[:], Attempt: 1, Message: &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Ready{Ready: &workerv1.Ready{}}},
	}}})
	if l, _ := m.core.look(id, w, now.Add(2*time.Millisecond)); l.description != nil || !l.again.Equal(now.Add(statePace)) {
		t.Errorf("a state too early: %+v", l)
	}
	if l, _ := m.core.look(id, w, now.Add(statePace)); l.description == nil || !l.again.IsZero() {
		t.Errorf("nothing when it is due: %+v", l)
	}
	say(m.core, s, &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_WorkerExited{WorkerExited: &tmv1.WorkerExited{JobId: id[:], Attempt: 1, ExitCode: 1}}})
	if l, _ := m.core.look(id, w, now.Add(statePace+1)); l.description == nil || !l.last {
		t.Errorf("the end is not told at once: %+v", l)
	}
}

// FuzzTaskManagerMessage lets a TaskManager say anything, within its session,
// about a job that runs there.
func FuzzTaskManagerMessage(f *testing.F) {
	job := ids.JobID{1, 2, 3}
	seeds := []*tmv1.ConnectRequest{
		{Message: &tmv1.ConnectRequest_Heartbeat{}},
		{Message: &tmv1.ConnectRequest_PlanDone{PlanDone: &tmv1.PlanDone{PlanId: "x"}}},
		{Message: &tmv1.ConnectRequest_WorkerHello{WorkerHello: &tmv1.WorkerHello{JobId: job[:], Attempt: 1, ProtocolVersion: 1}}},
		{Message: &tmv1.ConnectRequest_WorkerExited{WorkerExited: &tmv1.WorkerExited{JobId: job[:], Attempt: 1, ExitCode: 1}}},
		{Message: &tmv1.ConnectRequest_JobOutput{JobOutput: &tmv1.JobOutput{JobId: job[:], Attempt: 1, Data: []byte("hello")}}},
	}
	for _, m := range []*workerv1.SessionRequest{
		{Message: &workerv1.SessionRequest_Ready{}},
		{Message: &workerv1.SessionRequest_TaskState{TaskState: &workerv1.TaskStateChanged{State: workerv1.TaskState_TASK_STATE_FAILED}}},
		{Message: &workerv1.SessionRequest_Splits{Splits: &workerv1.SplitsEnumerated{Splits: []*workerv1.Split{{Id: "a"}}}}},
		{Message: &workerv1.SessionRequest_SplitRequest{SplitRequest: &workerv1.SplitRequest{Subtask: 1 << 31}}},
		{Message: &workerv1.SessionRequest_Metrics{Metrics: &workerv1.MetricsReport{Tasks: []*workerv1.TaskMetrics{{Vertex: 1 << 31}}}}},
		{Message: &workerv1.SessionRequest_Watermark{Watermark: &workerv1.WatermarkReported{Group: "g", WatermarkMs: -1, MaxDriftMs: -1}}},
		{Message: &workerv1.SessionRequest_Stopped{}},
	} {
		seeds = append(seeds, &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_WorkerMessage{WorkerMessage: &tmv1.WorkerMessage{JobId: job[:], Attempt: 1, Message: m}}})
	}
	for _, m := range seeds {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, false)
		f.Add(raw, true)
	}
	f.Fuzz(func(t *testing.T, raw []byte, running bool) {
		m := &tmv1.ConnectRequest{}
		if proto.Unmarshal(raw, m) != nil {
			return
		}
		c := newCore(scheduler.DefaultConfig(), 1, slog.New(slog.DiscardHandler), func(digest) {})
		s := open(t, c, 2)
		plan := samplePlan()
		graph, err := plan.Resolve(2)
		if err != nil {
			t.Fatal(err)
		}
		j := newJob(submission{fileName: "job"}, func(error) {})
		j.id = job
		c.submitted(j)
		message := dataflow.ToProto(plan)
		_, err = c.planned(plannedJob{job: j, settings: config.Default(), message: message, defaultParallelism: 2, configuration: map[string]string{}, event: scheduler.JobPlanned{
			Job: job, Name: "job", Graph: graph, Options: scheduler.JobOptions{SlotRequestTimeout: time.Minute, Buffers: config.NetworkSettings(config.Default())},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if running {
			c.step(scheduler.WorkerReady{Origin: scheduler.Origin{Session: s.id, Job: job, Attempt: 1}})
		}
		say(c, s, m)
		d := c.describe(j)
		if _, err := proto.Marshal(d); err != nil {
			t.Fatalf("the job cannot be shown any more: %v", err)
		}
		c.end(s, errors.New("over"))
		if state, _ := c.mu.scheduler.State(job); !state.Terminal() {
			t.Fatalf("the job is %s without its TaskManager", state)
		}
	})
}
