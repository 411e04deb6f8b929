package checkpoint

import "github.com/weirstream/weir/internal/ids"

// Event is something that happened which the [Coordinator] has to know. The
// types of this file, and [Damaged], are all of them.
type Event interface{ event() }

// AttemptRunning says that all tasks of an attempt run.
type AttemptRunning struct {
	Attempt ids.Attempt
	// Tasks are all tasks of the attempt.
	Tasks []ids.Subtask
	// Ended are those that have ended their input, and Finished those of them that
	// have FINISHED.
	Ended, Finished []ids.Subtask
	// Adopted says that the tasks were running before this coordinator existed:
	// what an earlier one told them may be lost, and they may be at work on
	// checkpoints that it does not know.
	Adopted bool
}

// TaskEnded says that a task has come to the end of its input. It stays alive
// until the job's final checkpoint has completed.
type TaskEnded struct {
	Attempt ids.Attempt
	Task    ids.Subtask
}

// TaskFinished says that a task has FINISHED, as [FinishTasks] allows: it has
// committed everything, and does not answer any more.
type TaskFinished struct {
	Attempt ids.Attempt
	Task    ids.Subtask
}

// AttemptOver says that an attempt has failed, was cancelled or has finished.
type AttemptOver struct {
	Attempt ids.Attempt
	Reason  string
}

// IDAllocated answers [AllocateID].
type IDAllocated struct {
	Allocation uint64
	ID         ID
}

// IDRefused answers [AllocateID] if there is no id, or it is not known whether
// there is: an id that the store has allocated and nobody has heard of is skipped.
type IDRefused struct {
	Allocation uint64
	Reason     string
}

// TaskAcknowledged says that a task's snapshot is in checkpoint storage.
type TaskAcknowledged struct {
	Attempt ids.Attempt
	ID      ID
	Acknowledgement
}

// TaskDeclined says that a task could not take or store its snapshot.
type TaskDeclined struct {
	Attempt ids.Attempt
	ID      ID
	Task    ids.Subtask
	Reason  string
}

// MetadataWritten answers [WriteMetadata]: the file is stored, durable, and
// holds what was asked for.
type MetadataWritten struct {
	ID   ID
	File File
}

// MetadataFailed answers [WriteMetadata] otherwise.
type MetadataFailed struct {
	ID     ID
	Reason string
}

// Recorded answers [RecordCompletion]: the store has the checkpoint.
type Recorded struct{ ID ID }

// RecordFailed answers [RecordCompletion]: this write has changed nothing in
// the store, and never will.
type RecordFailed struct {
	ID     ID
	Reason string
}

// RecordUnknown answers [RecordCompletion]: nobody knows whether the store has
// applied the write, or will.
type RecordUnknown struct {
	ID     ID
	Reason string
}

// RecordRead answers [ReadRecord].
type RecordRead struct {
	ID    ID
	Found bool
}

// RecordUnread answers [ReadRecord] if the store did not.
type RecordUnread struct{ ID ID }

// SinksCommitted says that a task has committed all that its sinks had prepared
// up to a completed checkpoint. A task without sinks says so at once.
type SinksCommitted struct {
	Attempt ids.Attempt
	ID      ID
	Task    ids.Subtask
}

// Requested asks for a checkpoint now, whatever the interval.
type Requested struct {
	// Request is repeated by the answer.
	Request uint64
}

// Tick says that time has passed. It is due at [Coordinator.Deadline],
// [Retention.Deadline] or [Commits.Deadline].
type Tick struct{}

func (AttemptRunning) event()   {}
func (TaskEnded) event()        {}
func (TaskFinished) event()     {}
func (AttemptOver) event()      {}
func (IDAllocated) event()      {}
func (IDRefused) event()        {}
func (TaskAcknowledged) event() {}
func (TaskDeclined) event()     {}
func (MetadataWritten) event()  {}
func (MetadataFailed) event()   {}
func (Recorded) event()         {}
func (RecordFailed) event()     {}
func (RecordUnknown) event()    {}
func (RecordRead) event()       {}
func (RecordUnread) event()     {}
func (SinksCommitted) event()   {}
func (Requested) event()        {}
func (Damaged) event()          {}
func (Tick) event()             {}
