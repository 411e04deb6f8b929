package client_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/client"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
)

func TestCheckpoints(t *testing.T) {
	c := dial(t, &server{checkpoints: func(r *clientv1.DescribeCheckpointsRequest) (*clientv1.DescribeCheckpointsResponse, error) {
		if r.GetJobId() != "fd72" || !r.GetTasks() {
			return nil, status.Errorf(codes.FailedPrecondition, "job %s takes no checkpoints", r.GetJobId())
		}
		return &clientv1.DescribeCheckpointsResponse{
			Configuration: &clientv1.CheckpointConfiguration{
				Mode: "AT_LEAST_ONCE", IntervalMs: 1, TimeoutMs: 2, MinPauseMs: 3, MaxConcurrent: 4, TolerableFailed: 5,
				Retained: 6, ExternalizedRetention: "DELETE_ON_CANCELLATION", Directory: "file:///c/fd72",
			},
			Counts: &clientv1.CheckpointCounts{Triggered: 1, InProgress: 2, Completed: 3, Failed: 4, Restored: 5},
			History: []*clientv1.Checkpoint{
				{
					Id: 9, Status: clientv1.CheckpointStatus_CHECKPOINT_STATUS_COMPLETED, Attempt: 2, Final: true, TriggerTimeMs: 1000, DurationUs: 7,
					StateSize: 8, StoredSize: 9, StartDelayUs: 10, AlignmentUs: 11, Subtasks: 12, AcknowledgedSubtasks: 13,
					ExternalPath: "file:///c/fd72/chk-9", Discarded: true, Tasks: []*clientv1.CheckpointTask{
						{Vertex: 1, Subtask: 3, Acknowledged: true, StateSize: 1, StoredSize: 2, StartDelayUs: 3, AlignmentUs: 4, SynchronousUs: 5, AsynchronousUs: 6},
						{Vertex: 7}, // Of a server that is out of its mind.
					},
				},
				{Id: 8, Status: clientv1.CheckpointStatus(99)},
			},
			LatestFailed:   &clientv1.Checkpoint{Id: 7, Status: clientv1.CheckpointStatus_CHECKPOINT_STATUS_FAILED, Failure: "disk full", FailureTimeMs: 2000},
			LatestRestored: &clientv1.RestoredCheckpoint{Id: 6, RestoreTimeMs: 3000, ExternalPath: "file:///c/fd72/chk-6"},
			Retained:       []*clientv1.RetainedCheckpoint{{Id: 5, ExternalPath: "file:///c/fd72/chk-5"}},
			Vertices:       []*clientv1.CheckpointVertex{{Id: "s", Name: "Source: s", Parallelism: 1}, {Id: "k", Name: "Sink: k", Parallelism: 4}},
		}, nil
	}})
	got, err := c.Checkpoints(t.Context(), "fd72", true)
	if err != nil {
		t.Fatal(err)
	}
	const us = time.Microsecond
	want := &client.Checkpoints{
		Config: client.CheckpointConfig{
			Mode: "AT_LEAST_ONCE", Interval: time.Millisecond, Timeout: 2 * time.Millisecond, MinPause: 3 * time.Millisecond,
			MaxConcurrent: 4, TolerableFailed: 5, Retained: 6, ExternalizedRetention: "DELETE_ON_CANCELLATION", Directory: "file:///c/fd72",
		},
		Triggered: 1, InProgress: 2, Completed: 3, Failed: 4, Restored: 5,
		History: []client.Checkpoint{
			{
				ID: 9, Status: client.CheckpointCompleted, Attempt: 2, Final: true, Trigger: time.UnixMilli(1000), Duration: 7 * us,
				StateSize: 8, StoredSize: 9, StartDelay: 10 * us, Alignment: 11 * us, Subtasks: 12, Acknowledged: 13,
				ExternalPath: "file:///c/fd72/chk-9", Discarded: true, Tasks: []client.CheckpointVertex{
					{ID: "s", Name: "Source: s", Parallelism: 1},
					{ID: "k", Name: "Sink: k", Parallelism: 4, Subtasks: []client.CheckpointSubtask{
						{Index: 3, Acknowledged: true, StateSize: 1, StoredSize: 2, StartDelay: 3 * us, Alignment: 4 * us, Sync: 5 * us, Async: 6 * us},
					}},
				},
			},
			{ID: 8, Status: "UNKNOWN(99)"},
		},
		LatestFailed:   &client.Checkpoint{ID: 7, Status: client.CheckpointFailed, Failure: "disk full", FailureTime: time.UnixMilli(2000)},
		LatestRestored: &client.RestoredCheckpoint{ID: 6, Time: time.UnixMilli(3000), ExternalPath: "file:///c/fd72/chk-6"},
		Retained:       []client.RetainedCheckpoint{{ID: 5, ExternalPath: "file:///c/fd72/chk-5"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if _, err := c.Checkpoints(t.Context(), "0", false); !errors.Is(err, client.ErrState) || err.Error() != "job 0 takes no checkpoints" {
		t.Errorf("a job without: %v", err)
	}
}
