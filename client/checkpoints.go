package client

import (
	"context"
	"time"

	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
)

// CheckpointStatus is how far a checkpoint is. The names are Flink's.
type CheckpointStatus string

// The statuses of a checkpoint.
const (
	CheckpointInProgress CheckpointStatus = "IN_PROGRESS"
	CheckpointCompleted  CheckpointStatus = "COMPLETED"
	CheckpointFailed     CheckpointStatus = "FAILED"
)

// Checkpoints are those of one job, as of a moment.
type Checkpoints struct {
	Config CheckpointConfig
	// Triggered is how many the JobManager has triggered since it has known the job,
	// and InProgress, Completed and Failed are how many of them are so. Restored is
	// how often the job has begun from one.
	Triggered, InProgress, Completed, Failed, Restored int
	// History has those in progress and the last 10 that have ended, the newest
	// first.
	History []Checkpoint
	// LatestCompleted and LatestFailed may have left the history; nil if there is
	// none.
	LatestCompleted, LatestFailed *Checkpoint
	// LatestRestored is what the job has begun from last; nil if it began anew.
	LatestRestored *RestoredCheckpoint
	// Retained are those that the job can be restored from, the newest first.
	Retained []RetainedCheckpoint
}

// CheckpointConfig says when and how a job takes checkpoints.
type CheckpointConfig struct {
	// Mode is "EXACTLY_ONCE" or "AT_LEAST_ONCE".
	Mode                  string
	Interval, Timeout     time.Duration
	MinPause              time.Duration
	MaxConcurrent         int
	TolerableFailed       int
	Retained              int
	ExternalizedRetention string // as the configuration has it: "RETAIN_ON_CANCELLATION"
	// Directory is the job's directory in checkpoint storage, "file:///…".
	Directory string
}

// Checkpoint is one checkpoint of a job.
type Checkpoint struct {
	ID      uint64
	Status  CheckpointStatus
	Attempt int
	// Final says that all tasks had ended their input when it was triggered.
	Final   bool
	Trigger time.Time
	// Duration is from the trigger until it completed or failed, or until now.
	Duration time.Duration
	// StateSize and StoredSize are sums over the tasks that have acknowledged: the
	// bytes that they would restore, and that they have written for this checkpoint.
	StateSize, StoredSize uint64
	// StartDelay and Alignment are the longest of a task's.
	StartDelay, Alignment time.Duration
	// Acknowledged are how many of the Subtasks have stored their part.
	Subtasks, Acknowledged int
	// ExternalPath is where it was stored, if it has completed, and Discarded
	// whether it has been deleted since.
	ExternalPath string
	Discarded    bool
	// Failure is why it failed, and FailureTime when; empty and zero if it has not.
	Failure     string
	FailureTime time.Time
	// Tasks has the vertices of the job, if they were asked for.
	Tasks []CheckpointVertex
}

// CheckpointVertex has the parts of a vertex's subtasks in a checkpoint.
type CheckpointVertex struct {
	// ID is the vertex's stable id.
	ID, Name    string
	Parallelism int
	Subtasks    []CheckpointSubtask
}

// CheckpointSubtask is the part that a subtask has in a checkpoint. All but Index
// is zero until it is Acknowledged.
type CheckpointSubtask struct {
	Index        int
	Acknowledged bool
	// StateSize is the bytes that it would restore, StoredSize those that it has
	// written for this checkpoint.
	StateSize, StoredSize uint64
	// StartDelay is the time from the trigger to the first barrier, Alignment from
	// there to the last one. Sync is how long the task stood still for its snapshot,
	// and Async how long that took to be stored.
	StartDelay, Alignment, Sync, Async time.Duration
}

// RestoredCheckpoint is one that a job has begun from.
type RestoredCheckpoint struct {
	ID           uint64
	Time         time.Time
	ExternalPath string
}

// RetainedCheckpoint is one that a job can be restored from.
type RetainedCheckpoint struct {
	ID           uint64
	ExternalPath string
}

// Checkpoints returns a job's checkpoints; with tasks also what part each task has
// in them. The error is [ErrNotFound] if the JobManager does not know the job, and
// [ErrState] if the job takes no checkpoints.
func (c *Client) Checkpoints(ctx context.Context, jobID string, tasks bool) (*Checkpoints, error) {
	response, err := c.service.DescribeCheckpoints(ctx, &clientv1.DescribeCheckpointsRequest{JobId: jobID, Tasks: tasks})
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return checkpointsFromProto(response), nil
}
