package jobmanager

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/ids"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
)

// seen is what users are shown of a job's checkpoints and its machines do not
// remember. The lock of the core guards it; what it points to does not change.
type seen struct {
	// completed and failed are the last ones of their kind, as of the last failure:
	// failures, and nothing else, may drive both out of the coordinator's history.
	completed, failed *checkpoint.Summary
	// restores counts how often the job began from a checkpoint; restored is which
	// one that was last, and at when.
	restores   uint64
	restored   checkpoint.ID
	restoredAt time.Time
}

// aborted takes in that a checkpoint has just failed.
func (s *seen) aborted(view checkpoint.View) {
	s.completed, s.failed = s.latest(view)
}

// began takes in that an attempt begins from a checkpoint.
func (s *seen) began(id checkpoint.ID, now time.Time) {
	s.restores++
	s.restored, s.restoredAt = id, now
}

// latest returns the last checkpoints that have completed and failed, nil if there
// are none.
func (s *seen) latest(view checkpoint.View) (completed, failed *checkpoint.Summary) {
	newest := func(status checkpoint.Status, remembered *checkpoint.Summary) *checkpoint.Summary {
		i := slices.IndexFunc(view.History, func(c checkpoint.Summary) bool { return c.Status == status })
		if i < 0 || remembered != nil && remembered.ID > view.History[i].ID {
			return remembered
		}
		return &view.History[i]
	}
	return newest(checkpoint.Complete, s.completed), newest(checkpoint.Failed, s.failed)
}

// checkpointsView is all that is shown of a job's checkpoints. Nothing in it
// changes any more, so it can be read without the lock.
type checkpointsView struct {
	*checkpoints      // for what never changes: graph, configuration and storage
	numRetained       int
	view              checkpoint.View
	retained          []checkpoint.StoredCheckpoint // the oldest first
	seen              seen
	completed, failed *checkpoint.Summary
}

// DescribeCheckpoints implements the service.
func (s *service) DescribeCheckpoints(_ context.Context, m *clientv1.DescribeCheckpointsRequest) (*clientv1.DescribeCheckpointsResponse, error) {
	id, err := parseJobID(m.GetJobId())
	if err != nil {
		return nil, err
	}
	v, err := s.core.viewCheckpoints(id)
	if err != nil {
		return nil, err
	}
	return checkpointsToProto(v, m.GetTasks(), time.Now()), nil
}

// viewCheckpoints looks at a job's checkpoints. Its errors are statuses.
func (c *core) viewCheckpoints(id ids.JobID) (*checkpointsView, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := c.mu.jobs[id]
	switch {
	case j == nil:
		return nil, unknownJob(id)
	case j.shown == nil:
		return nil, status.Errorf(codes.FailedPrecondition, "job %s has no checkpoints: it has not been planned", id)
	}
	settings, _, err := config.FromMap("the job", j.configuration)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	k := j.checkpoints
	switch {
	case k != nil:
	case config.CheckpointInterval.IsSet(settings):
		return nil, status.Errorf(codes.FailedPrecondition, "job %s has no checkpoints: it was refused", id)
	default:
		return nil, status.Errorf(codes.FailedPrecondition, "job %s takes no checkpoints: %s is not set", id, config.CheckpointInterval.Key())
	}
	v := &checkpointsView{
		checkpoints: k, numRetained: config.RetainedCheckpoints.Get(settings),
		view: k.coordinator.View(), retained: k.retention.Checkpoints(), seen: k.seen,
	}
	v.completed, v.failed = k.seen.latest(v.view)
	return v, nil
}

// externalPath is where a checkpoint is, as users name it.
func (v *checkpointsView) externalPath(metadata string) string {
	location := v.storage.Location(metadata)
	return location[:max(strings.LastIndexByte(location, '/'), 0)]
}

// stored reports whether a completed checkpoint is still there.
func (v *checkpointsView) stored(id checkpoint.ID) bool {
	_, found := slices.BinarySearchFunc(v.retained, id, func(s checkpoint.StoredCheckpoint, id checkpoint.ID) int { return cmp.Compare(s.ID, id) })
	return found
}
