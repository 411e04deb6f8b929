package scheduler

import (
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/ids"
)

// MaxFailures is how many failures of a job are remembered, as in Flink's
// web.exception-history-size.
const MaxFailures = 16

// notRecoverable is Flink's text for a failure that no strategy helps against.
const notRecoverable = "The failure is not recoverable"

// nextAttempt begins an attempt of a job that has no workers: the caller says
// what it begins from, then it asks for slots.
func (s *Scheduler) nextAttempt(j *job) {
	j.workers, j.sources, j.groups, j.restore = nil, nil, nil, nil
	j.tasks, j.unfinished = make([][]task, len(j.graph.Parallelism)), 0
	for v, parallelism := range j.graph.Parallelism {
		j.tasks[v] = make([]task, parallelism)
		for i := range j.tasks[v] {
			j.tasks[v][i] = task{state: TaskCreated, slot: j.base[v] + i}
		}
		j.unfinished += parallelism
	}
	j.deadline = noDeadline
	j.preparing = true
	s.transition(j, Created, "")
	s.do(NextAttempt{Job: j.id})
}

func (s *Scheduler) attemptReady(e AttemptReady) {
	j := s.jobs[e.Job]
	if j == nil || !j.preparing {
		s.drop(ids.SessionID{}, e.Job, e, "the job does not wait for it")
		return
	}
	j.preparing = false
	if e.Failure != nil {
		s.fail(j, e.Failure.of(nil), false)
		return
	}
	j.restore = e.Restore
	s.setDeadline(j, j.options.SlotRequestTimeout)
	s.slotsChanged = true
}

func (s *Scheduler) attemptFailed(e AttemptFailed) {
	j := s.jobs[e.Job]
	if j == nil || j.attempt != e.Attempt || j.state != Running || j.draining() {
		s.drop(ids.SessionID{}, e.Job, e, "attempt %d does not run", e.Attempt)
		return
	}
	s.fail(j, e.Failure.of(nil), false)
}

// slotsTimedOut fails the attempt of a job that has waited too long for slots.
func (s *Scheduler) slotsTimedOut(j *job) {
	s.fail(j, &JobFailure{Message: fmt.Sprintf(
		"NoResourceAvailable: could not acquire the required slots within slot.request.timeout (%s): the job %s",
		j.options.SlotRequestTimeout, s.lacking(j))}, false)
}

// willRestart stops what is left of an attempt that has failed. The next one
// begins when all of it is gone and the delay is over.
func (s *Scheduler) willRestart(j *job, delay time.Duration) {
	j.status = ""
	j.restartAt = s.now.Add(delay)
	j.restartDelay = delay
	s.transition(j, Restarting, j.failureStatus())
	s.stopWorkers(j)
}

// giveUpRestart fails a job that was to be restarted, because of a failure that
// no restart helps against.
func (s *Scheduler) giveUpRestart(j *job, f *JobFailure) {
	f.Recovery = notRecoverable
	j.failure, j.derived = f, false
	j.remember(f)
	j.restartAt = time.Time{}
	s.transition(j, Failing, f.String())
	s.endIfGone(j)
}

// restart begins the next attempt after a failure.
func (s *Scheduler) restart(j *job) {
	j.restarted++
	j.failure, j.derived, j.restartAt = nil, false, time.Time{}
	s.nextAttempt(j)
}

// remember adds to the last failures of a job.
func (j *job) remember(f *JobFailure) {
	j.failures = append([]*JobFailure{f}, j.failures...)
	if len(j.failures) > MaxFailures {
		j.failures = j.failures[:MaxFailures]
	}
}

// of returns the failure of a job with a worker; nil is none in particular.
func (f Failure) of(w *worker) *JobFailure {
	failure := &JobFailure{Message: f.Message, Stack: f.Stack, Time: f.Time, unrecoverable: f.Unrecoverable, worker: w}
	if w != nil {
		failure.TaskManager = w.taskManager.ID
	}
	return failure
}
