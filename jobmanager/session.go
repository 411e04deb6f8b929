package jobmanager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"runtime/debug"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/launch"
	"github.com/weirstream/weir/internal/memory"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	"github.com/weirstream/weir/scheduler"
)

// maxSlots bounds the slots of one TaskManager.
const maxSlots = 4096

// session is one registration of a TaskManager: as long as its stream.
type session struct {
	id      ids.SessionID
	info    scheduler.TaskManager
	version string
	pid     int64
	peer    string
	out     *outbox
	// sending is when the message that is being sent now was begun, in
	// nanoseconds on the clock of began; zero while nothing is.
	sending atomic.Int64
	began   time.Time
	// ended is closed when the session has ended, which the lock of the core
	// guards, and why is what the stream ends with.
	ended chan struct{}
	why   error
}

// received is what came through a stream.
type received struct {
	message *tmv1.ConnectRequest
	err     error
}

// Connect implements the service: it is the stream of one TaskManager.
func (g *gateway) Connect(stream grpc.BidiStreamingServer[tmv1.ConnectRequest, tmv1.ConnectResponse]) error {
	// The goroutines of a stream end after this has returned, when the stream
	// has: nothing else interrupts its Recv and its Send.
	done := make(chan struct{})
	defer close(done)
	incoming := make(chan received)
	if !g.group.Go(func(context.Context) error { read(stream, incoming, done); return nil }) {
		return errStopping
	}
	s, err := g.await(stream, incoming)
	if err != nil {
		g.log.Warn("registration refused", "peer", peerOf(stream.Context()), "reason", status.Convert(err).Message())
		return err
	}
	defer func() { g.core.end(s, errStopping) }() // Of no effect if it has ended.
	if !g.group.Go(func(context.Context) error { g.send(stream, s, done); return nil }) {
		return errStopping
	}
	return g.serve(stream, s, incoming)
}

// read hands on what comes through a stream until it breaks.
func read(stream grpc.BidiStreamingServer[tmv1.ConnectRequest, tmv1.ConnectResponse], incoming chan<- received, done <-chan struct{}) {
	for {
		m, err := stream.Recv()
		select {
		case incoming <- received{m, err}:
		case <-done:
			return
		}
		if err != nil {
			return
		}
	}
}

// await waits for the registration and opens the session.
func (g *gateway) await(stream grpc.BidiStreamingServer[tmv1.ConnectRequest, tmv1.ConnectResponse], incoming <-chan received) (*session, error) {
	timer := time.NewTimer(g.heartbeatTimeout)
	defer timer.Stop()
	select {
	case r := <-incoming:
		if r.err != nil {
			return nil, status.Errorf(codes.Aborted, "the stream ended before the registration: %v", status.Convert(r.err).Message())
		}
		register := r.message.GetRegister()
		if register == nil {
			return nil, status.Errorf(codes.InvalidArgument, "the first message must be Register, not %T", r.message.GetMessage())
		}
		s, err := newSession(register, peerOf(stream.Context()))
		if err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		s.out.put(&tmv1.ConnectResponse{SessionId: s.id[:], LeaderEpoch: g.core.epoch, Message: &tmv1.ConnectResponse_Registered{
			Registered: &tmv1.Registered{
				ClusterId:           g.cluster,
				HeartbeatIntervalMs: uint64(g.heartbeatInterval.Milliseconds()),
				HeartbeatTimeoutMs:  uint64(g.heartbeatTimeout.Milliseconds()),
			},
		}})
		return s, g.core.register(s)
	case <-timer.C:
		return nil, status.Errorf(codes.DeadlineExceeded, "no registration came within heartbeat.timeout (%s)", g.heartbeatTimeout)
	case <-g.group.Context().Done():
		return nil, errStopping
	}
}

// newSession checks what a TaskManager says of itself.
func newSession(m *tmv1.Register, peer string) (*session, error) {
	check := func(ok bool, format string, args ...any) error {
		if ok {
			return nil
		}
		return fmt.Errorf("registration: "+format, args...)
	}
	err := errors.Join(
		check(m.GetId() != "" && len(m.GetId()) <= 1024, "the TaskManager's id (taskmanager.resource-id) has %d bytes: want 1 to 1024", len(m.GetId())),
		check(m.GetHost() != "" && len(m.GetHost()) <= 1024, "the host (taskmanager.host) has %d bytes: want 1 to 1024", len(m.GetHost())),
		check(m.GetSlots() >= 1 && m.GetSlots() <= maxSlots, "%d slots (taskmanager.numberOfTaskSlots): want 1 to %d", m.GetSlots(), maxSlots),
		check(m.GetSegmentSize() >= 1 && m.GetSegmentSize() <= 1<<30, "a segment size of %d bytes: want 1 to 1 GiB", m.GetSegmentSize()),
		check(m.GetNetworkMemoryPerSlot() >= uint64(m.GetSegmentSize()) && m.GetNetworkMemoryPerSlot() <= math.MaxInt64,
			"network memory of %d bytes in a slot: want at least one segment", m.GetNetworkMemoryPerSlot()),
		check(m.GetPlatform() != "", "the platform is missing"),
		check(m.GetWorkerProtocolMin() <= launch.Protocol && m.GetWorkerProtocolMax() >= launch.OldestProtocol,
			"the TaskManager (version %q) serves workers of protocol %d to %d, this JobManager %d to %d: upgrade the older of the two",
			m.GetVersion(), m.GetWorkerProtocolMin(), m.GetWorkerProtocolMax(), launch.OldestProtocol, launch.Protocol),
	)
	if err != nil {
		return nil, err
	}
	return &session{
		id: ids.NewSessionID(), version: m.GetVersion(), pid: m.GetPid(), peer: peer,
		info: scheduler.TaskManager{
			ID: ids.TaskManagerID(m.GetId()), Host: m.GetHost(), Slots: int(m.GetSlots()),
			NetworkMemoryPerSlot: memory.Size(m.GetNetworkMemoryPerSlot()), SegmentSize: memory.Size(m.GetSegmentSize()),
			Platform: m.GetPlatform(),
		},
		out: newOutbox(outboxLimit), began: time.Now(), ended: make(chan struct{}),
	}, nil
}

// serve takes in what the TaskManager says until the session ends, and returns
// what the stream ends with.
func (g *gateway) serve(stream grpc.BidiStreamingServer[tmv1.ConnectRequest, tmv1.ConnectResponse], s *session, incoming <-chan received) error {
	silence := time.NewTimer(g.heartbeatTimeout)
	defer silence.Stop()
	check := time.NewTicker(g.heartbeatInterval)
	defer check.Stop()
	for {
		var why error
		select {
		case r := <-incoming:
			if r.err != nil {
				why = lostStream(stream.Context(), r.err)
				break
			}
			silence.Reset(g.heartbeatTimeout)
			why = g.handle(s, r.message)
		case <-silence.C:
			why = status.Errorf(codes.DeadlineExceeded, "nothing was heard of it for heartbeat.timeout (%s)", g.heartbeatTimeout)
		case <-check.C:
			if since := s.sending.Load(); since != 0 && time.Since(s.began)-time.Duration(since) > g.heartbeatTimeout {
				why = status.Errorf(codes.DeadlineExceeded, "it has not read what it is sent for heartbeat.timeout (%s)", g.heartbeatTimeout)
			}
		case <-s.ended:
			return s.why
		case <-g.group.Context().Done():
			why = errStopping
		}
		if why != nil {
			g.core.end(s, why)
		}
	}
}

// lostStream says why nothing comes through a stream any more.
func lostStream(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return status.Error(codes.Aborted, "it closed the stream")
	case ctx.Err() != nil:
		return status.Error(codes.Aborted, "the stream was closed")
	}
	return status.Errorf(codes.Aborted, "the stream broke: %s", status.Convert(err).Message())
}

// handle takes in one message. A panic ends only the session.
func (g *gateway) handle(s *session, m *tmv1.ConnectRequest) (why error) {
	defer func() {
		if r := recover(); r != nil {
			g.log.Error("a message of a TaskManager caused a panic", "task_manager", s.info.ID,
				"message", fmt.Sprintf("%T", m.GetMessage()), "panic", r, "stack", string(debug.Stack()))
			why = status.Error(codes.Internal, "internal error of the JobManager; its log has the details")
		}
	}()
	g.core.hear(s, m)
	return nil
}

// send sends what is put into the session's outbox, and heartbeats, until the
// stream is done. An error of the stream is what its reader gets, too.
func (g *gateway) send(stream grpc.BidiStreamingServer[tmv1.ConnectRequest, tmv1.ConnectResponse], s *session, done <-chan struct{}) {
	beat := time.NewTicker(g.heartbeatInterval)
	defer beat.Stop()
	sequence := uint64(0)
	for {
		var messages []*tmv1.ConnectResponse
		select {
		case <-s.out.ready:
			messages = s.out.take()
		case <-beat.C:
			sequence++
			messages = []*tmv1.ConnectResponse{{
				SessionId: s.id[:], LeaderEpoch: g.core.epoch,
				Message: &tmv1.ConnectResponse_Heartbeat{Heartbeat: &tmv1.Heartbeat{Sequence: sequence}},
			}}
		case <-done:
			return
		}
		for _, m := range messages {
			s.sending.Store(int64(max(1, time.Since(s.began))))
			err := stream.Send(m)
			s.sending.Store(0)
			if err != nil {
				return
			}
		}
	}
}

func peerOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return p.Addr.String()
	}
	return "unknown"
}

// hear takes in a message of a TaskManager.
func (c *core) hear(s *session, m *tmv1.ConnectRequest) {
	if !sameSession(s, m) || m.GetLeaderEpoch() != c.epoch {
		c.log.Warn("message dropped", "message", fmt.Sprintf("%T", m.GetMessage()), "task_manager", s.info.ID, "session", s.id,
			"reason", fmt.Sprintf("it is of session %x and leader epoch %d", m.GetSessionId(), m.GetLeaderEpoch()))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch m := m.GetMessage().(type) {
	case *tmv1.ConnectRequest_Heartbeat:
	case *tmv1.ConnectRequest_PlanDone:
		c.planDone(s, m.PlanDone)
	case *tmv1.ConnectRequest_WorkerHello:
		if o, ok := c.origin(s, m.WorkerHello); ok {
			c.workerHello(s, o, m.WorkerHello)
		}
	case *tmv1.ConnectRequest_WorkerMessage:
		if o, ok := c.origin(s, m.WorkerMessage); ok {
			c.workerMessage(o, m.WorkerMessage)
		}
	case *tmv1.ConnectRequest_WorkerExited:
		if o, ok := c.origin(s, m.WorkerExited); ok {
			e := exitFromProto(o, m.WorkerExited)
			c.log.Info("worker exited", "job", o.Job, "attempt", o.Attempt, "task_manager", s.info.ID,
				"exit_code", e.ExitCode, "signal", e.Signal, "error", e.Error, "log_file", e.LogFile)
			c.stepLocked(e)
		}
	case *tmv1.ConnectRequest_JobOutput:
		if o, ok := c.origin(s, m.JobOutput); ok && c.mu.scheduler.Runs(o) {
			j := c.mu.jobs[o.Job]
			j.output.append(s.info.ID, m.JobOutput.GetStandardError(), m.JobOutput.GetData())
			j.notify()
		}
	default:
		c.log.Warn("message dropped", "message", fmt.Sprintf("%T", m), "task_manager", s.info.ID, "reason", "this JobManager does not know such a message")
	}
}

func sameSession(s *session, m *tmv1.ConnectRequest) bool {
	return string(m.GetSessionId()) == string(s.id[:])
}

// ofAttempt is a message that names an attempt of a job.
type ofAttempt interface {
	GetJobId() []byte
	GetAttempt() uint32
}

// origin returns where a message about a worker comes from, and false if its
// job id is none.
func (c *core) origin(s *session, m ofAttempt) (scheduler.Origin, bool) {
	if len(m.GetJobId()) != len(ids.JobID{}) {
		c.log.Warn("message dropped", "message", fmt.Sprintf("%T", m), "task_manager", s.info.ID,
			"reason", fmt.Sprintf("its job id has %d bytes", len(m.GetJobId())))
		return scheduler.Origin{}, false
	}
	return scheduler.Origin{Session: s.id, Job: ids.JobID(m.GetJobId()), Attempt: ids.Attempt(m.GetAttempt())}, true
}

// workerHello checks that this JobManager can work with a worker.
func (c *core) workerHello(s *session, o scheduler.Origin, m *tmv1.WorkerHello) {
	protocol := m.GetProtocolVersion()
	c.log.Log(context.Background(), slog.LevelInfo, "worker started", "job", o.Job, "attempt", o.Attempt, "task_manager", s.info.ID,
		"pid", m.GetPid(), "engine", m.GetEngineVersion(), "protocol", protocol)
	if protocol < launch.OldestProtocol || protocol > launch.Protocol {
		c.stepLocked(scheduler.WorkerRefused{Origin: o, Reason: fmt.Sprintf(
			"the job was built with engine %s, whose workers speak protocol %d; this JobManager serves %d to %d: build the job with another engine, or upgrade the cluster",
			text(m.GetEngineVersion()), protocol, launch.OldestProtocol, launch.Protocol)})
	}
}

func (c *core) workerMessage(o scheduler.Origin, m *tmv1.WorkerMessage) {
	if report := m.GetMessage().GetMetrics(); report != nil {
		if c.mu.scheduler.Runs(o) {
			c.mu.jobs[o.Job].measure(report)
		}
		return
	}
	if j := c.mu.jobs[o.Job]; j != nil && j.checkpoints != nil && j.checkpoints.hear(o, m.GetMessage()) {
		return
	}
	if event := workerEvent(o, m.GetMessage()); event != nil {
		c.stepLocked(event)
	}
}
