package scheduler_test

import (
	"fmt"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/scheduler"
)

// checker keeps its own books of a cluster, from the events and actions alone,
// and holds the scheduler to its invariants.
type checker struct {
	err error

	slots  map[ids.SessionID]int // offered, while the session lasts
	jobs   map[ids.JobID]*checkedJob
	known  map[string]bool // splits that exist
	dealt  map[string]bool
	nextID int

	kills, splits, replaced, waited int
}

type checkedJob struct {
	graph    *dataflow.JobGraph
	state    scheduler.JobState
	workers  map[ids.SessionID]*checkedWorker
	started  map[ids.Subtask]ids.SessionID
	finished map[ids.Subtask]bool
	failure  string
}

type checkedWorker struct {
	slots []int
	ready bool
}

func newChecker() *checker {
	return &checker{
		slots: map[ids.SessionID]int{}, jobs: map[ids.JobID]*checkedJob{},
		known: map[string]bool{}, dealt: map[string]bool{},
	}
}

func (c *checker) failf(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *checker) planned(id ids.JobID, g *dataflow.JobGraph) { c.job(id).graph = g }

func (c *checker) job(id ids.JobID) *checkedJob {
	if c.jobs[id] == nil {
		c.jobs[id] = &checkedJob{
			workers: map[ids.SessionID]*checkedWorker{}, started: map[ids.Subtask]ids.SessionID{},
			finished: map[ids.Subtask]bool{},
		}
	}
	return c.jobs[id]
}

func (c *checker) newSplit() scheduler.Split {
	c.nextID++
	id := fmt.Sprintf("split-%d", c.nextID)
	c.known[id] = true
	return scheduler.Split{ID: id}
}

func (c *checker) isSource(id ids.JobID, vertex int) bool {
	return c.jobs[id].graph.Plan.Vertices[vertex].Source
}

// inputsFinished reports whether all tasks that a vertex reads from have
// finished.
func (c *checker) inputsFinished(id ids.JobID, vertex int) bool {
	j := c.jobs[id]
	for _, e := range j.graph.Plan.Exchanges {
		for i := range j.graph.Parallelism[e.From] {
			if e.To == vertex && !j.finished[ids.Subtask{Vertex: e.From, Index: i}] {
				return false
			}
		}
	}
	return true
}

func originOf(event scheduler.Event) (scheduler.Origin, bool) {
	switch e := event.(type) {
	case scheduler.WorkerReady:
		return e.Origin, true
	case scheduler.WorkerFailed:
		return e.Origin, true
	case scheduler.WorkerExited:
		return e.Origin, true
	case scheduler.TaskStateChanged:
		return e.Origin, true
	case scheduler.SplitsEnumerated:
		return e.Origin, true
	case scheduler.SplitRequested:
		return e.Origin, true
	case scheduler.WatermarkReported:
		return e.Origin, true
	}
	return scheduler.Origin{}, false
}

// stale reports whether an event comes from a worker that is known to be gone,
// or from a session that is over.
func (c *checker) stale(event scheduler.Event) bool {
	if lost, ok := event.(scheduler.TaskManagerLost); ok {
		return c.slots[lost.Session] == 0
	}
	o, ok := originOf(event)
	return ok && (c.jobs[o.Job] == nil || c.jobs[o.Job].workers[o.Session] == nil)
}

// unchanged checks J4: a stale event changes nothing.
func (c *checker) unchanged(event scheduler.Event, actions []scheduler.Action, before, after string) {
	if before != after {
		c.failf("J4: the stale %#v changed\n%s\ninto\n%s", event, before, after)
	}
	for _, a := range actions {
		if _, ok := a.(scheduler.MessageDropped); !ok {
			c.failf("J4: the stale %#v led to %#v", event, a)
		}
	}
}

// picture is all that the scheduler shows.
func picture(s *scheduler.Scheduler) (text string) {
	for _, tm := range s.TaskManagers() {
		text += fmt.Sprintf("%+v\n", tm)
	}
	for _, j := range s.Jobs() {
		view, _ := s.Job(j.ID)
		if view.Failure != nil {
			text += fmt.Sprintf("%+v\n", *view.Failure)
		}
		view.Failure, view.Graph = nil, nil
		text += fmt.Sprintf("%+v\n", view)
	}
	due, ok := s.Deadline()
	return text + fmt.Sprint(due, ok)
}

// step takes an event and the answer to it into the books, and checks them.
func (c *checker) step(s *scheduler.Scheduler, event scheduler.Event, actions []scheduler.Action) {
	c.take(event)
	for _, a := range actions {
		c.act(a)
	}
	c.compare(s)
}

func (c *checker) take(event scheduler.Event) {
	switch e := event.(type) {
	case scheduler.TaskManagerRegistered:
		c.slots[e.Session] = e.TaskManager.Slots
	case scheduler.TaskManagerLost:
		delete(c.slots, e.Session)
		for _, j := range c.jobs {
			delete(j.workers, e.Session)
		}
	case scheduler.WorkerReady:
		if w := c.worker(e.Origin); w != nil {
			w.ready = true
		}
	case scheduler.WorkerExited:
		if c.worker(e.Origin) != nil {
			delete(c.jobs[e.Job].workers, e.Session)
		}
	case scheduler.TaskStateChanged:
		if c.worker(e.Origin) != nil && e.State == scheduler.TaskFinished {
			c.jobs[e.Job].finished[e.Task] = true
		}
	}
}

func (c *checker) worker(o scheduler.Origin) *checkedWorker {
	if j := c.jobs[o.Job]; j != nil {
		return j.workers[o.Session]
	}
	return nil
}

func (c *checker) act(a scheduler.Action) {
	if target, ok := targetOf(a); ok {
		j := c.job(target.Job)
		if j.state.Terminal() {
			c.failf("J3: %#v about a job that is %s", a, j.state)
		}
		if c.slots[target.Session] == 0 {
			c.failf("%#v to a session that is over", a)
		}
		if _, starts := a.(scheduler.StartWorker); !starts && j.workers[target.Session] == nil {
			c.failf("%#v to a worker that is gone", a)
			return
		}
	}
	switch a := a.(type) {
	case scheduler.StartWorker:
		c.startWorker(a)
	case scheduler.StartTasks:
		c.startTasks(a)
	case scheduler.KillWorker:
		c.kills++
	case scheduler.AssignSplits:
		c.assign(a)
	case scheduler.JobTransition:
		j := c.job(a.Job)
		if j.state != 0 && a.From != j.state {
			c.failf("job went from %s to %s, but was %s", a.From, a.To, j.state)
		}
		j.state = a.To
		if a.To.Terminal() && len(j.workers) > 0 {
			c.failf("J3: job is %s and has %d workers", a.To, len(j.workers))
		}
	}
}

func targetOf(a scheduler.Action) (scheduler.Target, bool) {
	switch a := a.(type) {
	case scheduler.StartWorker:
		return a.Target, true
	case scheduler.StartTasks:
		return a.Target, true
	case scheduler.CancelTasks:
		return a.Target, true
	case scheduler.Shutdown:
		return a.Target, true
	case scheduler.KillWorker:
		return a.Target, true
	case scheduler.EnumerateSplits:
		return a.Target, true
	case scheduler.AssignSplits:
		return a.Target, true
	case scheduler.AlignSource:
		return a.Target, true
	}
	return scheduler.Target{}, false
}

func (c *checker) startWorker(a scheduler.StartWorker) {
	j := c.job(a.Job)
	if j.workers[a.Session] != nil {
		c.failf("two workers of a job in one session")
	}
	j.workers[a.Session] = &checkedWorker{slots: a.Slots}
	seen := map[int]bool{}
	for _, w := range j.workers {
		for _, slot := range w.slots {
			if seen[slot] {
				c.failf("J1: slot %d of the job is held twice", slot)
			}
			seen[slot] = true
		}
	}
	used := 0
	for _, j := range c.jobs {
		if w := j.workers[a.Session]; w != nil {
			used += len(w.slots)
		}
	}
	if used > c.slots[a.Session] {
		c.failf("J1: %d slots used of %d", used, c.slots[a.Session])
	}
}

func (c *checker) startTasks(a scheduler.StartTasks) {
	j := c.job(a.Job)
	own := j.workers[a.Session]
	for _, w := range j.workers {
		if !w.ready {
			c.failf("J7: tasks start and a worker is not ready")
		}
	}
	groups := map[int]map[int]bool{} // slot → vertices in it
	for _, t := range a.Tasks {
		if _, twice := j.started[t.Subtask]; twice {
			c.failf("J2: %s is started twice", t.Subtask)
		}
		j.started[t.Subtask] = a.Session
		held := false
		for _, slot := range own.slots {
			held = held || slot == t.Slot
		}
		if !held {
			c.failf("%s is in slot %d, which its worker does not hold", t.Subtask, t.Slot)
		}
		if groups[t.Slot] == nil {
			groups[t.Slot] = map[int]bool{}
		}
		if groups[t.Slot][t.Vertex] {
			c.failf("two subtasks of vertex %d in slot %d", t.Vertex, t.Slot)
		}
		groups[t.Slot][t.Vertex] = true
	}
	if len(a.Peers) != len(j.workers)-1 {
		c.failf("%d peers of %d workers", len(a.Peers), len(j.workers))
	}
}

func (c *checker) assign(a scheduler.AssignSplits) {
	j := c.job(a.Job)
	if j.started[a.Task] != a.Session {
		c.failf("J5: splits for %s go to a worker that does not run it", a.Task)
	}
	for _, s := range a.Splits {
		c.splits++
		if !c.known[s.ID] || c.dealt[s.ID] {
			c.failf("J5: split %q is unknown or was dealt before", s.ID)
		}
		c.dealt[s.ID] = true
	}
}

// compare holds what the scheduler shows against the books.
func (c *checker) compare(s *scheduler.Scheduler) {
	managers := s.TaskManagers()
	if len(managers) != len(c.slots) {
		c.failf("%d TaskManagers are shown, %d sessions exist", len(managers), len(c.slots))
	}
	for _, tm := range managers {
		used := 0
		for _, j := range c.jobs {
			if w := j.workers[tm.Session]; w != nil {
				used += len(w.slots)
			}
		}
		if tm.Free != c.slots[tm.Session]-used {
			c.failf("J1: %d slots are shown as free, and %d of %d are used", tm.Free, used, c.slots[tm.Session])
		}
	}
	for _, summary := range s.Jobs() {
		j := c.jobs[summary.ID]
		if j == nil || j.graph == nil {
			continue
		}
		view, _ := s.Job(summary.ID)
		c.compareJob(j, view)
	}
}

func (c *checker) compareJob(j *checkedJob, view scheduler.JobView) {
	if view.State == scheduler.Created && view.Attempt == 0 && view.Status != "" {
		c.waited++
	}
	if view.State == scheduler.Finished {
		for v, p := range j.graph.Parallelism {
			for i := range p {
				if !j.finished[ids.Subtask{Vertex: v, Index: i}] {
					c.failf("the job is FINISHED and vertex %d subtask %d never was", v, i)
				}
			}
		}
	}
	if view.State == scheduler.Failed && view.Failure == nil {
		c.failf("the job is FAILED and nobody knows why")
	}
	if view.Failure != nil {
		if j.failure != "" && j.failure != view.Failure.Message {
			c.replaced++
		}
		j.failure = view.Failure.Message
	}
	for _, tasks := range view.Subtasks {
		for _, t := range tasks {
			if view.State.Terminal() && !t.State.Terminal() {
				c.failf("the job is %s and a task is %s", view.State, t.State)
			}
		}
	}
}
