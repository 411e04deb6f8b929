package jobmanager

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/ids"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	"github.com/weirstream/weir/scheduler"
)

// service is what clients call.
type service struct {
	clientv1.UnimplementedJobManagerServer

	core *core
	// artefacts is nil in an embedded JobManager.
	artefacts    *artefactStore
	config       *config.Config
	version      string
	log          *slog.Logger
	group        *goroutine.Group
	planTimeouts planTimeouts
	submissions  chan struct{}
}

// release gives up a hold on an artefact.
func (s *service) release(d digest) {
	if err := s.artefacts.release(d); err != nil {
		s.log.Error("cannot remove an executable", "sha256", d.String(), "error", err)
	}
}

// ListJobs implements the service.
func (s *service) ListJobs(context.Context, *clientv1.ListJobsRequest) (*clientv1.ListJobsResponse, error) {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	response := &clientv1.ListJobsResponse{}
	for _, j := range s.core.mu.scheduler.Jobs() {
		response.Jobs = append(response.Jobs, summaryToProto(j))
	}
	return response, nil
}

// DescribeJob implements the service.
func (s *service) DescribeJob(_ context.Context, m *clientv1.DescribeJobRequest) (*clientv1.DescribeJobResponse, error) {
	id, err := parseJobID(m.GetJobId())
	if err != nil {
		return nil, err
	}
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	j := s.core.mu.jobs[id]
	if j == nil {
		return nil, unknownJob(id)
	}
	return &clientv1.DescribeJobResponse{Job: s.core.describe(j)}, nil
}

// CancelJob implements the service.
func (s *service) CancelJob(ctx context.Context, m *clientv1.CancelJobRequest) (*clientv1.CancelJobResponse, error) {
	id, err := parseJobID(m.GetJobId())
	if err != nil {
		return nil, err
	}
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	state, ok := s.core.mu.scheduler.State(id)
	switch {
	case !ok:
		return nil, unknownJob(id)
	case state.Terminal():
		return nil, status.Errorf(codes.FailedPrecondition, "job %s has ended already: it is %s", id, state)
	}
	s.log.Info("job is to be cancelled", "job", id, "peer", peerOf(ctx))
	s.core.stepLocked(scheduler.CancelRequested{Job: id})
	return &clientv1.CancelJobResponse{}, nil
}

// GetCluster implements the service.
func (s *service) GetCluster(context.Context, *clientv1.GetClusterRequest) (*clientv1.GetClusterResponse, error) {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	free := map[ids.SessionID]int{}
	for _, tm := range s.core.mu.scheduler.TaskManagers() {
		free[tm.Session] = tm.Free
	}
	response := &clientv1.GetClusterResponse{Version: s.version}
	for _, session := range sortedBy(s.core.mu.sessions, func(s *session) ids.TaskManagerID { return s.info.ID }) {
		response.TaskManagers = append(response.TaskManagers, &clientv1.TaskManager{
			Id: string(session.info.ID), Host: session.info.Host, Slots: uint32(session.info.Slots), FreeSlots: uint32(free[session.id]),
			Version: session.version, NetworkMemoryPerSlot: uint64(session.info.NetworkMemoryPerSlot), Platform: session.info.Platform,
		})
	}
	return response, nil
}

func parseJobID(text string) (ids.JobID, error) {
	id, err := ids.ParseJobID(text)
	if err != nil {
		return id, status.Error(codes.InvalidArgument, err.Error())
	}
	return id, nil
}

func unknownJob(id ids.JobID) error {
	return status.Errorf(codes.NotFound, "no job %s is known; jobs that have ended are forgotten after jobstore.expiration-time", id)
}

// WatchJob implements the service.
func (s *service) WatchJob(m *clientv1.WatchJobRequest, stream grpc.ServerStreamingServer[clientv1.WatchJobResponse]) error {
	id, err := parseJobID(m.GetJobId())
	if err != nil {
		return err
	}
	w := s.core.watch(id, m.GetOutputFromStart())
	for {
		l, ok := s.core.look(id, w, time.Now())
		if !ok {
			return unknownJob(id)
		}
		if err := show(stream, l); err != nil {
			return err
		}
		if l.last {
			return nil
		}
		if err := s.await(stream.Context(), l); err != nil {
			return err
		}
	}
}

// watch returns a watcher that has seen nothing of a job, or only not its
// output so far.
func (c *core) watch(id ids.JobID, outputFromStart bool) *watcher {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &watcher{}
	if j := c.mu.jobs[id]; j != nil && !outputFromStart {
		w.position = j.output.end
	}
	return w
}

// show sends what there is to see.
func show(stream grpc.ServerStreamingServer[clientv1.WatchJobResponse], l look) error {
	for i, chunk := range l.output {
		output := &clientv1.WatchJobResponse_Output{
			StandardError: chunk.standardError, Data: chunk.data, TaskManager: string(chunk.taskManager),
		}
		if i == 0 {
			output.Dropped = l.dropped
		}
		if err := stream.Send(&clientv1.WatchJobResponse{Message: &clientv1.WatchJobResponse_Output_{Output: output}}); err != nil {
			return err
		}
	}
	if l.description == nil {
		return nil
	}
	return stream.Send(&clientv1.WatchJobResponse{Message: &clientv1.WatchJobResponse_Job{Job: l.description}})
}

// await waits until there is something new to see.
func (s *service) await(ctx context.Context, l look) error {
	var again <-chan time.Time
	if !l.again.IsZero() {
		timer := time.NewTimer(time.Until(l.again))
		defer timer.Stop()
		again = timer.C
	}
	select {
	case <-l.changed:
	case <-again:
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-s.group.Context().Done():
		return errStopping
	}
	return nil
}
