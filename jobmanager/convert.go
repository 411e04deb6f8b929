package jobmanager

import (
	"slices"
	"time"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/checkpoint/storage"
	"github.com/weirstream/weir/internal/ids"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/scheduler"
)

var jobStateToProto = map[scheduler.JobState]clientv1.JobState{
	scheduler.Initializing: clientv1.JobState_JOB_STATE_INITIALIZING,
	scheduler.Created:      clientv1.JobState_JOB_STATE_CREATED,
	scheduler.Running:      clientv1.JobState_JOB_STATE_RUNNING,
	scheduler.Restarting:   clientv1.JobState_JOB_STATE_RESTARTING,
	scheduler.Failing:      clientv1.JobState_JOB_STATE_FAILING,
	scheduler.Failed:       clientv1.JobState_JOB_STATE_FAILED,
	scheduler.Cancelling:   clientv1.JobState_JOB_STATE_CANCELLING,
	scheduler.Canceled:     clientv1.JobState_JOB_STATE_CANCELED,
	scheduler.Finished:     clientv1.JobState_JOB_STATE_FINISHED,
}

var taskStateToProto = map[scheduler.TaskState]workerv1.TaskState{
	scheduler.TaskCreated:      workerv1.TaskState_TASK_STATE_CREATED,
	scheduler.TaskDeploying:    workerv1.TaskState_TASK_STATE_DEPLOYING,
	scheduler.TaskInitializing: workerv1.TaskState_TASK_STATE_INITIALIZING,
	scheduler.TaskRunning:      workerv1.TaskState_TASK_STATE_RUNNING,
	scheduler.TaskFinished:     workerv1.TaskState_TASK_STATE_FINISHED,
	scheduler.TaskCanceling:    workerv1.TaskState_TASK_STATE_CANCELING,
	scheduler.TaskCanceled:     workerv1.TaskState_TASK_STATE_CANCELED,
	scheduler.TaskFailed:       workerv1.TaskState_TASK_STATE_FAILED,
}

// taskStateFromProto has the states that a worker may report.
var taskStateFromProto = map[workerv1.TaskState]scheduler.TaskState{
	workerv1.TaskState_TASK_STATE_DEPLOYING:    scheduler.TaskDeploying,
	workerv1.TaskState_TASK_STATE_INITIALIZING: scheduler.TaskInitializing,
	workerv1.TaskState_TASK_STATE_RUNNING:      scheduler.TaskRunning,
	workerv1.TaskState_TASK_STATE_FINISHED:     scheduler.TaskFinished,
	workerv1.TaskState_TASK_STATE_CANCELING:    scheduler.TaskCanceling,
	workerv1.TaskState_TASK_STATE_CANCELED:     scheduler.TaskCanceled,
	workerv1.TaskState_TASK_STATE_FAILED:       scheduler.TaskFailed,
}

var checkpointStatusToProto = map[checkpoint.Status]clientv1.CheckpointStatus{
	checkpoint.InProgress: clientv1.CheckpointStatus_CHECKPOINT_STATUS_IN_PROGRESS,
	checkpoint.Complete:   clientv1.CheckpointStatus_CHECKPOINT_STATUS_COMPLETED,
	checkpoint.Failed:     clientv1.CheckpointStatus_CHECKPOINT_STATUS_FAILED,
}

// checkpointsToProto describes a job's checkpoints at a moment, with the part that
// each task has in them if that is asked for.
func checkpointsToProto(v *checkpointsView, tasks bool, now time.Time) *clientv1.DescribeCheckpointsResponse {
	m := &clientv1.DescribeCheckpointsResponse{
		Configuration: &clientv1.CheckpointConfiguration{
			Mode: v.config.Mode.String(), IntervalMs: v.config.Interval.Milliseconds(), TimeoutMs: v.config.Timeout.Milliseconds(),
			MinPauseMs: v.config.MinPause.Milliseconds(), MaxConcurrent: uint32(v.config.MaxConcurrent),
			TolerableFailed: uint32(v.config.TolerableFailed), Retained: uint32(v.numRetained),
			ExternalizedRetention: string(v.keep), Directory: v.storage.Location(""),
		},
		Counts: &clientv1.CheckpointCounts{
			Triggered: uint64(v.view.Total), InProgress: uint64(v.view.InProgress), Completed: uint64(v.view.Completed),
			Failed: uint64(v.view.Failed), Restored: v.seen.restores,
		},
		LatestCompleted: checkpointToProto(v, v.completed, tasks, now), LatestFailed: checkpointToProto(v, v.failed, tasks, now),
	}
	for i := range v.view.History {
		m.History = append(m.History, checkpointToProto(v, &v.view.History[i], tasks, now))
	}
	if v.seen.restores > 0 {
		m.LatestRestored = &clientv1.RestoredCheckpoint{
			Id: uint64(v.seen.restored), RestoreTimeMs: v.seen.restoredAt.UnixMilli(),
			ExternalPath: v.externalPath(storage.MetadataName(v.seen.restored)),
		}
	}
	for _, s := range slices.Backward(v.retained) {
		m.Retained = append(m.Retained, &clientv1.RetainedCheckpoint{Id: uint64(s.ID), ExternalPath: v.externalPath(s.Metadata)})
	}
	for i, p := range v.graph.Parallelism {
		planned := &v.graph.Plan.Vertices[i]
		m.Vertices = append(m.Vertices, &clientv1.CheckpointVertex{Id: planned.ID, Name: planned.Name, Parallelism: uint32(p)})
	}
	return m
}

func checkpointToProto(v *checkpointsView, c *checkpoint.Summary, tasks bool, now time.Time) *clientv1.Checkpoint {
	if c == nil {
		return nil
	}
	m := &clientv1.Checkpoint{
		Id: uint64(c.ID), Status: checkpointStatusToProto[c.Status], Attempt: uint32(c.Attempt), Final: c.Final,
		TriggerTimeMs: c.Triggered.UnixMilli(), DurationUs: now.Sub(c.Triggered).Microseconds(),
		StateSize: uint64(c.StateSize), StoredSize: uint64(c.StoredSize), Subtasks: uint32(len(c.Tasks)), Failure: text(c.Failure),
	}
	if c.Status != checkpoint.InProgress {
		m.DurationUs = c.Ended.Sub(c.Triggered).Microseconds()
	}
	switch c.Status {
	case checkpoint.Complete:
		m.ExternalPath, m.Discarded = v.externalPath(c.Metadata), !v.stored(c.ID)
	case checkpoint.Failed:
		m.FailureTimeMs = c.Ended.UnixMilli()
	case checkpoint.InProgress: // there is nothing more
	}
	micros := func(d time.Duration) uint64 { return uint64(max(d, 0).Microseconds()) }
	for i := range c.Tasks {
		t := &c.Tasks[i]
		if t.Acknowledged {
			m.AcknowledgedSubtasks++
			m.StartDelayUs, m.AlignmentUs = max(m.StartDelayUs, micros(t.StartDelay)), max(m.AlignmentUs, micros(t.Alignment))
		}
		if tasks {
			m.Tasks = append(m.Tasks, &clientv1.CheckpointTask{
				Vertex: uint32(t.Task.Vertex), Subtask: uint32(t.Task.Index), Acknowledged: t.Acknowledged,
				StateSize: uint64(t.StateSize), StoredSize: uint64(t.StoredSize), StartDelayUs: micros(t.StartDelay),
				AlignmentUs: micros(t.Alignment), SynchronousUs: micros(t.Sync), AsynchronousUs: micros(t.Async),
			})
		}
	}
	return m
}

func summaryToProto(s scheduler.JobSummary) *clientv1.JobSummary {
	m := &clientv1.JobSummary{
		JobId: s.ID.String(), Name: s.Name, State: jobStateToProto[s.State],
		StartTimeMs: s.Start.UnixMilli(), StatusMessage: s.Status, Tasks: map[string]uint32{},
		Restarts: uint32(s.Restarts),
	}
	if !s.NextRestart.IsZero() {
		m.NextRestartTimeMs = s.NextRestart.UnixMilli()
	}
	if !s.End.IsZero() {
		m.EndTimeMs = s.End.UnixMilli()
	}
	for state, n := range s.Tasks {
		m.Tasks[state.String()] = uint32(n)
	}
	return m
}

func failureToProto(f *scheduler.JobFailure) *clientv1.JobFailure {
	if f == nil {
		return nil
	}
	message := f.Message
	if f.Recovery != "" {
		message = f.Recovery + ": " + message
	}
	return &clientv1.JobFailure{
		Message: message, Task: f.Task, TaskManager: string(f.TaskManager), Stack: f.Stack,
		TimeMs: f.Time.UnixMilli(), LogFile: f.LogFile,
	}
}

func failureFromProto(m *workerv1.Failure) scheduler.Failure {
	f := scheduler.Failure{Message: text(m.GetMessage()), Stack: text(m.GetStack())}
	if f.Message == "" {
		f.Message = "the worker gave no reason"
	}
	if ms := m.GetTimeMs(); ms > 0 {
		f.Time = time.UnixMilli(ms)
	}
	return f
}

// workerEvent returns what a worker's message means to the scheduler, nil if
// nothing.
func workerEvent(o scheduler.Origin, m *workerv1.SessionRequest) scheduler.Event {
	switch m := m.GetMessage().(type) {
	case *workerv1.SessionRequest_Ready:
		return scheduler.WorkerReady{Origin: o, DataAddress: m.Ready.GetDataAddress()}
	case *workerv1.SessionRequest_Failed:
		return scheduler.WorkerFailed{Origin: o, Failure: failureFromProto(m.Failed.GetFailure())}
	case *workerv1.SessionRequest_TaskState:
		t := m.TaskState
		state, ok := taskStateFromProto[t.GetState()]
		if !ok {
			return nil
		}
		return scheduler.TaskStateChanged{
			Origin: o, Task: ids.Subtask{Vertex: int(t.GetVertex()), Index: int(t.GetSubtask())}, State: state,
			Failure: failureFromProto(t.GetFailure()), Consequence: t.GetConsequence(),
		}
	case *workerv1.SessionRequest_Splits:
		return splitsFromProto(o, m.Splits)
	case *workerv1.SessionRequest_SplitRequest:
		r := m.SplitRequest
		return scheduler.SplitRequested{Origin: o, Task: ids.Subtask{Vertex: int(r.GetVertex()), Index: int(r.GetSubtask())}}
	case *workerv1.SessionRequest_Watermark:
		r := m.Watermark
		return scheduler.WatermarkReported{
			Origin: o, Task: ids.Subtask{Vertex: int(r.GetVertex()), Index: int(r.GetSubtask())},
			Group: r.GetGroup(), Watermark: r.GetWatermarkMs(), MaxDrift: r.GetMaxDriftMs(),
		}
	}
	return nil
}

func splitsFromProto(o scheduler.Origin, m *workerv1.SplitsEnumerated) scheduler.SplitsEnumerated {
	e := scheduler.SplitsEnumerated{Origin: o, Vertex: int(m.GetVertex()), Bounded: m.GetBounded()}
	if m.GetFailure() != nil {
		f := failureFromProto(m.GetFailure())
		e.Failure = &f
	}
	for _, s := range m.GetSplits() {
		e.Splits = append(e.Splits, scheduler.Split{ID: s.GetId(), Data: s.GetData()})
	}
	return e
}

func exitFromProto(o scheduler.Origin, m *tmv1.WorkerExited) scheduler.WorkerExited {
	return scheduler.WorkerExited{
		Origin: o, ExitCode: int(m.GetExitCode()), Signal: m.GetSignal(), Error: text(m.GetError()),
		Stderr: text(string(m.GetStderrTail())), LogFile: m.GetLogFile(),
	}
}

// command wraps what a worker is told.
func command(t scheduler.Target, m *workerv1.SessionResponse) *tmv1.ConnectResponse {
	return &tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_WorkerCommand{WorkerCommand: &tmv1.WorkerCommand{
		JobId: t.Job[:], Attempt: uint32(t.Attempt), Command: m,
	}}}
}

func startTasksToProto(a scheduler.StartTasks) *workerv1.SessionResponse {
	m := &workerv1.StartTasks{Tasks: tasksToProto(a.Tasks)}
	for _, p := range a.Peers {
		m.Peers = append(m.Peers, &workerv1.Peer{
			Worker: uint32(p.Worker), DataAddress: p.DataAddress, TaskManager: string(p.TaskManager), Tasks: tasksToProto(p.Tasks),
		})
	}
	return &workerv1.SessionResponse{Message: &workerv1.SessionResponse_StartTasks{StartTasks: m}}
}

func tasksToProto(tasks []scheduler.Task) []*workerv1.Task {
	list := make([]*workerv1.Task, len(tasks))
	for i, t := range tasks {
		list[i] = &workerv1.Task{Vertex: uint32(t.Vertex), Subtask: uint32(t.Index), Slot: uint32(t.Slot)}
	}
	return list
}

func assignSplitsToProto(a scheduler.AssignSplits) *workerv1.SessionResponse {
	m := &workerv1.AssignSplit{Vertex: uint32(a.Task.Vertex), Subtask: uint32(a.Task.Index), NoMore: a.NoMore}
	for _, s := range a.Splits {
		m.Splits = append(m.Splits, &workerv1.Split{Id: s.ID, Data: s.Data})
	}
	return &workerv1.SessionResponse{Message: &workerv1.SessionResponse_AssignSplit{AssignSplit: m}}
}

func alignSourceToProto(a scheduler.AlignSource) *workerv1.SessionResponse {
	return &workerv1.SessionResponse{Message: &workerv1.SessionResponse_AlignSource{AlignSource: &workerv1.AlignSource{
		Vertex: uint32(a.Task.Vertex), Subtask: uint32(a.Task.Index), Group: a.Group, LimitMs: a.Limit,
	}}}
}
