package scheduler_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/scheduler"
)

// checker keeps its own books of a cluster, from the events and actions alone,
// and holds the scheduler to its invariants.
type checker struct {
	err error
	now time.Time

	slots  map[ids.SessionID]int // offered, while the session lasts
	jobs   map[ids.JobID]*checkedJob
	nextID int

	kills, splits, replaced, waited, restarts, restored, suppressed int
}

// checkedJob is a job with what belongs to its attempt.
type checkedJob struct {
	graph    *dataflow.JobGraph
	strategy scheduler.RestartStrategy
	state    scheduler.JobState
	// cancelled says that a user has, and unrecoverable that a failure was reported
	// which no attempt helps against.
	cancelled, unrecoverable bool
	// asked says that the caller owes an answer to NextAttempt.
	asked bool
	// failed are the times when attempts have failed that were followed by a
	// restart, and due is when the last one was to begin.
	failed []time.Time
	due    time.Time

	attempt  ids.Attempt
	restore  *scheduler.Restore
	workers  map[ids.SessionID]*checkedWorker
	started  map[ids.Subtask]ids.SessionID
	finished map[ids.Subtask]bool
	// listed are the vertices that have listed their splits, known all splits of
	// the attempt by their vertex, dealt those that were.
	listed  map[int]bool
	known   map[string]int
	dealt   map[string]bool
	failure string
}

type checkedWorker struct {
	attempt ids.Attempt
	slots   []int
	ready   bool
}

func newChecker() *checker {
	return &checker{slots: map[ids.SessionID]int{}, jobs: map[ids.JobID]*checkedJob{}}
}

func (c *checker) failf(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *checker) planned(id ids.JobID, g *dataflow.JobGraph, strategy scheduler.RestartStrategy) {
	c.job(id).graph, c.job(id).strategy = g, strategy
}

func (c *checker) job(id ids.JobID) *checkedJob {
	if c.jobs[id] == nil {
		c.jobs[id] = &checkedJob{}
		c.jobs[id].begin(0)
	}
	return c.jobs[id]
}

// begin forgets what belongs to an earlier attempt.
func (j *checkedJob) begin(attempt ids.Attempt) {
	j.attempt = attempt
	j.workers, j.started, j.finished = map[ids.SessionID]*checkedWorker{}, map[ids.Subtask]ids.SessionID{}, map[ids.Subtask]bool{}
	j.listed, j.known, j.dealt = map[int]bool{}, map[string]int{}, map[string]bool{}
}

// restored reports whether the attempt has the splits of a vertex from a checkpoint.
func (j *checkedJob) restored(vertex int) bool {
	if j.restore == nil {
		return false
	}
	_, ok := j.restore.Sources[vertex]
	return ok
}

// newSplit makes a split that a worker lists.
func (c *checker) newSplit() scheduler.Split {
	c.nextID++
	return scheduler.Split{ID: fmt.Sprintf("split-%d", c.nextID)}
}

// slotsNeeded is how many slots a job needs: for each sharing group its largest
// parallelism.
func (j *checkedJob) slotsNeeded() (n int) {
	groups := map[string]int{}
	for v, p := range j.graph.Parallelism {
		name := j.graph.Plan.Vertices[v].SlotSharingGroup
		groups[name] = max(groups[name], p)
	}
	for _, slots := range groups {
		n += slots
	}
	return n
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
	case scheduler.TaskEnded:
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
	if ready, ok := event.(scheduler.AttemptReady); ok {
		return c.jobs[ready.Job] == nil || !c.jobs[ready.Job].asked
	}
	o, ok := originOf(event)
	return ok && c.worker(o) == nil
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
		for _, f := range view.Failures {
			text += fmt.Sprintf("%+v\n", f)
		}
		view.Failure, view.Failures, view.Graph = nil, nil, nil
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
	case scheduler.AttemptReady:
		if j := c.jobs[e.Job]; j != nil && j.asked {
			j.asked, j.restore = false, e.Restore
		}
	case scheduler.CancelRequested:
		if j := c.jobs[e.Job]; j != nil && j.state != scheduler.Running {
			j.cancelled = true // One that runs may have finished already.
		}
	case scheduler.SplitsEnumerated:
		if j := c.jobs[e.Job]; c.worker(e.Origin) != nil && !j.listed[e.Vertex] {
			j.listed[e.Vertex] = e.Failure == nil
			for _, s := range e.Splits {
				j.known[s.ID] = e.Vertex
			}
		}
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
		if c.worker(e.Origin) == nil {
			break
		}
		if e.State == scheduler.TaskFinished {
			c.jobs[e.Job].finished[e.Task] = true
		}
	}
}

func (c *checker) worker(o scheduler.Origin) *checkedWorker {
	if j := c.jobs[o.Job]; j != nil && j.attempt == o.Attempt {
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
	case scheduler.NextAttempt:
		c.nextAttempt(a)
	case scheduler.EnumerateSplits:
		if j := c.jobs[a.Job]; j.restored(a.Vertex) {
			c.failf("J9: vertex %d has its splits from checkpoint %d and is asked for them", a.Vertex, j.restore.Checkpoint)
		}
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
		c.transition(j, a)
		if a.To.Terminal() && len(j.workers) > 0 {
			c.failf("J3: job is %s and has %d workers", a.To, len(j.workers))
		}
	}
}

// transition checks what a job's new state has to do with restarts (J10).
func (c *checker) transition(j *checkedJob, a scheduler.JobTransition) {
	switch {
	case a.To == scheduler.Restarting:
		c.restarts++
		if j.unrecoverable || j.cancelled {
			c.failf("J10: job is restarted; cancelled: %t, not recoverable: %t", j.cancelled, j.unrecoverable)
		}
		j.failed = append(j.failed, c.now)
		least, ok := allowed(j.strategy, j.failed)
		if !ok {
			c.failf("J10: restart %d with the strategy %s after failures at %v", len(j.failed), j.strategy, j.failed)
		}
		j.due = c.now.Add(least)
	case a.From == scheduler.Restarting && a.To == scheduler.Created:
		if c.now.Before(j.due) || len(j.workers) > 0 {
			c.failf("J10: the next attempt begins %s too early and %d workers are left", j.due.Sub(c.now), len(j.workers))
		}
	case a.To == scheduler.Failing || a.To == scheduler.Failed:
		if strings.Contains(a.Reason, "Recovery is suppressed by ") {
			c.suppressed++
		}
	}
}

// allowed says whether a strategy may restart a job after failures at these
// times, all but the last followed by a restart, and after which delay at least.
func allowed(s scheduler.RestartStrategy, failed []time.Time) (delay time.Duration, ok bool) {
	now := failed[len(failed)-1]
	switch s.Kind {
	case scheduler.NoRestart:
	case scheduler.FixedDelay:
		return s.Delay, len(failed) <= s.Attempts
	case scheduler.FailureRate:
		n := 0
		for _, t := range failed {
			if now.Sub(t) <= s.Interval {
				n++
			}
		}
		return s.Delay, n <= s.MaxFailures
	case scheduler.ExponentialDelay:
		// In a row are those that are less than the threshold, and a delay, apart.
		n := 1
		for i := len(failed) - 1; i > 0 && failed[i].Sub(failed[i-1]) < s.ResetThreshold+s.InitialBackoff; i-- {
			n++
		}
		return s.InitialBackoff, n <= s.Attempts
	}
	return 0, false
}

// nextAttempt checks that nothing of the last attempt is left.
func (c *checker) nextAttempt(a scheduler.NextAttempt) {
	j := c.job(a.Job)
	if j.asked || j.state != scheduler.Created || len(j.workers) > 0 {
		c.failf("what is restored is asked for while the job is %s and has %d workers; asked before: %t", j.state, len(j.workers), j.asked)
	}
	j.asked, j.restore = true, nil
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
	if a.Attempt == j.attempt+1 && len(j.workers) == 0 {
		j.begin(a.Attempt)
		if j.restore != nil {
			for v, splits := range j.restore.Sources {
				for _, s := range splits {
					j.known[s.ID] = v
				}
			}
		}
	}
	if a.Attempt != j.attempt || j.asked || j.cancelled {
		c.failf("J10: a worker of attempt %d starts in attempt %d; cancelled: %t", a.Attempt, j.attempt, j.cancelled)
	}
	for _, w := range j.workers {
		if w.attempt != a.Attempt {
			c.failf("J10: workers of attempts %d and %d at once", w.attempt, a.Attempt)
		}
	}
	if j.workers[a.Session] != nil {
		c.failf("two workers of a job in one session")
	}
	j.workers[a.Session] = &checkedWorker{attempt: a.Attempt, slots: a.Slots}
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
	if want := checkpointOf(j.restore); a.Restore != want {
		c.failf("J9: tasks restore %d, want %d", a.Restore, want)
	}
	if a.Restore != 0 {
		c.restored++
	}
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
		if v, known := j.known[s.ID]; !known || v != a.Task.Vertex || j.dealt[s.ID] {
			c.failf("J5: split %q is unknown, of vertex %d and not %d, or was dealt before", s.ID, v, a.Task.Vertex)
		}
		j.dealt[s.ID] = true
	}
}

func checkpointOf(r *scheduler.Restore) uint64 {
	if r == nil {
		return 0
	}
	return r.Checkpoint
}

// compareSplits checks that every split that is known was either dealt or is
// shown as one that was not, and that none is left when the job has finished.
func (c *checker) compareSplits(j *checkedJob, view scheduler.JobView, undealt map[int][]scheduler.Split) {
	if view.State == scheduler.Finished && len(j.known) != len(j.dealt) {
		c.failf("J5: the job has finished, and %d of %d splits were dealt", len(j.dealt), len(j.known))
	}
	if view.State != scheduler.Running {
		return
	}
	left := 0
	for v, splits := range undealt {
		left += len(splits)
		if !j.listed[v] && !j.restored(v) {
			c.failf("J9: vertex %d is shown with %d splits and has not listed any", v, len(splits))
		}
		for _, s := range splits {
			if of, known := j.known[s.ID]; !known || of != v || j.dealt[s.ID] {
				c.failf("J9: %q is shown as not dealt of vertex %d", s.ID, v)
			}
		}
	}
	for v := range j.graph.Plan.Vertices {
		if _, shown := undealt[v]; !shown && (j.listed[v] || j.restored(v)) {
			c.failf("J9: vertex %d is not shown and its splits are known", v)
		}
	}
	if left+len(j.dealt) != len(j.known) {
		c.failf("J9: of %d splits %d were dealt and %d were not", len(j.known), len(j.dealt), left)
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
		c.compareSplits(j, view, s.Undealt(summary.ID))
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
	if (view.State == scheduler.Restarting) == view.NextRestart.IsZero() || view.Restarts > len(j.failed) || len(view.Failures) < min(len(j.failed), scheduler.MaxFailures) {
		c.failf("the job is %s, is restarted at %s, was restarted %d times, has %d failures; want %d restarts", view.State, view.NextRestart, view.Restarts, len(view.Failures), len(j.failed))
	}
	if view.State == scheduler.Failed && view.Failure == nil {
		c.failf("the job is FAILED and nobody knows why")
	}
	if view.Failure == nil {
		j.failure = ""
	} else {
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
