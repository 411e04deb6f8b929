package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/internal/goroutine"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

func description() *clientv1.JobDescription {
	return &clientv1.JobDescription{
		Summary: &clientv1.JobSummary{
			JobId: "fd72014d4c864993a2e5a9287b4a9c5d", Name: "late departures", State: clientv1.JobState_JOB_STATE_FAILED,
			StartTimeMs: 1000, EndTimeMs: 2500, StatusMessage: "a task failed", Tasks: map[string]uint32{"RUNNING": 1, "FAILED": 2},
		},
		Plan: &planv1.Plan{
			Vertices: []*planv1.Vertex{
				{Id: "flights", Source: true, Bounded: true, Operators: []*planv1.Operator{{Id: "flights", Name: "flights", Kind: "source", Position: "main.go:7"}}},
				{Id: "count", Operators: []*planv1.Operator{{Id: "count"}, {Id: "out"}}},
			},
			Exchanges: []*planv1.Exchange{{From: 0, To: 1, Partitioning: planv1.Partitioning_PARTITIONING_HASH}},
		},
		Vertices: []*clientv1.VertexDescription{
			{Index: 0, Name: "Source: flights", Parallelism: 2, Subtasks: []*clientv1.SubtaskDescription{
				{Index: 0, State: workerv1.TaskState_TASK_STATE_RUNNING, TaskManager: "tm-1", Metrics: &workerv1.TaskMetrics{
					RecordsIn: 1, RecordsOut: 2, BytesIn: 3, BytesOut: 4, RecordsInRemote: 5,
					BusyMsPerSecond: 6, IdleMsPerSecond: 7, BackpressuredMsPerSecond: 8,
					WatermarkMs: 9, ProgressDone: 10, ProgressTotal: 11, LateRecordsDropped: 12, LongestFiringUs: 13,
				}},
				{Index: 1, State: workerv1.TaskState(99), InputEnded: true},
			}},
			{Index: 1, Name: "count", Parallelism: 1},
		},
		Failure:  &clientv1.JobFailure{Message: "boom", Task: "count (1/1)", TaskManager: "tm-2", Stack: "goroutine 1", TimeMs: 2000, LogFile: "/log"},
		Failures: []*clientv1.JobFailure{{Message: "boom", TimeMs: 2000}, {Message: "bang", Task: "count (1/1)"}},
		Attempt:  1, DefaultParallelism: 2,
	}
}

func job() *client.Job {
	return &client.Job{
		JobSummary: client.JobSummary{
			ID: "fd72014d4c864993a2e5a9287b4a9c5d", Name: "late departures", State: client.Failed,
			Start: time.UnixMilli(1000), End: time.UnixMilli(2500), StatusMessage: "a task failed",
			Tasks: map[string]int{"RUNNING": 1, "FAILED": 2},
		},
		Vertices: []client.Vertex{
			{
				Name: "Source: flights", Parallelism: 2, Source: true, Bounded: true,
				Operators: []client.Operator{{ID: "flights", Name: "flights", Kind: "source", Position: "main.go:7"}},
				Subtasks: []client.Subtask{
					{Index: 0, State: "RUNNING", TaskManager: "tm-1", Metrics: client.Metrics{
						RecordsIn: 1, RecordsOut: 2, BytesIn: 3, BytesOut: 4, RecordsInRemote: 5,
						BusyMillis: 6, IdleMillis: 7, BackpressuredMillis: 8,
						Watermark: 9, ProgressDone: 10, ProgressTotal: 11, LateRecordsDropped: 12, LongestFiring: 13 * time.Microsecond,
					}},
					{Index: 1, State: "UNKNOWN(99)", InputEnded: true, Metrics: client.Metrics{Watermark: math.MinInt64}},
				},
			},
			{
				Name: "count", Parallelism: 1, Operators: []client.Operator{{ID: "count"}, {ID: "out"}},
				Inputs: []client.Input{{Vertex: 0, Partitioning: "HASH"}},
			},
		},
		Failure:  &client.Failure{Message: "boom", Task: "count (1/1)", TaskManager: "tm-2", Stack: "goroutine 1", Time: time.UnixMilli(2000), LogFile: "/log"},
		Failures: []client.Failure{{Message: "boom", Time: time.UnixMilli(2000)}, {Message: "bang", Task: "count (1/1)"}},
		Attempt:  1, DefaultParallelism: 2,
	}
}

func TestDescribe(t *testing.T) {
	c := dial(t, &server{describe: func(id string) (*clientv1.DescribeJobResponse, error) {
		if id != "fd72" {
			return nil, status.Errorf(codes.NotFound, "job %s is not known", id)
		}
		return &clientv1.DescribeJobResponse{Job: description()}, nil
	}})
	got, err := c.Describe(t.Context(), "fd72")
	if err != nil {
		t.Fatal(err)
	}
	if want := job(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if _, err := c.Describe(t.Context(), "0"); !errors.Is(err, client.ErrNotFound) || err.Error() != "job 0 is not known" {
		t.Errorf("an unknown job: %v", err)
	}
}

func TestList(t *testing.T) {
	c := dial(t, &server{list: func() (*clientv1.ListJobsResponse, error) {
		return &clientv1.ListJobsResponse{Jobs: []*clientv1.JobSummary{
			{JobId: "a", State: clientv1.JobState_JOB_STATE_RUNNING, StartTimeMs: 5},
			{JobId: "b", State: clientv1.JobState_JOB_STATE_CANCELED, StartTimeMs: 6, EndTimeMs: 7},
			{JobId: "c", State: clientv1.JobState_JOB_STATE_RESTARTING, StartTimeMs: 7, Restarts: 3, NextRestartTimeMs: 8},
		}}, nil
	}})
	got, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []client.JobSummary{
		{ID: "a", State: client.Running, Start: time.UnixMilli(5), Tasks: map[string]int{}},
		{ID: "b", State: client.Canceled, Start: time.UnixMilli(6), End: time.UnixMilli(7), Tasks: map[string]int{}},
		{ID: "c", State: client.Restarting, Start: time.UnixMilli(7), Restarts: 3, NextRestart: time.UnixMilli(8), Tasks: map[string]int{}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The names of the states are a contract with scripts.
func TestEveryStateHasFlinksName(t *testing.T) {
	states := map[clientv1.JobState]client.JobState{
		clientv1.JobState_JOB_STATE_UNSPECIFIED:  "UNKNOWN(0)",
		clientv1.JobState_JOB_STATE_INITIALIZING: client.Initializing,
		clientv1.JobState_JOB_STATE_CREATED:      client.Created,
		clientv1.JobState_JOB_STATE_RUNNING:      client.Running,
		clientv1.JobState_JOB_STATE_RESTARTING:   client.Restarting,
		clientv1.JobState_JOB_STATE_FAILING:      client.Failing,
		clientv1.JobState_JOB_STATE_FAILED:       client.Failed,
		clientv1.JobState_JOB_STATE_CANCELLING:   client.Cancelling,
		clientv1.JobState_JOB_STATE_CANCELED:     client.Canceled,
		clientv1.JobState_JOB_STATE_FINISHED:     client.Finished,
	}
	terminal := map[client.JobState]bool{client.Failed: true, client.Canceled: true, client.Finished: true}
	for number := range clientv1.JobState_name {
		m := &clientv1.JobSummary{State: clientv1.JobState(number)}
		c := dial(t, &server{list: func() (*clientv1.ListJobsResponse, error) {
			return &clientv1.ListJobsResponse{Jobs: []*clientv1.JobSummary{m}}, nil
		}})
		got, err := c.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got[0].State != states[m.GetState()] || got[0].State.Terminal() != terminal[got[0].State] {
			t.Errorf("%v became %q, terminal %v", m.GetState(), got[0].State, got[0].State.Terminal())
		}
	}
}

func TestCancel(t *testing.T) {
	c := dial(t, &server{cancel: func(_ context.Context, id string) error {
		if id == "ended" {
			return status.Error(codes.FailedPrecondition, "the job has ended")
		}
		return nil
	}})
	if err := c.Cancel(t.Context(), "running"); err != nil {
		t.Error(err)
	}
	if err := c.Cancel(t.Context(), "ended"); !errors.Is(err, client.ErrState) || err.Error() != "the job has ended" {
		t.Errorf("got %v", err)
	}
}

func TestCluster(t *testing.T) {
	tm := func(id, platform string) *clientv1.TaskManager {
		return &clientv1.TaskManager{Id: id, Host: "h", Slots: 4, FreeSlots: 1, Version: "v", NetworkMemoryPerSlot: 64, Platform: platform}
	}
	c := dial(t, &server{cluster: func() (*clientv1.GetClusterResponse, error) {
		return &clientv1.GetClusterResponse{Version: "1.0", TaskManagers: []*clientv1.TaskManager{
			tm("a", "linux/arm64"), tm("b", "linux/amd64"), tm("c", "linux/arm64"),
		}}, nil
	}})
	got, err := c.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := client.TaskManager{ID: "a", Host: "h", Slots: 4, FreeSlots: 1, Version: "v", NetworkMemoryPerSlot: 64, Platform: "linux/arm64"}
	if got.Version != "1.0" || len(got.TaskManagers) != 3 || got.TaskManagers[0] != want {
		t.Errorf("got %+v", got)
	}
	if platforms := got.Platforms(); !reflect.DeepEqual(platforms, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("platforms %v", platforms)
	}
}

func TestWatch(t *testing.T) {
	c := dial(t, &server{watch: func(r *clientv1.WatchJobRequest, stream grpc.ServerStreamingServer[clientv1.WatchJobResponse]) error {
		if r.GetJobId() != "fd72" || !r.GetOutputFromStart() {
			return status.Error(codes.InvalidArgument, "another request was expected")
		}
		for _, m := range []*clientv1.WatchJobResponse{
			{Message: &clientv1.WatchJobResponse_Job{Job: description()}},
			{Message: &clientv1.WatchJobResponse_Output_{Output: &clientv1.WatchJobResponse_Output{StandardError: true, Data: []byte("x"), TaskManager: "tm-1", Dropped: 7}}},
			{}, // A kind of event that this client does not know.
			{Message: &clientv1.WatchJobResponse_Output_{Output: &clientv1.WatchJobResponse_Output{Data: []byte("y")}}},
		} {
			if err := stream.Send(m); err != nil {
				return err
			}
		}
		return nil
	}})
	var got []client.Event
	for event, err := range c.Watch(t.Context(), "fd72", true) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, event)
	}
	want := []client.Event{
		{Job: job()},
		{Output: &client.Output{StandardError: true, Data: []byte("x"), TaskManager: "tm-1", Dropped: 7}},
		{Output: &client.Output{Data: []byte("y")}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestWatchEndsWithTheLoop(t *testing.T) {
	ended := make(chan error, 1)
	c := dial(t, &server{watch: func(_ *clientv1.WatchJobRequest, stream grpc.ServerStreamingServer[clientv1.WatchJobResponse]) error {
		err := stream.Send(&clientv1.WatchJobResponse{Message: &clientv1.WatchJobResponse_Job{Job: description()}})
		if err == nil {
			<-stream.Context().Done()
		}
		ended <- err
		return nil
	}})
	for range c.Watch(t.Context(), "fd72", false) {
		break
	}
	if err := <-ended; err != nil { // It would wait forever if the call went on.
		t.Error(err)
	}
}

func TestWatchOfAConnectionThatBreaks(t *testing.T) {
	c := dial(t, &server{watch: func(*clientv1.WatchJobRequest, grpc.ServerStreamingServer[clientv1.WatchJobResponse]) error {
		return status.Error(codes.Unavailable, "the transport is closing")
	}})
	var last error
	for _, err := range c.Watch(t.Context(), "fd72", false) {
		last = err
	}
	if !errors.Is(last, client.ErrUnavailable) {
		t.Errorf("got %v", last)
	}
}

func TestErrorsAreWrittenForTheUser(t *testing.T) {
	closed, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	_ = closed.Close()

	address := serve(t, &server{
		list: func() (*clientv1.ListJobsResponse, error) { return nil, status.Error(codes.Internal, "oops") },
	})
	stranger, err := client.Dial(client.Config{Address: address, Credential: strings.Repeat("x", 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stranger.Close() })

	_, nobodyErr := dialAddress(t, nobody).List(t.Context())
	_, strangerErr := stranger.List(t.Context())
	_, internalErr := dialAddress(t, address).List(t.Context())
	_, unknownErr := dialAddress(t, address).Cluster(t.Context())
	for _, test := range []struct {
		err  error
		kind error
		want string
	}{
		{nobodyErr, client.ErrUnavailable, "cannot reach the JobManager at " + nobody + ": dial tcp " + nobody + ": connect: connection refused"},
		{strangerErr, client.ErrUnauthenticated, "the JobManager at " + address + " refused the call: wrong credential; on the daemon's machine the credential is found by itself, elsewhere name its file with security.credential.file"},
		{internalErr, nil, "the JobManager at " + address + ": oops (Internal)"},
		{unknownErr, nil, "the JobManager at " + address + " does not know this call (method GetCluster not implemented): is it an older version, or no JobManager?"},
	} {
		if test.err == nil || test.err.Error() != test.want {
			t.Errorf("got  %v\nwant %s", test.err, test.want)
		}
		if test.kind != nil && !errors.Is(test.err, test.kind) {
			t.Errorf("%v is no %v", test.err, test.kind)
		}
	}
}

// A server that wants TLS, or another certificate, says nothing and closes the
// connection.
func TestAServerThatClosesTheConnectionAtOnce(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	group := goroutine.New(t.Context())
	group.Go(func(context.Context) error {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return nil // It is closed.
			}
			_ = conn.Close()
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		_ = group.Close()
	})
	_, err = dialAddress(t, listener.Addr().String()).List(t.Context())
	if !errors.Is(err, client.ErrUnavailable) || !strings.HasSuffix(err.Error(),
		"; perhaps only one side uses TLS (security.ssl.internal.enabled), or the JobManager does not accept this certificate: its log says which") {
		t.Errorf("got %v", err)
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	c := dial(t, &server{cancel: func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	cause := errors.New("client.timeout of 1 m has passed")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, cause)
	defer cancel()
	err := c.Cancel(ctx, "id")
	if !errors.Is(err, cause) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer from the JobManager at "+c.Address()) {
		t.Errorf("got %v", err)
	}
}

func TestDialRefuses(t *testing.T) {
	for _, test := range []struct {
		name   string
		config client.Config
		want   string
	}{
		{"no credential", client.Config{Address: "localhost:6123"}, "credential for localhost:6123"},
		{"clear text to another machine", client.Config{Address: "jobmanager.example:6123", Credential: secret}, "security.ssl.internal.enabled"},
		{"no port", client.Config{Address: "localhost", Credential: secret, TLS: &tls.Config{MinVersion: tls.VersionTLS13}}, "host:port"},
	} {
		if _, err := client.Dial(test.config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.name, err, test.want)
		}
	}
}

func TestLocalCredential(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	if got, err := client.LocalCredential(); err == nil || got != "" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "weir"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "weir", "credential"), []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := client.LocalCredential(); got != secret || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
