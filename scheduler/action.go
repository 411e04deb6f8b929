package scheduler

import (
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/memory"
)

// Action is something for the caller to do or to know. The types of this file
// are all of them; they are to be carried out in order.
type Action interface{ action() }

// Target is the worker that an action is for, by the session of its
// TaskManager.
type Target struct {
	Session ids.SessionID
	Job     ids.JobID
	Attempt ids.Attempt
}

// NextAttempt asks what the next attempt of a job begins from: its first one, or
// one after a failure, when nothing of the last one is left. [AttemptReady]
// answers, at once or later; the job asks for slots only then.
type NextAttempt struct{ Job ids.JobID }

// StartWorker starts a worker process.
type StartWorker struct {
	Target
	// Worker is its index among the Workers of this attempt.
	Worker, Workers int
	// Slots are the indices in the job of the slots that it holds.
	Slots []int
	// SegmentSize is the size of a network buffer in all of the job's slots.
	SegmentSize memory.Size
	// Hosts are those of all workers of the attempt, so that the caller can
	// decide how data connections are to be protected.
	Hosts []string
}

// StartTasks starts tasks on a worker.
type StartTasks struct {
	Target
	Tasks []Task
	// Peers are the other workers of the attempt.
	Peers []Peer
	// Restore is the checkpoint that the tasks restore; 0 if they begin anew.
	Restore uint64
}

// Task names a subtask and its slot's index in the job.
type Task struct {
	ids.Subtask
	Slot int
}

// Peer is a worker with what it runs.
type Peer struct {
	Worker      int
	DataAddress string
	TaskManager ids.TaskManagerID
	Tasks       []Task
}

// CancelTasks asks all tasks of a worker to stop.
type CancelTasks struct{ Target }

// Shutdown asks a worker to end its process once its tasks are done.
type Shutdown struct{ Target }

// KillWorker ends a worker's process now.
type KillWorker struct {
	Target
	Reason string
}

// EnumerateSplits asks a worker to list the splits of a source.
type EnumerateSplits struct {
	Target
	Vertex int
}

// AssignSplits gives splits to a subtask.
type AssignSplits struct {
	Target
	Task   ids.Subtask
	Splits []Split
	// NoMore says that no further split will come.
	NoMore bool
}

// AlignSource tells a source's subtask how far its alignment group lets it read:
// nothing with a watermark above Limit.
type AlignSource struct {
	Target
	Task  ids.Subtask
	Group string
	Limit int64
}

// JobTransition tells of a job's new state, for the log.
type JobTransition struct {
	Job      ids.JobID
	Name     string
	From, To JobState
	// Reason is the failure, or what else led here; it may be empty.
	Reason string
}

// JobChanged says that something that [JobView] shows has changed. It comes at
// most once for each job and step, after everything else about the job.
type JobChanged struct{ Job ids.JobID }

// ForgetJob says that a job is no longer known.
type ForgetJob struct{ Job ids.JobID }

// MessageDropped tells of an event that changed nothing because it does not
// belong to what is now: another session, an older attempt, an unknown job.
type MessageDropped struct {
	Session ids.SessionID
	Job     ids.JobID
	// Message names the event.
	Message string
	Reason  string
}

func (NextAttempt) action()     {}
func (StartWorker) action()     {}
func (StartTasks) action()      {}
func (CancelTasks) action()     {}
func (Shutdown) action()        {}
func (KillWorker) action()      {}
func (EnumerateSplits) action() {}
func (AssignSplits) action()    {}
func (AlignSource) action()     {}
func (JobTransition) action()   {}
func (JobChanged) action()      {}
func (ForgetJob) action()       {}
func (MessageDropped) action()  {}
