package metastore

import (
	"errors"
	"fmt"
)

// The kinds of failures. What the store returns is of one of them, but for the
// errors of a context that ended before anything was asked of the store. An
// [ErrNotLeader] may have another one as its cause: the store was closed, or
// failed.
var (
	// ErrCondition is a transaction that was refused because a key has another
	// revision than a condition names; nothing of it was applied. The error is a
	// [*ConditionError], which has the key.
	ErrCondition = errors.New("a condition of the transaction does not hold")
	// ErrNotLeader is a transaction that was refused because this process no
	// longer leads; nothing of it was applied, and no later one will be.
	ErrNotLeader = errors.New("not the leader any more")
	// ErrAmbiguous is a transaction whose answer was lost, where the store could
	// not find out either whether it was applied. The error is an
	// [*AmbiguousError]; see [Leadership.Settle].
	ErrAmbiguous = errors.New("whether the transaction was applied is not known")
	// ErrUnavailable is a store that did not answer in time or answered that it
	// cannot serve now. A transaction that fails with it was not applied and never
	// will be; everything may be tried again.
	ErrUnavailable = errors.New("the metadata store is not available")
	// ErrTooLarge is a value, a key or a transaction above its bound.
	ErrTooLarge = errors.New("too large for the metadata store")
	// ErrInvalid is a key, a transaction or a configuration that makes no sense.
	ErrInvalid = errors.New("invalid")
	// ErrCorrupt is a store whose content cannot have been written by this
	// package. Nothing of it is deleted.
	ErrCorrupt = errors.New("the metadata store is damaged")
	// ErrFormat is a store that a newer version of Weir has written.
	ErrFormat = errors.New("the metadata store has a newer format")
	// ErrLocked is a directory that another process uses. The error is a
	// [*LockedError], which has the process's id.
	ErrLocked = errors.New("another JobManager uses the metadata store")
	// ErrDenied is a store that refuses this process: permissions, user name,
	// password.
	ErrDenied = errors.New("the metadata store denies access")
	// ErrClosed is a call on a store after its Close.
	ErrClosed = errors.New("the metadata store is closed")
)

// ConditionError is a transaction that was refused for one of its conditions.
type ConditionError struct {
	// Key is the first key, in the order of the conditions, that does not hold.
	Key string
	// Want is the revision that the condition names, Have the one that the key
	// has; 0 is absent.
	Want, Have Revision
}

// Error says which key has which revision.
func (e *ConditionError) Error() string {
	return fmt.Sprintf("transaction refused: key %q %s, not %s; read it and decide anew", e.Key, state(e.Have), state(e.Want))
}

// Is reports whether target is [ErrCondition].
func (e *ConditionError) Is(target error) bool { return target == ErrCondition }

func state(r Revision) string {
	if r == Absent {
		return "is absent"
	}
	return fmt.Sprintf("has revision %d", r)
}

// AmbiguousError is a transaction of which nobody knows whether it was applied.
type AmbiguousError struct {
	// Transaction names the transaction for [Leadership.Settle].
	Transaction string
	// Cause is why the answer was lost; Settling why the store could not find out
	// afterwards.
	Cause, Settling error
}

// Error names the transaction and says why nothing is known.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("transaction %s may or may not have been applied: %v; looking it up failed too: %v; read back before deciding anything",
		e.Transaction, e.Cause, e.Settling)
}

// Is reports whether target is [ErrAmbiguous].
func (e *AmbiguousError) Is(target error) bool { return target == ErrAmbiguous }

// LockedError is a directory that another process has locked.
type LockedError struct {
	// Path is the directory.
	Path string
	// PID is the process that holds the lock, 0 if it has not written its id yet.
	PID int
}

// Error names the directory and the process.
func (e *LockedError) Error() string {
	holder := "a process that has not said which"
	if e.PID != 0 {
		holder = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("metadata store in %s: another JobManager uses it (%s); stop that one, or give each a directory of its own (%s, %s)",
		e.Path, holder, KeyStorageDir, KeyClusterID)
}

// Is reports whether target is [ErrLocked].
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// fault is an error of one of the kinds above with what happened.
type fault struct {
	kind error
	text string
	err  error
}

// Error says what happened, and then why.
func (f *fault) Error() string {
	text := f.kind.Error()
	if f.text != "" {
		text = f.text + ": " + text
	}
	if f.err != nil {
		text += ": " + f.err.Error()
	}
	return text
}

// Is reports whether target is the fault's kind.
func (f *fault) Is(target error) bool { return target == f.kind }

// Unwrap returns the cause.
func (f *fault) Unwrap() error { return f.err }

// failure makes an error of one kind; cause may be nil.
func failure(kind, cause error, format string, args ...any) error {
	return &fault{kind: kind, text: fmt.Sprintf(format, args...), err: cause}
}
