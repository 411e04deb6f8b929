package checkpoint

import "time"

// rules are the decisions that exactly-once rests on, one function for each.
// The tests break them one at a time and require that the simulator finds it;
// mutants_test.go says what each would lose.
type rules struct {
	// acknowledgedByAll reports whether a checkpoint of so many tasks has all it
	// needs: there is no task whose part may be missing (C2).
	acknowledgedByAll func(acknowledged, tasks int) bool
	// diesWithAttempt reports whether a checkpoint in this phase is aborted when
	// its attempt is over: as long as nothing was asked of the store (C5).
	diesWithAttempt func(phase) bool
	// recordable reports whether the store may be told of a checkpoint in this
	// phase: its metadata is durable (C3).
	recordable func(phase) bool
	// committable reports whether sinks may be told of a checkpoint that has come
	// to this phase: the store has it (C4).
	committable func(phase) bool
	// refuted reports whether an answer to a record proves that the store does
	// not have the checkpoint and never will; unclear says that an earlier answer
	// did not tell (C5).
	refuted func(answer recordAnswer, unclear bool) bool
	// subsumes reports whether a completed checkpoint makes another one
	// superfluous (C6).
	subsumes func(completed, other ID) bool
	// final reports whether a checkpoint holds the job's end: every task had
	// ended its input when it was triggered, not just when it completed (C8).
	final func(endedAtTrigger, endedNow bool) bool
	// due reports whether a deadline has come.
	due func(deadline, now time.Time) bool
	// repeats reports whether a notification is repeated that so many tasks have
	// not answered (C9).
	repeats func(unanswered int) bool

	// protects reports whether files are kept because of what names them (R1).
	protects func(reason) bool
	// forgotten reports whether the files of a checkpoint that is no longer
	// retained may be touched: its pointer is gone from the store (R2).
	forgotten func(pointerGone bool) bool

	// commits reports whether the completion of one checkpoint commits what was
	// prepared for another (S1).
	commits func(completed, prepared ID) bool
	// recommits reports whether what a restored snapshot holds is committed
	// before anything new (S3).
	recommits func(restored int) bool
}

// recordAnswer is an answer of the store to a record.
type recordAnswer uint8

const (
	recordFailed recordAnswer = iota
	recordUnknown
)

// lawful are the rules as they are.
var lawful = rules{
	acknowledgedByAll: func(acknowledged, tasks int) bool { return acknowledged == tasks },
	diesWithAttempt:   func(p phase) bool { return p < recording },
	recordable:        func(p phase) bool { return p == written },
	committable:       func(p phase) bool { return p == completed },
	refuted:           func(answer recordAnswer, unclear bool) bool { return answer == recordFailed && !unclear },
	subsumes:          func(completed, other ID) bool { return other < completed },
	final:             func(endedAtTrigger, _ bool) bool { return endedAtTrigger },
	due:               func(deadline, now time.Time) bool { return !deadline.IsZero() && !deadline.After(now) },
	repeats:           func(unanswered int) bool { return unanswered > 0 },
	protects:          func(reason) bool { return true },
	forgotten:         func(pointerGone bool) bool { return pointerGone },
	commits:           func(completed, prepared ID) bool { return prepared <= completed },
	recommits:         func(restored int) bool { return restored > 0 },
}
