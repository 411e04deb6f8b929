package jobmanager_test

import (
	"context"
	"crypto/sha256"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

func (c *cluster) checkpoints(id string, tasks bool) (*clientv1.DescribeCheckpointsResponse, error) {
	c.t.Helper()
	synctest.Wait()
	return c.client.DescribeCheckpoints(context.Background(), &clientv1.DescribeCheckpointsRequest{JobId: id, Tasks: tasks})
}

// shows compares what is shown of a job's checkpoints, without the tasks.
func (c *cluster) shows(id, when string, want *clientv1.DescribeCheckpointsResponse) {
	c.t.Helper()
	got, err := c.checkpoints(id, false)
	if err != nil {
		c.t.Fatal(err)
	}
	got.Configuration, got.Vertices = nil, nil
	if !proto.Equal(got, want) {
		c.t.Errorf("%s: got\n%s\nwant\n%s", when, prototext.Format(got), prototext.Format(want))
	}
}

// snapshots is what a worker with all three tasks says about a checkpoint, with
// figures that are different for each of them.
func snapshots(checkpoint uint64) (list []*workerv1.SnapshotTaken) {
	for i, task := range [][2]uint32{{0, 0}, {0, 1}, {1, 0}} {
		n := uint64(i + 1)
		snapshot := make([]byte, 1+n)
		digest := sha256.Sum256(snapshot)
		list = append(list, &workerv1.SnapshotTaken{
			Vertex: task[0], Subtask: task[1], Checkpoint: checkpoint,
			File:        &workerv1.SnapshotFile{Size: 1 + n, Digest: digest[:], Inline: snapshot},
			AlignmentUs: 10 * n, SynchronousUs: 100 * n, AsynchronousUs: 1000 * n, StartDelayUs: 10_000 * n,
		})
	}
	return list
}

func (tm *taskManager) snapshot(start *tmv1.StartWorker, s *workerv1.SnapshotTaken) {
	tm.worker(start, &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Snapshot{Snapshot: s}})
}

// commit hears that a checkpoint has completed, and says that every task has
// committed it.
func (tm *taskManager) commit(start *tmv1.StartWorker, checkpoint uint64) {
	tm.t.Helper()
	if m := command(tm, (*workerv1.SessionResponse).GetCompleteCheckpoint); m.GetCheckpoint() != checkpoint {
		tm.t.Errorf("checkpoint %d has completed, want %d", m.GetCheckpoint(), checkpoint)
	}
	for _, s := range snapshots(checkpoint) {
		tm.worker(start, &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Committed{Committed: &workerv1.CheckpointCommitted{
			Vertex: s.GetVertex(), Subtask: s.GetSubtask(), Checkpoint: checkpoint,
		}}})
	}
}

// shownJob is a job whose checkpoints a test looks at.
type shownJob struct {
	*cluster
	tm       *taskManager
	id       string
	start    *tmv1.StartWorker
	location string
}

// trigger lets time pass until a checkpoint is triggered, and for a second more.
func (j *shownJob) trigger() (number uint64, at int64) {
	m := command(j.tm, (*workerv1.SessionResponse).GetTriggerCheckpoint)
	at = time.Now().UnixMilli()
	pass(time.Second)
	return m.GetCheckpoint(), at
}

// TestCheckpointsAreShown follows a job through a checkpoint that completes, ones
// that fail, and a restart.
func TestCheckpointsAreShown(t *testing.T) {
	dir := t.TempDir()
	settings := map[string]string{
		"execution.checkpointing.interval": "1 min", "execution.checkpointing.min-pause": "5 s", "execution.checkpointing.timeout": "30 s",
		"execution.checkpointing.dir": dir, "execution.checkpointing.tolerable-failed-checkpoints": "20", "execution.checkpointing.num-retained": "2",
		"execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
		"restart-strategy.type": "fixed-delay", "restart-strategy.fixed-delay.delay": "10 s",
	}
	inCluster(t, settings, func(c *cluster) {
		j := &shownJob{cluster: c, tm: c.taskManager("tm-1", 2)}
		j.id, j.start = c.running(j.tm)
		j.location = (&url.URL{Scheme: "file", Path: dir}).String() + "/" + j.id
		d, err := c.checkpoints(j.id, true)
		want := &clientv1.DescribeCheckpointsResponse{
			Configuration: &clientv1.CheckpointConfiguration{
				Mode: "EXACTLY_ONCE", IntervalMs: 60_000, TimeoutMs: 30_000, MinPauseMs: 5000, MaxConcurrent: 1, TolerableFailed: 20,
				Retained: 2, ExternalizedRetention: "RETAIN_ON_CANCELLATION", Directory: j.location,
			},
			Counts: &clientv1.CheckpointCounts{},
			Vertices: []*clientv1.CheckpointVertex{
				{Id: "s", Name: "Source: flights", Parallelism: 2}, {Id: "k", Name: "Sink: stdout", Parallelism: 1},
			},
		}
		if err != nil || !proto.Equal(d, want) {
			c.t.Fatalf("before the first one: %v, %v", d, err)
		}
		completed := j.completes()
		j.fails(completed)
		j.restarts(completed)
	})
}

// completes looks at the first checkpoint while it is in progress and when it has
// completed.
func (j *shownJob) completes() (completed *clientv1.Checkpoint) {
	first, at := j.trigger()
	parts := snapshots(first)
	j.tm.snapshot(j.start, parts[0])
	j.tm.snapshot(j.start, parts[1])
	j.shows(j.id, "in progress", &clientv1.DescribeCheckpointsResponse{
		Counts: &clientv1.CheckpointCounts{Triggered: 1, InProgress: 1},
		History: []*clientv1.Checkpoint{{
			Id: first, Status: clientv1.CheckpointStatus_CHECKPOINT_STATUS_IN_PROGRESS, Attempt: 1, TriggerTimeMs: at, DurationUs: 1_000_000,
			StateSize: 5, StoredSize: 5, StartDelayUs: 20_000, AlignmentUs: 20, Subtasks: 3, AcknowledgedSubtasks: 2,
		}},
	})
	j.tm.snapshot(j.start, parts[2])
	path := j.location + "/chk-1"
	completed = &clientv1.Checkpoint{
		Id: first, Status: clientv1.CheckpointStatus_CHECKPOINT_STATUS_COMPLETED, Attempt: 1, TriggerTimeMs: at, DurationUs: 1_000_000,
		StateSize: 9, StoredSize: 9, StartDelayUs: 30_000, AlignmentUs: 30, Subtasks: 3, AcknowledgedSubtasks: 3, ExternalPath: path,
	}
	j.shows(j.id, "completed", &clientv1.DescribeCheckpointsResponse{
		Counts: &clientv1.CheckpointCounts{Triggered: 1, Completed: 1}, History: []*clientv1.Checkpoint{completed},
		LatestCompleted: completed, Retained: []*clientv1.RetainedCheckpoint{{Id: first, ExternalPath: path}},
	})
	d, err := j.checkpoints(j.id, true)
	if err != nil || len(d.GetHistory()[0].GetTasks()) != 3 || len(d.GetLatestCompleted().GetTasks()) != 3 {
		j.t.Fatalf("with tasks: %v, %v", d, err)
	}
	if got, want := d.GetHistory()[0].GetTasks()[2], (&clientv1.CheckpointTask{
		Vertex: 1, Acknowledged: true, StateSize: 4, StoredSize: 4, StartDelayUs: 30_000, AlignmentUs: 30, SynchronousUs: 300, AsynchronousUs: 3000,
	}); !proto.Equal(got, want) {
		j.t.Errorf("the sink's part is %v, want %v", got, want)
	}
	j.tm.commit(j.start, first)
	return completed
}

// fails has more checkpoints fail than the history has, and looks for the one that
// completed before.
func (j *shownJob) fails(completed *clientv1.Checkpoint) {
	var failed *clientv1.Checkpoint
	for range 11 {
		n, at := j.trigger()
		j.tm.snapshot(j.start, &workerv1.SnapshotTaken{Vertex: 1, Checkpoint: n, Failure: &workerv1.Failure{Message: "disk full"}})
		command(j.tm, (*workerv1.SessionResponse).GetAbortCheckpoint)
		failed = &clientv1.Checkpoint{
			Id: n, Status: clientv1.CheckpointStatus_CHECKPOINT_STATUS_FAILED, Attempt: 1, TriggerTimeMs: at, DurationUs: 1_000_000, Subtasks: 3,
			FailureTimeMs: at + 1000,
		}
	}
	d, err := j.checkpoints(j.id, false)
	if err != nil || !proto.Equal(d.GetCounts(), &clientv1.CheckpointCounts{Triggered: 12, Completed: 1, Failed: 11}) || len(d.GetHistory()) != 10 {
		j.t.Errorf("with 11 that failed: %v, %v", d, err)
	}
	if reason := d.GetLatestFailed().GetFailure(); !strings.Contains(reason, "disk full") {
		j.t.Errorf("the reason is %q", reason)
	}
	failed.Failure = d.GetLatestFailed().GetFailure()
	if !proto.Equal(d.GetLatestFailed(), failed) || !proto.Equal(d.GetLatestCompleted(), completed) {
		j.t.Errorf("the latest are %v and %v, want %v and %v", d.GetLatestFailed(), d.GetLatestCompleted(), failed, completed)
	}
}

// restarts has the worker die and the next attempt begin from the checkpoint that
// has completed; then three more complete, of which two are kept and all are shown.
func (j *shownJob) restarts(completed *clientv1.Checkpoint) {
	j.tm.exited(j.start, &tmv1.WorkerExited{ExitCode: 2})
	pass(10 * time.Second)
	restored := time.Now().UnixMilli()
	again := startWorker(j.tm)
	j.tm.ready(again)
	if m := command(j.tm, (*workerv1.SessionResponse).GetStartTasks); m.GetRestoredCheckpoint() != completed.GetId() {
		j.t.Errorf("the tasks begin from checkpoint %d", m.GetRestoredCheckpoint())
	}
	command(j.tm, (*workerv1.SessionResponse).GetEnumerateSplits)
	for _, task := range [][2]uint32{{0, 0}, {0, 1}, {1, 0}} {
		j.tm.state(again, task[0], task[1], workerv1.TaskState_TASK_STATE_RUNNING)
	}
	for range 3 {
		n, _ := j.trigger()
		for _, s := range snapshots(n) {
			j.tm.snapshot(again, s)
		}
		j.tm.commit(again, n)
	}
	d, err := j.checkpoints(j.id, false)
	if want := (&clientv1.RestoredCheckpoint{Id: completed.GetId(), RestoreTimeMs: restored, ExternalPath: completed.GetExternalPath()}); err != nil ||
		!proto.Equal(d.GetLatestRestored(), want) || d.GetCounts().GetRestored() != 1 {
		j.t.Errorf("restored is %v, %d times, %v, want %v", d.GetLatestRestored(), d.GetCounts().GetRestored(), err, want)
	}
	var ids []uint64
	for _, r := range d.GetRetained() {
		ids = append(ids, r.GetId())
	}
	if h := d.GetHistory(); !slices.Equal(ids, []uint64{15, 14}) || h[0].GetDiscarded() || h[1].GetDiscarded() || !h[2].GetDiscarded() ||
		d.GetLatestCompleted().GetId() != 15 || d.GetLatestFailed().GetId() != 12 {
		j.t.Errorf("at the end: %s", prototext.Format(d))
	}
}

func TestJobsWithoutCheckpoints(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		tm := c.taskManager("tm-1", 2)
		answer := c.start(c.t.Context(), submission{configuration: map[string]string{"execution.checkpointing.interval": "1 s"}})
		synctest.Wait()
		planned := c.list()[0].GetJobId()
		for _, test := range []struct {
			id   string
			code codes.Code
			want string
		}{
			{"x", codes.InvalidArgument, "x"},
			{strings.Repeat("ab", 16), codes.NotFound, "no job abab"},
			{planned, codes.FailedPrecondition, "job " + planned + " has no checkpoints: it has not been planned"},
		} {
			if _, err := c.checkpoints(test.id, false); status.Code(err) != test.code || !strings.Contains(status.Convert(err).Message(), test.want) {
				c.t.Errorf("%s: %v", test.id, err)
			}
		}
		// It lacks a directory.
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		refused(c.t, <-answer, codes.InvalidArgument, "execution.checkpointing.dir is not")
		if _, err := c.checkpoints(planned, false); status.Convert(err).Message() != "job "+planned+" has no checkpoints: it was refused" {
			c.t.Errorf("a job that was refused: %v", err)
		}
		id, _ := c.running(tm)
		if _, err := c.checkpoints(id, false); status.Code(err) != codes.FailedPrecondition ||
			status.Convert(err).Message() != "job "+id+" takes no checkpoints: execution.checkpointing.interval is not set" {
			c.t.Errorf("a job that takes none: %v", err)
		}
	})
}
