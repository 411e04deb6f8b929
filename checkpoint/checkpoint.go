package checkpoint

import (
	"time"

	"github.com/weirstream/weir/internal/ids"
)

// ID numbers the checkpoints of a job from 1. It comes from the metadata store
// before anything is triggered and is never used twice, also not by another
// JobManager; zero is none.
type ID uint64

// Mode is execution.checkpointing.mode.
type Mode uint8

// The modes.
const (
	// ExactlyOnce aligns barriers: a channel that has delivered its barrier waits
	// for the others.
	ExactlyOnce Mode = iota
	// AtLeastOnce only counts barriers.
	AtLeastOnce
)

// String returns Flink's value of the mode.
func (m Mode) String() string {
	if m == AtLeastOnce {
		return "AT_LEAST_ONCE"
	}
	return "EXACTLY_ONCE"
}

// File names a file in checkpoint storage.
type File struct {
	// Name is the name that storage knows it by.
	Name string
	// Writer is the checkpoint that wrote it, which is part of the name, so that
	// no two checkpoints write the same file. Zero is not known.
	Writer ID
}

// Acknowledgement is what one task has stored for a checkpoint.
type Acknowledgement struct {
	Task ids.Subtask
	// Handle says how to restore the task. It is opaque here and goes into the
	// checkpoint's metadata.
	Handle []byte
	// Files are what Handle names in checkpoint storage: written for this
	// checkpoint, or named already by the one that the task was told as its base.
	Files []File
	Figures
}

// Figures measure a task's part of a checkpoint.
type Figures struct {
	// StateSize is the size in bytes of all that the task would restore, StoredSize
	// of what was written for this checkpoint.
	StateSize, StoredSize int64
	// StartDelay is the time from the trigger to the first barrier, Alignment from
	// there to the last one; Sync is how long the task stood still for its
	// snapshot, Async how long it took to be stored.
	StartDelay, Alignment, Sync, Async time.Duration
}

// Record is what the metadata store keeps of a completed checkpoint, which the
// job can be restored from.
type Record struct {
	ID      ID
	Attempt ids.Attempt
	// Triggered is when its tasks were triggered.
	Triggered time.Time
	// Metadata is the name of its metadata file in checkpoint storage.
	Metadata string
	// Files are all that it names, its metadata included.
	Files []File
	// StateSize and StoredSize are the sums over its tasks, in bytes.
	StateSize, StoredSize int64
	// Final says that every task had ended its input before it was triggered.
	Final bool
}
