package scheduler_test

import (
	"iter"

	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/scheduler"
)

// destination returns the session that an action goes to.
func destination(a scheduler.Action) (ids.SessionID, bool) {
	switch a := a.(type) {
	case scheduler.StartWorker:
		return a.Session, true
	case scheduler.StartTasks:
		return a.Session, true
	case scheduler.CancelTasks:
		return a.Session, true
	case scheduler.Shutdown:
		return a.Session, true
	case scheduler.KillWorker:
		return a.Session, true
	case scheduler.EnumerateSplits:
		return a.Session, true
	case scheduler.AssignSplits:
		return a.Session, true
	case scheduler.AlignSource:
		return a.Session, true
	}
	return ids.SessionID{}, false
}

// obey is a TaskManager that gets a command.
func (w *world) obey(m *simManager, a scheduler.Action) {
	switch a := a.(type) {
	case scheduler.StartWorker:
		m.workers[a.Job] = &simWorker{
			origin: scheduler.Origin{Session: a.Session, Job: a.Job, Attempt: a.Attempt},
			tasks:  map[ids.Subtask]*simTask{},
		}
	case scheduler.StartTasks:
		if worker := m.workers[a.Job]; worker != nil {
			worker.started = true
			for _, t := range a.Tasks {
				worker.tasks[t.Subtask] = &simTask{state: scheduler.TaskDeploying, source: w.check.isSource(a.Job, t.Vertex)}
			}
		}
	case scheduler.CancelTasks:
		if worker := m.workers[a.Job]; worker != nil {
			for _, task := range worker.tasks {
				task.canceling = true
			}
		}
	case scheduler.Shutdown:
		if worker := m.workers[a.Job]; worker != nil {
			worker.stop = true
		}
	case scheduler.KillWorker:
		if worker := m.workers[a.Job]; worker != nil {
			w.exit(m, worker, -1, "killed")
		}
	case scheduler.EnumerateSplits:
		w.enumerate(m, a)
	case scheduler.AssignSplits:
		if worker := m.workers[a.Job]; worker != nil {
			if task := worker.tasks[a.Task]; task != nil {
				task.splits += len(a.Splits)
				task.noMore = task.noMore || a.NoMore
				task.requested = false
			}
		}
	}
}

func (w *world) enumerate(m *simManager, a scheduler.EnumerateSplits) {
	worker := m.workers[a.Job]
	if worker == nil {
		return
	}
	event := scheduler.SplitsEnumerated{Origin: worker.origin, Vertex: a.Vertex, Bounded: w.check.job(a.Job).graph.Plan.Vertices[a.Vertex].Bounded}
	if !w.fair && w.chance(5) {
		event.Failure = &scheduler.Failure{Message: "no such directory"}
	} else {
		for range w.rng.IntN(8) {
			event.Splits = append(event.Splits, w.check.newSplit())
		}
	}
	m.outbox = append(m.outbox, event)
}

// work lets a worker do one thing.
func (w *world) work(m *simManager, worker *simWorker) {
	switch {
	case worker.hangs:
		return
	case !worker.ready:
		worker.ready = true
		m.outbox = append(m.outbox, scheduler.WorkerReady{Origin: worker.origin, DataAddress: "127.0.0.1:1"})
		return
	case worker.stop && worker.ended():
		w.exit(m, worker, 0, "")
		return
	}
	for id, task := range worker.ordered() {
		if w.chance(40) {
			w.workTask(m, worker, id, task)
		}
	}
}

// ordered yields the tasks in the same order in every life with the same seed.
func (w *simWorker) ordered() iter.Seq2[ids.Subtask, *simTask] {
	return func(yield func(ids.Subtask, *simTask) bool) {
		for v := range 8 {
			for i := range 4 {
				id := ids.Subtask{Vertex: v, Index: i}
				if task := w.tasks[id]; task != nil && !yield(id, task) {
					return
				}
			}
		}
	}
}

func (w *simWorker) ended() bool {
	for _, task := range w.tasks {
		if !task.state.Terminal() {
			return false
		}
	}
	return true
}

func (w *world) workTask(m *simManager, worker *simWorker, id ids.Subtask, task *simTask) {
	next := task.state
	switch {
	case task.state.Terminal():
		return
	case task.canceling:
		next = scheduler.TaskCanceled
	case task.state < scheduler.TaskRunning:
		next++
	case !task.ended && (task.source && task.noMore || !task.source && w.check.inputsFinished(worker.origin.Job, id.Vertex)) && w.chance(50):
		task.ended = true
		m.outbox = append(m.outbox, scheduler.TaskEnded{Origin: worker.origin, Task: id})
	case task.source && task.noMore:
		next = scheduler.TaskFinished
	case task.source && !task.requested:
		task.requested = true
		m.outbox = append(m.outbox, scheduler.SplitRequested{Origin: worker.origin, Task: id})
	case task.source && w.chance(20):
		m.outbox = append(m.outbox, scheduler.WatermarkReported{
			Origin: worker.origin, Task: id, Group: []string{"a", "b"}[w.rng.IntN(2)], Watermark: w.rng.Int64(), MaxDrift: w.rng.Int64(),
		})
	case !task.source && w.check.inputsFinished(worker.origin.Job, id.Vertex):
		next = scheduler.TaskFinished
	}
	if next != task.state {
		task.state = next
		m.outbox = append(m.outbox, scheduler.TaskStateChanged{Origin: worker.origin, Task: id, State: next})
	}
}
