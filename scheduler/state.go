package scheduler

import (
	"fmt"
	"slices"
)

// JobState is where a job is in its life. The names are Flink's.
type JobState uint8

// The states of a job.
const (
	// Initializing means that the job is being planned.
	Initializing JobState = iota + 1
	// Created means that it waits for slots, or for its workers to be ready.
	Created
	// Running means that its tasks have been started.
	Running
	// Restarting means that a failure is known, its tasks are being stopped, and
	// the next attempt waits for that and for the delay of its restart strategy.
	Restarting
	// Failing means that a failure is known which ends the job, and its tasks are
	// being stopped.
	Failing
	// Failed is an end state.
	Failed
	// Cancelling means that a user wants it to stop and its tasks are being
	// stopped.
	Cancelling
	// Canceled is an end state.
	Canceled
	// Finished is an end state: all tasks have finished.
	Finished
)

// String returns Flink's name of the state.
func (s JobState) String() string {
	switch s {
	case Initializing:
		return "INITIALIZING"
	case Created:
		return "CREATED"
	case Running:
		return "RUNNING"
	case Restarting:
		return "RESTARTING"
	case Failing:
		return "FAILING"
	case Failed:
		return "FAILED"
	case Cancelling:
		return "CANCELLING"
	case Canceled:
		return "CANCELED"
	case Finished:
		return "FINISHED"
	}
	return fmt.Sprintf("JobState(%d)", uint8(s))
}

// Terminal reports whether the state is an end state.
func (s JobState) Terminal() bool { return s == Failed || s == Canceled || s == Finished }

// transitions are the legal ones, by the state they lead from. A job that fails
// or is cancelled before it has workers needs none of the states in between.
var transitions = map[JobState][]JobState{
	Initializing: {Created, Failed, Canceled},
	Created:      {Running, Restarting, Failing, Failed, Cancelling, Canceled},
	Running:      {Restarting, Failing, Cancelling, Finished},
	Restarting:   {Created, Failing, Cancelling},
	Failing:      {Failed},
	Cancelling:   {Canceled},
}

// transition moves a job to another state. It is the only place that does; a
// transition that the table does not have is a bug of this package.
func (s *Scheduler) transition(j *job, to JobState, reason string) {
	from := j.state
	if !slices.Contains(transitions[from], to) {
		panic(fmt.Sprintf("scheduler: job %s cannot go from %s to %s", j.id, from, to))
	}
	j.state = to
	if to.Terminal() {
		j.end = s.now
		j.release()
		s.setDeadline(j, s.config.JobExpiration)
		s.retire(j)
	}
	s.do(JobTransition{Job: j.id, Name: j.name, From: from, To: to, Reason: reason})
	s.touch(j)
}

// TaskState is where a subtask is in its life. The names are Flink's.
type TaskState uint8

// The states of a task, in the order in which they are passed through; the
// last three are end states.
const (
	// TaskCreated means that its job waits for slots or workers.
	TaskCreated TaskState = iota + 1
	// TaskDeploying means that its worker was told to start it.
	TaskDeploying
	// TaskInitializing means that its operators are being opened.
	TaskInitializing
	// TaskRunning means that it processes records.
	TaskRunning
	// TaskCanceling means that it was asked to stop.
	TaskCanceling
	// TaskFinished means that its input has ended and all its output is sent.
	TaskFinished
	// TaskCanceled means that it stopped because it was asked to.
	TaskCanceled
	// TaskFailed means that it stopped with an error, or that its worker is gone.
	TaskFailed
)

// String returns Flink's name of the state.
func (s TaskState) String() string {
	switch s {
	case TaskCreated:
		return "CREATED"
	case TaskDeploying:
		return "DEPLOYING"
	case TaskInitializing:
		return "INITIALIZING"
	case TaskRunning:
		return "RUNNING"
	case TaskCanceling:
		return "CANCELING"
	case TaskFinished:
		return "FINISHED"
	case TaskCanceled:
		return "CANCELED"
	case TaskFailed:
		return "FAILED"
	}
	return fmt.Sprintf("TaskState(%d)", uint8(s))
}

// Terminal reports whether the state is an end state.
func (s TaskState) Terminal() bool { return s >= TaskFinished }

// follows reports whether a task in state s may be reported in state next: a
// task only moves forward, and leaves no end state.
func (s TaskState) follows(next TaskState) bool { return next > s && !s.Terminal() }
