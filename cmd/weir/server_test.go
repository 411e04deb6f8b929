package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/security"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
)

const (
	jobID   = "fd72014d4c864993a2e5a9287b4a9c5d"
	otherID = "00000000000000000000000000000001"
)

type (
	submitStream = grpc.BidiStreamingServer[clientv1.SubmitJobRequest, clientv1.SubmitJobResponse]
	watchStream  = grpc.ServerStreamingServer[clientv1.WatchJobResponse]
)

// jobManager answers as a JobManager does that knows the given jobs.
type jobManager struct {
	clientv1.UnimplementedJobManagerServer
	address string

	jobs      []*clientv1.JobDescription
	platforms []string
	// checkpoints of the job jobID; the other jobs take none.
	checkpoints *clientv1.DescribeCheckpointsResponse
	// planning is what is said before a submitted job is accepted.
	planning []*clientv1.SubmitJobResponse
	refusal  error
	// watch is what WatchJob does.
	watch func(stream watchStream) error

	// submitted has what SubmitJob received; cancelled the ids that CancelJob did.
	submitted chan *clientv1.SubmitJobRequest_Start
	cancelled chan string
}

// serve starts the JobManager on loopback.
func (j *jobManager) serve(t *testing.T) *jobManager {
	t.Helper()
	credential, err := security.NewCredential(secret)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	j.address = listener.Addr().String()
	j.submitted = make(chan *clientv1.SubmitJobRequest_Start, 8)
	j.cancelled = make(chan string, 8)
	server := grpc.NewServer(security.ServerOptions(credential, nil, slog.New(slog.DiscardHandler))...)
	clientv1.RegisterJobManagerServer(server, j)
	g := goroutine.New(t.Context())
	g.Go(func(context.Context) error { return server.Serve(listener) })
	t.Cleanup(func() {
		server.Stop()
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
	return j
}

func (j *jobManager) find(id string) (*clientv1.JobDescription, error) {
	for _, job := range j.jobs {
		if job.GetSummary().GetJobId() == id {
			return job, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "job %s is not known", id)
}

func (j *jobManager) ListJobs(context.Context, *clientv1.ListJobsRequest) (*clientv1.ListJobsResponse, error) {
	response := &clientv1.ListJobsResponse{}
	for _, job := range j.jobs {
		response.Jobs = append(response.Jobs, job.GetSummary())
	}
	return response, nil
}

func (j *jobManager) DescribeJob(_ context.Context, r *clientv1.DescribeJobRequest) (*clientv1.DescribeJobResponse, error) {
	job, err := j.find(r.GetJobId())
	return &clientv1.DescribeJobResponse{Job: job}, err
}

func (j *jobManager) DescribeCheckpoints(_ context.Context, r *clientv1.DescribeCheckpointsRequest) (*clientv1.DescribeCheckpointsResponse, error) {
	if _, err := j.find(r.GetJobId()); err != nil {
		return nil, err
	}
	if r.GetJobId() != jobID || j.checkpoints == nil {
		return nil, status.Errorf(codes.FailedPrecondition, "job %s takes no checkpoints", r.GetJobId())
	}
	response := proto.CloneOf(j.checkpoints)
	if !r.GetTasks() {
		for _, c := range append(response.GetHistory(), response.GetLatestCompleted(), response.GetLatestFailed()) {
			if c != nil {
				c.Tasks = nil
			}
		}
	}
	return response, nil
}

func (j *jobManager) CancelJob(_ context.Context, r *clientv1.CancelJobRequest) (*clientv1.CancelJobResponse, error) {
	job, err := j.find(r.GetJobId())
	if err != nil {
		return nil, err
	}
	if job.GetSummary().GetEndTimeMs() != 0 {
		return nil, status.Errorf(codes.FailedPrecondition, "job %s has ended", r.GetJobId())
	}
	j.cancelled <- r.GetJobId()
	return &clientv1.CancelJobResponse{}, nil
}

func (j *jobManager) GetCluster(context.Context, *clientv1.GetClusterRequest) (*clientv1.GetClusterResponse, error) {
	response := &clientv1.GetClusterResponse{}
	for _, platform := range j.platforms {
		response.TaskManagers = append(response.TaskManagers, &clientv1.TaskManager{Platform: platform})
	}
	return response, nil
}

func (j *jobManager) SubmitJob(stream submitStream) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	if err := stream.Send(&clientv1.SubmitJobResponse{Message: &clientv1.SubmitJobResponse_ArtefactWanted{ArtefactWanted: true}}); err != nil {
		return err
	}
	hash := sha256.New()
	for {
		next, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		_, _ = hash.Write(next.GetChunk())
	}
	if string(hash.Sum(nil)) != string(first.GetStart().GetSha256()) {
		return status.Error(codes.InvalidArgument, "the digest does not match")
	}
	j.submitted <- first.GetStart()
	for _, m := range j.planning {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	if j.refusal != nil {
		return j.refusal
	}
	return stream.Send(&clientv1.SubmitJobResponse{Message: &clientv1.SubmitJobResponse_Accepted_{
		Accepted: &clientv1.SubmitJobResponse_Accepted{JobId: jobID, JobName: "late departures"},
	}})
}

func (j *jobManager) WatchJob(r *clientv1.WatchJobRequest, stream watchStream) error {
	if r.GetJobId() != jobID || !r.GetOutputFromStart() {
		return status.Error(codes.InvalidArgument, "an attached run watches its job from the start")
	}
	return j.watch(stream)
}
