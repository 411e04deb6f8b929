package client

import (
	"fmt"
	"strings"
	"time"

	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

// This file translates the messages of the JobManager into the types of this
// package. They come from a server that may be newer: what is missing or not
// known is left out, nothing is an error.

func jobStateFromProto(s clientv1.JobState) JobState {
	return JobState(enumName(s, "JOB_STATE_", int32(s)))
}

func taskStateFromProto(s workerv1.TaskState) string {
	return enumName(s, "TASK_STATE_", int32(s))
}

// enumName returns Flink's name of a state. A newer server's state prints as a
// number, which is better than as nothing.
func enumName(s fmt.Stringer, prefix string, number int32) string {
	if name, known := strings.CutPrefix(s.String(), prefix); known && number != 0 {
		return name
	}
	return fmt.Sprintf("UNKNOWN(%d)", number)
}

// timeFromMillis returns the zero time for 0, which means that there is none.
func timeFromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func summaryFromProto(m *clientv1.JobSummary) JobSummary {
	s := JobSummary{
		ID:            m.GetJobId(),
		Name:          m.GetName(),
		State:         jobStateFromProto(m.GetState()),
		Start:         timeFromMillis(m.GetStartTimeMs()),
		End:           timeFromMillis(m.GetEndTimeMs()),
		StatusMessage: m.GetStatusMessage(),
		Restarts:      int(m.GetRestarts()),
		NextRestart:   timeFromMillis(m.GetNextRestartTimeMs()),
		Tasks:         make(map[string]int, len(m.GetTasks())),
	}
	for state, n := range m.GetTasks() {
		s.Tasks[strings.TrimPrefix(state, "TASK_STATE_")] += int(n)
	}
	return s
}

func jobFromProto(m *clientv1.JobDescription) *Job {
	job := &Job{
		JobSummary:         summaryFromProto(m.GetSummary()),
		Attempt:            int(m.GetAttempt()),
		DefaultParallelism: int(m.GetDefaultParallelism()),
	}
	if m.GetFailure() != nil {
		f := failureFromProto(m.GetFailure())
		job.Failure = &f
	}
	for _, f := range m.GetFailures() {
		job.Failures = append(job.Failures, failureFromProto(f))
	}
	for _, v := range m.GetVertices() {
		job.Vertices = append(job.Vertices, vertexFromProto(v, m.GetPlan()))
	}
	return job
}

func failureFromProto(m *clientv1.JobFailure) Failure {
	return Failure{
		Message:     m.GetMessage(),
		Task:        m.GetTask(),
		TaskManager: m.GetTaskManager(),
		Stack:       m.GetStack(),
		Time:        timeFromMillis(m.GetTimeMs()),
		LogFile:     m.GetLogFile(),
	}
}

// vertexFromProto joins what runs with what the plan says of it.
func vertexFromProto(m *clientv1.VertexDescription, plan *planv1.Plan) Vertex {
	index := int(m.GetIndex())
	v := Vertex{Name: m.GetName(), Parallelism: int(m.GetParallelism())}
	if index < len(plan.GetVertices()) {
		planned := plan.GetVertices()[index]
		v.Source, v.Bounded = planned.GetSource(), planned.GetBounded()
		for _, o := range planned.GetOperators() {
			v.Operators = append(v.Operators, Operator{ID: o.GetId(), Name: o.GetName(), Kind: o.GetKind(), Position: o.GetPosition()})
		}
	}
	for _, e := range plan.GetExchanges() {
		if int(e.GetTo()) == index {
			v.Inputs = append(v.Inputs, Input{
				Vertex:       int(e.GetFrom()),
				Partitioning: enumName(e.GetPartitioning(), "PARTITIONING_", int32(e.GetPartitioning())),
			})
		}
	}
	for _, s := range m.GetSubtasks() {
		v.Subtasks = append(v.Subtasks, Subtask{
			Index:       int(s.GetIndex()),
			State:       taskStateFromProto(s.GetState()),
			TaskManager: s.GetTaskManager(),
			InputEnded:  s.GetInputEnded(),
			Metrics:     metricsFromProto(s.GetMetrics()),
		})
	}
	return v
}

func metricsFromProto(m *workerv1.TaskMetrics) Metrics {
	if m == nil { // The task has reported nothing yet.
		return Metrics{Watermark: NoWatermark}
	}
	return Metrics{
		RecordsIn:           m.GetRecordsIn(),
		RecordsOut:          m.GetRecordsOut(),
		BytesIn:             m.GetBytesIn(),
		BytesOut:            m.GetBytesOut(),
		RecordsInRemote:     m.GetRecordsInRemote(),
		BusyMillis:          m.GetBusyMsPerSecond(),
		IdleMillis:          m.GetIdleMsPerSecond(),
		BackpressuredMillis: m.GetBackpressuredMsPerSecond(),
		Watermark:           m.GetWatermarkMs(),
		AlignmentDrift:      m.GetWatermarkAlignmentDriftMs(),
		ProgressDone:        m.GetProgressDone(),
		ProgressTotal:       m.GetProgressTotal(),
		LateRecordsDropped:  m.GetLateRecordsDropped(),
		LongestFiring:       time.Duration(m.GetLongestFiringUs()) * time.Microsecond,
		User:                userMetricsFromProto(m.GetUserMetrics()),
	}
}

// eventFromProto returns false for a kind of event that this client does not know.
func eventFromProto(m *clientv1.WatchJobResponse) (Event, bool) {
	switch m := m.GetMessage().(type) {
	case *clientv1.WatchJobResponse_Job:
		return Event{Job: jobFromProto(m.Job)}, true
	case *clientv1.WatchJobResponse_Output_:
		return Event{Output: &Output{
			StandardError: m.Output.GetStandardError(),
			Data:          m.Output.GetData(),
			TaskManager:   m.Output.GetTaskManager(),
			Dropped:       m.Output.GetDropped(),
		}}, true
	}
	return Event{}, false
}

func clusterFromProto(m *clientv1.GetClusterResponse) *Cluster {
	cluster := &Cluster{Version: m.GetVersion()}
	for _, tm := range m.GetTaskManagers() {
		cluster.TaskManagers = append(cluster.TaskManagers, TaskManager{
			ID:                   tm.GetId(),
			Host:                 tm.GetHost(),
			Slots:                int(tm.GetSlots()),
			FreeSlots:            int(tm.GetFreeSlots()),
			Version:              tm.GetVersion(),
			NetworkMemoryPerSlot: tm.GetNetworkMemoryPerSlot(),
			Platform:             tm.GetPlatform(),
		})
	}
	return cluster
}

func checkpointsFromProto(m *clientv1.DescribeCheckpointsResponse) *Checkpoints {
	config, counts := m.GetConfiguration(), m.GetCounts()
	c := &Checkpoints{
		Config: CheckpointConfig{
			Mode:     config.GetMode(),
			Interval: millis(config.GetIntervalMs()), Timeout: millis(config.GetTimeoutMs()), MinPause: millis(config.GetMinPauseMs()),
			MaxConcurrent: int(config.GetMaxConcurrent()), TolerableFailed: int(config.GetTolerableFailed()),
			Retained: int(config.GetRetained()), ExternalizedRetention: config.GetExternalizedRetention(), Directory: config.GetDirectory(),
		},
		Triggered: int(counts.GetTriggered()), InProgress: int(counts.GetInProgress()), Completed: int(counts.GetCompleted()),
		Failed: int(counts.GetFailed()), Restored: int(counts.GetRestored()),
		LatestCompleted: checkpointFromProto(m.GetLatestCompleted(), m.GetVertices()),
		LatestFailed:    checkpointFromProto(m.GetLatestFailed(), m.GetVertices()),
	}
	for _, checkpoint := range m.GetHistory() {
		c.History = append(c.History, *checkpointFromProto(checkpoint, m.GetVertices()))
	}
	if r := m.GetLatestRestored(); r != nil {
		c.LatestRestored = &RestoredCheckpoint{ID: r.GetId(), Time: timeFromMillis(r.GetRestoreTimeMs()), ExternalPath: r.GetExternalPath()}
	}
	for _, r := range m.GetRetained() {
		c.Retained = append(c.Retained, RetainedCheckpoint{ID: r.GetId(), ExternalPath: r.GetExternalPath()})
	}
	return c
}

func checkpointFromProto(m *clientv1.Checkpoint, vertices []*clientv1.CheckpointVertex) *Checkpoint {
	if m == nil {
		return nil
	}
	c := &Checkpoint{
		ID:      m.GetId(),
		Status:  CheckpointStatus(enumName(m.GetStatus(), "CHECKPOINT_STATUS_", int32(m.GetStatus()))),
		Attempt: int(m.GetAttempt()), Final: m.GetFinal(),
		Trigger: timeFromMillis(m.GetTriggerTimeMs()), Duration: micros(uint64(max(m.GetDurationUs(), 0))),
		StateSize: m.GetStateSize(), StoredSize: m.GetStoredSize(),
		StartDelay: micros(m.GetStartDelayUs()), Alignment: micros(m.GetAlignmentUs()),
		Subtasks: int(m.GetSubtasks()), Acknowledged: int(m.GetAcknowledgedSubtasks()),
		ExternalPath: m.GetExternalPath(), Discarded: m.GetDiscarded(),
		Failure: m.GetFailure(), FailureTime: timeFromMillis(m.GetFailureTimeMs()),
	}
	if len(m.GetTasks()) == 0 {
		return c
	}
	c.Tasks = make([]CheckpointVertex, len(vertices))
	for i, v := range vertices {
		c.Tasks[i] = CheckpointVertex{ID: v.GetId(), Name: v.GetName(), Parallelism: int(v.GetParallelism())}
	}
	for _, t := range m.GetTasks() {
		if int(t.GetVertex()) >= len(vertices) {
			continue
		}
		v := &c.Tasks[t.GetVertex()]
		v.Subtasks = append(v.Subtasks, CheckpointSubtask{
			Index: int(t.GetSubtask()), Acknowledged: t.GetAcknowledged(), StateSize: t.GetStateSize(), StoredSize: t.GetStoredSize(),
			StartDelay: micros(t.GetStartDelayUs()), Alignment: micros(t.GetAlignmentUs()),
			Sync: micros(t.GetSynchronousUs()), Async: micros(t.GetAsynchronousUs()),
		})
	}
	return c
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func micros(n uint64) time.Duration { return time.Duration(n) * time.Microsecond }
