package taskmanager_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/launch"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/taskmanager"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// jobManager is the JobManager that a test plays, on loopback.
type jobManager struct {
	tmv1.UnimplementedTaskManagerGatewayServer
	address string
	// refuse, if set, is the answer to Connect.
	mu struct {
		sync.Mutex
		refuse    error
		fetched   int
		artefacts map[string]func(grpc.ServerStreamingServer[tmv1.FetchArtefactResponse]) error
	}
	connects chan *gateway
	readers  *goroutine.Group
}

// gateway is the JobManager's side of one stream.
type gateway struct {
	t        *testing.T
	stream   grpc.BidiStreamingServer[tmv1.ConnectRequest, tmv1.ConnectResponse]
	register *tmv1.Register
	session  ids.SessionID
	epoch    uint64
	said     chan *tmv1.ConnectRequest
	// hangUp ends the stream; closed tells that it has ended.
	hangUp chan error
	closed chan struct{}
	// output is what the jobs have printed, as far as it was read: see expect.
	stdout, stderr []byte
}

func newJobManager(t *testing.T) *jobManager {
	t.Helper()
	jm := &jobManager{connects: make(chan *gateway, 16), readers: goroutine.New(t.Context())}
	jm.mu.artefacts = map[string]func(grpc.ServerStreamingServer[tmv1.FetchArtefactResponse]) error{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	jm.address = listener.Addr().String()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(launch.MaxMessageSize), grpc.MaxSendMsgSize(launch.MaxMessageSize), grpc.WaitForHandlers(true))
	tmv1.RegisterTaskManagerGatewayServer(server, jm)
	group := goroutine.New(t.Context())
	group.Go(func(context.Context) error { return server.Serve(listener) })
	t.Cleanup(func() {
		server.Stop()
		if err := errors.Join(group.Close(), jm.readers.Close()); err != nil {
			t.Errorf("the test's JobManager: %v", err)
		}
	})
	return jm
}

func (jm *jobManager) Connect(stream grpc.BidiStreamingServer[tmv1.ConnectRequest, tmv1.ConnectResponse]) error {
	jm.mu.Lock()
	refuse := jm.mu.refuse
	jm.mu.Unlock()
	if refuse != nil {
		return refuse
	}
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	g := &gateway{
		stream: stream, register: first.GetRegister(), session: ids.NewSessionID(), epoch: 7,
		said: make(chan *tmv1.ConnectRequest, 1<<16), hangUp: make(chan error, 1), closed: make(chan struct{}),
	}
	jm.connects <- g
	// The reader ends with the stream, so after this has returned.
	jm.readers.Go(func(context.Context) error {
		defer close(g.closed)
		for {
			m, err := stream.Recv()
			if err != nil {
				return nil
			}
			g.said <- m
		}
	})
	select {
	case err = <-g.hangUp:
		return err
	case <-g.closed:
		return nil
	}
}

func (jm *jobManager) FetchArtefact(m *tmv1.FetchArtefactRequest, stream grpc.ServerStreamingServer[tmv1.FetchArtefactResponse]) error {
	jm.mu.Lock()
	jm.mu.fetched++
	send := jm.mu.artefacts[string(m.GetSha256())]
	jm.mu.Unlock()
	if send == nil {
		return status.Errorf(codes.NotFound, "no artefact %x", m.GetSha256())
	}
	return send(stream)
}

func (jm *jobManager) fetched() int {
	jm.mu.Lock()
	defer jm.mu.Unlock()
	return jm.mu.fetched
}

// offer makes an artefact available and returns its digest.
func (jm *jobManager) offer(content []byte) [32]byte {
	digest := sha256.Sum256(content)
	jm.offerAs(digest, func(stream grpc.ServerStreamingServer[tmv1.FetchArtefactResponse]) error {
		return sendChunks(stream, uint64(len(content)), content)
	})
	return digest
}

func (jm *jobManager) offerAs(digest [32]byte, send func(grpc.ServerStreamingServer[tmv1.FetchArtefactResponse]) error) {
	jm.mu.Lock()
	defer jm.mu.Unlock()
	jm.mu.artefacts[string(digest[:])] = send
}

func sendChunks(stream grpc.ServerStreamingServer[tmv1.FetchArtefactResponse], size uint64, content []byte) error {
	for first := true; first || len(content) > 0; first = false {
		n := min(len(content), 1<<20)
		m := &tmv1.FetchArtefactResponse{Chunk: content[:n]}
		if first {
			m.Size = size
		}
		if err := stream.Send(m); err != nil {
			return err
		}
		content = content[n:]
	}
	return nil
}

// testBinary is the executable of the jobs: this test itself.
var testBinary = sync.OnceValue(func() []byte {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return content
})

var testDigest = sync.OnceValue(func() [32]byte { return sha256.Sum256(testBinary()) })

func (jm *jobManager) offerTestBinary() [32]byte {
	jm.offerAs(testDigest(), func(stream grpc.ServerStreamingServer[tmv1.FetchArtefactResponse]) error {
		return sendChunks(stream, uint64(len(testBinary())), testBinary())
	})
	return testDigest()
}

// cacheTestBinary lets a TaskManager find the test's executable as if an earlier
// one had left it. Where files cannot be linked it is fetched, which takes
// longer.
func cacheTestBinary(t *testing.T, base string) {
	t.Helper()
	digest := testDigest()
	artefacts := filepath.Join(base, "work", "artefacts")
	if err := os.MkdirAll(artefacts, 0o700); err != nil {
		t.Fatal(err)
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Link(executable, filepath.Join(artefacts, hex.EncodeToString(digest[:])))
}

// accept waits for a TaskManager and accepts it.
func (jm *jobManager) accept(t *testing.T) *gateway {
	t.Helper()
	return jm.acceptWith(t, time.Second, patience)
}

func (jm *jobManager) acceptWith(t *testing.T, interval, timeout time.Duration) *gateway {
	t.Helper()
	select {
	case g := <-jm.connects:
		g.t = t
		g.send(&tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_Registered{Registered: &tmv1.Registered{
			ClusterId: "a test", HeartbeatIntervalMs: uint64(interval.Milliseconds()), HeartbeatTimeoutMs: uint64(timeout.Milliseconds()),
		}}})
		return g
	case <-time.After(patience):
		t.Fatal("no TaskManager registered")
		return nil
	}
}

// send sends m with the session's marks.
func (g *gateway) send(m *tmv1.ConnectResponse) {
	g.t.Helper()
	m.SessionId, m.LeaderEpoch = g.session[:], g.epoch
	g.sendRaw(m)
}

func (g *gateway) sendRaw(m *tmv1.ConnectResponse) {
	g.t.Helper()
	if err := g.stream.Send(m); err != nil {
		g.t.Fatalf("send %T: %v", m.GetMessage(), err)
	}
}

// next returns the next message that is no heartbeat. It checks the marks, and
// collects the output of jobs instead of returning it.
func (g *gateway) next() *tmv1.ConnectRequest {
	g.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case m := <-g.said:
			if string(m.GetSessionId()) != string(g.session[:]) || m.GetLeaderEpoch() != g.epoch {
				g.t.Errorf("a message of session %x, epoch %d: want %s, %d", m.GetSessionId(), m.GetLeaderEpoch(), g.session, g.epoch)
			}
			switch {
			case m.GetHeartbeat() != nil:
			case m.GetJobOutput() != nil:
				g.collect(m.GetJobOutput())
			default:
				return m
			}
		case <-g.closed:
			g.t.Fatal("the TaskManager closed the stream")
		case <-deadline:
			g.t.Fatal("the TaskManager says nothing")
		}
	}
}

func (g *gateway) collect(o *tmv1.JobOutput) {
	if len(o.GetData()) > 32<<10 {
		g.t.Errorf("a chunk of output has %d bytes: want at most 32 KiB", len(o.GetData()))
	}
	if o.GetStandardError() {
		g.stderr = append(g.stderr, o.GetData()...)
	} else {
		g.stdout = append(g.stdout, o.GetData()...)
	}
}

// awaitOutput waits until the jobs have printed a whole line on standard output,
// and returns all of it.
func (g *gateway) awaitOutput(enough func(stdout string) bool) string {
	g.t.Helper()
	deadline := time.After(patience)
	for !enough(string(g.stdout)) {
		select {
		case m := <-g.said:
			if m.GetJobOutput() != nil {
				g.collect(m.GetJobOutput())
			} else if m.GetHeartbeat() == nil {
				g.t.Fatalf("while waiting for output: %s", show(m))
			}
		case <-deadline:
			g.t.Fatalf("the job only printed %q", g.stdout)
		}
	}
	return string(g.stdout)
}

func show(m *tmv1.ConnectRequest) string {
	text := prototext.Format(m)
	return text[:min(len(text), 2000)]
}

// expect returns the next message, which must be of the kind that get returns.
func expect[M any](g *gateway, get func(*tmv1.ConnectRequest) *M) *M {
	g.t.Helper()
	m := g.next()
	got := get(m)
	if got == nil {
		g.t.Fatalf("unexpected message: %s", show(m))
	}
	return got
}

func (g *gateway) expectExit() *tmv1.WorkerExited {
	g.t.Helper()
	return expect(g, (*tmv1.ConnectRequest).GetWorkerExited)
}

// expectReady waits until a worker has opened its session and says Ready.
func (g *gateway) expectReady() (hello *tmv1.WorkerHello, address string) {
	g.t.Helper()
	hello = expect(g, (*tmv1.ConnectRequest).GetWorkerHello)
	m := expect(g, (*tmv1.ConnectRequest).GetWorkerMessage)
	if m.GetMessage().GetReady() == nil {
		g.t.Fatalf("unexpected message of a worker: %v", m)
	}
	return hello, m.GetMessage().GetReady().GetDataAddress()
}

// startWorker starts a worker that plays a role, in so many slots.
func (g *gateway) startWorker(job ids.JobID, attempt uint32, digest [32]byte, slots int, role ...string) {
	g.t.Helper()
	g.start(startWorker(job, attempt, digest, slots, role...))
}

func (g *gateway) start(m *tmv1.StartWorker) {
	g.t.Helper()
	g.send(&tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_StartWorker{StartWorker: m}})
}

func startWorker(job ids.JobID, attempt uint32, digest [32]byte, slots int, role ...string) *tmv1.StartWorker {
	m := &tmv1.StartWorker{
		JobId: job[:], Attempt: attempt, JobName: "a test's job", Sha256: digest[:], Arguments: role, FileName: "./job",
		Secret: []byte("0123456789abcdef"), Plan: graph("m"), Configuration: map[string]string{"key": "value"}, DefaultParallelism: 2,
	}
	for i := range slots {
		m.Slots = append(m.Slots, uint32(10+i))
	}
	return m
}

func (g *gateway) command(job ids.JobID, attempt uint32, c *workerv1.SessionResponse) {
	g.t.Helper()
	g.send(&tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_WorkerCommand{WorkerCommand: &tmv1.WorkerCommand{
		JobId: job[:], Attempt: attempt, Command: c,
	}}})
}

func (g *gateway) shutdown(job ids.JobID, attempt uint32) {
	g.t.Helper()
	g.command(job, attempt, &workerv1.SessionResponse{Message: &workerv1.SessionResponse_Shutdown{Shutdown: &workerv1.Shutdown{}}})
}

func (g *gateway) killWorker(job ids.JobID, attempt uint32, reason string) {
	g.t.Helper()
	g.send(&tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_KillWorker{KillWorker: &tmv1.KillWorker{
		JobId: job[:], Attempt: attempt, Reason: reason,
	}}})
}

// testMemory is the network memory of a slot in the tests.
const testMemory = 256 << 10

// configure returns the configuration of a TaskManager with two slots, and its
// directories below base.
func configure(address, base string) taskmanager.Config {
	return taskmanager.Config{
		Host: "127.0.0.1", DataBindHost: "127.0.0.1", JobManager: address,
		DialOptions: []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())},
		Slots:       2, NetworkMemoryPerSlot: testMemory, SegmentSize: 32 << 10,
		// A machine that is slow for a moment must not make a second attempt.
		Registration: taskmanager.RegistrationConfig{InitialTimeout: patience, MaxTimeout: patience},
		Version:      "9.9.9", Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Launcher: &taskmanager.Processes{
			WorkingDirectory: filepath.Join(base, "work"), LogDirectory: filepath.Join(base, "log"), WorkerMemoryPerSlot: 64 << 20,
		},
	}
}

// run runs a TaskManager until the test ends, or stop is called, which returns
// what Run has returned.
func run(t *testing.T, config taskmanager.Config) (stop func() error) {
	t.Helper()
	tm, err := taskmanager.New(config)
	if err != nil {
		t.Fatal(err)
	}
	group := goroutine.New(t.Context())
	group.Go(tm.Run)
	stop = sync.OnceValue(group.Close)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("the TaskManager ended with: %v", err)
		}
	})
	return stop
}

// cluster starts a TaskManager and returns its accepted stream, the digest of
// the test's own executable, and the directory that it works below.
func cluster(t *testing.T) (g *gateway, digest [32]byte, base string) {
	t.Helper()
	jm := newJobManager(t)
	base = t.TempDir()
	cacheTestBinary(t, base)
	run(t, configure(jm.address, base))
	return jm.accept(t), jm.offerTestBinary(), base
}
