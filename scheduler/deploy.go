package scheduler

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/ids"
)

// deploy begins an attempt of a job: slot i is on candidates[chosen[i]]. Each
// TaskManager that has some of the slots gets one worker.
func (s *Scheduler) deploy(j *job, candidates []*taskManager, chosen []int) {
	j.attempt++
	j.status = ""
	byManager := map[*taskManager]*worker{}
	holder := make([]*worker, len(chosen))
	for slot, c := range chosen {
		tm := candidates[c]
		w := byManager[tm]
		if w == nil {
			w = &worker{index: len(j.workers), taskManager: tm}
			byManager[tm] = w
			j.workers = append(j.workers, w)
		}
		w.slots = append(w.slots, slot)
		tm.free--
		holder[slot] = w
	}
	for v := range j.tasks {
		for i := range j.tasks[v] {
			t := &j.tasks[v][i]
			t.worker = holder[t.slot]
			t.worker.tasks = append(t.worker.tasks, Task{Subtask: ids.Subtask{Vertex: v, Index: i}, Slot: t.slot})
		}
	}
	hosts := make([]string, len(j.workers))
	for i, w := range j.workers {
		hosts[i] = w.taskManager.Host
	}
	for _, w := range j.workers {
		s.do(StartWorker{
			Target: j.target(w), Worker: w.index, Workers: len(j.workers), Slots: slices.Clone(w.slots),
			SegmentSize: w.taskManager.SegmentSize, Hosts: slices.Clone(hosts),
		})
	}
	s.setDeadline(j, s.config.WorkerStartTimeout)
	s.touch(j)
}

func (j *job) target(w *worker) Target {
	return Target{Session: w.taskManager.session, Job: j.id, Attempt: j.attempt}
}

// origin returns the job and the worker that a message is about, or drops the
// message if there are none any more (J4).
func (s *Scheduler) origin(o Origin, event Event) (*job, *worker) {
	j := s.jobs[o.Job]
	if j == nil {
		s.drop(o.Session, o.Job, event, "unknown job")
		return nil, nil
	}
	if o.Attempt != j.attempt {
		s.drop(o.Session, o.Job, event, "it is of attempt %d, and this is attempt %d", o.Attempt, j.attempt)
		return nil, nil
	}
	w := j.worker(o.Session)
	if w == nil || w.state == workerGone {
		s.drop(o.Session, o.Job, event, "the job has no worker in this session")
		return nil, nil
	}
	return j, w
}

func (s *Scheduler) workerReady(e WorkerReady) {
	j, w := s.origin(e.Origin, e)
	if j == nil {
		return
	}
	if w.state != workerStarting {
		s.drop(e.Session, e.Job, e, "the worker was ready before")
		return
	}
	w.state = workerReady
	w.dataAddress = e.DataAddress
	if j.state != Created {
		return // It is being stopped.
	}
	for _, other := range j.workers {
		if other.state != workerReady {
			return
		}
	}
	s.startTasks(j)
}

func (s *Scheduler) workerRefused(e WorkerRefused) {
	j, w := s.origin(e.Origin, e)
	if j == nil {
		return
	}
	// Before anything has run there is no reason to think that it ever will.
	s.fail(j, &JobFailure{Message: e.Reason, TaskManager: w.taskManager.ID, worker: w, unrecoverable: !j.ran}, false)
}

func (s *Scheduler) workerFailed(e WorkerFailed) {
	j, w := s.origin(e.Origin, e)
	if j == nil {
		return
	}
	f := e.Failure.of(w)
	f.unrecoverable = f.unrecoverable || !j.ran
	s.fail(j, f, false)
}

// startTasks starts all tasks of a job whose workers are ready (J7).
func (s *Scheduler) startTasks(j *job) {
	j.deadline = noDeadline
	j.ran = true
	s.transition(j, Running, "")
	peers := make([]Peer, len(j.workers))
	for i, w := range j.workers {
		peers[i] = Peer{Worker: w.index, DataAddress: w.dataAddress, TaskManager: w.taskManager.ID, Tasks: w.tasks}
	}
	for i, w := range j.workers {
		others := slices.Concat(peers[:i], peers[i+1:])
		s.do(StartTasks{Target: j.target(w), Tasks: w.tasks, Peers: others, Restore: j.restore.checkpoint()})
		for _, t := range w.tasks {
			j.task(t.Subtask).state = TaskDeploying
		}
	}
	j.sources, j.groups = map[int]*source{}, map[string]map[ids.Subtask]int64{}
	for v := range j.graph.Plan.Vertices {
		if j.graph.Plan.Vertices[v].Source {
			s.startSource(j, v)
		}
	}
}

// task returns a task of the job, nil if it has no such task.
func (j *job) task(t ids.Subtask) *task {
	if t.Vertex < 0 || t.Vertex >= len(j.tasks) || t.Index < 0 || t.Index >= len(j.tasks[t.Vertex]) {
		return nil
	}
	return &j.tasks[t.Vertex][t.Index]
}

// deployTimedOut fails a job whose workers did not become ready in time.
func (s *Scheduler) deployTimedOut(j *job) {
	var late []string
	for _, w := range j.workers {
		if w.state == workerStarting {
			late = append(late, string(w.taskManager.ID))
		}
	}
	s.fail(j, &JobFailure{
		Message: fmt.Sprintf("the %s of the job on %s did not become ready within %s",
			plural(len(late), "worker"), shorten(late), s.config.WorkerStartTimeout),
		TaskManager: ids.TaskManagerID(strings.Join(late[:1], "")),
	}, false)
}

func (s *Scheduler) taskStateChanged(e TaskStateChanged) {
	j, w := s.origin(e.Origin, e)
	if j == nil {
		return
	}
	t := j.task(e.Task)
	if t == nil || t.worker != w || t.state == TaskCreated {
		s.drop(e.Session, e.Job, e, "the worker was not told to run %s", e.Task)
		return
	}
	if !t.state.follows(e.State) || e.State > TaskFailed {
		s.drop(e.Session, e.Job, e, "the task is %s and cannot become %s", t.state, e.State)
		return
	}
	s.setTask(j, t, e.State)
	switch {
	case e.State == TaskFailed:
		f := e.Failure.of(w)
		f.Task = j.graph.TaskName(e.Task.Vertex, e.Task.Index)
		s.fail(j, f, e.Consequence)
	case e.State == TaskCanceled && j.state == Running:
		// Nobody asked for it: whatever did will be heard of, too.
		s.fail(j, &JobFailure{
			Message: "the task was cancelled by its worker, which nobody had asked to",
			Task:    j.graph.TaskName(e.Task.Vertex, e.Task.Index), TaskManager: w.taskManager.ID, worker: w,
		}, true)
	}
	if j.held != nil && j.unfinished == 0 {
		s.failHeld(j) // Nobody is left who could tell a cause.
	}
	if j.draining() {
		s.drain(j)
	}
}

// taskEnded takes in that a task has read all of its input.
func (s *Scheduler) taskEnded(e TaskEnded) {
	j, w := s.origin(e.Origin, e)
	if j == nil {
		return
	}
	t := j.task(e.Task)
	if t == nil || t.worker != w || t.state == TaskCreated || t.state.Terminal() || t.ended {
		s.drop(e.Session, e.Job, e, "the worker runs no %s that has input left", e.Task)
		return
	}
	t.ended = true
	s.touch(j)
}

// setTask moves a task to another state.
func (s *Scheduler) setTask(j *job, t *task, state TaskState) {
	if state.Terminal() && !t.state.Terminal() {
		j.unfinished--
	}
	t.state = state
	s.touch(j)
}

// drain ends the workers of a job whose tasks have all finished.
func (s *Scheduler) drain(j *job) {
	for _, w := range j.workers {
		if w.state != workerGone {
			s.do(Shutdown{j.target(w)})
		}
	}
	s.setCancellationDeadline(j)
	s.endIfGone(j)
}
