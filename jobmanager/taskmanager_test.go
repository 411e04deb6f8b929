package jobmanager_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/weirstream/weir/internal/dataflow"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

// taskManager is a TaskManager that a test plays. It sends heartbeats by
// itself until it is told to be silent.
type taskManager struct {
	t       *testing.T
	id      string
	stream  grpc.BidiStreamingClient[tmv1.ConnectRequest, tmv1.ConnectResponse]
	session []byte
	epoch   uint64
	heard   chan *tmv1.ConnectResponse
	// beats counts the heartbeats of the JobManager.
	mu struct {
		sync.Mutex
		beats  int
		silent bool
		err    error
	}
	hangUp context.CancelFunc
	// reading holds a value while the TaskManager may read.
	reading chan struct{}
	// ended is closed when the stream has ended, with err.
	ended chan struct{}
}

func registration(id string, slots uint32) *tmv1.Register {
	return &tmv1.Register{
		Id: id, Host: "127.0.0.1", Slots: slots, NetworkMemoryPerSlot: 64 << 20, SegmentSize: 32 << 10,
		Platform: "linux/amd64", Version: "1.2.3", WorkerProtocolMin: 1, WorkerProtocolMax: 1, Pid: 4711,
	}
}

// connect opens a stream and says what first says, nothing if it is nil.
func (c *cluster) connect(first *tmv1.ConnectRequest) *taskManager {
	c.t.Helper()
	ctx, hangUp := context.WithCancel(context.Background())
	stream, err := c.gateway.Connect(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	tm := &taskManager{t: c.t, stream: stream, heard: make(chan *tmv1.ConnectResponse, 1000), hangUp: hangUp, ended: make(chan struct{}), reading: make(chan struct{}, 1)}
	tm.reading <- struct{}{}
	c.t.Cleanup(hangUp)
	if first != nil {
		if err := stream.Send(first); err != nil {
			c.t.Fatal(err)
		}
	}
	c.group.Go(func(context.Context) error {
		defer close(tm.ended)
		for {
			<-tm.reading
			tm.reading <- struct{}{}
			m, err := stream.Recv()
			tm.mu.Lock()
			tm.mu.err = err
			if m.GetHeartbeat() != nil {
				tm.mu.beats++
			}
			tm.mu.Unlock()
			if err != nil {
				return nil
			}
			if m.GetHeartbeat() == nil {
				tm.heard <- m
			}
		}
	})
	return tm
}

// taskManager registers a TaskManager.
func (c *cluster) taskManager(id string, slots uint32, changes ...func(*tmv1.Register)) *taskManager {
	c.t.Helper()
	register := registration(id, slots)
	for _, change := range changes {
		change(register)
	}
	tm := c.connect(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_Register{Register: register}})
	m := tm.next()
	registered := m.GetRegistered()
	if registered == nil {
		c.t.Fatalf("the answer to the registration is %s", prototext.Format(m))
	}
	tm.id, tm.session, tm.epoch = id, m.GetSessionId(), m.GetLeaderEpoch()
	c.group.Go(func(context.Context) error {
		ticker := time.NewTicker(time.Duration(registered.GetHeartbeatIntervalMs()) * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-tm.ended:
				return nil
			case <-ticker.C:
				tm.mu.Lock()
				silent := tm.mu.silent
				tm.mu.Unlock()
				if !silent {
					tm.say(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_Heartbeat{Heartbeat: &tmv1.Heartbeat{}}})
				}
			}
		}
	})
	return tm
}

// pause lets the TaskManager read nothing any more, but for one message, until
// resume.
func (tm *taskManager) pause() (resume func()) {
	<-tm.reading
	return func() { tm.reading <- struct{}{} }
}

func (tm *taskManager) silence() {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	tm.mu.silent = true
}

func (tm *taskManager) beats() int {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	return tm.mu.beats
}

// end waits for the end of the stream and returns its status.
func (tm *taskManager) end() error {
	<-tm.ended
	return tm.mu.err
}

// say sends a message with the session's marks.
func (tm *taskManager) say(m *tmv1.ConnectRequest) {
	m.SessionId, m.LeaderEpoch = tm.session, tm.epoch
	tm.sayAs(m)
}

func (tm *taskManager) sayAs(m *tmv1.ConnectRequest) {
	tm.mu.Lock() // A stream takes one Send at a time.
	defer tm.mu.Unlock()
	_ = tm.stream.Send(m) // Why it fails is what Recv returns.
}

// next returns the next message of the JobManager.
func (tm *taskManager) next() *tmv1.ConnectResponse {
	tm.t.Helper()
	select {
	case m := <-tm.heard:
		return m
	case <-time.After(24 * time.Hour):
		tm.t.Fatalf("%s hears nothing", tm.id)
	case <-tm.ended:
		tm.t.Fatalf("%s: the stream has ended: %v", tm.id, tm.end())
	}
	return nil
}

// nothing checks that the JobManager has nothing to say.
func (tm *taskManager) nothing() {
	tm.t.Helper()
	synctest.Wait()
	select {
	case m := <-tm.heard:
		tm.t.Fatalf("%s hears %s", tm.id, prototext.Format(m))
	default:
	}
}

// hear returns the next message, which must be of the kind that get returns.
func hear[M any](tm *taskManager, get func(*tmv1.ConnectResponse) *M) *M {
	tm.t.Helper()
	m := tm.next()
	got := get(m)
	if got == nil {
		tm.t.Fatalf("%s hears %s", tm.id, prototext.Format(m))
	}
	return got
}

// command returns the next message, which must be a command for a worker, of
// the kind that get returns.
func command[M any](tm *taskManager, get func(*workerv1.SessionResponse) *M) *M {
	tm.t.Helper()
	c := hear(tm, (*tmv1.ConnectResponse).GetWorkerCommand)
	got := get(c.GetCommand())
	if got == nil {
		tm.t.Fatalf("%s hears %s", tm.id, prototext.Format(c))
	}
	return got
}

// plan answers the next RunPlan, and returns it.
func (tm *taskManager) plan(answer *tmv1.PlanDone) *tmv1.RunPlan {
	tm.t.Helper()
	run := hear(tm, (*tmv1.ConnectResponse).GetRunPlan)
	answer.PlanId = run.GetPlanId()
	tm.say(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_PlanDone{PlanDone: answer}})
	return run
}

// worker says what a worker says.
func (tm *taskManager) worker(start *tmv1.StartWorker, m *workerv1.SessionRequest) {
	tm.say(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_WorkerMessage{WorkerMessage: &tmv1.WorkerMessage{
		JobId: start.GetJobId(), Attempt: start.GetAttempt(), Message: m,
	}}})
}

func (tm *taskManager) ready(start *tmv1.StartWorker) {
	tm.worker(start, &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Ready{Ready: &workerv1.Ready{DataAddress: tm.id + ":1"}}})
}

func (tm *taskManager) state(start *tmv1.StartWorker, vertex, subtask uint32, state workerv1.TaskState) {
	tm.worker(start, &workerv1.SessionRequest{Message: &workerv1.SessionRequest_TaskState{TaskState: &workerv1.TaskStateChanged{
		Vertex: vertex, Subtask: subtask, State: state,
	}}})
}

func (tm *taskManager) fail(start *tmv1.StartWorker, vertex, subtask uint32, message, stack string) {
	tm.worker(start, &workerv1.SessionRequest{Message: &workerv1.SessionRequest_TaskState{TaskState: &workerv1.TaskStateChanged{
		Vertex: vertex, Subtask: subtask, State: workerv1.TaskState_TASK_STATE_FAILED,
		Failure: &workerv1.Failure{Message: message, Stack: stack, TimeMs: 1234},
	}}})
}

func (tm *taskManager) exited(start *tmv1.StartWorker, exit *tmv1.WorkerExited) {
	exit.JobId, exit.Attempt = start.GetJobId(), start.GetAttempt()
	tm.say(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_WorkerExited{WorkerExited: exit}})
}

func (tm *taskManager) output(start *tmv1.StartWorker, standardError bool, data string) {
	tm.say(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_JobOutput{JobOutput: &tmv1.JobOutput{
		JobId: start.GetJobId(), Attempt: start.GetAttempt(), StandardError: standardError, Data: []byte(data),
	}}})
}

// flightsPlan is the plan of a job with a source of two subtasks and a sink
// with the default parallelism.
func flightsPlan(changes ...func(*dataflow.Plan)) *planv1.Plan {
	p := &dataflow.Plan{
		JobName: "late departures",
		Vertices: []dataflow.Vertex{
			{ID: "s", Name: "Source: flights", Parallelism: 2, Source: true, Bounded: true, Operators: []dataflow.Operator{
				{ID: "s", Name: "flights", Kind: "source", OutputType: "main.Flight", Position: "late/main.go:12"},
			}},
			{ID: "k", Name: "Sink: stdout", Operators: []dataflow.Operator{{ID: "k", Name: "stdout", Kind: "sink", Position: "late/main.go:14"}}},
		},
		Exchanges:   []dataflow.Exchange{{From: 0, To: 1, Partitioning: dataflow.Hash, RecordType: "main.Flight", KeyType: "string"}},
		Fingerprint: [32]byte{1},
	}
	for _, change := range changes {
		change(p)
	}
	return dataflow.ToProto(p)
}

// run submits a job and plans it on tm, and returns its id.
func (c *cluster) run(tm *taskManager, s submission, changes ...func(*dataflow.Plan)) string {
	c.t.Helper()
	answer := c.start(context.Background(), s)
	tm.plan(&tmv1.PlanDone{Plan: flightsPlan(changes...)})
	tm.plan(&tmv1.PlanDone{Plan: flightsPlan(changes...)})
	got := <-answer
	if got.err != nil {
		c.t.Fatal(got.err)
	}
	return got.accepted.GetJobId()
}

func startWorker(tm *taskManager) *tmv1.StartWorker {
	tm.t.Helper()
	return hear(tm, (*tmv1.ConnectResponse).GetStartWorker)
}

func tasksOf(list []*workerv1.Task) (text string) {
	for _, t := range list {
		text += fmt.Sprintf("%d/%d@%d ", t.GetVertex(), t.GetSubtask(), t.GetSlot())
	}
	return text
}
