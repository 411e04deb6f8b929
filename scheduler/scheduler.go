package scheduler

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/ids"
)

// Config are the settings of the cluster.
type Config struct {
	// LoadBalance is taskmanager.load-balance.mode.
	LoadBalance LoadBalance
	// WorkerStartTimeout is how long the workers of an attempt may take to be
	// ready.
	WorkerStartTimeout time.Duration
	// ConsequenceHold is how long a failure that follows from another one is
	// held back, so that its cause can be heard of first.
	ConsequenceHold time.Duration
	// JobExpiration is jobstore.expiration-time: how long a job is known after
	// its end. MaxFinishedJobs is jobstore.max-capacity: of how many the most
	// recent are; 0 is no limit.
	JobExpiration   time.Duration
	MaxFinishedJobs int
	// Seed is that of the jitter of restart delays: the same seed and the same
	// events give the same delays.
	Seed uint64
}

// DefaultConfig returns the default settings: Flink's, where it has them.
func DefaultConfig() Config {
	return Config{
		// TaskManagers give a worker two minutes; this is for one that says
		// nothing, and has time to fetch a large executable before.
		WorkerStartTimeout: 10 * time.Minute,
		// A worker that loses its peer notices within milliseconds, and the
		// peer's TaskManager reports the death as soon as it has reaped the
		// process; two seconds cover a busy machine. Longer would only make
		// the user wait where the cause is never heard of.
		ConsequenceHold: 2 * time.Second,
		JobExpiration:   time.Hour,
	}
}

// Scheduler is the state of a cluster. Create one with [New].
type Scheduler struct {
	config Config

	// taskManagers are in the order of their registration.
	taskManagers []*taskManager
	jobs         map[ids.JobID]*job
	// active are the jobs that have not ended and finished those that have, each
	// in the order in which they came there.
	active, finished []*job
	submitted        uint64

	random *rand.Rand

	// slotsChanged says that jobs which wait may find their slots now.
	slotsChanged bool
	// deadline is not later than that of any job; zero is none.
	deadline time.Time

	// now and what follows belong to one Step.
	now     time.Time
	actions []Action
	touched []*job
}

// taskManager is a session of a TaskManager.
type taskManager struct {
	TaskManager
	session ids.SessionID
	free    int
}

// New returns the scheduler of a cluster without TaskManagers and jobs.
func New(config Config) *Scheduler {
	return &Scheduler{config: config, jobs: map[ids.JobID]*job{}, random: rand.New(rand.NewPCG(config.Seed, 0))}
}

// Step takes in an event that happened at now and returns what to do about it,
// in order. now must not be earlier than in the step before. The actions belong
// to the caller.
func (s *Scheduler) Step(now time.Time, event Event) []Action {
	s.now, s.actions, s.touched = now, nil, nil
	s.handle(event)
	if s.slotsChanged {
		s.slotsChanged = false
		s.placeWaiting()
	}
	for _, j := range s.touched {
		s.do(JobChanged{Job: j.id})
		j.touched = false
	}
	return s.actions
}

// Deadline returns when a [Tick] is due at the latest, and false if none is.
func (s *Scheduler) Deadline() (time.Time, bool) { return s.deadline, !s.deadline.IsZero() }

func (s *Scheduler) handle(event Event) {
	switch e := event.(type) {
	case TaskManagerRegistered:
		s.register(e)
	case TaskManagerLost:
		s.lose(e)
	case JobSubmitted:
		s.submit(e)
	case JobRefused:
		s.refuse(e)
	case JobPlanned:
		s.planned(e)
	case AttemptReady:
		s.attemptReady(e)
	case AttemptFailed:
		s.attemptFailed(e)
	case CancelRequested:
		s.cancel(e)
	case WorkerReady:
		s.workerReady(e)
	case WorkerRefused:
		s.workerRefused(e)
	case WorkerFailed:
		s.workerFailed(e)
	case WorkerExited:
		s.workerExited(e)
	case TaskStateChanged:
		s.taskStateChanged(e)
	case TaskEnded:
		s.taskEnded(e)
	case SplitsEnumerated:
		s.splitsEnumerated(e)
	case SplitRequested:
		s.splitRequested(e)
	case WatermarkReported:
		s.watermarkReported(e)
	case Tick:
		s.tick()
	default:
		panic(fmt.Sprintf("scheduler: unknown event %T", event))
	}
}

func (s *Scheduler) do(a Action) { s.actions = append(s.actions, a) }

// touch marks what a job shows as changed.
func (s *Scheduler) touch(j *job) {
	if !j.touched {
		j.touched = true
		s.touched = append(s.touched, j)
	}
}

// drop reports a message that changes nothing (J4).
func (s *Scheduler) drop(session ids.SessionID, job ids.JobID, event Event, format string, args ...any) {
	s.do(MessageDropped{Session: session, Job: job, Message: fmt.Sprintf("%T", event)[len("scheduler."):], Reason: fmt.Sprintf(format, args...)})
}

// setDeadline makes a job's deadline d from now.
func (s *Scheduler) setDeadline(j *job, d time.Duration) {
	j.deadline = s.now.Add(d)
	s.expect(j.deadline)
}

// expect makes sure that a Tick comes at t.
func (s *Scheduler) expect(t time.Time) {
	if s.deadline.IsZero() || t.Before(s.deadline) {
		s.deadline = t
	}
}

// tick acts on every deadline that has passed.
func (s *Scheduler) tick() {
	if s.deadline.IsZero() || s.now.Before(s.deadline) {
		return
	}
	for _, j := range slices.Clone(s.active) {
		if due(j.hold, s.now) {
			s.failHeld(j)
		}
		if !j.state.Terminal() && due(j.deadline, s.now) {
			s.deadlinePassed(j)
		}
	}
	for len(s.finished) > 0 && due(s.finished[0].deadline, s.now) {
		s.forgetOldest()
	}
	s.deadline = time.Time{}
	for _, j := range s.active {
		for _, t := range []time.Time{j.hold, j.deadline} {
			if !t.IsZero() {
				s.expect(t)
			}
		}
	}
	if len(s.finished) > 0 {
		s.expect(s.finished[0].deadline)
	}
}

func due(t, now time.Time) bool { return !t.IsZero() && !t.After(now) }

// retire moves a job that has ended from the active to the finished ones, which
// expire in the order in which they ended.
func (s *Scheduler) retire(j *job) {
	s.active = slices.DeleteFunc(s.active, func(other *job) bool { return other == j })
	s.finished = append(s.finished, j)
	for s.config.MaxFinishedJobs > 0 && len(s.finished) > s.config.MaxFinishedJobs {
		s.forgetOldest()
	}
}

func (s *Scheduler) forgetOldest() {
	j := s.finished[0]
	s.finished = slices.Delete(s.finished, 0, 1)
	delete(s.jobs, j.id)
	s.do(ForgetJob{Job: j.id})
}

func (s *Scheduler) register(e TaskManagerRegistered) {
	tm := &taskManager{TaskManager: e.TaskManager, session: e.Session, free: e.TaskManager.Slots}
	if s.taskManager(e.Session) != nil || tm.Slots < 1 || tm.SegmentSize < 1 {
		s.drop(e.Session, ids.JobID{}, e, "it offers %d slots and buffers of %d bytes, or has registered before", tm.Slots, tm.SegmentSize)
		return
	}
	s.taskManagers = append(s.taskManagers, tm)
	s.slotsChanged = true
}

func (s *Scheduler) lose(e TaskManagerLost) {
	tm := s.taskManager(e.Session)
	if tm == nil {
		s.drop(e.Session, ids.JobID{}, e, "unknown session")
		return
	}
	s.taskManagers = slices.DeleteFunc(s.taskManagers, func(other *taskManager) bool { return other == tm })
	s.slotsChanged = true // What waiting jobs say of the cluster is no longer true.
	for _, j := range slices.Clone(s.active) {
		if w := j.worker(e.Session); w != nil && w.state != workerGone {
			s.workerLost(j, w, e.Reason)
		}
	}
}

func (s *Scheduler) taskManager(session ids.SessionID) *taskManager {
	for _, tm := range s.taskManagers {
		if tm.session == session {
			return tm
		}
	}
	return nil
}

// placeWaiting gives slots to the jobs that wait, in the order in which they
// were planned. A job that does not fit leaves the slots to those behind it.
func (s *Scheduler) placeWaiting() {
	waiting := slices.DeleteFunc(slices.Clone(s.active), func(j *job) bool { return !j.waiting() })
	slices.SortFunc(waiting, func(a, b *job) int { return cmp.Compare(a.queue, b.queue) })
	for _, j := range waiting {
		s.place(j)
	}
}
