package client_test

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/security"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
)

const secret = "0123456789abcdef0123456789abcdef"

// server is a JobManager as its schema describes it, with answers of the test's
// choosing. Methods that a test does not set are UNIMPLEMENTED.
type server struct {
	clientv1.UnimplementedJobManagerServer
	submit   func(grpc.BidiStreamingServer[clientv1.SubmitJobRequest, clientv1.SubmitJobResponse]) error
	watch    func(*clientv1.WatchJobRequest, grpc.ServerStreamingServer[clientv1.WatchJobResponse]) error
	list     func() (*clientv1.ListJobsResponse, error)
	describe func(id string) (*clientv1.DescribeJobResponse, error)
	cancel   func(ctx context.Context, id string) error
	cluster  func() (*clientv1.GetClusterResponse, error)

	checkpoints func(r *clientv1.DescribeCheckpointsRequest) (*clientv1.DescribeCheckpointsResponse, error)
}

func (s *server) SubmitJob(stream grpc.BidiStreamingServer[clientv1.SubmitJobRequest, clientv1.SubmitJobResponse]) error {
	return s.submit(stream)
}

func (s *server) WatchJob(r *clientv1.WatchJobRequest, stream grpc.ServerStreamingServer[clientv1.WatchJobResponse]) error {
	return s.watch(r, stream)
}

func (s *server) ListJobs(context.Context, *clientv1.ListJobsRequest) (*clientv1.ListJobsResponse, error) {
	return s.list()
}

func (s *server) DescribeJob(_ context.Context, r *clientv1.DescribeJobRequest) (*clientv1.DescribeJobResponse, error) {
	return s.describe(r.GetJobId())
}

func (s *server) CancelJob(ctx context.Context, r *clientv1.CancelJobRequest) (*clientv1.CancelJobResponse, error) {
	return &clientv1.CancelJobResponse{}, s.cancel(ctx, r.GetJobId())
}

func (s *server) DescribeCheckpoints(_ context.Context, r *clientv1.DescribeCheckpointsRequest) (*clientv1.DescribeCheckpointsResponse, error) {
	return s.checkpoints(r)
}

func (s *server) GetCluster(ctx context.Context, r *clientv1.GetClusterRequest) (*clientv1.GetClusterResponse, error) {
	if s.cluster == nil {
		return s.UnimplementedJobManagerServer.GetCluster(ctx, r)
	}
	return s.cluster()
}

// serve starts the server on loopback and returns its address.
func serve(t *testing.T, s *server) string {
	t.Helper()
	credential, err := security.NewCredential(secret)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	grpcServer := grpc.NewServer(security.ServerOptions(credential, nil, slog.New(slog.DiscardHandler))...)
	clientv1.RegisterJobManagerServer(grpcServer, s)
	g := goroutine.New(t.Context())
	g.Go(func(context.Context) error { return grpcServer.Serve(listener) })
	t.Cleanup(func() {
		grpcServer.Stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func dial(t *testing.T, s *server) *client.Client {
	t.Helper()
	return dialAddress(t, serve(t, s))
}

func dialAddress(t *testing.T, address string) *client.Client {
	t.Helper()
	c, err := client.Dial(client.Config{Address: address, Credential: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// receipt is what a submission carried.
type receipt struct {
	start    *clientv1.SubmitJobRequest_Start
	received []byte
	chunks   []int
}

// receive plays the server's side of a submission up to its answer: it checks
// the order of the messages and the digest, as a JobManager does.
func receive(stream grpc.BidiStreamingServer[clientv1.SubmitJobRequest, clientv1.SubmitJobResponse], wanted bool) (*receipt, error) {
	first, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	r := &receipt{start: first.GetStart()}
	if r.start == nil {
		return nil, status.Error(codes.InvalidArgument, "the first message is no start")
	}
	if err := stream.Send(&clientv1.SubmitJobResponse{Message: &clientv1.SubmitJobResponse_ArtefactWanted{ArtefactWanted: wanted}}); err != nil {
		return nil, err
	}
	for {
		next, err := stream.Recv()
		if err == io.EOF { //nolint:errorlint // a stream's end is io.EOF itself
			break
		}
		if err != nil {
			return nil, err
		}
		r.chunks = append(r.chunks, len(next.GetChunk()))
		r.received = append(r.received, next.GetChunk()...)
	}
	if !wanted {
		return r, nil
	}
	if digest := sha256.Sum256(r.received); string(digest[:]) != string(r.start.GetSha256()) {
		return nil, status.Error(codes.InvalidArgument, "the digest does not match")
	}
	return r, nil
}

func accept(stream grpc.BidiStreamingServer[clientv1.SubmitJobRequest, clientv1.SubmitJobResponse], id, name string) error {
	return stream.Send(&clientv1.SubmitJobResponse{Message: &clientv1.SubmitJobResponse_Accepted_{
		Accepted: &clientv1.SubmitJobResponse_Accepted{JobId: id, JobName: name},
	}})
}
