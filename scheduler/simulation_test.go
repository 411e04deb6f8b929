package scheduler_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/memory"
	"github.com/weirstream/weir/scheduler"
)

var (
	seedFlag = flag.Uint64("seed", 0, "live only the simulated life with this seed")
	lives    = flag.Int("lives", 120, "how many lives to simulate")
)

// TestSimulatedLives lives through random clusters: TaskManagers come, go and
// come back, jobs are submitted, fail and are cancelled, messages are lost with
// their session, repeated and out of date. The checker, which keeps its own
// books, is asked after every step. In the second half of a life the world is
// fair, and then every job must come to an end.
func TestSimulatedLives(t *testing.T) {
	if *seedFlag != 0 {
		newWorld(*seedFlag).live(t)
		return
	}
	var total census
	first := rand.Uint64()
	for i := range *lives {
		w := newWorld(first + uint64(i))
		w.live(t)
		if t.Failed() {
			return
		}
		total.add(w.census)
	}
	t.Logf("first seed %d: %+v", first, total)
	total.check(t)
}

// census counts what happened in the lives, so that a simulation which misses
// half of what it is for is noticed.
type census struct {
	Steps, Finished, Failed, Cancelled, Refused, Waited                     int
	Lost, Stale, Repeated, Splits, Kills, Derived, Replaced, Crashed, Hangs int
	Restarts, Restored, Suppressed, Unrecoverable, Unread                   int
}

func (c *census) add(o census) {
	c.Steps += o.Steps
	c.Finished += o.Finished
	c.Failed += o.Failed
	c.Cancelled += o.Cancelled
	c.Refused += o.Refused
	c.Waited += o.Waited
	c.Lost += o.Lost
	c.Stale += o.Stale
	c.Repeated += o.Repeated
	c.Splits += o.Splits
	c.Kills += o.Kills
	c.Derived += o.Derived
	c.Replaced += o.Replaced
	c.Crashed += o.Crashed
	c.Hangs += o.Hangs
	c.Restarts += o.Restarts
	c.Restored += o.Restored
	c.Suppressed += o.Suppressed
	c.Unrecoverable += o.Unrecoverable
	c.Unread += o.Unread
}

func (c *census) check(t *testing.T) {
	t.Helper()
	if *lives < 100 {
		return
	}
	if min(c.Finished, c.Failed, c.Cancelled, c.Refused, c.Waited, c.Lost, c.Stale, c.Repeated,
		c.Splits, c.Kills, c.Derived, c.Replaced, c.Crashed, c.Hangs,
		c.Restarts, c.Restored, c.Suppressed, c.Unrecoverable, c.Unread) == 0 {
		t.Errorf("something never happened in %d lives: %+v", *lives, *c)
	}
}

// world is one simulated life: the scheduler, the TaskManagers, and what is on
// its way between them.
type world struct {
	seed   uint64
	rng    *rand.Rand
	now    time.Time
	s      *scheduler.Scheduler
	check  *checker
	census census

	managers []*simManager
	// past are messages that were delivered, to be repeated later.
	past []scheduler.Event
	jobs []ids.JobID
	fair bool
	// asked are the jobs that wait to hear what they begin from, and captured is
	// the last checkpoint of each job.
	asked       []ids.JobID
	captured    map[ids.JobID]*scheduler.Restore
	checkpoints uint64
}

// simManager is a TaskManager. Messages in each direction keep their order
// while the session lasts, as on a stream, and are lost with it.
type simManager struct {
	id      int
	slots   int
	up      bool
	session ids.SessionID
	inbox   []scheduler.Action
	outbox  []scheduler.Event
	workers map[ids.JobID]*simWorker
	// unnoticed are sessions that are over and not yet known to be.
	unnoticed []ids.SessionID
}

// simWorker is a worker process.
type simWorker struct {
	origin  scheduler.Origin
	started bool
	ready   bool
	hangs   bool // It does not react to being asked to stop.
	stop    bool // It ends when its tasks have.
	tasks   map[ids.Subtask]*simTask
	gone    bool
}

type simTask struct {
	state     scheduler.TaskState
	source    bool
	requested bool
	splits    int
	noMore    bool
	ended     bool
	canceling bool
}

func newWorld(seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 0))
	config := scheduler.DefaultConfig()
	config.LoadBalance = scheduler.LoadBalance(rng.IntN(3))
	config.MaxFinishedJobs = rng.IntN(2) * 3
	config.Seed = seed
	w := &world{
		seed: seed, rng: rng, now: time.Unix(1_000_000, 0), s: scheduler.New(config), check: newChecker(),
		captured: map[ids.JobID]*scheduler.Restore{},
	}
	for i := range 1 + rng.IntN(4) {
		w.managers = append(w.managers, &simManager{id: i, slots: 2 + rng.IntN(3)})
	}
	return w
}

func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

func (w *world) live(t *testing.T) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("panic in the life with -seed=%d: %v", w.seed, r)
		}
		if w.check.err != nil {
			t.Fatalf("in the life with -seed=%d: %v", w.seed, w.check.err)
		}
	}()
	for range 300 {
		w.disturb()
		w.progress()
		if w.check.err != nil {
			return
		}
	}
	w.settle()
	for range 5000 {
		if w.check.err != nil || w.allEnded() {
			break
		}
		w.progress()
	}
	if w.check.err == nil {
		w.check.err = w.ended()
	}
	w.count()
}

// disturb does something that the scheduler did not ask for.
func (w *world) disturb() {
	m := w.managers[w.rng.IntN(len(w.managers))]
	switch p := w.rng.IntN(100); {
	case p < 20 && !m.up:
		w.register(m)
	case p < 2 && m.up:
		w.cut(m)
	case p < 22:
		w.notice(m)
	case p < 30 && len(w.jobs) < 25:
		w.submit()
	case p < 33 && len(w.jobs) > 0:
		w.step(scheduler.CancelRequested{Job: w.jobs[w.rng.IntN(len(w.jobs))]})
	case p < 45 && len(w.past) > 0:
		w.census.Repeated++
		w.step(w.past[w.rng.IntN(len(w.past))])
	case p < 47:
		w.advance(time.Duration(w.rng.IntN(120)) * time.Second)
	case p < 48:
		w.advance(time.Duration(w.rng.IntN(90)) * time.Minute)
	case p < 54:
		w.misbehave(m)
	case p < 60 && len(w.jobs) > 0:
		w.capture(w.jobs[w.rng.IntN(len(w.jobs))])
	}
}

// capture takes a checkpoint of a job that runs: of what the scheduler has to
// know of it.
func (w *world) capture(id ids.JobID) {
	if sources := w.s.Undealt(id); sources != nil {
		w.checkpoints++
		w.captured[id] = &scheduler.Restore{Checkpoint: w.checkpoints, Sources: sources}
	}
}

// answer says what a job begins from: the last checkpoint, if there is one.
func (w *world) answer(id ids.JobID) {
	event := scheduler.AttemptReady{Job: id, Restore: w.captured[id]}
	if !w.fair && w.chance(3) {
		w.census.Unread++
		event.Failure = &scheduler.Failure{Message: "the storage does not answer", Unrecoverable: w.chance(20)}
		event.Restore = nil
		w.check.job(id).unrecoverable = w.check.job(id).asked && event.Failure.Unrecoverable
	}
	w.past = append(w.past, scheduler.AttemptReady{Job: id})
	w.step(event)
}

// settle makes the world fair: sessions that are over are noticed, those that
// may have lost something are cut, every TaskManager comes back, and nothing
// fails any more.
func (w *world) settle() {
	w.fair = true
	for _, m := range w.managers {
		w.cut(m)
		w.notice(m)
		w.register(m)
	}
	for _, id := range w.jobs {
		if state, ok := w.s.State(id); ok && state == scheduler.Initializing {
			w.plan(id)
		}
		w.endless(id)
	}
}

// endless cancels a job that the cluster does not have the slots for and that is
// restarted for ever when it has not got them in time.
func (w *world) endless(id ids.JobID) {
	slots := 0
	for _, m := range w.managers {
		slots += m.slots
	}
	j := w.check.job(id)
	if j.graph != nil && j.slotsNeeded() > slots && (j.strategy.Kind == scheduler.FailureRate || j.strategy.Kind == scheduler.ExponentialDelay) {
		w.step(scheduler.CancelRequested{Job: id})
	}
}

func (w *world) allEnded() bool { return w.ended() == nil }

func (w *world) ended() error {
	for _, j := range w.s.Jobs() {
		if !j.State.Terminal() {
			return fmt.Errorf("job %s is still %s in a fair world: %s", j.ID, j.State, j.Status)
		}
	}
	return nil
}

func (w *world) count() {
	for _, j := range w.s.Jobs() {
		view, _ := w.s.Job(j.ID)
		switch {
		case j.State == scheduler.Finished:
			w.census.Finished++
		case j.State == scheduler.Canceled:
			w.census.Cancelled++
		case view.Attempt == 0:
			w.census.Refused++
		default:
			w.census.Failed++
		}
	}
	w.census.Kills += w.check.kills
	w.census.Splits += w.check.splits
	w.census.Replaced += w.check.replaced
	w.census.Waited += w.check.waited
	w.census.Restarts += w.check.restarts
	w.census.Restored += w.check.restored
	w.census.Suppressed += w.check.suppressed
}

// step gives the scheduler an event, has the checker look at the answer, and
// puts the actions on their way.
func (w *world) step(event scheduler.Event) {
	stale := w.check.stale(event)
	var before string
	if stale {
		w.census.Stale++
		before = picture(w.s)
	}
	w.census.Steps++
	w.check.now = w.now
	actions := w.s.Step(w.now, event)
	if stale {
		w.check.unchanged(event, actions, before, picture(w.s))
	}
	w.check.step(w.s, event, actions)
	for _, a := range actions {
		if next, ok := a.(scheduler.NextAttempt); ok {
			w.asked = append(w.asked, next.Job)
		}
		if session, ok := destination(a); ok {
			for _, m := range w.managers {
				if m.up && m.session == session {
					m.inbox = append(m.inbox, a)
				}
			}
		}
	}
}

// advance lets time pass, with a Tick whenever one is due.
func (w *world) advance(d time.Duration) {
	end := w.now.Add(d)
	for range 1000 {
		due, ok := w.s.Deadline()
		if !ok || due.After(end) {
			break
		}
		if due.After(w.now) {
			w.now = due
		}
		w.step(scheduler.Tick{})
	}
	w.now = end
}

func (w *world) register(m *simManager) {
	w.notice(m) // The shell ends the old session of a name before it opens another.
	*m = simManager{id: m.id, slots: m.slots, up: true, session: ids.NewSessionID(), workers: map[ids.JobID]*simWorker{}}
	w.step(scheduler.TaskManagerRegistered{Session: m.session, TaskManager: scheduler.TaskManager{
		ID: ids.TaskManagerID(fmt.Sprintf("tm-%d", m.id)), Host: "127.0.0.1", Slots: m.slots, Platform: "linux/amd64",
		NetworkMemoryPerSlot: memory.MiB, SegmentSize: 32 * memory.KiB,
	}})
}

// cut ends a session: what is on its way is lost, and the workers end.
func (w *world) cut(m *simManager) {
	if m.up {
		w.census.Lost++
		m.up = false
		m.unnoticed = append(m.unnoticed, m.session)
		m.inbox, m.outbox, m.workers = nil, nil, nil
	}
}

// notice tells the scheduler of the sessions that are over.
func (w *world) notice(m *simManager) {
	for _, session := range m.unnoticed {
		event := scheduler.TaskManagerLost{Session: session, Reason: "the stream was closed"}
		w.past = append(w.past, event)
		w.step(event)
	}
	m.unnoticed = nil
}

func (w *world) submit() {
	id := ids.NewJobID()
	w.jobs = append(w.jobs, id)
	w.step(scheduler.JobSubmitted{Job: id, Name: "job"})
	switch p := w.rng.IntN(100); {
	case p < 80:
		w.plan(id)
	case p < 90:
		w.step(scheduler.JobRefused{Job: id, Reason: "main exited with code 2"})
	}
}

// plan gives a job a random graph: sources first, then vertices with one or two
// inputs each.
func (w *world) plan(id ids.JobID) {
	plan := &dataflow.Plan{JobName: "job"}
	g := &dataflow.JobGraph{Plan: plan}
	sources := 1 + w.rng.IntN(2)
	for v := range sources + w.rng.IntN(3) {
		plan.Vertices = append(plan.Vertices, dataflow.Vertex{
			Name: fmt.Sprintf("v%d", v), Source: v < sources, Bounded: w.chance(70), SlotSharingGroup: []string{"", "", "", "heavy"}[w.rng.IntN(4)],
		})
		g.Parallelism = append(g.Parallelism, 1+w.rng.IntN(3))
		if v >= sources {
			plan.Exchanges = append(plan.Exchanges, dataflow.Exchange{From: w.rng.IntN(v), To: v, Partitioning: dataflow.Partitioning(1 + w.rng.IntN(3))})
		}
	}
	strategy := w.strategy()
	w.check.planned(id, g, strategy)
	w.step(scheduler.JobPlanned{Job: id, Name: "job", Graph: g, Options: scheduler.JobOptions{
		SlotRequestTimeout: time.Duration(1+w.rng.IntN(10)) * time.Minute, CancellationTimeout: 3 * time.Minute,
		Restarts: strategy, Buffers: memory.Settings{BuffersPerChannel: 2, FloatingPerGate: 8},
	}})
}

// strategy is that of a job.
func (w *world) strategy() scheduler.RestartStrategy {
	seconds := func(least, most int) time.Duration { return time.Duration(least+w.rng.IntN(most-least)) * time.Second }
	switch w.rng.IntN(5) {
	case 0:
		return scheduler.RestartStrategy{Kind: scheduler.FixedDelay, Attempts: w.rng.IntN(4), Delay: seconds(0, 30)}
	case 1:
		return scheduler.RestartStrategy{Kind: scheduler.FailureRate, MaxFailures: 1 + w.rng.IntN(3), Interval: seconds(1, 600), Delay: seconds(0, 30)}
	case 2, 3:
		s := scheduler.RestartStrategy{
			Kind: scheduler.ExponentialDelay, Attempts: 1 + w.rng.IntN(4), InitialBackoff: seconds(1, 10), MaxBackoff: seconds(10, 120),
			Multiplier: 1 + w.rng.Float64(), JitterFactor: w.rng.Float64(), ResetThreshold: seconds(1, 900),
		}
		if w.chance(30) {
			s.Attempts = scheduler.Unlimited
		}
		return s
	}
	return scheduler.RestartStrategy{}
}

// misbehave lets a worker do what nobody wants.
func (w *world) misbehave(m *simManager) {
	worker := w.anyWorker(m)
	if worker == nil {
		return
	}
	switch w.rng.IntN(5) {
	case 0:
		w.census.Crashed++
		w.exit(m, worker, -1, "killed")
	case 1:
		w.census.Hangs++
		worker.hangs = true
	case 2:
		w.exit(m, worker, w.rng.IntN(3), "")
	case 3:
		w.refuse(worker)
	default:
		for id, task := range worker.ordered() {
			if !task.state.Terminal() && w.chance(50) {
				derived := w.chance(50)
				if derived {
					w.census.Derived++
				}
				task.state = scheduler.TaskFailed
				m.outbox = append(m.outbox, scheduler.TaskStateChanged{
					Origin: worker.origin, Task: id, State: scheduler.TaskFailed,
					Failure: scheduler.Failure{Message: "failed"}, Consequence: derived,
				})
				return
			}
		}
	}
}

// refuse has the caller say that a worker, or its whole attempt, cannot go on.
func (w *world) refuse(worker *simWorker) {
	o := worker.origin
	failure := scheduler.Failure{Message: "no", Unrecoverable: w.chance(30)}
	var event scheduler.Event = scheduler.WorkerFailed{Origin: o, Failure: failure}
	if w.chance(50) {
		event = scheduler.AttemptFailed{Job: o.Job, Attempt: o.Attempt, Failure: failure}
	}
	if _, one := event.(scheduler.WorkerFailed); one && failure.Unrecoverable && w.check.worker(o) != nil {
		w.census.Unrecoverable++
		w.check.job(o.Job).unrecoverable = true
	}
	w.step(event)
}

func (w *world) exit(m *simManager, worker *simWorker, code int, signal string) {
	worker.gone = true
	delete(m.workers, worker.origin.Job)
	m.outbox = append(m.outbox, scheduler.WorkerExited{Origin: worker.origin, ExitCode: code, Signal: signal})
}

func (w *world) anyWorker(m *simManager) *simWorker {
	for _, id := range w.jobs { // Not over the map, so that a seed gives one life.
		if worker := m.workers[id]; worker != nil && w.chance(50) {
			return worker
		}
	}
	return nil
}

// progress delivers some messages, lets workers work, and lets time pass.
func (w *world) progress() {
	for _, m := range w.managers {
		for m.up && len(m.inbox) > 0 && w.chance(70) {
			a := m.inbox[0]
			m.inbox = m.inbox[1:]
			w.obey(m, a)
		}
		for m.up && len(m.outbox) > 0 && w.chance(70) {
			event := m.outbox[0]
			m.outbox = m.outbox[1:]
			w.past = append(w.past, event)
			w.step(event)
		}
		for _, id := range w.jobs {
			if worker := m.workers[id]; worker != nil && w.chance(60) {
				w.work(m, worker)
			}
		}
	}
	for range len(w.asked) {
		if id := w.asked[0]; w.chance(70) {
			w.asked = w.asked[1:]
			w.answer(id)
		}
	}
	limit := 2
	if w.fair {
		limit = 20 // Deadlines must come into sight.
	}
	w.advance(time.Duration(w.rng.IntN(limit*1000)) * time.Millisecond)
}
