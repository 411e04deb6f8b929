package worker

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/task"
)

// hostConfig reads Welcome. The slots' files are the caller's to close.
func hostConfig(m *workerv1.Welcome) (c task.HostConfig, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("what the TaskManager %s says in Welcome: %w", m.GetTaskManager(), err)
		}
	}()
	if len(m.GetJobId()) != len(c.Job) {
		return c, fmt.Errorf("the job id has %d bytes: want %d", len(m.GetJobId()), len(c.Job))
	}
	// An embedded job has no executable of its own.
	if n := len(m.GetExecutable()); n != 0 && n != len(c.Executable) {
		return c, fmt.Errorf("the executable's SHA-256 has %d bytes: want %d", n, len(c.Executable))
	}
	copy(c.Job[:], m.GetJobId())
	copy(c.Executable[:], m.GetExecutable())
	c.Attempt, c.Worker, c.Secret = ids.Attempt(m.GetAttempt()), int(m.GetWorker()), m.GetSecret()
	c.DataBindAddress, c.DataHost = m.GetDataBindAddress(), m.GetDataHost()
	c.DefaultParallelism, c.TaskManager = int(m.GetDefaultParallelism()), m.GetTaskManager()
	if c.Plan, err = dataflow.FromProto(m.GetPlan()); err != nil {
		return c, err
	}
	if c.Settings, c.Checkpointing, err = settings(m.GetConfiguration()); err != nil {
		return c, err
	}
	if len(m.GetDataCertificate()) > 0 {
		if c.TLS, err = jobTLS(m.GetDataCertificate(), m.GetDataKey()); err != nil {
			return c, err
		}
	}
	c.Slots, err = slots(m.GetSlots())
	return c, err
}

// settings reads the values that tasks use from a job's configuration, which the
// JobManager has checked. A key that this build does not know is none of those.
func settings(values map[string]string) (task.Settings, task.Checkpointing, error) {
	c, _, err := config.Default().Decode("the job's configuration", values)
	if err != nil {
		return task.Settings{}, task.Checkpointing{}, err
	}
	s := task.Settings{
		BufferTimeout:     config.BufferTimeout(c),
		WatermarkInterval: config.AutoWatermarkInterval.Get(c),
		PreAggregation:    config.PreAggregation.Get(c),
		Network:           config.NetworkSettings(c),
	}
	if s.BufferTimeout == config.OnlyFullBuffers {
		s.BufferTimeout = dataflow.NoTimeout
	}
	return s, task.Checkpointing{Enabled: config.CheckpointInterval.IsSet(c), ExactlyOnce: config.CheckpointingMode.Get(c) == config.ExactlyOnce}, nil
}

// slots opens the slots' memory, which the process has inherited, and keeps it
// from the processes that user code may start.
func slots(list []*workerv1.Slot) ([]task.Slot, error) {
	out := make([]task.Slot, 0, len(list))
	for _, m := range list {
		slot := task.Slot{Index: int(m.GetIndex()), Size: int64(m.GetMemorySize())}
		if fd := int(m.GetMemoryFd()); fd >= 0 {
			syscall.CloseOnExec(fd)
			slot.Memory = os.NewFile(uintptr(fd), fmt.Sprintf("slot %d", slot.Index))
			if err := checkMemory(slot); err != nil {
				closeMemory(append(out, slot))
				return nil, err
			}
		}
		out = append(out, slot)
	}
	return out, nil
}

func checkMemory(slot task.Slot) error {
	info, err := slot.Memory.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("network memory of slot %d: %w", slot.Index, err)
	case info.Size() != slot.Size:
		return fmt.Errorf("network memory of slot %d: the file has %d bytes, not %d", slot.Index, info.Size(), slot.Size)
	}
	return nil
}

func refs(list []*workerv1.Task) []task.Ref {
	out := make([]task.Ref, len(list))
	for i, m := range list {
		out[i] = task.Ref{Vertex: int(m.GetVertex()), Subtask: int(m.GetSubtask()), Slot: int(m.GetSlot())}
	}
	return out
}

func peers(list []*workerv1.Peer) []task.Peer {
	out := make([]task.Peer, len(list))
	for i, m := range list {
		out[i] = task.Peer{
			Worker: int(m.GetWorker()), Address: m.GetDataAddress(), TaskManager: m.GetTaskManager(), Tasks: refs(m.GetTasks()),
		}
	}
	return out
}

func splitsFromProto(list []*workerv1.Split) []task.Split {
	out := make([]task.Split, len(list))
	for i, m := range list {
		out[i] = task.Split{ID: m.GetId(), Data: m.GetData()}
	}
	return out
}

func splitsToProto(list []task.Split) []*workerv1.Split {
	out := make([]*workerv1.Split, len(list))
	for i, s := range list {
		out[i] = &workerv1.Split{Id: text(s.ID), Data: s.Data}
	}
	return out
}

// text returns s as a message can carry it: a path or an error may have bytes
// that are no UTF-8. They are written as \xff.
func text(s string) string {
	if strings.ToValidUTF8(s, "") == s {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if r == '\uFFFD' && !strings.HasPrefix(s[i:], "\uFFFD") {
			fmt.Fprintf(&b, `\x%02x`, s[i])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func failureToProto(err error, now time.Time) *workerv1.Failure {
	m := &workerv1.Failure{Message: text(err.Error()), TimeMs: now.UnixMilli()}
	var panicked *task.PanicError
	if errors.As(err, &panicked) {
		m.Stack = text(string(panicked.Stack))
	}
	return m
}

var stateToProto = map[task.State]workerv1.TaskState{
	task.Initializing: workerv1.TaskState_TASK_STATE_INITIALIZING,
	task.Running:      workerv1.TaskState_TASK_STATE_RUNNING,
	task.Canceling:    workerv1.TaskState_TASK_STATE_CANCELING,
	task.Finished:     workerv1.TaskState_TASK_STATE_FINISHED,
	task.Canceled:     workerv1.TaskState_TASK_STATE_CANCELED,
	task.Failed:       workerv1.TaskState_TASK_STATE_FAILED,
}

func eventToProto(e task.Event, now time.Time) *workerv1.SessionRequest {
	if e.WantsSplit {
		return &workerv1.SessionRequest{Message: &workerv1.SessionRequest_SplitRequest{SplitRequest: &workerv1.SplitRequest{
			Vertex: uint32(e.Vertex), Subtask: uint32(e.Subtask),
		}}}
	}
	if a := e.Alignment; a != nil {
		return &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Watermark{Watermark: &workerv1.WatermarkReported{
			Vertex: uint32(e.Vertex), Subtask: uint32(e.Subtask), Group: text(a.Group), WatermarkMs: a.Watermark, MaxDriftMs: a.MaxDrift,
		}}}
	}
	if e.Ended {
		return &workerv1.SessionRequest{Message: &workerv1.SessionRequest_TaskEnded{TaskEnded: &workerv1.TaskEnded{
			Vertex: uint32(e.Vertex), Subtask: uint32(e.Subtask),
		}}}
	}
	if e.Committed > 0 {
		return &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Committed{Committed: &workerv1.CheckpointCommitted{
			Vertex: uint32(e.Vertex), Subtask: uint32(e.Subtask), Checkpoint: e.Committed,
		}}}
	}
	if e.Snapshot != nil {
		return &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Snapshot{Snapshot: snapshotToProto(e, now)}}
	}
	m := &workerv1.TaskStateChanged{
		Vertex: uint32(e.Vertex), Subtask: uint32(e.Subtask), State: stateToProto[e.State], Consequence: e.Consequence,
	}
	if e.Err != nil {
		m.Failure = failureToProto(e.Err, now)
	}
	return &workerv1.SessionRequest{Message: &workerv1.SessionRequest_TaskState{TaskState: m}}
}

func snapshotToProto(e task.Event, now time.Time) *workerv1.SnapshotTaken {
	s := e.Snapshot
	m := &workerv1.SnapshotTaken{Vertex: uint32(e.Vertex), Subtask: uint32(e.Subtask), Checkpoint: s.Checkpoint}
	if s.Err != nil {
		m.Failure = failureToProto(s.Err, now)
		return m
	}
	m.Path, m.File = s.Path, &workerv1.SnapshotFile{Size: uint64(s.Size), Digest: s.Digest[:]}
	m.AlignmentUs, m.SynchronousUs = uint64(s.Alignment.Microseconds()), uint64(s.Synchronous.Microseconds())
	m.AsynchronousUs, m.StartDelayUs = uint64(s.Asynchronous.Microseconds()), uint64(s.StartDelay.Microseconds())
	return m
}

func restored(list []*workerv1.RestoredSnapshot) []task.Restored {
	out := make([]task.Restored, len(list))
	for i, m := range list {
		out[i] = task.Restored{Vertex: int(m.GetVertex()), Subtask: int(m.GetSubtask()), Parallelism: int(m.GetParallelism()), Path: m.GetPath(), Inline: m.GetFile().GetInline()}
	}
	return out
}

// ended reports whether a message says that a task has ended.
func ended(m *workerv1.SessionRequest) bool {
	switch m.GetTaskState().GetState() {
	case workerv1.TaskState_TASK_STATE_FINISHED, workerv1.TaskState_TASK_STATE_CANCELED, workerv1.TaskState_TASK_STATE_FAILED:
		return true
	default:
		return false
	}
}

// metricsToProto returns nil if there are no tasks.
func metricsToProto(all []task.Metrics) *workerv1.SessionRequest {
	if len(all) == 0 {
		return nil
	}
	report := &workerv1.MetricsReport{Tasks: make([]*workerv1.TaskMetrics, len(all))}
	for i := range all {
		m := &all[i]
		report.Tasks[i] = &workerv1.TaskMetrics{
			Vertex: uint32(m.Vertex), Subtask: uint32(m.Subtask),
			RecordsIn: m.RecordsIn, RecordsOut: m.RecordsOut, BytesIn: m.BytesIn, BytesOut: m.BytesOut,
			RecordsInRemote: m.RecordsInRemote, LateRecordsDropped: m.LateDropped,
			BusyMsPerSecond: uint32(m.Busy), IdleMsPerSecond: uint32(m.Idle), BackpressuredMsPerSecond: uint32(m.Backpressured),
			WatermarkMs: m.Watermark, WatermarkAlignmentDriftMs: m.AlignmentDrift, ProgressDone: m.ProgressDone, ProgressTotal: m.ProgressTotal,
			UserMetrics: userMetricsToProto(m.User), LongestFiringUs: uint64(m.LongestFiring.Microseconds()),
		}
	}
	return &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Metrics{Metrics: report}}
}

func userMetricsToProto(all []task.UserMetric) (metrics []*workerv1.UserMetric) {
	for _, u := range all {
		m := &workerv1.UserMetric{Operator: text(u.Operator), Name: text(u.Name)}
		switch u.Kind {
		case task.CounterMetric:
			m.Value = &workerv1.UserMetric_Counter{Counter: u.Count}
		case task.GaugeMetric:
			m.Value = &workerv1.UserMetric_Gauge{Gauge: u.Gauge}
		case task.HistogramMetric:
			h := u.Histogram
			m.Value = &workerv1.UserMetric_Histogram{Histogram: &workerv1.Histogram{
				Count: h.Count, Min: h.Min, Max: h.Max, Values: h.Values, Counts: h.Counts,
			}}
		}
		metrics = append(metrics, m)
	}
	return metrics
}
