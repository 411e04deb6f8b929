package batching

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/weirstream/weir"
)

// Sender brings batches of one subtask to a destination. What opens it owns the
// connection.
type Sender[T any] interface {
	// Send brings a batch to the destination and returns what failed of it: some
	// records, or with an error all of them. It is called again with what failed
	// unless a failure is fatal; see [Fatal].
	//
	// Send must return soon after ctx is done, which it is when the sink's timeout
	// has passed and when the task ends: nobody can end it otherwise. It must not
	// change the batch, nor keep it after it has returned. Up to [Sink.InFlight]
	// calls are made at the same time.
	Send(ctx context.Context, batch []T) ([]Failure, error)

	// Close is called once, after the last Send has returned.
	Close() error
}

// SendFunc is a [Sender] that has nothing to close. It may be called
// concurrently if the function may.
type SendFunc[T any] func(ctx context.Context, batch []T) ([]Failure, error)

// Send calls f.
func (f SendFunc[T]) Send(ctx context.Context, batch []T) ([]Failure, error) { return f(ctx, batch) }

// Close does nothing.
func (f SendFunc[T]) Close() error { return nil }

// Sink is a [weir.Sink] that sends records in batches. Make one with [New], and
// change its settings by its methods, each of which returns a changed copy. It
// may be used concurrently.
type Sink[T any] struct {
	open    func(ctx context.Context, subtask weir.Subtask) (Sender[T], error)
	limits  limits
	size    func(T) int
	timeout time.Duration
}

// The settings that [New] gives a sink. The size of the buffer is
// [DefaultBufferedBatches] batches, whatever their size.
const (
	DefaultBatchSize       = 500
	DefaultBufferedBatches = 10
	DefaultInFlight        = 1
	DefaultLinger          = 100 * time.Millisecond
	DefaultTimeout         = 30 * time.Second
	DefaultAttempts        = 10
	DefaultBackoff         = 100 * time.Millisecond
	DefaultMaxBackoff      = 10 * time.Second
)

// New returns a sink whose subtasks each send by what open returns. open is
// called by the goroutine of the task, and ctx ends with the task; an error
// fails the job.
func New[T any](open func(ctx context.Context, subtask weir.Subtask) (Sender[T], error)) Sink[T] {
	return Sink[T]{
		open: open,
		limits: limits{
			batch:    DefaultBatchSize,
			inFlight: DefaultInFlight,
			attempts: DefaultAttempts,
			linger:   DefaultLinger,
			delay:    DefaultBackoff,
			maxDelay: DefaultMaxBackoff,
		},
		timeout: DefaultTimeout,
	}
}

// BatchSize bounds the records of a request.
func (s Sink[T]) BatchSize(records int) Sink[T] {
	s.limits.batch = records
	return s
}

// BatchBytes bounds a request by the sum of its records' sizes, which size
// returns; the unit may be another than bytes if the destination counts so. A
// record that alone is larger fails the job. size is called once for a record,
// by the goroutine of its task, and by those of several subtasks at once.
func (s Sink[T]) BatchBytes(bytes int, size func(T) int) Sink[T] {
	s.limits.batchBytes, s.size = bytes, size
	if bytes <= 0 {
		s.limits.batchBytes = -1 // for Validate
	}
	return s
}

// Linger bounds how long a record waits for its batch to become full while a
// request could be sent. 0 sends at once what there is; batches still form while
// all requests are under way.
func (s Sink[T]) Linger(d time.Duration) Sink[T] {
	s.limits.linger = d
	return s
}

// InFlight bounds the requests of a subtask that are under way or wait to be
// repeated. With 1 the destination sees records in order; see the package's
// comment.
func (s Sink[T]) InFlight(requests int) Sink[T] {
	s.limits.inFlight = requests
	return s
}

// Buffer bounds the records of a subtask that wait for their first request. When
// there are as many, the sink takes no more, which holds back the job. It has
// room for at least one batch.
func (s Sink[T]) Buffer(records int) Sink[T] {
	s.limits.buffer = records
	if records <= 0 {
		s.limits.buffer = -1 // for Validate
	}
	return s
}

// BufferBytes bounds the buffer also by the size of its records, as counted by
// what [Sink.BatchBytes] was given.
func (s Sink[T]) BufferBytes(bytes int) Sink[T] {
	s.limits.bufferBytes = bytes
	if bytes <= 0 {
		s.limits.bufferBytes = -1 // for Validate
	}
	return s
}

// Timeout bounds how long a request may take. When it has passed, the context of
// Send is done. 0 is no bound.
func (s Sink[T]) Timeout(d time.Duration) Sink[T] {
	s.timeout = d
	return s
}

// Attempts bounds how often a record is sent before its failure fails the job. 1
// never sends again, -1 does so without end.
func (s Sink[T]) Attempts(n int) Sink[T] {
	s.limits.attempts = n
	return s
}

// Backoff is how long a request waits before it is sent again: initial after the
// first attempt, then twice as long after each, at most longest. Of that time it
// waits a random part between the half and the whole, so that subtasks do not
// come all at once.
func (s Sink[T]) Backoff(initial, longest time.Duration) Sink[T] {
	s.limits.delay, s.limits.maxDelay = initial, longest
	return s
}

// Validate implements [weir.Validator]: it returns all that is wrong with the
// settings.
func (s Sink[T]) Validate() error {
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	l := s.limits
	wrong(s.open == nil, "there is no function that opens a sender: use batching.New")
	wrong(l.batch < 1, "the batch size is %d records; it is at least 1", l.batch)
	wrong(l.batchBytes < 0, "the batch size in bytes is not positive")
	wrong(l.batchBytes > 0 && s.size == nil, "the batch size in bytes needs a function that returns the size of a record")
	wrong(l.inFlight < 1 || l.inFlight > maxInFlight, "%d requests in flight; there are between 1 and %d", l.inFlight, maxInFlight)
	wrong(l.buffer < 0 || l.buffer > 0 && l.buffer < l.batch, "the buffer is smaller than a batch of %d records", l.batch)
	wrong(l.bufferBytes != 0 && s.size == nil, "the buffer's size in bytes needs a batch size in bytes")
	wrong(l.bufferBytes != 0 && l.bufferBytes < l.batchBytes, "the buffer is smaller than a batch of %d bytes", l.batchBytes)
	wrong(l.linger < 0, "the linger time is %v; it is not negative", l.linger)
	wrong(s.timeout < 0, "the timeout is %v; it is not negative, and 0 for none", s.timeout)
	wrong(l.attempts == 0 || l.attempts < -1, "%d attempts; there is at least 1, or -1 for as many as it takes", l.attempts)
	wrong(l.delay < 0 || l.maxDelay < l.delay, "the backoff is from %v to %v; it begins at 0 or more and does not shrink", l.delay, l.maxDelay)
	if len(errs) > 0 {
		return fmt.Errorf("a batching sink of %v: %w", reflect.TypeFor[T](), errors.Join(errs...))
	}
	return nil
}

// maxInFlight bounds the goroutines of a writer.
const maxInFlight = 10_000

var (
	_ weir.Finisher = (*writer[int])(nil)
	_ weir.Finisher = (*convertingWriter[string, int])(nil)
)

// Open implements [weir.Sink].
func (s Sink[T]) Open(ctx context.Context, subtask weir.Subtask) (weir.Writer[T], error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	w, err := s.openWriter(ctx, subtask)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// openWriter is Open when the settings are known to be right.
func (s Sink[T]) openWriter(ctx context.Context, subtask weir.Subtask) (*writer[T], error) {
	sender, err := s.open(ctx, subtask)
	if err != nil {
		return nil, err
	}
	if s.limits.buffer == 0 {
		s.limits.buffer = DefaultBufferedBatches * s.limits.batch
	}
	return newWriter(ctx, sender, newCore[T](s.limits, rand.Float64), s.size, s.timeout), nil
}
