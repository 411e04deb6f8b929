package checkpoint

import (
	"time"

	"github.com/weirstream/weir/internal/ids"
)

// Action is something for the caller of a [Coordinator] to do or to know. The
// types of this file are all of them; they are to be carried out in order. An
// action that is also a [RetentionEvent] is to be given to the job's
// [Retention] before anything that follows it is carried out.
type Action interface{ action() }

// AllocateID asks the metadata store for the next id, by a guarded write.
// [IDAllocated] or [IDRefused] answers.
type AllocateID struct{ Allocation uint64 }

// TriggerTasks tells every worker of the attempt to take a checkpoint. The
// caller captures the splits that are not dealt in the same step.
type TriggerTasks struct {
	Attempt ids.Attempt
	ID      ID
	// Timestamp is when it was triggered, from which start delays count.
	Timestamp time.Time
	Mode      Mode
	// Base is the checkpoint whose files tasks may name again instead of writing
	// them; zero is none. What it names is kept until this checkpoint has ended.
	Base ID
	// Final says that every task has ended its input.
	Final bool
}

// AbortTasks tells every worker of the attempt that a checkpoint will not
// complete. A task that has not begun with it does not begin; what its sinks
// have prepared for it waits for the next one.
type AbortTasks struct {
	Attempt ids.Attempt
	ID      ID
	// Earlier says that this holds for all before it, too, but those that have
	// completed.
	Earlier bool
	Reason  string
}

// WriteMetadata writes the checkpoint's metadata to checkpoint storage, under a
// name that has its id and only if there is no such file. [MetadataWritten] or
// [MetadataFailed] answers.
type WriteMetadata struct {
	ID        ID
	Attempt   ids.Attempt
	Timestamp time.Time
	Final     bool
	// Tasks has one for each task of the attempt, in the order of
	// [AttemptRunning].
	Tasks []Acknowledgement
}

// RecordCompletion writes a checkpoint to the metadata store; this write is what
// completes it. It is guarded by the leader's epoch, and by the store's not having
// recorded a newer one, so that a write which was on its way for long never brings
// back what retention has removed. It may come more than once with the same
// content, and the store's having it already is success.
// [Recorded], [RecordFailed] or [RecordUnknown] answers.
type RecordCompletion struct{ Checkpoint Record }

// ReadRecord asks, by a linearizable read, whether the store has a checkpoint.
// [RecordRead] or [RecordUnread] answers.
type ReadRecord struct{ ID ID }

// NotifyComplete tells every worker of the attempt that a checkpoint has
// completed, so that sinks commit what they prepared up to it. It is repeated
// until every task has answered with [SinksCommitted].
type NotifyComplete struct {
	Attempt ids.Attempt
	ID      ID
	// Tasks are those that have not answered.
	Tasks []ids.Subtask
}

// FinishTasks tells every worker of the attempt that its tasks may finish: the
// final checkpoint has completed and all sinks have committed. It is repeated
// until the attempt is over.
type FinishTasks struct{ Attempt ids.Attempt }

// FailJob fails the attempt because too many checkpoints in a row have failed.
type FailJob struct {
	Attempt ids.Attempt
	Reason  string
}

// AnswerRequest answers [Requested].
type AnswerRequest struct {
	Request uint64
	// ID is the checkpoint, zero if none was triggered.
	ID ID
	// Failure says why there is no checkpoint; it is empty if there is one.
	Failure string
}

// Started says that tasks are about to be triggered, and may name the
// files of the base again.
type Started struct{ ID, Base ID }

// FilesStored tells of files that belong to a checkpoint which has started.
type FilesStored struct {
	ID    ID
	Files []File
}

// Completed says that the store has a checkpoint.
type Completed struct{ Checkpoint Record }

// Aborted says that a checkpoint which has started will not complete,
// so that what was stored for it can be discarded.
type Aborted struct {
	ID     ID
	Reason string
}

// FilesUnneeded tells of files that came too late to belong to a checkpoint.
type FilesUnneeded struct{ Files []File }

// MessageDropped tells of an event that changed nothing because it does not
// belong to what is now, for the log.
type MessageDropped struct {
	// Message names the event.
	Message string
	Attempt ids.Attempt
	ID      ID
	Reason  string
}

func (AllocateID) action()       {}
func (TriggerTasks) action()     {}
func (AbortTasks) action()       {}
func (WriteMetadata) action()    {}
func (RecordCompletion) action() {}
func (ReadRecord) action()       {}
func (NotifyComplete) action()   {}
func (FinishTasks) action()      {}
func (FailJob) action()          {}
func (AnswerRequest) action()    {}
func (Started) action()          {}
func (FilesStored) action()      {}
func (Completed) action()        {}
func (Aborted) action()          {}
func (FilesUnneeded) action()    {}
func (MessageDropped) action()   {}

func (Started) retentionEvent()       {}
func (FilesStored) retentionEvent()   {}
func (Completed) retentionEvent()     {}
func (Aborted) retentionEvent()       {}
func (FilesUnneeded) retentionEvent() {}
