package weir

import "context"

// Source is where a stream's records come from: a set of [Split]s, each of
// which a [Reader] reads from a position on. A connector implements it with
// the public packages alone.
//
// The value given to [From] is built by the job's main on every worker, so it
// holds settings only; connections belong to the Reader.
type Source[T any] interface {
	// Splits lists the parts of the input: files, partitions, ranges. It is
	// called once for a job, on one worker, with the parallelism of the source.
	// An error fails the job: return one where input that was asked for is missing,
	// since a bounded source without splits has simply ended.
	Splits(ctx context.Context, parallelism int) ([]Split, error)

	// Open starts to read split. A nil position is its beginning; any other is
	// one that [Reader.Position] returned for the same split. ctx ends with the
	// task. Open is called by the goroutine of the task that will read.
	Open(ctx context.Context, split Split, position []byte) (Reader[T], error)

	// Bounded reports whether every split ends by itself. The splits of a
	// bounded source are dealt out one at a time to whichever subtask is free,
	// and the job ends with the last of them; those of an unbounded source are
	// all dealt out at the start.
	Bounded() bool
}

// Validator is implemented by a [Source] or a [Sink] that may have been given
// wrong settings.
type Validator interface {
	// Validate returns what is wrong with the settings, nil if nothing is. It is
	// called while the job is built, on any machine, so it must depend on nothing
	// but the value: it looks at no file and connects to nowhere. The error is
	// reported as a mistake of the call of [From] or [Stream.To].
	Validate() error
}

// Split is a part of a source's input.
type Split struct {
	// ID is unique within the source and readable, since it appears in messages:
	// a file's path, "topic-3".
	ID string
	// Data is whatever Open needs beside it. The engine carries it unread.
	Data []byte
}

// Reader reads one split. All its methods are called by one goroutine, that of
// the task.
type Reader[T any] interface {
	// Read stores up to len(values) records that are ready now and returns how
	// many. It never waits to fill values, nor for the first record: when none is
	// ready it returns 0 and nil, and is called again once the channel of
	// [Notifier] says so; a reader without that method always has a record ready.
	// Work such as reading a file or decompressing is not waiting.
	//
	// The error io.EOF says that the split has ended; it may come with the last
	// records or after them. Any other error fails the job.
	Read(values []T) (n int, err error)

	// Position returns where the next Read will begin, so that Open can go on
	// from there after a failure. The engine keeps it unread.
	Position() ([]byte, error)

	// Close releases what the reader holds. It is called once, also after an
	// error.
	Close() error
}

// Notifier is implemented by a [Reader] that may have nothing to give.
type Notifier interface {
	// Ready returns a channel that receives a value, or is closed, when Read may
	// have a record after it returned none. It is always the same channel; a
	// capacity of one and a sender that does not block is the usual form.
	Ready() <-chan struct{}
}

// Progresser is implemented by a [Reader] that knows how far it is.
type Progresser interface {
	// Progress returns how much of the split is read and how much there is, in a
	// unit of the source's own, such as bytes. It is called by the reader's
	// goroutine.
	Progress() (done, total uint64)
}
