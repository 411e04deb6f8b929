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

// Subtask says which of an operator's parallel instances is meant.
type Subtask struct {
	// Index counts from 0.
	Index int
	// Parallelism is the number of instances.
	Parallelism int
	// Name is the task's, as shown to users: "window aggregate -> Sink: stdout (1/4)".
	Name string
}
