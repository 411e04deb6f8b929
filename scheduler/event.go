package scheduler

import (
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/memory"
)

// Event is something that happened. The types of this file are all of them.
type Event interface{ event() }

// TaskManagerRegistered opens a session of a TaskManager, which offers all of
// its slots, all of them free.
type TaskManagerRegistered struct {
	Session     ids.SessionID
	TaskManager TaskManager
}

// TaskManager is what a TaskManager says of itself.
type TaskManager struct {
	ID ids.TaskManagerID
	// Host is how others reach its workers.
	Host  string
	Slots int
	// NetworkMemoryPerSlot is the memory for the network buffers of one slot,
	// SegmentSize the size of one buffer.
	NetworkMemoryPerSlot, SegmentSize memory.Size
	// Platform is "linux/amd64" and the like.
	Platform string
}

// buffers returns how many network buffers a slot has.
func (t *TaskManager) buffers() int { return int(t.NetworkMemoryPerSlot / t.SegmentSize) }

// TaskManagerLost ends a session: its stream is closed or it was silent for too
// long. Its workers end with it.
type TaskManagerLost struct {
	Session ids.SessionID
	// Reason completes "TaskManager tm-1 was lost: ".
	Reason string
}

// JobSubmitted makes a job known, which is being planned.
type JobSubmitted struct {
	Job  ids.JobID
	Name string
}

// JobRefused ends a job that could not be planned.
type JobRefused struct {
	Job    ids.JobID
	Reason string
}

// JobPlanned gives a job its graph.
type JobPlanned struct {
	Job ids.JobID
	// Name is what users see.
	Name string
	// Graph is not changed by anybody afterwards.
	Graph   *dataflow.JobGraph
	Options JobOptions
}

// JobOptions are the settings of one job.
type JobOptions struct {
	// SlotRequestTimeout is slot.request.timeout: how long the job waits for
	// slots.
	SlotRequestTimeout time.Duration
	// CancellationTimeout is task.cancellation.timeout: how long tasks that were
	// asked to stop may take until their worker is killed; 0 is for ever.
	CancellationTimeout time.Duration
	// Restarts says whether and when the job is restarted after a failure.
	Restarts RestartStrategy
	// Buffers says how many network buffers channels need. Its SegmentSize is
	// not used: what counts is that of the TaskManager.
	Buffers memory.Settings
	// Platform of the executable, "linux/amd64"; empty if it runs everywhere.
	Platform string
}

// AttemptReady answers [NextAttempt]: the job may ask for slots.
type AttemptReady struct {
	Job ids.JobID
	// Restore is what the attempt begins from; nil if it begins anew. It is not
	// changed by anybody afterwards.
	Restore *Restore
	// Failure is set instead if there is something to restore which cannot be
	// read. It counts as a failure of the attempt.
	Failure *Failure
}

// Restore is what an attempt begins from: a checkpoint, of which the scheduler
// knows nothing but what concerns the dealing of splits.
type Restore struct {
	// Checkpoint is the id that StartTasks carries; not 0.
	Checkpoint uint64
	// Sources are the splits that no subtask had been given when the checkpoint was
	// taken, as [Scheduler.Undealt] returned them, by vertex of the job's graph. A
	// source that is in the map is not asked for its splits again: its subtasks
	// get those, besides what they have in their own state. A source that is not
	// in the map begins anew.
	Sources map[int][]Split
}

// AttemptFailed fails an attempt for a reason that no worker reports: too many
// of its checkpoints have failed.
type AttemptFailed struct {
	Job     ids.JobID
	Attempt ids.Attempt
	Failure Failure
}

// CancelRequested says that a user wants a job to stop.
type CancelRequested struct{ Job ids.JobID }

// Origin is where a message about a worker comes from: the session that it
// came through, and the attempt that it is about.
type Origin struct {
	Session ids.SessionID
	Job     ids.JobID
	Attempt ids.Attempt
}

// WorkerReady says that a worker runs the submitted graph and accepts data
// connections.
type WorkerReady struct {
	Origin
	// DataAddress is "host:port", empty if it has no listener.
	DataAddress string
}

// WorkerRefused says that a worker cannot be used, which fails its job.
type WorkerRefused struct {
	Origin
	Reason string
}

// WorkerFailed says that a worker cannot do its part, which fails its job.
type WorkerFailed struct {
	Origin
	Failure Failure
}

// WorkerExited says that a worker's process is gone, or was never started.
type WorkerExited struct {
	Origin
	// ExitCode is -1 if it was ended by a signal or never started.
	ExitCode int
	Signal   string
	// Error is what the TaskManager knows of the reason.
	Error string
	// Stderr is the end of what it wrote to its standard error.
	Stderr string
	// LogFile is the job's log file on the TaskManager's host.
	LogFile string
}

// TaskStateChanged reports a task's new state.
type TaskStateChanged struct {
	Origin
	Task  ids.Subtask
	State TaskState
	// Failure is set for TaskFailed.
	Failure Failure
	// Consequence says that the failure follows from another one.
	Consequence bool
}

// TaskEnded says that a task has read all of its input. It lives on until the
// job's final checkpoint has completed, and is FINISHED only then.
type TaskEnded struct {
	Origin
	Task ids.Subtask
}

// Failure is an error as a worker reports it.
type Failure struct {
	Message string
	Stack   string
	// Time is when it happened; zero if that is not known.
	Time time.Time
	// Unrecoverable says that another attempt would fail in the same way, so that
	// the job is not restarted whatever its strategy.
	Unrecoverable bool
}

// SplitsEnumerated is the answer to EnumerateSplits.
type SplitsEnumerated struct {
	Origin
	Vertex int
	Splits []Split
	// Bounded says that the source ends once its splits are read.
	Bounded bool
	// Failure is set instead if the splits could not be listed.
	Failure *Failure
}

// Split is a part of a source's input.
type Split struct {
	ID   string
	Data []byte
}

// SplitRequested says that a source's subtask has nothing left to read.
type SplitRequested struct {
	Origin
	Task ids.Subtask
}

// WatermarkReported says how far a source's subtask is, for the alignment of its
// group.
type WatermarkReported struct {
	Origin
	Task  ids.Subtask
	Group string
	// Watermark is in ms since the epoch: the lowest int64 before the first record,
	// the highest if nobody has to wait for the task.
	Watermark int64
	// MaxDrift is how far ahead of the slowest the task may be, in ms.
	MaxDrift int64
}

// Tick says that time has passed. It is due at [Scheduler.Deadline].
type Tick struct{}

func (TaskManagerRegistered) event() {}
func (TaskManagerLost) event()       {}
func (JobSubmitted) event()          {}
func (JobRefused) event()            {}
func (JobPlanned) event()            {}
func (AttemptReady) event()          {}
func (AttemptFailed) event()         {}
func (CancelRequested) event()       {}
func (WorkerReady) event()           {}
func (WorkerRefused) event()         {}
func (WorkerFailed) event()          {}
func (WorkerExited) event()          {}
func (TaskStateChanged) event()      {}
func (TaskEnded) event()             {}
func (SplitsEnumerated) event()      {}
func (SplitRequested) event()        {}
func (WatermarkReported) event()     {}
func (Tick) event()                  {}
