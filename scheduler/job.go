package scheduler

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/memory"
)

// MaxTasks is the largest number of tasks that a job may have, over all
// vertices: what a table of a few tens of megabytes describes.
const MaxTasks = 1 << 18

// job is a job from its submission until it is forgotten.
type job struct {
	id    ids.JobID
	name  string
	state JobState
	// queue is the place among the jobs that wait for slots.
	queue      uint64
	start, end time.Time

	graph   *dataflow.JobGraph
	options JobOptions
	// slots is how many it needs, demand what the most demanding of them needs,
	// and buffers how many network buffers that are.
	slots   int
	demand  memory.Demand
	buffers int
	// fitted says that there was a TaskManager with enough of them.
	fitted bool
	// base is the index of the first slot of each vertex's sharing group.
	base []int

	// status says why it waits.
	status string
	// failure is why it fails or is restarted; derived says that it follows from
	// another failure, which is not known. failures are the last ones of all
	// attempts, the newest first.
	failure  *JobFailure
	derived  bool
	failures []*JobFailure
	// held is a failure that waits for its cause until hold.
	held *JobFailure
	hold time.Time
	// deadline is that of the state that the job is in; zero is none.
	deadline time.Time

	// restarts is what the restart strategy has seen; restarted counts the
	// restarts, and restartAt is when the next one is due.
	restarts  restarts
	restarted int
	restartAt time.Time
	// restartDelay is how long the strategy lets it wait.
	restartDelay time.Duration
	// ran says that an attempt has started its tasks.
	ran bool
	// preparing says that the caller was asked what the next attempt begins from,
	// and restore is its answer.
	preparing bool
	restore   *Restore

	attempt ids.Attempt
	workers []*worker
	tasks   [][]task
	// unfinished is the number of tasks that are not in an end state.
	unfinished int
	// sources are the splits, by vertex.
	sources map[int]*source
	// groups are the watermarks that the sources' subtasks have reported, by their
	// alignment group.
	groups map[string]map[ids.Subtask]int64

	touched bool
}

// task is one subtask of the attempt.
type task struct {
	state TaskState
	// ended says that it has read all of its input.
	ended  bool
	worker *worker
	slot   int
}

// worker is a worker of the attempt.
type worker struct {
	index       int
	taskManager *taskManager
	slots       []int
	tasks       []Task
	state       workerState
	dataAddress string
	// killed says that it was told to end, so that its end is no failure.
	killed bool
}

type workerState uint8

const (
	workerStarting workerState = iota
	workerReady
	workerGone
)

// idle reports whether the job has no workers yet in an attempt that is to come.
func (j *job) idle() bool { return j.state == Created && len(j.workers) == 0 }

// waiting reports whether the job waits for slots.
func (j *job) waiting() bool { return j.idle() && !j.preparing }

// gone reports whether no worker of the attempt is left.
func (j *job) gone() bool {
	return !slices.ContainsFunc(j.workers, func(w *worker) bool { return w.state != workerGone })
}

// draining reports whether all tasks have finished and the workers are ending.
func (j *job) draining() bool { return j.state == Running && j.unfinished == 0 }

// worker returns the job's worker of a session, nil if there is none.
func (j *job) worker(session ids.SessionID) *worker {
	for _, w := range j.workers {
		if w.taskManager.session == session {
			return w
		}
	}
	return nil
}

// release lets go of what only a job that runs needs. Tasks that never started
// will not any more.
func (j *job) release() {
	for _, tasks := range j.tasks {
		for i := range tasks {
			if !tasks[i].state.Terminal() {
				tasks[i].state = TaskCanceled
			}
		}
	}
	j.sources, j.groups, j.restore = nil, nil, nil
	j.status = ""
	j.preparing, j.restartAt = false, time.Time{}
}

func (s *Scheduler) submit(e JobSubmitted) {
	if s.jobs[e.Job] != nil {
		s.drop(ids.SessionID{}, e.Job, e, "a job with this id exists")
		return
	}
	j := &job{id: e.Job, name: e.Name, state: Initializing, start: s.now}
	s.jobs[e.Job] = j
	s.active = append(s.active, j)
	s.touch(j)
}

func (s *Scheduler) refuse(e JobRefused) {
	j := s.jobs[e.Job]
	if j == nil || j.state != Initializing {
		s.drop(ids.SessionID{}, e.Job, e, "the job is not being planned")
		return
	}
	s.reject(j, e.Reason)
}

// reject fails a job that has no workers.
func (s *Scheduler) reject(j *job, reason string) {
	j.failure = &JobFailure{Message: reason, Time: s.now}
	j.remember(j.failure)
	s.transition(j, Failed, reason)
}

func (s *Scheduler) planned(e JobPlanned) {
	j := s.jobs[e.Job]
	if j == nil || j.state != Initializing {
		s.drop(ids.SessionID{}, e.Job, e, "the job is not being planned")
		return
	}
	if n := countTasks(e.Graph); n > MaxTasks {
		s.reject(j, fmt.Sprintf("the job has %d tasks, at most %d are possible: lower the parallelism", n, MaxTasks))
		return
	}
	j.name = e.Name
	j.graph, j.options = e.Graph, e.Options
	j.base, j.slots = slotLayout(e.Graph)
	j.restarts.strategy = e.Options.Restarts
	j.demand = largestDemand(e.Graph, j.base, e.Options.Buffers)
	j.buffers = j.demand.Min()
	if err := s.checkBuffers(j); err != nil {
		s.reject(j, err.Error())
		return
	}
	s.submitted++
	j.queue = s.submitted
	s.nextAttempt(j)
}

func countTasks(g *dataflow.JobGraph) (n int) {
	for _, p := range g.Parallelism {
		n += p
	}
	return n
}

// slotLayout numbers the slots of a job. Each slot sharing group has as many as
// its largest parallelism, one after the other, groups in the order in which
// they first appear; slot i of a group holds subtask i of each of its vertices.
// base is the first slot of each vertex's group.
func slotLayout(g *dataflow.JobGraph) (base []int, slots int) {
	type group struct{ first, slots int }
	groups := map[string]*group{}
	var order []*group
	for v := range g.Plan.Vertices {
		name := g.Plan.Vertices[v].SlotSharingGroup
		if groups[name] == nil {
			groups[name] = &group{}
			order = append(order, groups[name])
		}
		groups[name].slots = max(groups[name].slots, g.Parallelism[v])
	}
	for _, group := range order {
		group.first = slots
		slots += group.slots
	}
	for v := range g.Plan.Vertices {
		base = append(base, groups[g.Plan.Vertices[v].SlotSharingGroup].first)
	}
	return base, slots
}

// largestDemand returns what the slot of the job needs that needs most network
// buffers. The first slot of a group has a subtask of each of its vertices, so
// no other slot of the group needs more.
func largestDemand(g *dataflow.JobGraph, base []int, settings memory.Settings) memory.Demand {
	network := g.Network()
	first := map[int][]memory.Subtask{}
	for v := range g.Plan.Vertices {
		first[base[v]] = append(first[base[v]], memory.Subtask{Vertex: v, Index: 0})
	}
	var largest memory.Demand
	for _, slot := range slices.Sorted(maps.Keys(first)) {
		if d := network.DemandOf(slot, first[slot], settings); d.Min() > largest.Min() {
			largest = d
		}
	}
	return largest
}

// checkBuffers refuses a job if there are TaskManagers for it and none has, or
// ever had, enough network buffers in a slot (J7). Without any TaskManager the
// job may wait for them.
func (s *Scheduler) checkBuffers(j *job) error {
	var best *taskManager
	for _, tm := range s.taskManagers {
		if j.runsOn(tm) && (best == nil || tm.buffers() > best.buffers()) {
			best = tm
		}
	}
	if best == nil || j.fitted {
		return nil
	}
	err := j.demand.Check(best.buffers())
	j.fitted = err == nil
	return err
}

func (s *Scheduler) cancel(e CancelRequested) {
	j := s.jobs[e.Job]
	switch {
	case j == nil:
		s.drop(ids.SessionID{}, e.Job, e, "unknown job")
	case j.state == Initializing || j.idle():
		s.transition(j, Canceled, "a user cancelled it")
	case j.state == Restarting:
		// Its tasks have been asked to stop already.
		j.failure, j.restartAt = nil, time.Time{}
		s.transition(j, Cancelling, "a user cancelled it")
		s.endIfGone(j)
	case j.state == Created || j.state == Running && !j.draining():
		s.transition(j, Cancelling, "a user cancelled it")
		s.stopWorkers(j)
	}
	// Otherwise it has ended, or is about to: there is nothing left to cancel.
}

// deadlinePassed acts on the deadline of a job's state.
func (s *Scheduler) deadlinePassed(j *job) {
	j.deadline = time.Time{}
	switch {
	case j.waiting():
		s.slotsTimedOut(j)
	case j.state == Created:
		s.deployTimedOut(j)
	case j.state == Restarting && j.gone():
		s.restart(j)
	default:
		s.killRemaining(j, fmt.Sprintf("it did not end within task.cancellation.timeout (%s)", j.options.CancellationTimeout))
	}
}
