package batching

import (
	"errors"
	"fmt"
	"time"
)

// Failure says that one record of a request was not accepted.
type Failure struct {
	// Index is the record's in the batch that was given to Send, from 0.
	Index int
	// Err says why. The record is sent again unless it is fatal; see [Fatal]. Nil
	// stands for a refusal without a reason.
	Err error
}

// Fatal marks an error that another attempt would not mend, such as a table that
// does not exist, or a record that the destination can never take: the sink
// fails at once. [errors.Is] and [errors.As] see through the mark. Fatal(nil) is
// nil.
//
// In place of the mark, an error may have a method Fatal() bool. The outermost
// error of a chain that has one decides, so an error with a method that returns
// false takes a mark back.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err}
}

type fatalError struct{ error }

func (e *fatalError) Unwrap() error { return e.error }

// Fatal marks the error.
func (e *fatalError) Fatal() bool { return true }

// RetryAfter marks an error with which the destination said when to come again,
// as HTTP's Retry-After does: the next attempt is not made before that time has
// passed. RetryAfter(nil, d) is nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfterError{err, d}
}

type retryAfterError struct {
	error
	after time.Duration
}

func (e *retryAfterError) Unwrap() error { return e.error }

// verdict is what follows from an error.
type verdict struct {
	fatal bool
	after time.Duration
}

func verdictOf(err error) (v verdict) {
	var fatal interface{ Fatal() bool }
	if errors.As(err, &fatal) {
		v.fatal = fatal.Fatal()
	}
	var after *retryAfterError
	if errors.As(err, &after) {
		v.after = max(0, after.after)
	}
	return v
}

// Error is how a sink fails: records that it gave up, because a failure was
// fatal or the attempts were used up. It wraps the cause.
type Error struct {
	// Records is how many records the failed request did not bring to the
	// destination. When several failed for different reasons, Err is a fatal one
	// if there is one, otherwise that of the first record.
	Records int
	// Unacknowledged is how many records in all were given to the sink's writer
	// and were not acknowledged when it failed, Records included. Some of them may
	// have arrived.
	Unacknowledged int
	// Attempts is how often Records were sent; 0 if they never were.
	Attempts int
	// Err is the cause.
	Err error

	of      int           // records of the request
	elapsed time.Duration // since the first attempt
}

// Error says how many records failed, when, and why.
func (e *Error) Error() string {
	if e.Attempts == 0 {
		return fmt.Sprintf("a record cannot be sent (not acknowledged in all: %d): %v", e.Unacknowledged, e.Err)
	}
	after := ""
	if e.Attempts > 1 {
		after = fmt.Sprintf(" in %v", e.elapsed.Round(time.Millisecond))
	}
	return fmt.Sprintf("%d of the %d records of a request were not accepted, attempts: %d%s (not acknowledged in all: %d): %v",
		e.Records, e.of, e.Attempts, after, e.Unacknowledged, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// PanicError is the cause of a failure when Send panicked. It is fatal.
type PanicError struct {
	// Value is what panic was called with.
	Value any
	// Stack is the goroutine's, as of debug.Stack.
	Stack []byte
}

// Error has the value and the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("Send panicked: %v\n%s", e.Value, e.Stack) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Fatal reports true: a panic is a mistake of the program.
func (e *PanicError) Fatal() bool { return true }

// errGoexit is what a request came to whose goroutine the sender has ended.
var errGoexit = Fatal(errors.New("Send ended its goroutine with runtime.Goexit, as FailNow and Fatal of package testing do: return an error instead"))
