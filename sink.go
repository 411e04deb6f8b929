package weir

import "context"

// Sink is where a stream's records go. A connector implements it with the
// public packages alone.
//
// The value given to [Stream.To] is built by the job's main on every worker, so
// it holds settings only; connections belong to the [Writer].
type Sink[T any] interface {
	// Open returns the writer of one subtask. ctx ends with the task. An error
	// fails the job.
	Open(ctx context.Context, subtask Subtask) (Writer[T], error)
}

// Writer writes the records of one subtask of a [Sink]. All its methods are
// called by one goroutine, that of the task.
type Writer[T any] interface {
	// Write takes records in order. It must neither keep nor change the slice,
	// which others may be given, too. It may buffer; it may block, which is how a
	// slow sink holds back the job. An error fails the job.
	Write(values []T) error

	// Flush sends on what Write buffered. It is called when the buffer timeout
	// has passed, when no input is waiting, and when the input has ended.
	Flush() error

	// Close is called once, when the task ends in whatever way: after the last
	// Flush and, where the writer is a [Finisher], after Finish; or after an error
	// or a cancellation. It releases what the writer holds, and need not send
	// anything.
	Close() error
}

// Finisher is a [Writer] that has to know that its input has ended. Whoever
// wraps another's writer passes it on.
//
// Without it a writer cannot tell a Flush that is the last from one after which
// its task fails: Close follows both.
type Finisher interface {
	// Finish is called once, by the goroutine of the task, after the last Flush,
	// when all of the input was written; never after an error or a cancellation.
	// When it returns nil, all records are durable, or acknowledged by the
	// destination, and visible if they were withheld so far. It may block; the
	// context that Open was given ends when the job is canceled meanwhile. An error
	// fails the job. Close follows.
	//
	// That the input of one subtask has ended does not say that the job will
	// succeed: another task may still fail.
	Finish() error
}

// Syncer is a [Writer] that sends records on without waiting for the destination. With
// each checkpoint it is asked to wait, so that no record is lost that the checkpoint
// counts as written. Whoever wraps another's writer passes it on. Without it, a writer
// has nothing under way when Flush has returned.
type Syncer interface {
	// Sync is called after a Flush, by the goroutine of the task, with each
	// checkpoint. When it returns nil, all records so far are durable, or acknowledged
	// by the destination; more may follow. It may block, as Write may. An error fails
	// the attempt.
	Sync() error
}

// Committer is a [Writer] whose output becomes visible in two steps, so that each
// record is visible exactly once, whatever fails: it is prepared with a checkpoint, and
// committed when the checkpoint is complete. Whoever wraps another's writer passes it
// on. The methods are called by the goroutine of the task.
//
// Where a job takes no checkpoints, its output is prepared and committed once, when
// its input has ended.
type Committer interface {
	// Prepare ends what was written since the call before, so that it survives this
	// process and [Committer.Commit] needs nothing but what is returned, which the
	// checkpoint keeps, to make it visible; nil is for nothing. It comes after a
	// Flush. Not every checkpoint becomes complete: what was prepared for one that
	// does not is committed with the next. Checkpoints are numbered from 1; 0 stands
	// for the end of a job without any.
	Prepare(checkpoint uint64) (prepared []byte, err error)

	// Commit makes visible what Prepare has returned, in this process or in an
	// earlier one. It may be called again with the same, also long after, and must
	// then change nothing: what proves that a commit has been made is to be kept as
	// long as a checkpoint that names it. An error fails the attempt, and Commit is
	// called again by the next.
	Commit(prepared []byte) error

	// Recover is called once, before the first Write, where the job takes
	// checkpoints: with what was prepared by the checkpoint that it goes on from,
	// which is to be committed as by [Committer.Commit], and may have been by another
	// subtask of another parallelism. Whatever else earlier attempts have left of the
	// subtask's output is to be dropped.
	Recover(prepared [][]byte) error
}

// Subtask says which of an operator's parallel instances is meant.
type Subtask struct {
	// Index counts from 0.
	Index int
	// Parallelism is the number of instances.
	Parallelism int
	// Name is the task's, as shown to users: "window aggregate -> Sink: stdout (1/4)".
	Name string
}
