package taskmanager

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/launch"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

// supervisor serves the session of one worker: it checks who is there, then
// passes messages on in both directions.
type supervisor struct {
	workerv1.UnimplementedWorkerSupervisorServer

	welcome *workerv1.Welcome
	version string
	// beforeWelcome is called before the worker is welcomed, and again when it
	// is gone.
	beforeWelcome func()
	// onHello is called once, after the worker was welcomed; relay for every
	// further message, and may block.
	onHello func(*workerv1.Hello)
	relay   func(*workerv1.SessionRequest)
	// commands are what the JobManager says, from before the session is open on.
	commands *commandQueue

	opened atomic.Bool
	// hello is closed when the worker was welcomed or refused, ended when its
	// session is over.
	hello, ended chan struct{}

	mu struct {
		sync.Mutex
		// refusal is why the worker was refused, failure why it cannot do its part
		// as it says, err how the session broke.
		refusal, failure string
		err              error
	}
}

func newSupervisor(welcome *workerv1.Welcome, version string) *supervisor {
	return &supervisor{
		welcome: welcome, version: version, commands: newCommandQueue(), beforeWelcome: func() {},
		hello: make(chan struct{}), ended: make(chan struct{}),
	}
}

// newSupervisorServer returns a server whose Stop waits for the session's end.
func newSupervisorServer(v *supervisor) *grpc.Server {
	server := grpc.NewServer(
		// What is passed on is wrapped, and must not become too large by that.
		grpc.MaxRecvMsgSize(launch.MaxMessageSize-64<<10),
		grpc.MaxSendMsgSize(launch.MaxMessageSize),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: launch.KeepaliveInterval / 2}),
	)
	workerv1.RegisterWorkerSupervisorServer(server, v)
	return server
}

// Session implements the service. There is one for each worker.
func (v *supervisor) Session(stream grpc.BidiStreamingServer[workerv1.SessionRequest, workerv1.SessionResponse]) error {
	if !v.opened.CompareAndSwap(false, true) {
		return status.Error(codes.AlreadyExists, "a worker has one session, and this one's is open already")
	}
	err := v.serve(stream)
	v.mu.Lock()
	v.mu.err = err
	v.mu.Unlock()
	close(v.ended)
	return err
}

func (v *supervisor) serve(stream grpc.BidiStreamingServer[workerv1.SessionRequest, workerv1.SessionResponse]) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	if hello == nil {
		return status.Errorf(codes.InvalidArgument, "the session must open with Hello, not %T", first.GetMessage())
	}
	if refusal := v.examine(hello); refusal != "" {
		v.mu.Lock()
		v.mu.refusal = refusal
		v.mu.Unlock()
		close(v.hello)
		return stream.Send(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_Refused{
			Refused: &workerv1.Refused{Reason: refusal},
		}})
	}
	v.beforeWelcome()
	if err := stream.Send(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_Welcome{Welcome: v.welcome}}); err != nil {
		return err
	}
	close(v.hello)
	v.onHello(hello)

	group := goroutine.New(stream.Context())
	group.Go(func(ctx context.Context) error { return v.send(ctx, stream) })
	err = v.receive(stream)
	return errors.Join(err, group.Close())
}

// receive passes on what the worker says, until it says no more.
func (v *supervisor) receive(stream grpc.BidiStreamingServer[workerv1.SessionRequest, workerv1.SessionResponse]) error {
	for {
		m, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.GetMessage() == nil:
			// A kind of message that this build does not know; the version says
			// that a worker does not rely on it.
			continue
		case m.GetHello() != nil:
			return status.Error(codes.InvalidArgument, "the session is open, but the worker said Hello again")
		}
		if m.GetFailed() != nil {
			said := m.GetFailed().GetFailure().GetMessage()
			v.mu.Lock()
			v.mu.failure = said[:min(len(said), tailSize)]
			v.mu.Unlock()
		}
		v.relay(m)
	}
}

// send sends what the JobManager says, until the session ends. A stream that
// breaks ends the session by itself, so its error is nobody's here.
func (v *supervisor) send(ctx context.Context, stream grpc.BidiStreamingServer[workerv1.SessionRequest, workerv1.SessionResponse]) error {
	for {
		m, ok := v.commands.next(ctx)
		if !ok {
			return nil
		}
		if err := stream.Send(m); err != nil {
			return nil
		}
	}
}

// examine returns why a worker cannot be served; empty if it can.
func (v *supervisor) examine(hello *workerv1.Hello) string {
	if refusal := refuseProtocol(hello, v.version); refusal != "" {
		return refusal
	}
	submitted := v.welcome.GetPlan()
	if bytes.Equal(hello.GetPlan().GetFingerprint(), submitted.GetFingerprint()) {
		return ""
	}
	return "the graph that main built in the worker is not the one that was submitted: " + difference(submitted, hello.GetPlan()) +
		". It must depend on nothing but the program and its arguments; weir.Once evaluates a value once for all workers"
}

func refuseProtocol(hello *workerv1.Hello, version string) string {
	spoken := hello.GetProtocolVersion()
	if spoken >= launch.OldestProtocol && spoken <= launch.Protocol {
		return ""
	}
	what := fmt.Sprintf("the job was built with Weir %s, whose workers speak protocol version %d; this TaskManager (Weir %s) serves versions %d to %d: ",
		hello.GetEngineVersion(), spoken, version, launch.OldestProtocol, launch.Protocol)
	if spoken > launch.Protocol {
		return what + "upgrade the cluster, or rebuild the job with the cluster's version of the module github.com/weirstream/weir"
	}
	return what + "rebuild the job with the cluster's version of the module github.com/weirstream/weir"
}

// difference says where two plans with different fingerprints differ.
func difference(submitted, built *planv1.Plan) string {
	a, err := dataflow.FromProto(submitted)
	if err != nil {
		return fmt.Sprintf("the submitted one is not readable: %v", err)
	}
	b, err := dataflow.FromProto(built)
	if err != nil {
		return fmt.Sprintf("the worker's is not readable: %v", err)
	}
	if len(b.Mistakes) > 0 {
		return "in the worker it has mistakes: " + b.Mistakes[0]
	}
	if d := a.Difference(b); d != "" {
		return d
	}
	return fmt.Sprintf("their fingerprints differ (%x and %x)", a.Fingerprint, b.Fingerprint)
}

// unusable returns why the worker was refused, or why it has said that it cannot
// do its part; or nothing.
func (v *supervisor) unusable() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return cmp.Or(v.mu.refusal, v.mu.failure)
}

// broke returns how the session broke, or nil if it did not.
func (v *supervisor) broke() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.mu.err
}

// maxCommands bounds the queue of a worker that does not read. A JobManager
// only answers what its workers ask, so no healthy worker comes near.
const maxCommands = 1 << 16

// commandQueue has what a worker is still to be told. Putting never blocks, so
// that no worker holds up the JobManager's stream.
type commandQueue struct {
	wake chan struct{}
	mu   struct {
		sync.Mutex
		pending []*workerv1.SessionResponse
	}
}

func newCommandQueue() *commandQueue { return &commandQueue{wake: make(chan struct{}, 1)} }

// put reports whether there was room.
func (q *commandQueue) put(m *workerv1.SessionResponse) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.mu.pending) == maxCommands {
		return false
	}
	q.mu.pending = append(q.mu.pending, m)
	select {
	case q.wake <- struct{}{}:
	default: // It is awake.
	}
	return true
}

// next waits for a command. One goroutine calls it.
func (q *commandQueue) next(ctx context.Context) (*workerv1.SessionResponse, bool) {
	for {
		q.mu.Lock()
		if len(q.mu.pending) > 0 {
			m := q.mu.pending[0]
			q.mu.pending[0] = nil
			q.mu.pending = q.mu.pending[1:]
			q.mu.Unlock()
			return m, true
		}
		q.mu.Unlock()
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil, false
		}
	}
}
