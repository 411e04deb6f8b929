package jobmanager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/ids"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	"github.com/weirstream/weir/scheduler"
)

// core is the scheduler with what it takes to carry out its actions: the
// sessions, the jobs, and one lock around all of it. What it does under the
// lock never waits for anybody.
type core struct {
	log   *slog.Logger
	epoch uint64
	// encrypt says that data connections use TLS also within a machine.
	encrypt bool
	// books say which checkpoints jobs have; group runs what is done about them
	// outside of the lock.
	books books
	group *goroutine.Group
	// release gives up a hold on an artefact.
	release func(digest)
	// wake tells the timer that the deadline has changed.
	wake chan struct{}

	mu struct {
		sync.Mutex
		scheduler *scheduler.Scheduler
		sessions  map[ids.SessionID]*session
		jobs      map[ids.JobID]*job
		plannings map[string]*planning
		// registered is closed, and made anew, when a TaskManager registers.
		registered chan struct{}
		// events are those that the scheduler is still to be told; carrying out
		// an action may add to them.
		events   []scheduler.Event
		stepping bool
		// ended are the jobs that have ended and whose output is still kept.
		ended []ids.JobID
	}
}

func newCore(config scheduler.Config, epoch uint64, log *slog.Logger, release func(digest)) *core {
	c := &core{log: log, epoch: epoch, release: release, wake: make(chan struct{}, 1)}
	c.mu.scheduler = scheduler.New(config)
	c.mu.sessions = map[ids.SessionID]*session{}
	c.mu.jobs = map[ids.JobID]*job{}
	c.mu.plannings = map[string]*planning{}
	c.mu.registered = make(chan struct{})
	return c
}

// step tells the scheduler what happened and carries out what follows.
func (c *core) step(event scheduler.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stepLocked(event)
}

func (c *core) stepLocked(event scheduler.Event) {
	c.mu.events = append(c.mu.events, event)
	if c.mu.stepping {
		return // Whoever steps goes on with it.
	}
	c.mu.stepping = true
	defer func() { c.mu.stepping = false }()
	for len(c.mu.events) > 0 {
		next := c.mu.events[0]
		c.mu.events = c.mu.events[1:]
		for _, action := range c.mu.scheduler.Step(time.Now(), next) {
			c.perform(action)
		}
	}
	c.rearm()
}

// rearm has tick look at the deadlines again.
func (c *core) rearm() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// deadlineLocked returns when the first Tick is due; zero is never.
func (c *core) deadlineLocked() time.Time {
	first, _ := c.mu.scheduler.Deadline()
	for _, j := range c.mu.jobs {
		if j.checkpoints == nil {
			continue
		}
		if d := j.checkpoints.deadline(); !d.IsZero() && (first.IsZero() || d.Before(first)) {
			first = d
		}
	}
	return first
}

// tickLocked tells everybody whose deadline has passed.
func (c *core) tickLocked() {
	c.stepLocked(scheduler.Tick{})
	for _, j := range c.mu.jobs {
		if j.checkpoints != nil {
			j.checkpoints.tick(time.Now())
		}
	}
}

// tick tells the machines whenever one of their deadlines has passed, until ctx is
// done.
func (c *core) tick(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		case <-timer.C:
			c.mu.Lock()
			c.tickLocked()
			c.mu.Unlock()
		}
		c.mu.Lock()
		deadline := c.deadlineLocked()
		c.mu.Unlock()
		timer.Stop()
		if !deadline.IsZero() {
			timer.Reset(time.Until(deadline))
		}
	}
}

// register opens a session. The error is a status for the TaskManager.
func (c *core) register(s *session) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.mu.sessions {
		if other.info.ID != s.info.ID {
			continue
		}
		if other.info.Host != s.info.Host {
			return status.Errorf(codes.AlreadyExists, "a TaskManager %s is registered from host %s (process %d), and this one is on host %s: "+
				"give each its own taskmanager.resource-id", other.info.ID, other.info.Host, other.pid, s.info.Host)
		}
		// It was started again before the end of its old connection was noticed.
		c.endLocked(other, status.Error(codes.Aborted, "the TaskManager has registered anew"))
	}
	c.mu.sessions[s.id] = s
	c.log.Info("TaskManager registered", "task_manager", s.info.ID, "host", s.info.Host, "slots", s.info.Slots,
		"network_memory_per_slot", s.info.NetworkMemoryPerSlot.String(), "platform", s.info.Platform, "version", s.version,
		"pid", s.pid, "peer", s.peer, "session", s.id)
	close(c.mu.registered)
	c.mu.registered = make(chan struct{})
	c.stepLocked(scheduler.TaskManagerRegistered{Session: s.id, TaskManager: s.info})
	return nil
}

// end ends a session, if it has not ended yet: what ran by it is lost. why is
// what its stream ends with.
func (c *core) end(s *session, why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endLocked(s, why)
}

func (c *core) endLocked(s *session, why error) {
	if c.mu.sessions[s.id] != s {
		return
	}
	delete(c.mu.sessions, s.id)
	s.why = why
	close(s.ended)
	reason := status.Convert(why).Message()
	level := slog.LevelWarn
	if errors.Is(why, errStopping) {
		level = slog.LevelInfo
	}
	c.log.Log(context.Background(), level, "TaskManager lost", "task_manager", s.info.ID, "reason", reason, "session", s.id)
	for _, id := range slices.Sorted(maps.Keys(c.mu.plannings)) {
		if p := c.mu.plannings[id]; p.session == s {
			delete(c.mu.plannings, id)
			p.lost <- fmt.Sprintf("TaskManager %s was lost while it planned the job: %s", s.info.ID, reason)
		}
	}
	c.stepLocked(scheduler.TaskManagerLost{Session: s.id, Reason: reason})
}

// send puts a message on its way to a TaskManager. One that does not read what
// it is sent is dropped.
func (c *core) send(id ids.SessionID, m *tmv1.ConnectResponse) {
	s := c.mu.sessions[id]
	if s == nil {
		return // It was lost just now; the scheduler is about to hear of it.
	}
	m.SessionId, m.LeaderEpoch = s.id[:], c.epoch
	if !s.out.put(m) {
		c.endLocked(s, status.Errorf(codes.ResourceExhausted, "it does not read what it is sent: more than %d MiB wait for it", outboxLimit>>20))
	}
}

// platforms returns those of the registered TaskManagers, each once, in order.
// The caller holds the lock.
func (c *core) platformsLocked() []string {
	var platforms []string
	for _, s := range c.mu.sessions {
		platforms = append(platforms, s.info.Platform)
	}
	slices.Sort(platforms)
	return slices.Compact(platforms)
}
