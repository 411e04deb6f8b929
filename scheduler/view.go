package scheduler

import (
	"cmp"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
)

// JobSummary is what a list of jobs shows.
type JobSummary struct {
	ID    ids.JobID
	Name  string
	State JobState
	// Start is when the job was submitted; End is zero before its end.
	Start, End time.Time
	// Status says why it waits, is restarted, fails or has failed; empty otherwise.
	Status string
	// Restarts is how often the job was restarted after a failure.
	Restarts int
	// NextRestart is when the next attempt may begin at the earliest; zero unless
	// the job is RESTARTING.
	NextRestart time.Time
	// Tasks counts the tasks by state.
	Tasks map[TaskState]int
}

// JobView is all that there is to show of a job.
type JobView struct {
	JobSummary
	// Graph is nil until the job is planned. It must not be changed.
	Graph   *dataflow.JobGraph
	Attempt ids.Attempt
	// Failure is nil unless the job is restarted, fails or has failed.
	Failure *JobFailure
	// Failures are the last ones of all attempts, at most [MaxFailures], the
	// newest first.
	Failures []JobFailure
	// Subtasks are the tasks of each vertex.
	Subtasks [][]TaskView
}

// TaskView is what there is to show of a task.
type TaskView struct {
	State TaskState
	// Ended says that it has read all of its input.
	Ended bool
	// TaskManager is where it runs, empty while it has no slot.
	TaskManager ids.TaskManagerID
}

// TaskManagerView is what there is to show of a TaskManager.
type TaskManagerView struct {
	TaskManager
	Session ids.SessionID
	Free    int
}

// Jobs returns all jobs that are known, in the order of their start.
func (s *Scheduler) Jobs() []JobSummary {
	list := make([]JobSummary, 0, len(s.jobs))
	for _, jobs := range [][]*job{s.finished, s.active} {
		for _, j := range jobs {
			list = append(list, j.summary())
		}
	}
	slices.SortStableFunc(list, func(a, b JobSummary) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return list
}

// Job returns a job, and false if it is not known.
func (s *Scheduler) Job(id ids.JobID) (JobView, bool) {
	j := s.jobs[id]
	if j == nil {
		return JobView{}, false
	}
	v := JobView{JobSummary: j.summary(), Graph: j.graph, Attempt: j.attempt, Subtasks: make([][]TaskView, len(j.tasks))}
	for _, failure := range j.failures {
		f := *failure
		f.worker = nil
		v.Failures = append(v.Failures, f)
		if failure == j.failure {
			v.Failure = &f
		}
	}
	for vertex, tasks := range j.tasks {
		v.Subtasks[vertex] = make([]TaskView, len(tasks))
		for i, t := range tasks {
			v.Subtasks[vertex][i].State, v.Subtasks[vertex][i].Ended = t.state, t.ended
			if t.worker != nil {
				v.Subtasks[vertex][i].TaskManager = t.worker.taskManager.ID
			}
		}
	}
	return v, true
}

// Runs reports whether a message about a worker is of the present: the worker
// belongs to the job's attempt and is not gone.
func (s *Scheduler) Runs(o Origin) bool {
	j := s.jobs[o.Job]
	if j == nil || j.attempt != o.Attempt {
		return false
	}
	w := j.worker(o.Session)
	return w != nil && w.state != workerGone
}

// State returns a job's state, and false if the job is not known.
func (s *Scheduler) State(id ids.JobID) (JobState, bool) {
	if j := s.jobs[id]; j != nil {
		return j.state, true
	}
	return 0, false
}

// TaskManagers returns the TaskManagers in the order of their registration.
func (s *Scheduler) TaskManagers() []TaskManagerView {
	list := make([]TaskManagerView, len(s.taskManagers))
	for i, tm := range s.taskManagers {
		list[i] = TaskManagerView{TaskManager: tm.TaskManager, Session: tm.session, Free: tm.free}
	}
	return list
}

func (j *job) summary() JobSummary {
	summary := JobSummary{ID: j.id, Name: j.name, State: j.state, Start: j.start, End: j.end, Tasks: map[TaskState]int{}}
	summary.Restarts, summary.NextRestart = j.restarted, j.restartAt
	summary.Status = cmp.Or(j.status, j.failureStatus())
	for _, tasks := range j.tasks {
		for _, t := range tasks {
			summary.Tasks[t.state]++
		}
	}
	return summary
}
