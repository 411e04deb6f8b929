package jobmanager_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/jobmanager"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
)

// cluster is a JobManager on a listener in memory, with the clients and
// TaskManagers that a test plays.
type cluster struct {
	t        *testing.T
	jm       *jobmanager.JobManager
	client   clientv1.JobManagerClient
	gateway  tmv1.TaskManagerGatewayClient
	conn     *grpc.ClientConn
	listener *bufconn.Listener
	group    *goroutine.Group
	log      *logLines
	// shutdown tells the JobManager to stop; stop does, waits until it has, and
	// returns what Serve has returned.
	shutdown func()
	stop     func() error
}

// logLines collects what the JobManager logs.
type logLines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// inCluster runs a test in a bubble with a clock of its own, against a JobManager
// with the given settings.
func inCluster(t *testing.T, settings map[string]string, test func(c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(newCluster(t, settings)) })
}

func newCluster(t *testing.T, settings map[string]string, options ...func(*jobmanager.Config)) *cluster {
	t.Helper()
	conf, _, err := config.FromMap("test", settings)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, listener: bufconn.Listen(1 << 20), group: goroutine.New(context.WithoutCancel(t.Context())), log: &logLines{}}
	jc := jobmanager.Config{
		Settings: conf, WorkingDirectory: t.TempDir(), Version: "1.2.3",
		Log: slog.New(slog.NewTextHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, option := range options {
		option(&jc)
	}
	jm, err := jobmanager.New(jc)
	if err != nil {
		t.Fatal(err)
	}
	c.jm = jm
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context())) // It ends after the test's own.
	served := make(chan error, 1)
	c.group.Go(func(context.Context) error {
		served <- jm.Serve(ctx, c.listener)
		return nil
	})
	c.conn = c.dial()
	c.client, c.gateway = clientv1.NewJobManagerClient(c.conn), tmv1.NewTaskManagerGatewayClient(c.conn)
	c.shutdown = cancel
	c.stop = sync.OnceValue(func() error {
		cancel()
		err := <-served
		return errors.Join(err, c.conn.Close(), c.group.Close())
	})
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Errorf("the JobManager ended with: %v", err)
		}
		if t.Failed() {
			t.Log(c.log.String())
		}
		if text := c.log.String(); strings.Contains(text, "caused a panic") {
			t.Errorf("something panicked:\n%s", text)
		}
	})
	return c
}

func (c *cluster) dial(options ...grpc.DialOption) *grpc.ClientConn {
	c.t.Helper()
	conn, err := grpc.NewClient("passthrough:memory", append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return c.listener.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64 << 20)),
	}, options...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	return conn
}

// submission is a job that a test submits, with what became of it.
type submission struct {
	executable    []byte
	digest        [32]byte
	size          uint64
	arguments     []string
	configuration map[string]string
	fileName      string
	chunk         int

	wanted   bool
	stdout   string
	stderr   string
	warnings []string
	accepted *clientv1.SubmitJobResponse_Accepted
	err      error
}

// submit submits a job and waits for the answer.
func (c *cluster) submit(s submission) *submission {
	c.t.Helper()
	return c.submitWith(context.Background(), s)
}

func (c *cluster) submitWith(ctx context.Context, s submission) *submission {
	if s.executable == nil {
		s.executable = linuxExecutable
	}
	if s.digest == [32]byte{} {
		s.digest = sha256.Sum256(s.executable)
	}
	if s.size == 0 {
		s.size = uint64(len(s.executable))
	}
	if s.fileName == "" {
		s.fileName = "flights"
	}
	if s.chunk == 0 {
		s.chunk = 1 << 20
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.err = c.exchange(ctx, &s)
	return &s
}

func (c *cluster) exchange(ctx context.Context, s *submission) error {
	stream, err := c.client.SubmitJob(ctx)
	if err != nil {
		return err
	}
	err = stream.Send(&clientv1.SubmitJobRequest{Message: &clientv1.SubmitJobRequest_Start_{Start: &clientv1.SubmitJobRequest_Start{
		Sha256: s.digest[:], Size: s.size, Arguments: s.arguments, Configuration: s.configuration, FileName: s.fileName,
	}}})
	if err != nil && !errors.Is(err, io.EOF) { // After io.EOF Recv has the status.
		return err
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch m := m.GetMessage().(type) {
		case *clientv1.SubmitJobResponse_ArtefactWanted:
			s.wanted = m.ArtefactWanted
			if s.wanted {
				s.send(stream)
			}
			_ = stream.CloseSend()
		case *clientv1.SubmitJobResponse_PlanOutput_:
			if m.PlanOutput.GetStandardError() {
				s.stderr += string(m.PlanOutput.GetData())
			} else {
				s.stdout += string(m.PlanOutput.GetData())
			}
		case *clientv1.SubmitJobResponse_Warning:
			s.warnings = append(s.warnings, m.Warning)
		case *clientv1.SubmitJobResponse_Accepted_:
			s.accepted = m.Accepted
		}
	}
}

// send sends the executable; an error of the call is what Recv returns.
func (s *submission) send(stream grpc.BidiStreamingClient[clientv1.SubmitJobRequest, clientv1.SubmitJobResponse]) {
	for rest := s.executable; len(rest) > 0; {
		n := min(len(rest), s.chunk)
		if stream.Send(&clientv1.SubmitJobRequest{Message: &clientv1.SubmitJobRequest_Chunk{Chunk: rest[:n]}}) != nil {
			return
		}
		rest = rest[n:]
	}
}

// start submits a job in the background. The channel gets the answer.
func (c *cluster) start(ctx context.Context, s submission) <-chan *submission {
	answer := make(chan *submission, 1)
	c.group.Go(func(context.Context) error {
		answer <- c.submitWith(ctx, s)
		return nil
	})
	return answer
}

func (c *cluster) list() []*clientv1.JobSummary {
	c.t.Helper()
	list, err := c.client.ListJobs(context.Background(), &clientv1.ListJobsRequest{})
	if err != nil {
		c.t.Fatal(err)
	}
	return list.GetJobs()
}

// summary returns what the list of jobs says of a job, nil if nothing.
func (c *cluster) summary(id string) *clientv1.JobSummary {
	c.t.Helper()
	for _, j := range c.list() {
		if j.GetJobId() == id {
			return j
		}
	}
	return nil
}

func (c *cluster) describe(id string) *clientv1.JobDescription {
	c.t.Helper()
	d, err := c.client.DescribeJob(context.Background(), &clientv1.DescribeJobRequest{JobId: id})
	if err != nil {
		c.t.Fatal(err)
	}
	return d.GetJob()
}

// state waits until nothing happens any more and returns a job's state.
func (c *cluster) state(id string) string {
	c.t.Helper()
	synctest.Wait()
	s := c.summary(id)
	if s == nil {
		return "unknown"
	}
	return strings.TrimPrefix(s.GetState().String(), "JOB_STATE_")
}

func (c *cluster) cancel(id string) error {
	_, err := c.client.CancelJob(context.Background(), &clientv1.CancelJobRequest{JobId: id})
	return err
}

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}
