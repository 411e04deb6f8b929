package checkpoint

import (
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/ids"
)

// Config are a job's settings, execution.checkpointing.*.
type Config struct {
	// Interval is how often a checkpoint is triggered; 0 is only when asked for,
	// and when all tasks have ended their input.
	Interval time.Duration
	// MinPause is how long after the end of a completed checkpoint the next
	// periodic one starts at the earliest.
	MinPause time.Duration
	// Timeout is how long a checkpoint may take before it is aborted.
	Timeout time.Duration
	// MaxConcurrent is how many may be under way at once, at least 1.
	MaxConcurrent int
	// TolerableFailed is how many in a row may fail before the job does.
	TolerableFailed int
	Mode            Mode
}

// DefaultConfig returns Flink's defaults: no periodic checkpoints.
func DefaultConfig() Config {
	return Config{Timeout: 10 * time.Minute, MaxConcurrent: 1}
}

const (
	// repeatAfter is how long tasks may take to answer a notification before it
	// is repeated: a message is lost only with its connection, and a commit may
	// take a while.
	repeatAfter = 5 * time.Second
	// retryAfter is the pause before the store is asked again, and before another
	// final checkpoint after one that failed.
	retryAfter = time.Second
	// maxRequests bounds the requests for a checkpoint that wait, as Flink does.
	maxRequests = 1000
)

// Recovered is what the metadata store says of a job's checkpoints.
type Recovered struct {
	// Latest is the newest completed checkpoint, nil if there is none.
	Latest *Record
	// Counter is the last id that was allocated.
	Counter ID
}

// Coordinator decides about the checkpoints of one job. Create one with
// [NewCoordinator].
type Coordinator struct {
	config Config
	rules  *rules

	attempt ids.Attempt
	// running says that the tasks of the attempt run, and failing that they are
	// about to be stopped.
	running, failing bool
	order            []ids.Subtask
	tasks            map[ids.Subtask]*taskState
	// places has the place of each task in order, for all checkpoints of the
	// attempt.
	places map[ids.Subtask]int
	// ended is how many tasks have ended their input.
	ended int

	// lastID is the last id that is known to be taken.
	lastID     ID
	allocation *allocation
	allocated  uint64
	// pending are the checkpoints that have an id and no end, by id.
	pending []*pending
	latest  *Record
	// finished is the final checkpoint of the attempt, zero if it has not
	// completed.
	finished ID

	// due is when the next periodic checkpoint is, zero if none is.
	due time.Time
	// retry is when a final checkpoint may be triggered again.
	retry time.Time
	// lastCompletion is when a checkpoint completed last.
	lastCompletion time.Time
	failures       int
	requests       []uint64

	// notified is the checkpoint that tasks were told of last and unanswered how
	// many have not answered; repeat is when they are told again.
	notified   ID
	unanswered int
	repeat     time.Time

	history history

	now     time.Time
	actions []Action
}

// taskState is what is known of a task of the attempt.
type taskState struct {
	ended, finished bool
	// committed is the last checkpoint whose commits it has confirmed.
	committed ID
}

// allocation is an id that was asked for.
type allocation struct {
	number   uint64
	deadline time.Time
}

// NewCoordinator returns the coordinator of a job that does not run yet. It
// panics if the configuration makes no sense.
func NewCoordinator(config Config, recovered Recovered) *Coordinator {
	if config.Interval < 0 || config.MinPause < 0 || config.Timeout <= 0 || config.MaxConcurrent < 1 || config.TolerableFailed < 0 {
		panic(fmt.Sprintf("checkpoint: no coordinator can work with %+v", config))
	}
	c := &Coordinator{config: config, rules: &lawful, lastID: recovered.Counter}
	if recovered.Latest != nil {
		latest := *recovered.Latest
		c.latest = &latest
		c.lastID = max(c.lastID, latest.ID)
	}
	return c
}

// Step takes in an event that happened at now and returns what to do about it,
// in order. now must not be earlier than in the step before. The actions belong
// to the caller.
func (c *Coordinator) Step(now time.Time, event Event) []Action {
	c.now, c.actions = now, nil
	c.handle(event)
	c.recordNext()
	c.schedule()
	return c.actions
}

func (c *Coordinator) handle(event Event) {
	switch e := event.(type) {
	case AttemptRunning:
		c.attemptRunning(e)
	case TaskEnded:
		c.taskEnded(e)
	case TaskFinished:
		c.taskFinished(e)
	case AttemptOver:
		c.attemptOver(e)
	case IDAllocated:
		c.idAllocated(e)
	case IDRefused:
		c.idRefused(e)
	case TaskAcknowledged:
		c.taskAcknowledged(e)
	case TaskDeclined:
		c.taskDeclined(e)
	case MetadataWritten:
		c.metadataWritten(e)
	case MetadataFailed:
		c.metadataFailed(e)
	case Recorded:
		c.recorded(e.ID, e)
	case RecordFailed:
		c.recordAnswered(e.ID, recordFailed, e.Reason, e)
	case RecordUnknown:
		c.recordAnswered(e.ID, recordUnknown, e.Reason, e)
	case RecordRead:
		c.recordRead(e)
	case RecordUnread:
		c.recordUnread(e)
	case SinksCommitted:
		c.sinksCommitted(e)
	case Requested:
		c.requested(e)
	case Damaged:
		c.damaged(e)
	case Tick:
		c.tick()
	default:
		panic(fmt.Sprintf("checkpoint: unknown event %T", event))
	}
}

func (c *Coordinator) do(a Action) { c.actions = append(c.actions, a) }

// drop reports an event that does not belong to what is now.
func (c *Coordinator) drop(event Event, attempt ids.Attempt, id ID, format string, args ...any) {
	c.do(MessageDropped{
		Message: fmt.Sprintf("%T", event)[len("checkpoint."):],
		Attempt: attempt, ID: id, Reason: fmt.Sprintf(format, args...),
	})
}

// RestorePoint returns the checkpoint that the job's next attempt starts from,
// nil if it starts anew. It is not settled while the store has not said whether
// it has another one; the next attempt waits for that.
func (c *Coordinator) RestorePoint() (latest *Record, settled bool) {
	for _, p := range c.pending {
		if p.phase >= recording {
			return c.latest, false
		}
	}
	return c.latest, true
}

func (c *Coordinator) attemptRunning(e AttemptRunning) {
	if e.Attempt <= c.attempt {
		c.drop(e, e.Attempt, 0, "attempt %d was running before", c.attempt)
		return
	}
	if len(e.Tasks) == 0 {
		c.drop(e, e.Attempt, 0, "it has no tasks")
		return
	}
	c.endAttempt("a newer attempt runs")
	c.attempt, c.running, c.failing = e.Attempt, true, false
	c.order, c.tasks, c.ended = slices.Clone(e.Tasks), make(map[ids.Subtask]*taskState, len(e.Tasks)), 0
	c.places = make(map[ids.Subtask]int, len(e.Tasks))
	for i, t := range e.Tasks {
		c.tasks[t], c.places[t] = &taskState{}, i
	}
	for _, t := range e.Ended {
		c.end(t)
	}
	for _, t := range e.Finished {
		c.end(t)
		if c.tasks[t] != nil {
			c.tasks[t].finished = true
		}
	}
	c.finished, c.retry, c.lastCompletion = 0, time.Time{}, time.Time{}
	if c.config.Interval > 0 {
		c.due = c.now.Add(c.config.Interval)
	}
	if e.Adopted {
		c.adopt()
	}
}

// adopt tells running tasks what an earlier coordinator may have had no time to
// say: which checkpoint was the last to complete, and that nothing else will.
func (c *Coordinator) adopt() {
	if c.latest == nil && c.lastID > 0 || c.latest != nil && c.lastID > c.latest.ID {
		c.do(AbortTasks{Attempt: c.attempt, ID: c.lastID, Earlier: true, Reason: "the JobManager was restarted"})
	}
	if c.latest == nil {
		return
	}
	// Only a checkpoint of this very attempt can be the end of its tasks: those of
	// an attempt that was restored from a final one have yet to end again.
	if c.latest.Final && c.latest.Attempt == c.attempt && c.allEnded() {
		c.finished = c.latest.ID
	}
	c.notify(c.latest.ID)
}

func (c *Coordinator) taskEnded(e TaskEnded) {
	if e.Attempt != c.attempt || !c.running {
		c.drop(e, e.Attempt, 0, "the attempt does not run")
		return
	}
	if !c.end(e.Task) {
		c.drop(e, e.Attempt, 0, "%s is unknown or has ended before", e.Task)
	}
}

func (c *Coordinator) end(task ids.Subtask) bool {
	t := c.tasks[task]
	if t == nil || t.ended {
		return false
	}
	t.ended = true
	c.ended++
	return true
}

// taskFinished takes in that a task is no more to be waited for. It may have been
// told so by a JobManager before this one.
func (c *Coordinator) taskFinished(e TaskFinished) {
	t := c.tasks[e.Task]
	if e.Attempt != c.attempt || !c.running || t == nil || t.finished {
		c.drop(e, e.Attempt, 0, "the attempt has no such task, or it has finished before")
		return
	}
	c.end(e.Task)
	answered := t.committed == c.notified
	t.finished = true
	if c.notified != 0 && !answered {
		c.answeredBy(1)
	}
}

func (c *Coordinator) allEnded() bool { return c.running && c.ended == len(c.order) }

func (c *Coordinator) attemptOver(e AttemptOver) {
	if e.Attempt != c.attempt || !c.running {
		c.drop(e, e.Attempt, 0, "the attempt does not run")
		return
	}
	c.endAttempt(e.Reason)
}

// endAttempt aborts what only the tasks of the attempt could have completed.
// What was asked of the store is waited for (C5).
func (c *Coordinator) endAttempt(reason string) {
	c.running = false
	c.allocation = nil
	c.notified, c.unanswered, c.repeat = 0, 0, time.Time{}
	for _, p := range slices.Clone(c.pending) {
		if c.rules.diesWithAttempt(p.phase) {
			c.abort(p, "the attempt is over: "+reason)
		}
	}
	c.answer(c.requests, 0, "the attempt is over: "+reason)
	c.requests = nil
}

func (c *Coordinator) sinksCommitted(e SinksCommitted) {
	t := c.tasks[e.Task]
	if e.Attempt != c.attempt || !c.running || t == nil {
		c.drop(e, e.Attempt, e.ID, "the attempt has no such task")
		return
	}
	if c.notified == 0 || e.ID != c.notified || t.committed == e.ID || t.finished {
		c.drop(e, e.Attempt, e.ID, "checkpoint %d is the one to be committed, and known to be or not", c.notified)
		return
	}
	t.committed = e.ID
	c.answeredBy(1)
}

// answeredBy takes in that so many more tasks have answered, and lets all of them
// finish if it was the final checkpoint and they were the last (C8).
func (c *Coordinator) answeredBy(tasks int) {
	c.unanswered -= tasks
	if c.unanswered > 0 {
		return
	}
	c.repeat = time.Time{}
	if c.finished == c.notified {
		c.finish()
	}
}

// notify tells the tasks that a checkpoint has completed (C4, C9). Those that
// have not answered for an earlier one need not: commits include what is older.
func (c *Coordinator) notify(id ID) {
	c.notified, c.unanswered = id, len(c.order)
	finished := 0
	for _, t := range c.tasks {
		if t.finished {
			finished++
		}
	}
	if c.unanswered > finished {
		c.unanswered -= finished
		c.sendNotification()
		return
	}
	c.answeredBy(finished)
}

func (c *Coordinator) sendNotification() {
	n := NotifyComplete{Attempt: c.attempt, ID: c.notified}
	for _, task := range c.order {
		if t := c.tasks[task]; !t.finished && t.committed != c.notified {
			n.Tasks = append(n.Tasks, task)
		}
	}
	c.do(n)
	c.repeat = time.Time{}
	if c.rules.repeats(c.unanswered) {
		c.repeat = c.now.Add(repeatAfter)
	}
}

// finish lets the tasks end; it is repeated until they have.
func (c *Coordinator) finish() {
	c.do(FinishTasks{Attempt: c.attempt})
	c.repeat = c.now.Add(repeatAfter)
}

func (c *Coordinator) requested(e Requested) {
	switch {
	case !c.running:
		c.answer([]uint64{e.Request}, 0, "the job does not run")
	case c.finished != 0:
		c.answer([]uint64{e.Request}, c.finished, "")
	case len(c.requests) == maxRequests:
		c.answer([]uint64{e.Request}, 0, fmt.Sprintf("%d requests for a checkpoint wait already", maxRequests))
	default:
		c.requests = append(c.requests, e.Request)
	}
}

func (c *Coordinator) answer(requests []uint64, id ID, failure string) {
	for _, r := range requests {
		c.do(AnswerRequest{Request: r, ID: id, Failure: failure})
	}
}
