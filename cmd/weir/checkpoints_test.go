package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
)

// jobCheckpoints are checkpoints of each kind: 12 is in progress, 11 has completed,
// 10 has failed, 9 is deleted. The job began from 8 once.
func jobCheckpoints() *clientv1.DescribeCheckpointsResponse {
	const directory = "file:///checkpoints/" + jobID
	completed := &clientv1.Checkpoint{
		Id: 11, Status: clientv1.CheckpointStatus_CHECKPOINT_STATUS_COMPLETED, Attempt: 2, Final: true,
		TriggerTimeMs: startMs + 20_000, DurationUs: 1_234_567, StateSize: 3 << 20, StoredSize: 1 << 20, StartDelayUs: 250, AlignmentUs: 45_670,
		Subtasks: 2, AcknowledgedSubtasks: 2, ExternalPath: directory + "/chk-11",
		Tasks: []*clientv1.CheckpointTask{
			{Vertex: 0, Subtask: 0, Acknowledged: true, StateSize: 2 << 20, StoredSize: 1 << 20, StartDelayUs: 250, SynchronousUs: 1500, AsynchronousUs: 1_200_000},
			{Vertex: 1, Subtask: 0, Acknowledged: true, StateSize: 1 << 20, AlignmentUs: 45_670},
		},
	}
	failed := &clientv1.Checkpoint{
		Id: 10, Status: clientv1.CheckpointStatus_CHECKPOINT_STATUS_FAILED, Attempt: 1, TriggerTimeMs: startMs + 10_000, DurationUs: 600_000_000, Subtasks: 2,
		Failure: "checkpoint 10:\nit took too long", FailureTimeMs: startMs + 610_000,
		Tasks: []*clientv1.CheckpointTask{{Vertex: 0}, {Vertex: 1}},
	}
	return &clientv1.DescribeCheckpointsResponse{
		Configuration: &clientv1.CheckpointConfiguration{
			Mode: "EXACTLY_ONCE", IntervalMs: 10_000, TimeoutMs: 600_000, MinPauseMs: 500, MaxConcurrent: 2, TolerableFailed: 3,
			Retained: 1, ExternalizedRetention: "RETAIN_ON_CANCELLATION", Directory: directory,
		},
		Counts: &clientv1.CheckpointCounts{Triggered: 12, InProgress: 1, Completed: 10, Failed: 1, Restored: 4},
		History: []*clientv1.Checkpoint{
			{
				Id: 12, Status: clientv1.CheckpointStatus_CHECKPOINT_STATUS_IN_PROGRESS, Attempt: 2, TriggerTimeMs: startMs + 30_123, DurationUs: 61_040_000,
				StateSize: 1023, StoredSize: 1023, Subtasks: 2, AcknowledgedSubtasks: 1,
				Tasks: []*clientv1.CheckpointTask{{Vertex: 0, Acknowledged: true, StateSize: 1023, StoredSize: 1023}, {Vertex: 1}},
			},
			completed, failed,
			{
				Id: 9, Status: clientv1.CheckpointStatus_CHECKPOINT_STATUS_COMPLETED, Attempt: 1, TriggerTimeMs: startMs, DurationUs: 12_340,
				Subtasks: 2, AcknowledgedSubtasks: 2, ExternalPath: directory + "/chk-9", Discarded: true,
			},
		},
		LatestCompleted: completed, LatestFailed: failed,
		LatestRestored: &clientv1.RestoredCheckpoint{Id: 8, RestoreTimeMs: startMs + 5, ExternalPath: directory + "/chk-8"},
		Retained:       []*clientv1.RetainedCheckpoint{{Id: 11, ExternalPath: directory + "/chk-11"}},
		Vertices: []*clientv1.CheckpointVertex{
			{Id: "flights", Name: "Source: flights -> departed", Parallelism: 1}, {Id: "delays", Name: "delays", Parallelism: 1},
		},
	}
}

const (
	checkpointsOfJob = `Checkpoints of job fd72014d4c864993a2e5a9287b4a9c5d
  Counts          12 triggered, 1 in progress, 10 completed, 1 failed, 4 restored
  Configuration   EXACTLY_ONCE, interval 10s, timeout 10m0s, min pause 500ms, max concurrent 2, tolerable failed 3
  Retention       num retained 1, RETAIN_ON_CANCELLATION
  Directory       file:///checkpoints/fd72014d4c864993a2e5a9287b4a9c5d
  Retained        11
  Last completed  11, triggered 30.11.2020 16:02:49.000, took 1.23s, file:///checkpoints/fd72014d4c864993a2e5a9287b4a9c5d/chk-11
  Last failed     10, triggered 30.11.2020 16:02:39.000, after 10m0s: checkpoint 10: it took too long
  Last restored   8, at 30.11.2020 16:02:29.005, file:///checkpoints/fd72014d4c864993a2e5a9287b4a9c5d/chk-8

  ID  STATUS             TRIGGERED                DURATION  SIZE     START DELAY  ALIGNMENT  ACKNOWLEDGED  PATH
  12  IN_PROGRESS        30.11.2020 16:02:59.123  1m1s      1023 B   0s           0s         1/2           -
  11  COMPLETED (final)  30.11.2020 16:02:49.000  1.23s     3.0 MiB  250µs        45.7ms     2/2           file:///checkpoints/fd72014d4c864993a2e5a9287b4a9c5d/chk-11
  10  FAILED             30.11.2020 16:02:39.000  10m0s     0 B      0s           0s         0/2           -
  9   COMPLETED          30.11.2020 16:02:29.000  12.3ms    0 B      0s           0s         2/2           (deleted)
`
	tasksOfCheckpoints = `
Checkpoint 12 (IN_PROGRESS)
  TASK                         SUBTASK  SIZE    START DELAY  ALIGNMENT  SYNC  ASYNC
  Source: flights -> departed  1/1      1023 B  0s           0s         0s    0s
  delays                       1/1      -       -            -          -     -

Checkpoint 11 (COMPLETED)
  TASK                         SUBTASK  SIZE     START DELAY  ALIGNMENT  SYNC   ASYNC
  Source: flights -> departed  1/1      2.0 MiB  250µs        0s         1.5ms  1.2s
  delays                       1/1      1.0 MiB  0s           45.7ms     0s     0s

Checkpoint 10 (FAILED)
  TASK                         SUBTASK  SIZE  START DELAY  ALIGNMENT  SYNC  ASYNC
  Source: flights -> departed  1/1      -     -            -          -     -
  delays                       1/1      -     -            -          -     -
`
)

func TestCheckpoints(t *testing.T) {
	c := newCommand(t)
	j := (&jobManager{jobs: everyKindOfJob(), checkpoints: jobCheckpoints()}).serve(t)
	c.expect(t, 0, checkpointsOfJob, "", "checkpoints", "-m", j.address, jobID)
	c.expect(t, 0, checkpointsOfJob, "", "checkpoints", jobID, "-jobmanager", j.address)
	c.expect(t, 0, checkpointsOfJob+tasksOfCheckpoints, "", "checkpoints", "-m", j.address, "-v", strings.ToUpper(jobID))

	j.checkpoints.LatestCompleted, j.checkpoints.LatestFailed, j.checkpoints.LatestRestored = nil, nil, nil
	j.checkpoints.Counts, j.checkpoints.History, j.checkpoints.Retained = nil, nil, nil
	c.expect(t, 0, `Checkpoints of job fd72014d4c864993a2e5a9287b4a9c5d
  Counts          0 triggered, 0 in progress, 0 completed, 0 failed, 0 restored
  Configuration   EXACTLY_ONCE, interval 10s, timeout 10m0s, min pause 500ms, max concurrent 2, tolerable failed 3
  Retention       num retained 1, RETAIN_ON_CANCELLATION
  Directory       file:///checkpoints/fd72014d4c864993a2e5a9287b4a9c5d
  Retained        -
  Last completed  -
  Last failed     -
  Last restored   -
`, "", "checkpoints", "-v", "-m", j.address, jobID)
}

func TestNoCheckpoints(t *testing.T) {
	c := newCommand(t)
	j := (&jobManager{jobs: everyKindOfJob()}).serve(t)
	unknown := strings.Repeat("ab", 16)
	c.expect(t, 1, "", exception("Could not retrieve the checkpoints of job "+otherID+".\nCaused by: job "+otherID+" takes no checkpoints"),
		"checkpoints", "-m", j.address, otherID)
	c.expect(t, 1, "", exception("Could not retrieve the checkpoints of job "+unknown+".\nCaused by: job "+unknown+" is not known"),
		"checkpoints", "-m", j.address, unknown)
	c.expect(t, 1, "", `{"error":{"message":"Could not retrieve the checkpoints of job `+otherID+`.","cause":"job `+otherID+` takes no checkpoints","exit-code":1}}`+"\n",
		"checkpoints", "-m", j.address, "-o", "json", otherID)
	c.expect(t, 1, "Missing JobID. Specify a JobID to show its checkpoints."+pointer, "", "checkpoints", "-v")
	c.expect(t, 1, "Unexpected argument: x"+pointer, "", "checkpoints", jobID, "x")
	c.expect(t, 1, "Cannot parse JobID from \"x\". The expected format is [0-9a-fA-F]{32}, e.g. fd72014d4c864993a2e5a9287b4a9c5d."+pointer, "", "checkpoints", "x")
	if got, directive := c.proposals(t, "checkpoints", "-m", j.address, ""); !slices.Contains(got, jobID) || len(got) != 4 || directive != ":36" {
		t.Errorf("the completion is %q, %s", got, directive)
	}
}

// checkpointsOfJobAsJSON has of the history the checkpoint in progress alone.
const checkpointsOfJobAsJSON = `{
  "jid": "fd72014d4c864993a2e5a9287b4a9c5d",
  "counts": {
    "restored": 4,
    "total": 12,
    "in_progress": 1,
    "completed": 10,
    "failed": 1
  },
  "config": {
    "mode": "exactly_once",
    "interval": 10000,
    "timeout": 600000,
    "min_pause": 500,
    "max_concurrent": 2,
    "tolerable_failed_checkpoints": 3,
    "externalization": {
      "enabled": true,
      "delete_on_cancellation": false
    },
    "num_retained": 1,
    "directory": "file:///checkpoints/fd72014d4c864993a2e5a9287b4a9c5d"
  },
  "latest": {
    "completed": {
      "id": 11,
      "status": "COMPLETED",
      "attempt": 2,
      "final": true,
      "trigger_timestamp": 1606748569000,
      "end_to_end_duration": 1234,
      "checkpointed_size": 1048576,
      "state_size": 3145728,
      "start_delay": 0,
      "alignment": {
        "duration": 45
      },
      "num_subtasks": 2,
      "num_acknowledged_subtasks": 2,
      "external_path": "file:///checkpoints/fd72014d4c864993a2e5a9287b4a9c5d/chk-11",
      "discarded": false
    },
    "failed": {
      "id": 10,
      "status": "FAILED",
      "attempt": 1,
      "final": false,
      "trigger_timestamp": 1606748559000,
      "end_to_end_duration": 600000,
      "checkpointed_size": 0,
      "state_size": 0,
      "start_delay": 0,
      "alignment": {
        "duration": 0
      },
      "num_subtasks": 2,
      "num_acknowledged_subtasks": 0,
      "failure_timestamp": 1606749159000,
      "failure_message": "checkpoint 10:\nit took too long"
    },
    "restored": {
      "id": 8,
      "restore_timestamp": 1606748549005,
      "external_path": "file:///checkpoints/fd72014d4c864993a2e5a9287b4a9c5d/chk-8"
    }
  },
  "retained": [
    {
      "id": 11,
      "external_path": "file:///checkpoints/fd72014d4c864993a2e5a9287b4a9c5d/chk-11"
    }
  ],
  "history": [
    {
      "id": 12,
      "status": "IN_PROGRESS",
      "attempt": 2,
      "final": false,
      "trigger_timestamp": 1606748579123,
      "end_to_end_duration": -1,
      "checkpointed_size": 1023,
      "state_size": 1023,
      "start_delay": 0,
      "alignment": {
        "duration": 0
      },
      "num_subtasks": 2,
      "num_acknowledged_subtasks": 1
    }
  ]
}
`

// The names in JSON are a contract with scripts.
func TestCheckpointsAsJSON(t *testing.T) {
	c := newCommand(t)
	j := (&jobManager{jobs: everyKindOfJob(), checkpoints: jobCheckpoints()}).serve(t)
	all := j.checkpoints.GetHistory()
	j.checkpoints.History = all[:1]
	c.expect(t, 0, checkpointsOfJobAsJSON, "", "checkpoints", "-m", j.address, "-o", "json", jobID)

	j.checkpoints.LatestCompleted, j.checkpoints.LatestFailed, j.checkpoints.LatestRestored = nil, nil, nil
	j.checkpoints.History, j.checkpoints.Retained, j.checkpoints.Counts = all[1:2], nil, nil
	j.checkpoints.Configuration.ExternalizedRetention = "NO_EXTERNALIZED_CHECKPOINTS"
	c.stdout.Reset()
	if code := c.run([]string{"checkpoints", "-m", j.address, "-o", "json", "-v", jobID}); code != 0 {
		t.Fatalf("exit code %d: %s", code, c.stderr)
	}
	for _, part := range []string{`"enabled": false,
      "delete_on_cancellation": true
`, `  "latest": {
    "completed": null,
    "failed": null,
    "restored": null
  },
  "retained": [],
  "history": [
`, `      "tasks": {
        "delays": {
          "name": "delays",
          "num_subtasks": 1,
          "num_acknowledged_subtasks": 1,
          "subtasks": [
            {
              "index": 0,
              "status": "completed",
              "checkpointed_size": 0,
              "state_size": 1048576,
              "start_delay": 0,
              "alignment": {
                "duration": 45
              },
              "checkpoint": {
                "sync": 0,
                "async": 0
              }
            }
          ]
        },
        "flights": {
`} {
		if !strings.Contains(c.stdout.String(), part) {
			t.Errorf("the JSON lacks\n%s\nin\n%s", part, c.stdout)
		}
	}
	j.checkpoints.History = all[2:3]
	c.stdout.Reset()
	_ = c.run([]string{"checkpoints", "-m", j.address, "-o", "json", "-v", jobID})
	if want := `{
              "index": 0,
              "status": "pending_or_failed"
            }`; strings.Count(c.stdout.String(), want) != 2 {
		t.Errorf("two tasks that have not acknowledged are shown as\n%s", c.stdout)
	}
}

func TestFiguresOfCheckpoints(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 10<<10 + 512: "10.5 KiB", 1<<20 - 1: "1.0 MiB", 5 << 30: "5.0 GiB", 1<<64 - 1: "16.0 EiB",
	} {
		if got := byteSize(n); got != want {
			t.Errorf("%d bytes are %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0s", 999 * time.Nanosecond: "1µs", 9876 * time.Microsecond: "9.88ms", 99_999 * time.Microsecond: "100ms", 1500 * time.Millisecond: "1.5s",
		89_990 * time.Millisecond: "1m30s", 100_600 * time.Millisecond: "1m41s", -time.Second: "-1s",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
