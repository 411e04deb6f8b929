package jobmanager_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

func (c *cluster) taskManagers() (list []string) {
	c.t.Helper()
	synctest.Wait()
	m, err := c.client.GetCluster(context.Background(), &clientv1.GetClusterRequest{})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, tm := range m.GetTaskManagers() {
		list = append(list, fmt.Sprintf("%s %d/%d", tm.GetId(), tm.GetFreeSlots(), tm.GetSlots()))
	}
	return list
}

func ended(t *testing.T, tm *taskManager, code codes.Code, words ...string) {
	t.Helper()
	st := status.Convert(tm.end())
	if st.Code() != code {
		t.Errorf("the stream ended with %v, want %s", st, code)
	}
	for _, word := range words {
		if !strings.Contains(st.Message(), word) {
			t.Errorf("%q does not say %q", st.Message(), word)
		}
	}
}

func TestHeartbeats(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 1)
		pass(time.Hour)
		if n := tm.beats(); n != 360 {
			t.Errorf("%d heartbeats in an hour, want one each 10 s", n)
		}
		tm.silence()
		before := time.Now()
		ended(t, tm, codes.DeadlineExceeded, "heartbeat.timeout (50s)")
		// The last heartbeat was sent at the full hour, as was the silence's begin.
		if d := time.Since(before); d != 50*time.Second {
			t.Errorf("the silence was noticed after %s", d)
		}
		if list := c.taskManagers(); len(list) != 0 {
			t.Errorf("TaskManagers %v", list)
		}
	})
}

func TestHeartbeatsAreConfigured(t *testing.T) {
	inCluster(t, map[string]string{"heartbeat.interval": "1 s", "heartbeat.timeout": "3 s"}, func(c *cluster) {
		t := c.t
		tm := c.connect(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_Register{Register: registration("tm-1", 1)}})
		m := tm.next()
		if r := m.GetRegistered(); r.GetHeartbeatIntervalMs() != 1000 || r.GetHeartbeatTimeoutMs() != 3000 || r.GetClusterId() == "" {
			t.Errorf("registered %v", r)
		}
		if len(m.GetSessionId()) != 16 || m.GetLeaderEpoch() == 0 {
			t.Errorf("session %x, epoch %d", m.GetSessionId(), m.GetLeaderEpoch())
		}
		before := time.Now()
		ended(t, tm, codes.DeadlineExceeded)
		if d := time.Since(before); d != 3*time.Second {
			t.Errorf("the silence was noticed after %s", d)
		}
	})
}

// TestClosedStreamIsNoticedAtOnce fails the job of a TaskManager that goes, in
// no time, and stops its other worker.
func TestClosedStreamIsNoticedAtOnce(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm1, tm2 := c.taskManager("tm-1", 1), c.taskManager("tm-2", 1)
		answer := c.start(t.Context(), submission{})
		tm1.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		tm2.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		id := (<-answer).accepted.GetJobId()
		start1, start2 := startWorker(tm1), startWorker(tm2)
		tm1.ready(start1)
		tm2.ready(start2)
		synctest.Wait()
		before := time.Now()
		tm2.hangUp()
		command(tm1, (*workerv1.SessionResponse).GetStartTasks)
		command(tm1, (*workerv1.SessionResponse).GetEnumerateSplits)
		command(tm1, (*workerv1.SessionResponse).GetCancelTasks)
		command(tm1, (*workerv1.SessionResponse).GetShutdown)
		if s := c.state(id); s != "FAILING" {
			t.Errorf("job is %s", s)
		}
		tm1.exited(start1, &tmv1.WorkerExited{})
		if s := c.state(id); s != "FAILED" {
			t.Errorf("job is %s", s)
		}
		if f := c.describe(id).GetFailure(); !strings.Contains(f.GetMessage(), "TaskManager tm-2 was lost") || f.GetTaskManager() != "tm-2" || f.GetTimeMs() != before.UnixMilli() {
			t.Errorf("failure %v", f)
		}
		if d := time.Since(before); d != 0 {
			t.Errorf("it took %s", d)
		}
	})
}

func TestRegistrationsThatAreRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*tmv1.Register)
		word   string
	}{
		{"no id", func(r *tmv1.Register) { r.Id = "" }, "taskmanager.resource-id"},
		{"no host", func(r *tmv1.Register) { r.Host = "" }, "taskmanager.host"},
		{"no slots", func(r *tmv1.Register) { r.Slots = 0 }, "0 slots"},
		{"many slots", func(r *tmv1.Register) { r.Slots = 1 << 31 }, "2147483648 slots"},
		{"no segment", func(r *tmv1.Register) { r.SegmentSize = 0 }, "segment size of 0"},
		{"little memory", func(r *tmv1.Register) { r.NetworkMemoryPerSlot = 100 }, "100 bytes"},
		{"no platform", func(r *tmv1.Register) { r.Platform = "" }, "platform"},
		{"another protocol", func(r *tmv1.Register) { r.WorkerProtocolMin, r.WorkerProtocolMax = 7, 9 }, "protocol 7 to 9"},
	}
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		for _, test := range tests {
			r := registration("tm-1", 1)
			test.change(r)
			tm := c.connect(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_Register{Register: r}})
			t.Log(test.name)
			ended(t, tm, codes.InvalidArgument, test.word)
		}
		ended(t, c.connect(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_Heartbeat{}}), codes.InvalidArgument, "Register")
		silent := c.connect(nil)
		before := time.Now()
		ended(t, silent, codes.DeadlineExceeded)
		if d := time.Since(before); d != 50*time.Second {
			t.Errorf("a stream without a registration ended after %s", d)
		}
		if list := c.taskManagers(); len(list) != 0 {
			t.Errorf("TaskManagers %v", list)
		}
	})
}

func TestSameNameTwice(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id := c.run(tm, submission{})
		start := startWorker(tm)

		// From another host it is a mistake of the configuration.
		r := registration("tm-1", 1)
		r.Host = "10.0.0.9"
		ended(t, c.connect(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_Register{Register: r}}), codes.AlreadyExists, "10.0.0.9", "127.0.0.1", "taskmanager.resource-id")
		if list := c.taskManagers(); len(list) != 1 || list[0] != "tm-1 0/2" {
			t.Errorf("TaskManagers %v", list)
		}

		// From the same host it is the same one, started again.
		again := c.taskManager("tm-1", 2)
		ended(t, tm, codes.Aborted, "registered anew")
		if list := c.taskManagers(); len(list) != 1 || list[0] != "tm-1 2/2" {
			t.Errorf("TaskManagers %v", list)
		}
		if s := c.state(id); s != "FAILED" {
			t.Errorf("job is %s", s)
		}
		// The old session's messages do not count in the new one.
		again.exited(start, &tmv1.WorkerExited{})
		again.nothing()
	})
}

// TestOldMessagesChangeNothing sends what would end a job, with the marks of
// another session, another epoch and another attempt.
func TestOldMessagesChangeNothing(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id := c.run(tm, submission{})
		start := startWorker(tm)
		exit := func(session []byte, epoch uint64, job []byte, attempt uint32) {
			tm.sayAs(&tmv1.ConnectRequest{SessionId: session, LeaderEpoch: epoch, Message: &tmv1.ConnectRequest_WorkerExited{
				WorkerExited: &tmv1.WorkerExited{JobId: job, Attempt: attempt, ExitCode: 1},
			}})
			if s := c.state(id); s != "CREATED" {
				t.Errorf("job is %s", s)
			}
		}
		other := make([]byte, 16)
		exit(other, tm.epoch, start.GetJobId(), 1)
		exit(nil, tm.epoch, start.GetJobId(), 1)
		exit(tm.session, tm.epoch-1, start.GetJobId(), 1)
		exit(tm.session, tm.epoch, start.GetJobId(), 0)
		exit(tm.session, tm.epoch, start.GetJobId(), 2)
		exit(tm.session, tm.epoch, other, 1)
		exit(tm.session, tm.epoch, other[:3], 1)
		tm.output(&tmv1.StartWorker{JobId: start.GetJobId(), Attempt: 7}, false, "from the past")
		tm.worker(&tmv1.StartWorker{JobId: start.GetJobId(), Attempt: 7}, &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Metrics{
			Metrics: &workerv1.MetricsReport{Tasks: []*workerv1.TaskMetrics{{RecordsIn: 1}}},
		}})
		tm.sayAs(&tmv1.ConnectRequest{SessionId: tm.session, LeaderEpoch: tm.epoch})
		tm.worker(start, nil)
		tm.worker(start, &workerv1.SessionRequest{Message: &workerv1.SessionRequest_TaskState{TaskState: &workerv1.TaskStateChanged{State: 99}}})
		tm.nothing()
		if m := c.describe(id).GetVertices()[0].GetSubtasks()[0].GetMetrics(); m != nil {
			t.Errorf("figures %v", m)
		}
		if n := strings.Count(c.log.String(), "message dropped"); n < 8 {
			t.Errorf("%d dropped messages in the log:\n%s", n, c.log)
		}
		tm.exited(start, &tmv1.WorkerExited{ExitCode: 1})
		if s := c.state(id); s != "FAILED" {
			t.Errorf("job is %s", s)
		}
		w := c.watch(id, true)
		w.state()
		w.end() // There was no output that counts.
	})
}

// TestTaskManagerThatDoesNotRead has a TaskManager that goes on with its
// heartbeats, but reads nothing any more.
func TestTaskManagerThatDoesNotRead(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		resume := tm.pause()
		before := time.Now()
		// Together more than gRPC takes in for a stream that nobody reads.
		var answers []<-chan *submission
		for range 32 {
			answers = append(answers, c.start(t.Context(), submission{arguments: []string{strings.Repeat("x", 1<<19)}}))
		}
		pass(49 * time.Second)
		if list := c.taskManagers(); len(list) != 1 {
			t.Errorf("TaskManagers %v after %s", list, time.Since(before))
		}
		pass(12 * time.Second)
		if list := c.taskManagers(); len(list) != 0 {
			t.Errorf("TaskManagers %v after %s", list, time.Since(before))
		}
		resume()
		ended(t, tm, codes.DeadlineExceeded, "has not read what it is sent for heartbeat.timeout (50s)")
		for _, answer := range answers {
			refused(t, <-answer, codes.FailedPrecondition, "no TaskManager")
		}
	})
}

// TestServerStops ends every kind of call when the JobManager stops.
func TestServerStops(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id := c.run(tm, submission{})
		watch, err := c.client.WatchJob(t.Context(), &clientv1.WatchJobRequest{JobId: id})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := watch.Recv(); err != nil {
			t.Fatal(err)
		}
		planning := c.start(t.Context(), submission{})
		hear(tm, (*tmv1.ConnectResponse).GetStartWorker)
		hear(tm, (*tmv1.ConnectResponse).GetRunPlan)
		c.shutdown()
		refused(t, <-planning, codes.Unavailable, "stopping")
		if _, err := watch.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("the watch ended with %v", err)
		}
		ended(t, tm, codes.Unavailable, "stopping")
	})
}
