package scheduler

import (
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/ids"
)

// noDeadline means that nothing is waited for but tasks that run.
var noDeadline time.Time

// JobFailure is why a job failed.
type JobFailure struct {
	Message string
	// Task is the task that failed, "Source: flights -> Filter (2/4)"; empty if
	// it was not one.
	Task string
	// TaskManager is where it happened; empty if nowhere in particular.
	TaskManager ids.TaskManagerID
	Stack       string
	Time        time.Time
	// LogFile is the job's log file on the TaskManager's host.
	LogFile string
	// Recovery says why the job is not restarted although it has a restart
	// strategy; empty otherwise.
	Recovery string

	// unrecoverable says that another attempt would fail in the same way.
	unrecoverable bool
	// worker is where it happened, until its log file is known.
	worker *worker
}

// String returns the failure in one line.
func (f *JobFailure) String() string {
	text := f.Message
	if f.Task != "" {
		text = f.Task + ": " + text
	}
	if f.TaskManager != "" && !strings.Contains(f.Message, string(f.TaskManager)) {
		text += fmt.Sprintf(" (on TaskManager %s)", f.TaskManager)
	}
	if f.Recovery != "" {
		text = f.Recovery + ": " + text
	}
	return text
}

// fail takes in a failure of a job that has workers. One that follows from
// another is held back for a while, so that its cause can be heard of (J6).
func (s *Scheduler) fail(j *job, f *JobFailure, derived bool) {
	if f.Time.IsZero() {
		f.Time = s.now
	}
	switch {
	case j.state == Restarting && f.unrecoverable:
		s.giveUpRestart(j, f)
	case (j.state == Failing || j.state == Restarting) && j.derived && !derived:
		f.Recovery = j.failure.Recovery
		j.failure, j.derived, j.failures[0] = f, false, f
		s.touch(j)
	case j.state != Created && j.state != Running:
		// It is being cancelled, or fails already for a reason of its own.
	case !derived:
		s.afterFailure(j, f, false)
	case j.held == nil:
		j.held = f
		j.hold = s.now.Add(s.config.ConsequenceHold)
		s.expect(j.hold)
	}
}

// failHeld fails a job with a failure that was held back: its cause was not
// heard of.
func (s *Scheduler) failHeld(j *job) {
	if j.held != nil {
		s.afterFailure(j, j.held, true)
	}
}

// afterFailure ends the attempt of a job with a failure. Its restart strategy
// decides whether there will be another one.
func (s *Scheduler) afterFailure(j *job, f *JobFailure, derived bool) {
	j.failure, j.derived = f, derived
	j.remember(f)
	delay, again := j.restarts.failed(s.now, s.random)
	switch strategy := j.restarts.strategy; {
	case f.unrecoverable && strategy.Kind != NoRestart:
		f.Recovery = notRecoverable
	case again: // Without a strategy it never is.
		s.willRestart(j, delay)
		return
	case strategy.Kind != NoRestart:
		f.Recovery = "Recovery is suppressed by " + strategy.String()
	}
	if j.idle() {
		s.transition(j, Failed, f.String())
		return
	}
	s.transition(j, Failing, f.String())
	s.stopWorkers(j)
}

// stopWorkers asks the tasks of a job to stop and kills the workers that have
// none yet. What is left when the cancellation's time is over is killed, too.
func (s *Scheduler) stopWorkers(j *job) {
	j.held, j.hold = nil, noDeadline
	for _, w := range j.workers {
		switch {
		case w.state == workerGone:
		case len(w.tasks) > 0 && j.task(w.tasks[0].Subtask).state != TaskCreated:
			s.do(CancelTasks{j.target(w)})
			s.do(Shutdown{j.target(w)})
		default:
			s.kill(j, w, "the job is being stopped before its tasks have started")
		}
	}
	s.setCancellationDeadline(j)
	s.endIfGone(j)
}

func (s *Scheduler) setCancellationDeadline(j *job) {
	j.deadline = noDeadline
	if j.options.CancellationTimeout > 0 {
		s.setDeadline(j, j.options.CancellationTimeout)
	}
}

// killRemaining kills the workers that have not ended by themselves, and does
// so again while they are not gone.
func (s *Scheduler) killRemaining(j *job, reason string) {
	for _, w := range j.workers {
		if w.state != workerGone {
			s.kill(j, w, reason)
		}
	}
	s.setCancellationDeadline(j)
}

func (s *Scheduler) kill(j *job, w *worker, reason string) {
	w.killed = true
	s.do(KillWorker{Target: j.target(w), Reason: reason})
}

func (s *Scheduler) workerExited(e WorkerExited) {
	j, w := s.origin(e.Origin, e)
	if j == nil {
		return
	}
	w.taskManager.free += len(w.slots)
	s.slotsChanged = true
	for _, f := range []*JobFailure{j.failure, j.held} {
		if f != nil && f.worker == w && f.LogFile == "" {
			f.LogFile = e.LogFile
			s.touch(j)
		}
	}
	failed := s.exitIsFailure(j, w, e)
	s.leave(j, w)
	if failed {
		s.fail(j, &JobFailure{
			Message: exitMessage(e), Stack: e.Stderr, TaskManager: w.taskManager.ID, LogFile: e.LogFile,
		}, false)
	}
	s.endIfGone(j)
}

// exitIsFailure reports whether the end of a worker is a failure of its job.
func (s *Scheduler) exitIsFailure(j *job, w *worker, e WorkerExited) bool {
	switch {
	case w.killed || j.draining():
		return false // It was told to end; if tasks have finished, they have.
	case j.state == Failing || j.state == Restarting:
		// It was asked to end. But if it crashed, that may be the cause of what
		// the others saw.
		return e.Signal != "" || e.Error != "" || panicLine(e.Stderr) != ""
	}
	return e.ExitCode != 0 || !w.done(j)
}

// workerLost takes in that a worker ended with the session of its TaskManager.
func (s *Scheduler) workerLost(j *job, w *worker, reason string) {
	finished := j.draining()
	s.leave(j, w)
	if !finished {
		s.fail(j, &JobFailure{
			Message:     fmt.Sprintf("TaskManager %s was lost: %s", w.taskManager.ID, reason),
			TaskManager: w.taskManager.ID,
		}, false)
	}
	s.endIfGone(j)
}

// done reports whether all tasks of a worker have finished.
func (w *worker) done(j *job) bool {
	for _, t := range w.tasks {
		if j.task(t.Subtask).state != TaskFinished {
			return false
		}
	}
	return true
}

// leave takes in that a worker is gone, and its tasks with it.
func (s *Scheduler) leave(j *job, w *worker) {
	w.state = workerGone
	left := TaskFailed
	if w.killed || j.state == Failing || j.state == Restarting || j.state == Cancelling {
		left = TaskCanceled
	}
	for _, t := range w.tasks {
		if t := j.task(t.Subtask); !t.state.Terminal() {
			s.setTask(j, t, left)
		}
	}
	s.touch(j)
}

// endIfGone ends a job that is being stopped once its last worker is gone (J3),
// or lets it wait for its next attempt.
func (s *Scheduler) endIfGone(j *job) {
	if !j.gone() {
		return
	}
	switch {
	case j.state == Restarting && due(j.restartAt, s.now):
		s.restart(j)
	case j.state == Restarting:
		j.deadline = j.restartAt
		s.expect(j.deadline)
	case j.state == Failing:
		s.transition(j, Failed, j.failure.String())
	case j.state == Cancelling:
		s.transition(j, Canceled, "")
	case j.draining():
		s.transition(j, Finished, "")
	}
}

// exitMessage says how a worker ended. A panic's first line says more than the
// exit code, so it is taken from the standard error if it is there.
func exitMessage(e WorkerExited) string {
	var how string
	switch {
	case e.Signal != "":
		how = "the worker was ended by signal " + e.Signal
	case e.ExitCode < 0:
		how = "the worker could not be started"
		if e.Error == "" {
			how = "the worker ended without an exit code"
		}
	case e.ExitCode == 0:
		how = "the worker exited with code 0 before its tasks had finished (does the job call os.Exit?)"
	default:
		how = fmt.Sprintf("the worker exited with code %d", e.ExitCode)
	}
	for _, more := range []string{e.Error, panicLine(e.Stderr)} {
		if more != "" {
			how += ": " + more
		}
	}
	return how
}

// panicLine returns the line with which the Go runtime begins to report a crash.
func panicLine(stderr string) string {
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return line
		}
	}
	return ""
}

// failureStatus returns what a job's status says of its failure. One that is
// held back is no failure of the job yet.
func (j *job) failureStatus() string {
	switch {
	case j.failure == nil:
		return ""
	case j.state == Restarting:
		return fmt.Sprintf("restart %d after %s: %s", j.restarted+1, j.restartDelay, j.failure)
	}
	return j.failure.String()
}
