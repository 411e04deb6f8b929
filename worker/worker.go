package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/launch"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/task"
)

// Config is what a worker brings along.
type Config struct {
	// Graph is what main built. It is not changed any more.
	Graph *dataflow.Graph
	// EngineVersion is the version of the engine in this program, for messages.
	EngineVersion string
	// SharedProcess says that the process goes on after Serve, which therefore
	// waits for everything that it started. User code that does not stop holds
	// it up.
	SharedProcess bool
	// Logger is where the worker logs; nil means slog's default.
	Logger *slog.Logger
}

// host is what runs the tasks: a [task.Host], but for tests.
type host interface {
	DataAddress() string
	Start(tasks []task.Ref, peers []task.Peer, restored ...task.Restored) error
	Cancel()
	EnumerateSplits(ctx context.Context, vertex int) (splits []task.Split, bounded bool, err error)
	AssignSplits(vertex, subtask int, splits []task.Split, noMore bool) error
	Align(vertex, subtask int, group string, limit int64) error
	Trigger(checkpoint uint64, timestamp int64)
	Abort(checkpoint uint64, earlier bool)
	Complete(checkpoint uint64)
	Finish()
	Metrics() []task.Metrics
	Wait()
	Close() error
}

type newHost func(graph *dataflow.Graph, config task.HostConfig) (host, error)

// Serve is the worker's side of the session on conn, which it closes. It returns
// nil after the TaskManager has shut the worker down, and otherwise the reason
// why the session ended: the worker was refused, its part of the job could not
// be prepared, the connection broke, or ctx is done. It is called once for a
// connection.
func Serve(ctx context.Context, conn net.Conn, config Config) error {
	return serve(ctx, conn, config, func(graph *dataflow.Graph, c task.HostConfig) (host, error) {
		h, err := task.NewHost(graph, c)
		if err != nil {
			return nil, err
		}
		return h, nil
	})
}

func serve(ctx context.Context, conn net.Conn, config Config, makeHost newHost) error {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	client, err := dial(conn)
	if err != nil {
		conn.Close()
		return err
	}
	// The client closes the connection only if it came to use it.
	defer conn.Close()
	defer client.Close()
	group := goroutine.New(ctx)
	// The stream's context ends with the group, and with that every Recv.
	defer group.Stop()
	stream, err := workerv1.NewWorkerSupervisorClient(client).Session(group.Context())
	if err != nil {
		return brokenSession(err)
	}
	s := &session{config: config, stream: stream, group: group, out: newOutbox()}
	welcome, err := s.open()
	if err != nil {
		return err
	}
	defer s.removeScratch()
	if s.host, err = s.prepare(welcome, makeHost); err != nil {
		s.sayFailed(err)
		return err
	}
	return s.run()
}

// dial returns a client of whoever is at the other end of conn.
func dial(conn net.Conn) (*grpc.ClientConn, error) {
	var used atomic.Bool
	client, err := grpc.NewClient("passthrough:///taskmanager",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		// A TaskManager that is stopped (SIGSTOP) or hangs closes no connection.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: launch.KeepaliveInterval, Timeout: launch.KeepaliveTimeout}),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			if used.Swap(true) {
				return nil, errors.New("the session's connection cannot be made again")
			}
			return conn, nil
		}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(launch.MaxMessageSize),
			grpc.MaxCallSendMsgSize(launch.MaxMessageSize),
		),
	)
	if err != nil {
		return nil, fmt.Errorf("session with the TaskManager: %w", err)
	}
	return client, nil
}

// brokenSession says that the session has ended by itself.
func brokenSession(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the TaskManager ended the session")
	}
	if s, ok := status.FromError(err); ok {
		return fmt.Errorf("the session with the TaskManager broke: %s", s.Message())
	}
	return fmt.Errorf("the session with the TaskManager broke: %w", err)
}

// open says Hello and waits for the answer.
func (s *session) open() (*workerv1.Welcome, error) {
	plan := s.config.Graph.Layout().Plan
	err := s.stream.Send(&workerv1.SessionRequest{Message: &workerv1.SessionRequest_Hello{Hello: &workerv1.Hello{
		ProtocolVersion: launch.Protocol, EngineVersion: s.config.EngineVersion, Plan: dataflow.ToProto(plan), Pid: int64(os.Getpid()),
	}}})
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, brokenSession(err)
	}
	answer, err := s.stream.Recv() // After io.EOF it has the reason.
	switch {
	case err != nil:
		return nil, brokenSession(err)
	case answer.GetRefused() != nil:
		return nil, fmt.Errorf("the TaskManager refused the worker: %s", answer.GetRefused().GetReason())
	case answer.GetWelcome() == nil:
		return nil, fmt.Errorf("the TaskManager answered Hello with %T", answer.GetMessage())
	}
	return answer.GetWelcome(), nil
}

// prepare makes the host that Welcome describes. The files of the slots' memory
// are closed: what is mapped needs them no longer.
func (s *session) prepare(welcome *workerv1.Welcome, makeHost newHost) (host, error) {
	config, err := hostConfig(welcome)
	if err != nil {
		return nil, err
	}
	defer closeMemory(config.Slots)
	s.taskManager = config.TaskManager
	if config.Checkpointing.Enabled {
		if s.scratch, err = os.MkdirTemp("", "weir-snapshots-"); err != nil {
			return nil, fmt.Errorf("a directory for snapshots: %w", err)
		}
		config.Checkpointing.Directory = s.scratch
	}
	config.Log = s.config.Logger
	config.Events = s.event
	h, err := makeHost(s.config.Graph, config)
	if err != nil {
		return nil, fmt.Errorf("prepare worker %d of the job on TaskManager %s: %w", config.Worker, config.TaskManager, err)
	}
	return h, nil
}

// removeScratch removes what snapshots are left. Those that are not stored yet are of
// no use to anybody, since the worker is about to end.
func (s *session) removeScratch() {
	if s.scratch == "" {
		return
	}
	if err := os.RemoveAll(s.scratch); err != nil {
		s.config.Logger.Warn("could not remove the directory of snapshots", "directory", s.scratch, "error", err)
	}
}

func closeMemory(slots []task.Slot) {
	for _, slot := range slots {
		if slot.Memory != nil {
			_ = slot.Memory.Close() // Nothing was written through it.
		}
	}
}
