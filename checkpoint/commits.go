package checkpoint

import (
	"fmt"
	"slices"
	"time"
)

// CommitEvent is something that happened which [Commits] has to know. The types
// below and [Tick] are all of them.
type CommitEvent interface{ commitEvent() }

// CommitAction is something to do for the caller of [Commits]. The types below
// are all of them.
type CommitAction interface{ commitAction() }

// Committable is something that a sink has prepared and that takes effect when
// it is committed: a file to be renamed, a transaction to be ended.
type Committable struct {
	// Checkpoint is the one that it was prepared for.
	Checkpoint ID
	// Data is what the sink needs to commit it, in any process.
	Data []byte
}

// CommitsRestored gives a restored task what the snapshots that it reads had not
// committed. It comes first, also if there is nothing.
type CommitsRestored struct{ Committables []Committable }

// CommittablesPrepared says that the sink has prepared what came before a
// checkpoint's barrier. It comes before [Commits.Outstanding] is written to the
// snapshot.
type CommittablesPrepared struct {
	Checkpoint ID
	// Data has one for each committable; there may be none.
	Data [][]byte
}

// CompletionNotified says that a checkpoint has completed.
type CompletionNotified struct{ Checkpoint ID }

// Committed answers [Commit]: it has taken effect, now or earlier.
type Committed struct{ Number uint64 }

// CommitFailed answers [Commit] if it has not, or if nobody knows.
type CommitFailed struct {
	Number uint64
	Reason string
	// Permanent says that it never will, which loses what was prepared: the task
	// fails.
	Permanent bool
}

// Commit commits something; doing it twice must be harmless. [Committed] or
// [CommitFailed] answers.
type Commit struct {
	// Number names it for the answer.
	Number uint64
	Committable
}

// CommitsConfirmed says that all that was prepared up to a completed checkpoint
// is committed, for the JobManager.
type CommitsConfirmed struct{ Checkpoint ID }

// TaskFailed fails the task: something that was prepared cannot be committed.
type TaskFailed struct{ Reason string }

func (CommitsRestored) commitEvent()      {}
func (CommittablesPrepared) commitEvent() {}
func (CompletionNotified) commitEvent()   {}
func (Committed) commitEvent()            {}
func (CommitFailed) commitEvent()         {}
func (Tick) commitEvent()                 {}

func (Commit) commitAction()           {}
func (CommitsConfirmed) commitAction() {}
func (TaskFailed) commitAction()       {}

// maxCommitRetry bounds the pause before a commit that failed is repeated, which
// doubles from retryAfter.
const maxCommitRetry = 30 * time.Second

// Commits keeps the books of a sink's subtask: what it has prepared, and what of
// it is to be committed. Create one with [NewCommits] for each attempt.
type Commits struct {
	rules *rules
	// outstanding are those that are not known to be committed, in the order in
	// which they were prepared.
	outstanding []*commit
	numbers     uint64
	// restored is how many of them come from the restored checkpoint; while there
	// are some, nothing else is committed.
	restored int
	// completed is the newest checkpoint that is known to have completed.
	completed ID
	// confirmed says that the JobManager was told of it.
	confirmed bool

	now     time.Time
	actions []CommitAction
}

type commit struct {
	Committable
	number   uint64
	restored bool
	// asked says that its commit was asked for, and there is no answer; retry is
	// when it is asked for again.
	asked   bool
	retry   time.Time
	backoff time.Duration
}

// NewCommits returns the books of a subtask that has prepared nothing.
func NewCommits() *Commits { return &Commits{rules: &lawful} }

// Outstanding returns what the snapshot of a task has to hold: everything that
// was prepared and is not known to be committed. It belongs to the caller, the
// data apart.
func (c *Commits) Outstanding() []Committable {
	var all []Committable
	for _, o := range c.outstanding {
		all = append(all, o.Committable)
	}
	return all
}

// Recovering reports whether commits of the restored checkpoint are left.
func (c *Commits) Recovering() bool { return c.restored > 0 }

// Step takes in an event that happened at now and returns what to do about it,
// in order. The actions belong to the caller.
func (c *Commits) Step(now time.Time, event CommitEvent) []CommitAction {
	c.now, c.actions = now, nil
	switch e := event.(type) {
	case CommitsRestored:
		c.restore(e)
	case CommittablesPrepared:
		for _, data := range e.Data {
			c.add(Committable{Checkpoint: e.Checkpoint, Data: data}, false)
		}
	case CompletionNotified:
		// Older ones that come late, and repetitions, find nothing to do (S2).
		if e.Checkpoint >= c.completed {
			c.completed, c.confirmed = e.Checkpoint, false
		}
	case Committed:
		c.outstanding = slices.DeleteFunc(c.outstanding, func(o *commit) bool {
			if o.number == e.Number && o.restored {
				c.restored--
			}
			return o.number == e.Number
		})
	case CommitFailed:
		c.failed(e)
	case Tick:
	default:
		panic(fmt.Sprintf("checkpoint: unknown event %T", event))
	}
	c.advance()
	return c.actions
}

func (c *Commits) do(a CommitAction) { c.actions = append(c.actions, a) }

func (c *Commits) add(what Committable, restored bool) {
	c.numbers++
	c.outstanding = append(c.outstanding, &commit{Committable: what, number: c.numbers, restored: restored, backoff: retryAfter})
}

// restore takes in what is to be committed before anything new (S3).
func (c *Commits) restore(e CommitsRestored) {
	if !c.rules.recommits(len(e.Committables)) {
		return
	}
	for _, r := range e.Committables {
		c.add(r, true)
	}
	c.restored += len(e.Committables)
}

func (c *Commits) failed(e CommitFailed) {
	for _, o := range c.outstanding {
		if o.number != e.Number {
			continue
		}
		if e.Permanent {
			c.do(TaskFailed{Reason: fmt.Sprintf("what was prepared for checkpoint %d cannot be committed: %s", o.Checkpoint, e.Reason)})
			return
		}
		o.retry = c.now.Add(o.backoff)
		o.backoff = min(2*o.backoff, maxCommitRetry)
		return
	}
}

// advance asks for every commit that is due and not asked for, and confirms when
// none is left.
func (c *Commits) advance() {
	left := false
	for _, o := range c.outstanding {
		due := o.restored || c.rules.commits(c.completed, o.Checkpoint)
		left = left || due
		if !due || c.restored > 0 && !o.restored {
			continue
		}
		if !o.asked || c.rules.due(o.retry, c.now) {
			o.asked, o.retry = true, time.Time{}
			c.do(Commit{Number: o.number, Committable: o.Committable})
		}
	}
	if !left && c.completed > 0 && !c.confirmed {
		c.confirmed = true
		c.do(CommitsConfirmed{Checkpoint: c.completed})
	}
}

// Deadline returns when a [Tick] is due at the latest, and false if none is.
func (c *Commits) Deadline() (time.Time, bool) {
	var first time.Time
	for _, o := range c.outstanding {
		if !o.retry.IsZero() && (first.IsZero() || o.retry.Before(first)) {
			first = o.retry
		}
	}
	return first, !first.IsZero()
}
