package taskmanager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/ids"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

// session is one registration with a JobManager and everything that runs by
// its order: when the session's group stops, all of it is killed, and when the
// group has been waited for, all of it is gone.
type session struct {
	config  *Config
	logger  *slog.Logger
	fence   fence
	stream  grpc.BidiStreamingClient[tmv1.ConnectRequest, tmv1.ConnectResponse]
	gateway tmv1.TaskManagerGatewayClient
	group   *goroutine.Group
	out     *outbox
	ports   *dataPorts
	// heard gets a value for each message of the JobManager.
	heard             chan struct{}
	heartbeatInterval time.Duration
	heartbeatTimeout  time.Duration

	mu struct {
		sync.Mutex
		ledger  *ledger
		workers map[attempt]*workerRun
		plans   map[string]context.CancelCauseFunc
	}
}

// errSilent ends a session whose JobManager is not heard any more.
var errSilent = errors.New("the JobManager is silent")

// run serves the session until it breaks or is told to stop, and returns when
// nothing runs any more.
func (s *session) run() error {
	s.group.Go(s.receive)
	s.group.Go(s.send)
	s.group.Go(s.watch)
	return s.group.Wait()
}

func (s *session) receive(ctx context.Context) error {
	for {
		m, err := s.stream.Recv()
		switch {
		case ctx.Err() != nil:
			return nil // The session ends for another reason.
		case errors.Is(err, io.EOF):
			return errors.New("the JobManager closed the stream")
		case err != nil:
			return errors.New(statusText(err))
		}
		select {
		case s.heard <- struct{}{}:
		default:
		}
		s.dispatch(m)
	}
}

func (s *session) send(ctx context.Context) error {
	ticker := time.NewTicker(s.heartbeatInterval)
	defer ticker.Stop()
	var sequence uint64
	heartbeat := func() *tmv1.ConnectRequest {
		sequence++
		return &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_Heartbeat{Heartbeat: &tmv1.Heartbeat{Sequence: sequence}}}
	}
	return s.out.drain(ctx, ticker.C, heartbeat, func(m *tmv1.ConnectRequest) error {
		m.SessionId, m.LeaderEpoch = s.fence.session[:], s.fence.epoch
		if err := s.stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return nil // After io.EOF receive has the reason.
	})
}

// watch ends the session when the JobManager has been silent for too long.
func (s *session) watch(ctx context.Context) error {
	timer := time.NewTimer(s.heartbeatTimeout)
	defer timer.Stop()
	for {
		select {
		case <-s.heard:
			timer.Reset(s.heartbeatTimeout)
		case <-timer.C:
			return fmt.Errorf("%w: nothing was heard for heartbeat.timeout (%v)", errSilent, s.heartbeatTimeout)
		case <-ctx.Done():
			return nil
		}
	}
}

// dispatch does what a message asks for, without waiting for anything.
func (s *session) dispatch(m *tmv1.ConnectResponse) {
	if err := s.fence.admit(m.GetSessionId(), m.GetLeaderEpoch()); err != nil {
		s.drop(fmt.Sprintf("%T", m.GetMessage()), err)
		return
	}
	switch m := m.GetMessage().(type) {
	case *tmv1.ConnectResponse_Heartbeat:
	case *tmv1.ConnectResponse_RunPlan:
		s.runPlan(m.RunPlan)
	case *tmv1.ConnectResponse_StopPlan:
		s.stopPlan(m.StopPlan)
	case *tmv1.ConnectResponse_StartWorker:
		s.startWorker(m.StartWorker)
	case *tmv1.ConnectResponse_WorkerCommand:
		if run := s.worker("WorkerCommand", m.WorkerCommand); run != nil {
			run.command(m.WorkerCommand)
		}
	case *tmv1.ConnectResponse_KillWorker:
		if run := s.worker("KillWorker", m.KillWorker); run != nil {
			run.kill(fmt.Errorf("the worker was killed by the JobManager: %s", m.KillWorker.GetReason()))
		}
	default:
		s.drop(fmt.Sprintf("%T", m), errors.New("this TaskManager does not know such a message"))
	}
}

// drop logs a message that is not obeyed.
func (s *session) drop(message string, why error) {
	s.logger.Warn("dropped a message of the JobManager", "message", message, "reason", why)
}

// ofAttempt is a message that names an attempt.
type ofAttempt interface {
	GetJobId() []byte
	GetAttempt() uint32
}

func attemptOf(m ofAttempt) (attempt, error) {
	raw := m.GetJobId()
	if len(raw) != len(ids.JobID{}) {
		return attempt{}, fmt.Errorf("its job id has %d bytes: want %d", len(raw), len(ids.JobID{}))
	}
	return attempt{job: ids.JobID(raw), number: ids.Attempt(m.GetAttempt())}, nil
}

// worker returns the worker that a message is for. One whose exit is already on
// its way to the JobManager has none.
func (s *session) worker(message string, m ofAttempt) *workerRun {
	a, err := attemptOf(m)
	if err != nil {
		s.drop(message, err)
		return nil
	}
	s.mu.Lock()
	run := s.mu.workers[a]
	s.mu.Unlock()
	if run == nil {
		s.drop(message, fmt.Errorf("no worker of %s is here", a))
	}
	return run
}

func (s *session) startWorker(m *tmv1.StartWorker) {
	a, err := attemptOf(m)
	if err != nil {
		s.drop("StartWorker", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	slots, err := s.mu.ledger.take(a, len(m.GetSlots()))
	switch {
	case errors.Is(err, errStale):
		s.drop("StartWorker", err)
		return
	case err != nil:
		s.refuseWorker(a, err)
		return
	}
	run, err := s.newWorkerRun(a, slots, m)
	if err != nil {
		s.mu.ledger.release(a)
		s.refuseWorker(a, err)
		return
	}
	s.mu.workers[a] = run
	s.logger.Info("starting a worker", "job", a.job, "name", m.GetJobName(), "attempt", a.number, "slots", slots)
	s.group.Go(func(ctx context.Context) error {
		s.runWorker(ctx, run)
		return nil
	})
}

// refuseWorker reports a worker that is not started.
func (s *session) refuseWorker(a attempt, why error) {
	s.group.Go(func(ctx context.Context) error {
		put(ctx, s.out.bulk, &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_WorkerExited{WorkerExited: &tmv1.WorkerExited{
			JobId: a.job[:], Attempt: uint32(a.number), ExitCode: -1, Error: why.Error(),
		}}})
		return nil
	})
}

func (s *session) newWorkerRun(a attempt, slots []int, m *tmv1.StartWorker) (*workerRun, error) {
	program, err := programOf(m)
	if err != nil {
		return nil, err
	}
	program.recorded = m.GetPlan().GetRecorded()
	program.fetch = s.fetch
	run := &workerRun{supervisor: newSupervisor(s.welcome(m), s.config.Version)}
	run.ctx, run.kill = context.WithCancelCause(s.group.Context())
	run.request = workerRequest{
		program: program, attempt: a, slots: slots,
		output: func(standardError bool, data []byte) {
			put(s.group.Context(), s.out.bulk, &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_JobOutput{JobOutput: &tmv1.JobOutput{
				JobId: a.job[:], Attempt: uint32(a.number), StandardError: standardError, Data: data,
			}}})
		},
	}
	if m.GetDataListener() {
		run.reserve = s.ports.reserve
	}
	run.supervisor.onHello = func(hello *workerv1.Hello) {
		put(s.group.Context(), s.out.urgent, &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_WorkerHello{WorkerHello: &tmv1.WorkerHello{
			JobId: a.job[:], Attempt: uint32(a.number), ProtocolVersion: hello.GetProtocolVersion(),
			EngineVersion: hello.GetEngineVersion(), Pid: hello.GetPid(),
		}}})
	}
	relay := func(said *workerv1.SessionRequest) {
		put(s.group.Context(), s.out.urgent, &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_WorkerMessage{WorkerMessage: &tmv1.WorkerMessage{
			JobId: a.job[:], Attempt: uint32(a.number), Message: said,
		}}})
	}
	if run.snapshots, err = openSnapshots(a, m.GetConfiguration(), s.group, relay); err != nil {
		return nil, err
	}
	run.supervisor.relay = func(said *workerv1.SessionRequest) {
		if taken := said.GetSnapshot(); taken != nil && taken.GetFailure() == nil && run.snapshots != nil {
			run.snapshots.store(taken)
			return
		}
		relay(said)
	}
	return run, nil
}

// welcome has what a worker is told, but for its memory's descriptors and the
// address that it listens on.
func (s *session) welcome(m *tmv1.StartWorker) *workerv1.Welcome {
	w := &workerv1.Welcome{
		JobId: m.GetJobId(), Attempt: m.GetAttempt(), Worker: m.GetWorker(), Secret: m.GetSecret(), Executable: m.GetSha256(),
		Configuration: m.GetConfiguration(), Plan: m.GetPlan(), DefaultParallelism: m.GetDefaultParallelism(),
		DataHost: s.config.Host, DataCertificate: m.GetDataCertificate(), DataKey: m.GetDataKey(), TaskManager: string(s.config.ID),
	}
	for _, index := range m.GetSlots() {
		w.Slots = append(w.Slots, &workerv1.Slot{Index: index, MemoryFd: -1, MemorySize: uint64(s.config.NetworkMemoryPerSlot)})
	}
	return w
}

// runWorker runs a worker and reports its end, after everything else of it.
func (s *session) runWorker(ctx context.Context, run *workerRun) {
	exited := run.execute(s.config.Launcher, s.config.WorkerStartTimeout)
	a := run.request.attempt
	s.mu.Lock()
	delete(s.mu.workers, a)
	s.mu.ledger.release(a)
	s.mu.Unlock()
	s.ports.release(a)
	run.kill(nil)
	s.logger.Info("a worker is gone", "job", a.job, "attempt", a.number,
		"exit_code", exited.GetExitCode(), "signal", exited.GetSignal(), "error", exited.GetError())
	put(ctx, s.out.bulk, &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_WorkerExited{WorkerExited: exited}})
}

// errStopPlan ends a planning that nobody waits for.
var errStopPlan = errors.New("the planning was stopped: nobody waits for it any more")

func (s *session) runPlan(m *tmv1.RunPlan) {
	id := m.GetPlanId()
	program, err := programOf(m)
	program.recorded = m.GetRecorded()
	program.fetch = s.fetch
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.mu.plans[id]; ok {
		s.drop("RunPlan", fmt.Errorf("planning %q is running already", id))
		return
	}
	ctx, cancel := context.WithCancelCause(s.group.Context())
	s.mu.plans[id] = cancel
	s.group.Go(func(sessionCtx context.Context) error {
		result := planResult{exitCode: -1}
		if err != nil {
			result.err = err.Error()
		} else {
			result = s.config.Launcher.plan(ctx, planRequest{
				program: program, run: int(m.GetRun()), timeout: time.Duration(m.GetTimeoutMs()) * time.Millisecond,
			})
		}
		s.stopPlan(&tmv1.StopPlan{PlanId: id})
		put(sessionCtx, s.out.urgent, &tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_PlanDone{PlanDone: &tmv1.PlanDone{
			PlanId: id, Plan: result.plan, Error: strings.ToValidUTF8(result.err, "\uFFFD"),
			Stdout: result.stdout, Stderr: result.stderr, ExitCode: int32(result.exitCode),
		}}})
		return nil
	})
}

// stopPlan ends a planning; one that has ended is none any more.
func (s *session) stopPlan(m *tmv1.StopPlan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.mu.plans[m.GetPlanId()]; cancel != nil {
		cancel(errStopPlan)
		delete(s.mu.plans, m.GetPlanId())
	}
}

// programOf reads what RunPlan and StartWorker have in common.
func programOf(m interface {
	GetSha256() []byte
	GetFileName() string
	GetArguments() []string
	GetConfiguration() map[string]string
},
) (program, error) {
	p := program{fileName: m.GetFileName(), arguments: m.GetArguments(), configuration: m.GetConfiguration()}
	// In the process of the job itself there is no artefact.
	if n := copy(p.digest[:], m.GetSha256()); len(m.GetSha256()) != 0 && (n != len(p.digest) || n != len(m.GetSha256())) {
		return p, fmt.Errorf("the artefact's SHA-256 has %d bytes: want %d", len(m.GetSha256()), len(p.digest))
	}
	return p, nil
}

// fetch reads an artefact from the JobManager.
func (s *session) fetch(ctx context.Context, d digest, w io.Writer, limit int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.gateway.FetchArtefact(ctx, &tmv1.FetchArtefactRequest{Sha256: d[:]})
	if err != nil {
		return err
	}
	var size, have uint64
	for first := true; ; first = false {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && have == size:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("the JobManager announced %d bytes, but sent %d", size, have)
		case err != nil:
			return err
		}
		if first {
			if size = m.GetSize(); size > uint64(limit) {
				return fmt.Errorf("it has %d bytes: this TaskManager takes at most %d", size, limit)
			}
		}
		if have += uint64(len(m.GetChunk())); have > size {
			return fmt.Errorf("the JobManager announced %d bytes, but sends more", size)
		}
		if _, err := w.Write(m.GetChunk()); err != nil {
			return err
		}
	}
}
