package taskmanager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/launch"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
)

// TaskManager offers its slots to a JobManager and runs the workers of jobs in
// them.
type TaskManager struct {
	config Config
	logger *slog.Logger
	ran    atomic.Bool
}

// New returns a TaskManager. The error names everything that is wrong with the
// configuration. Nothing is started or opened before [TaskManager.Run].
func New(config Config) (*TaskManager, error) {
	if err := config.setDefaults(); err != nil {
		return nil, fmt.Errorf("TaskManager: %w", err)
	}
	return &TaskManager{config: config, logger: config.Logger.With("task_manager", string(config.ID))}, nil
}

// ID returns the TaskManager's stable name.
func (t *TaskManager) ID() ids.TaskManagerID { return t.config.ID }

// Run registers with the JobManager and serves it until ctx is done; then it
// kills what runs, waits until all of it is gone, and returns nil. It returns
// an error if something that it needs of this host cannot be had, or if it
// could not register for the time that the configuration allows, at first or
// again. It is called once.
func (t *TaskManager) Run(ctx context.Context) (err error) {
	if !t.ran.CompareAndSwap(false, true) {
		return errors.New("the TaskManager has run already; make another one")
	}
	err = t.config.Launcher.open(launcherOptions{
		slots: t.config.Slots, memory: t.config.NetworkMemoryPerSlot, logger: t.logger,
	})
	if err != nil {
		return fmt.Errorf("TaskManager: %w", err)
	}
	defer func() {
		if closeErr := t.config.Launcher.close(); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("TaskManager: %w", closeErr))
		}
	}()
	t.logger.Info("TaskManager starts", "version", t.config.Version, "slots", t.config.Slots, "job_manager", t.config.JobManager)
	return t.serve(ctx)
}

// serve registers again and again.
func (t *TaskManager) serve(ctx context.Context) error {
	r := newRegistration(t.config.Registration, time.Now())
	for {
		err := t.connect(ctx, r.timeout)
		if ctx.Err() != nil {
			return nil
		}
		var notRegistered *registrationError
		if !errors.As(err, &notRegistered) {
			t.logger.Warn("lost the JobManager; everything that ran for it is gone; registering again", "reason", err)
			r = newRegistration(t.config.Registration, time.Now())
			continue
		}
		pause, giveUp := r.retry(time.Now(), notRegistered.how)
		if giveUp {
			return fmt.Errorf("TaskManager %s: could not register with the JobManager at %s within taskmanager.registration.timeout (%v): %w",
				t.config.ID, t.config.JobManager, t.config.Registration.Timeout, notRegistered.err)
		}
		level := slog.LevelInfo
		if notRegistered.how == refused {
			level = slog.LevelWarn // Somebody has to do something about it.
		}
		t.logger.Log(ctx, level, "could not register with the JobManager; trying again",
			"job_manager", t.config.JobManager, "reason", notRegistered.err, "in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// registrationError is why an attempt to register has failed.
type registrationError struct {
	how outcome
	err error
}

func (e *registrationError) Error() string { return e.err.Error() }
func (e *registrationError) Unwrap() error { return e.err }

var errUnanswered = errors.New("the JobManager did not answer")

// connect opens a session, which must be registered within the timeout, and
// serves it to its end. The error is a registrationError if it came to none.
func (t *TaskManager) connect(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conn, err := t.dial()
	if err != nil {
		return &registrationError{failed, err}
	}
	defer conn.Close()

	group := goroutine.New(ctx)
	defer group.Close() // Its error has been returned by then.
	late := fmt.Errorf("%w within %v", errUnanswered, timeout)
	timer := time.AfterFunc(timeout, func() { cancel(late) })
	defer timer.Stop()
	gateway := tmv1.NewTaskManagerGatewayClient(conn)
	stream, answer, err := t.register(group.Context(), gateway)
	if inTime := timer.Stop(); err != nil || !inTime {
		if !inTime {
			// The timer may have fired and not yet come to cancel.
			cancel(late)
			err = context.Cause(ctx)
		}
		return &registrationError{outcomeOf(status.Code(err), !inTime), errors.New(statusText(err))}
	}
	s, err := t.newSession(group, gateway, stream, answer)
	if err != nil {
		return &registrationError{failed, err}
	}
	return s.run()
}

func (t *TaskManager) dial() (*grpc.ClientConn, error) {
	options := append([]grpc.DialOption{
		// A proxy for web pages does not lead to the cluster.
		grpc.WithNoProxy(),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(launch.MaxMessageSize),
			grpc.MaxCallSendMsgSize(launch.MaxMessageSize),
		),
	}, t.config.DialOptions...)
	conn, err := grpc.NewClient(t.config.JobManager, options...)
	if err != nil {
		return nil, fmt.Errorf("the JobManager's address %q: %w", t.config.JobManager, err)
	}
	return conn, nil
}

// register opens the stream and returns the JobManager's first answer.
func (t *TaskManager) register(ctx context.Context, gateway tmv1.TaskManagerGatewayClient) (
	stream grpc.BidiStreamingClient[tmv1.ConnectRequest, tmv1.ConnectResponse], answer *tmv1.ConnectResponse, err error,
) {
	stream, err = gateway.Connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	// An error of Send is only that there is one: Recv has it.
	_ = stream.Send(&tmv1.ConnectRequest{Message: &tmv1.ConnectRequest_Register{Register: &tmv1.Register{
		Id: string(t.config.ID), Host: t.config.Host, Slots: uint32(t.config.Slots),
		NetworkMemoryPerSlot: uint64(t.config.NetworkMemoryPerSlot), SegmentSize: uint32(t.config.SegmentSize),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, Version: t.config.Version,
		WorkerProtocolMin: launch.OldestProtocol, WorkerProtocolMax: launch.Protocol, Pid: int64(os.Getpid()),
	}}})
	answer, err = stream.Recv()
	return stream, answer, err
}

func (t *TaskManager) newSession(group *goroutine.Group, gateway tmv1.TaskManagerGatewayClient,
	stream grpc.BidiStreamingClient[tmv1.ConnectRequest, tmv1.ConnectResponse], answer *tmv1.ConnectResponse,
) (*session, error) {
	registered := answer.GetRegistered()
	if registered == nil {
		return nil, fmt.Errorf("the JobManager answered with %T instead of Registered", answer.GetMessage())
	}
	id := answer.GetSessionId()
	if len(id) != len(ids.SessionID{}) {
		return nil, fmt.Errorf("the JobManager gave a session id of %d bytes: want %d", len(id), len(ids.SessionID{}))
	}
	if registered.GetHeartbeatIntervalMs() == 0 || registered.GetHeartbeatTimeoutMs() == 0 {
		return nil, fmt.Errorf("the JobManager asked for a heartbeat every %d ms and a timeout of %d ms: both must be positive",
			registered.GetHeartbeatIntervalMs(), registered.GetHeartbeatTimeoutMs())
	}
	s := &session{
		config: &t.config, stream: stream, gateway: gateway, group: group, out: newOutbox(),
		ports:             newDataPorts(t.config.DataBindHost, t.config.DataPorts),
		fence:             fence{session: ids.SessionID(id), epoch: answer.GetLeaderEpoch()},
		heard:             make(chan struct{}, 1),
		heartbeatInterval: milliseconds(registered.GetHeartbeatIntervalMs()),
		heartbeatTimeout:  milliseconds(registered.GetHeartbeatTimeoutMs()),
	}
	s.logger = t.logger.With("session", s.fence.session.String())
	s.mu.ledger = newLedger(t.config.Slots)
	s.mu.workers = map[attempt]*workerRun{}
	s.mu.plans = map[string]context.CancelCauseFunc{}
	s.logger.Info("registered with the JobManager", "cluster", registered.GetClusterId(), "leader_epoch", s.fence.epoch)
	return s, nil
}

// milliseconds returns n ms, at most the longest duration there is.
func milliseconds(n uint64) time.Duration {
	const most = uint64(1<<63-1) / uint64(time.Millisecond)
	return time.Duration(min(n, most)) * time.Millisecond
}

// statusText returns an error as users read it: without gRPC's own words.
func statusText(err error) string {
	s, ok := status.FromError(err)
	if !ok || s.Code() == codes.OK {
		return err.Error()
	}
	return s.Message()
}
