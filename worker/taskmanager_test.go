package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/launch"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/task"
)

// testGraph is a source and a sink with a shuffle between them.
func testGraph() *dataflow.Graph {
	g := dataflow.NewGraph("a test's job")
	source := g.Add(&dataflow.Node{Kind: "source", Name: "numbers", OutputType: "int", Source: true, Bounded: true})
	g.Add(&dataflow.Node{Kind: "sink", Name: "nowhere", Inputs: []*dataflow.Input{{From: source, Partitioning: dataflow.Rebalance, RecordType: "int"}}})
	return g
}

// taskManager is the TaskManager that a test plays.
type taskManager struct {
	workerv1.UnimplementedWorkerSupervisorServer
	play func(p *peer) error
	conn *hangingConn
}

func (tm *taskManager) Session(stream grpc.BidiStreamingServer[workerv1.SessionRequest, workerv1.SessionResponse]) error {
	return tm.play(&peer{stream, tm.conn})
}

// peer is the worker as the TaskManager sees it.
type peer struct {
	grpc.BidiStreamingServer[workerv1.SessionRequest, workerv1.SessionResponse]

	conn *hangingConn
}

// hangingConn is a connection at whose end nobody listens any more once hung is
// set.
type hangingConn struct {
	net.Conn

	hung atomic.Bool
}

func (c *hangingConn) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.hung.Load() {
			return n, err
		}
	}
}

func (p *peer) tell(m *workerv1.SessionResponse) error { return p.Send(m) }

// welcome answers Hello and waits for Ready.
func (p *peer) welcome(m *workerv1.Welcome) error {
	hello, err := p.Recv()
	if err != nil {
		return err
	}
	if hello.GetHello() == nil {
		return errors.New("the worker did not say Hello first")
	}
	if m.Plan == nil {
		m.Plan = hello.GetHello().GetPlan()
	}
	if err := p.tell(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_Welcome{Welcome: m}}); err != nil {
		return err
	}
	ready, err := p.Recv()
	if err != nil {
		return err
	}
	if ready.GetReady() == nil {
		return errors.New("the worker did not say Ready")
	}
	return nil
}

func (p *peer) shutdown() error {
	return p.tell(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_Shutdown{Shutdown: &workerv1.Shutdown{}}})
}

// rest returns everything that the worker says until it says no more.
func (p *peer) rest() (all []*workerv1.SessionRequest, err error) {
	for {
		m, err := p.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
}

var (
	startTasks = &workerv1.SessionResponse{Message: &workerv1.SessionResponse_StartTasks{StartTasks: &workerv1.StartTasks{
		Tasks: []*workerv1.Task{{Vertex: 0, Subtask: 1, Slot: 4}, {Vertex: 1, Subtask: 1, Slot: 4}},
		Peers: []*workerv1.Peer{{Worker: 1, DataAddress: "other:1234", TaskManager: "tm-2", Tasks: []*workerv1.Task{{Vertex: 1, Subtask: 0, Slot: 3}}}},
	}}}
	cancelTasks = &workerv1.SessionResponse{Message: &workerv1.SessionResponse_CancelTasks{CancelTasks: &workerv1.CancelTasks{}}}
)

// testWelcome has the least that a worker needs.
func testWelcome() *workerv1.Welcome {
	job := ids.JobID{1, 2, 3}
	return &workerv1.Welcome{
		ProtocolVersion: 1, JobId: job[:], Attempt: 5, Worker: 2, Secret: []byte("secret"), DefaultParallelism: 2,
		TaskManager: "tm-1", DataHost: "here", Slots: []*workerv1.Slot{{Index: 4, MemoryFd: -1, MemorySize: 1 << 20}},
	}
}

// fakeHost is the host that a test plays. What is nil does nothing.
type fakeHost struct {
	config task.HostConfig
	// fails is why there is none.
	fails     error
	start     func(h *fakeHost, tasks []task.Ref, peers []task.Peer) error
	cancel    func(h *fakeHost)
	enumerate func(ctx context.Context, vertex int) ([]task.Split, bool, error)
	assign    func(h *fakeHost, vertex, subtask int, splits []task.Split, noMore bool) error
	align     func(vertex, subtask int, group string, limit int64) error
	// checkpoints is told what the host is told of them.
	checkpoints func(string)
	// running is closed when the tasks have ended; nil if there are none.
	running chan struct{}
	metrics func() []task.Metrics

	mu struct {
		sync.Mutex
		closed int
	}
}

func (h *fakeHost) DataAddress() string { return "here:1" }
func (h *fakeHost) Start(tasks []task.Ref, peers []task.Peer, _ ...task.Restored) error {
	if h.start == nil {
		return nil
	}
	return h.start(h, tasks, peers)
}

func (h *fakeHost) Cancel() {
	if h.cancel != nil {
		h.cancel(h)
	}
}

func (h *fakeHost) EnumerateSplits(ctx context.Context, vertex int) ([]task.Split, bool, error) {
	return h.enumerate(ctx, vertex)
}

func (h *fakeHost) AssignSplits(vertex, subtask int, splits []task.Split, noMore bool) error {
	return h.assign(h, vertex, subtask, splits, noMore)
}

func (h *fakeHost) Align(vertex, subtask int, group string, limit int64) error {
	return h.align(vertex, subtask, group, limit)
}

func (h *fakeHost) Trigger(checkpoint uint64, timestamp int64) {
	h.checkpoints(fmt.Sprintf("trigger %d at %d", checkpoint, timestamp))
}

func (h *fakeHost) Abort(checkpoint uint64, earlier bool) {
	h.checkpoints(fmt.Sprintf("abort %d earlier %v", checkpoint, earlier))
}

func (h *fakeHost) Complete(checkpoint uint64) { h.checkpoints(fmt.Sprintf("complete %d", checkpoint)) }
func (h *fakeHost) Finish()                    { h.checkpoints("finish") }

func (h *fakeHost) Metrics() []task.Metrics {
	if h.metrics == nil {
		return nil
	}
	return h.metrics()
}

func (h *fakeHost) Wait() {
	if h.running != nil {
		<-h.running
	}
}

func (h *fakeHost) Close() error {
	h.Cancel()
	h.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.closed++
	return nil
}

func (h *fakeHost) closed() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.closed
}

// session runs a worker with the host, in virtual time, against a TaskManager
// that plays; it returns what Serve and the play returned.
func playSession(t *testing.T, h *fakeHost, shared bool, play func(p *peer) error) (serveErr, playErr error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		serveErr, playErr = playInBubble(t.Context(), h, shared, play)
	})
	return serveErr, playErr
}

func playInBubble(ctx context.Context, h *fakeHost, shared bool, play func(p *peer) error) (serveErr, playErr error) {
	ours, theirs := net.Pipe()
	server := grpc.NewServer(grpc.WaitForHandlers(true), grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: launch.KeepaliveInterval / 2}))
	conn := &hangingConn{Conn: ours}
	workerv1.RegisterWorkerSupervisorServer(server, &taskManager{conn: conn, play: func(p *peer) error {
		playErr = play(p)
		return playErr
	}})
	listener := &pipeListener{conn: make(chan net.Conn, 1), done: make(chan struct{})}
	listener.conn <- conn
	group := goroutine.New(context.Background())
	group.Go(func(context.Context) error { return server.Serve(listener) })
	config := Config{Graph: testGraph(), EngineVersion: "1.2.3", SharedProcess: shared, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	serveErr = serve(ctx, theirs, config, func(_ *dataflow.Graph, c task.HostConfig) (host, error) {
		h.config = c
		return h, h.fails
	})
	server.Stop()
	if err := group.Close(); err != nil {
		return serveErr, errors.Join(playErr, err)
	}
	return serveErr, playErr
}

// pipeListener accepts one end of a pipe.
type pipeListener struct {
	conn chan net.Conn
	done chan struct{}
	once sync.Once
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// kinds names the messages of a worker, with their states.
func kinds(all []*workerv1.SessionRequest) (names []string) {
	for _, m := range all {
		switch m := m.GetMessage().(type) {
		case *workerv1.SessionRequest_TaskState:
			names = append(names, m.TaskState.GetState().String()[len("TASK_STATE_"):])
		case *workerv1.SessionRequest_Metrics:
			names = append(names, "metrics")
		case *workerv1.SessionRequest_Splits:
			names = append(names, "splits")
		case *workerv1.SessionRequest_SplitRequest:
			names = append(names, "split request")
		case *workerv1.SessionRequest_Watermark:
			names = append(names, "watermark")
		case *workerv1.SessionRequest_Stopped:
			names = append(names, "stopped")
		case *workerv1.SessionRequest_Failed:
			names = append(names, "failed: "+m.Failed.GetFailure().GetMessage())
		default:
			names = append(names, "other")
		}
	}
	return names
}

func wantKinds(t *testing.T, all []*workerv1.SessionRequest, want ...string) {
	t.Helper()
	if got := kinds(all); !slices.Equal(got, want) {
		t.Errorf("the worker said %q: want %q", got, want)
	}
}

// after waits in virtual time.
func after(d time.Duration) { <-time.After(d) }

// restAfter is rest after something that may have failed.
func (p *peer) restAfter(before error) ([]*workerv1.SessionRequest, error) {
	if before != nil {
		return nil, before
	}
	return p.rest()
}

// duplicate returns a descriptor of the file that belongs to nobody else.
func duplicate(t *testing.T, file *os.File) int {
	t.Helper()
	fd, err := syscall.Dup(int(file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}
