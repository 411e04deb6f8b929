package main

import (
	"strings"

	"github.com/weirstream/weir/client"
)

// The JSON of checkpoints has the names of Flink's GET /jobs/:jobid/checkpoints,
// …/checkpoints/config and …/checkpoints/details/:checkpointid/subtasks/:vertexid.
// Sizes are in bytes, durations in milliseconds.
type (
	checkpointsJSON struct {
		JID    string               `json:"jid"`
		Counts checkpointCountsJSON `json:"counts"`
		Config checkpointConfigJSON `json:"config"`
		Latest struct {
			Completed *checkpointJSON         `json:"completed"`
			Failed    *checkpointJSON         `json:"failed"`
			Restored  *restoredCheckpointJSON `json:"restored"`
		} `json:"latest"`
		// Retained are those that the job can be restored from, the newest first.
		Retained []retainedCheckpointJSON `json:"retained"`
		History  []*checkpointJSON        `json:"history"`
	}
	checkpointCountsJSON struct {
		Restored   int `json:"restored"`
		Total      int `json:"total"`
		InProgress int `json:"in_progress"`
		Completed  int `json:"completed"`
		Failed     int `json:"failed"`
	}
	checkpointConfigJSON struct {
		// Mode is "exactly_once" or "at_least_once".
		Mode            string              `json:"mode"`
		Interval        int64               `json:"interval"`
		Timeout         int64               `json:"timeout"`
		MinPause        int64               `json:"min_pause"`
		MaxConcurrent   int                 `json:"max_concurrent"`
		TolerableFailed int                 `json:"tolerable_failed_checkpoints"`
		Externalization externalizationJSON `json:"externalization"`
		NumRetained     int                 `json:"num_retained"`
		Directory       string              `json:"directory"`
	}
	externalizationJSON struct {
		Enabled              bool `json:"enabled"`
		DeleteOnCancellation bool `json:"delete_on_cancellation"`
	}
	checkpointJSON struct {
		ID      uint64 `json:"id"`
		Status  string `json:"status"`
		Attempt int    `json:"attempt"`
		Final   bool   `json:"final"`
		Trigger int64  `json:"trigger_timestamp"`
		// Duration is -1 while the checkpoint is in progress.
		Duration int64 `json:"end_to_end_duration"`
		checkpointFigures
		NumSubtasks     int `json:"num_subtasks"`
		NumAcknowledged int `json:"num_acknowledged_subtasks"`
		// ExternalPath and Discarded are there if it has completed, and what follows
		// if it has failed.
		ExternalPath     string `json:"external_path,omitempty"`
		Discarded        *bool  `json:"discarded,omitempty"`
		FailureTimestamp int64  `json:"failure_timestamp,omitempty"`
		FailureMessage   string `json:"failure_message,omitempty"`
		// Tasks has the vertices by their ids, with --verbose.
		Tasks map[string]checkpointVertexJSON `json:"tasks,omitempty"`
	}
	// checkpointFigures are those of a subtask; for a checkpoint the sums of the
	// sizes, and the longest of the times.
	checkpointFigures struct {
		CheckpointedSize uint64                  `json:"checkpointed_size"`
		StateSize        uint64                  `json:"state_size"`
		StartDelay       int64                   `json:"start_delay"`
		Alignment        checkpointAlignmentJSON `json:"alignment"`
	}
	checkpointAlignmentJSON struct {
		Duration int64 `json:"duration"`
	}
	checkpointVertexJSON struct {
		Name            string                  `json:"name"`
		NumSubtasks     int                     `json:"num_subtasks"`
		NumAcknowledged int                     `json:"num_acknowledged_subtasks"`
		Subtasks        []checkpointSubtaskJSON `json:"subtasks"`
	}
	checkpointSubtaskJSON struct {
		Index int `json:"index"`
		// Status is "completed" or "pending_or_failed", which has no figures.
		Status string `json:"status"`
		*checkpointFigures
		Checkpoint *checkpointPartsJSON `json:"checkpoint,omitempty"`
	}
	checkpointPartsJSON struct {
		Sync  int64 `json:"sync"`
		Async int64 `json:"async"`
	}
	restoredCheckpointJSON struct {
		ID           uint64 `json:"id"`
		Timestamp    int64  `json:"restore_timestamp"`
		ExternalPath string `json:"external_path"`
	}
	retainedCheckpointJSON struct {
		ID           uint64 `json:"id"`
		ExternalPath string `json:"external_path"`
	}
)

func checkpointsToJSON(id string, c *client.Checkpoints) checkpointsJSON {
	j := checkpointsJSON{
		JID:    id,
		Counts: checkpointCountsJSON{Restored: c.Restored, Total: c.Triggered, InProgress: c.InProgress, Completed: c.Completed, Failed: c.Failed},
		Config: checkpointConfigJSON{
			Mode: strings.ToLower(c.Config.Mode), Interval: c.Config.Interval.Milliseconds(), Timeout: c.Config.Timeout.Milliseconds(),
			MinPause: c.Config.MinPause.Milliseconds(), MaxConcurrent: c.Config.MaxConcurrent, TolerableFailed: c.Config.TolerableFailed,
			Externalization: externalizationJSON{
				Enabled:              c.Config.ExternalizedRetention != "NO_EXTERNALIZED_CHECKPOINTS",
				DeleteOnCancellation: c.Config.ExternalizedRetention != "RETAIN_ON_CANCELLATION",
			},
			NumRetained: c.Config.Retained, Directory: c.Config.Directory,
		},
		Retained: []retainedCheckpointJSON{}, History: []*checkpointJSON{},
	}
	j.Latest.Completed, j.Latest.Failed = checkpointToJSON(c.LatestCompleted), checkpointToJSON(c.LatestFailed)
	if r := c.LatestRestored; r != nil {
		j.Latest.Restored = &restoredCheckpointJSON{ID: r.ID, Timestamp: r.Time.UnixMilli(), ExternalPath: r.ExternalPath}
	}
	for _, r := range c.Retained {
		j.Retained = append(j.Retained, retainedCheckpointJSON(r))
	}
	for i := range c.History {
		j.History = append(j.History, checkpointToJSON(&c.History[i]))
	}
	return j
}

func checkpointToJSON(c *client.Checkpoint) *checkpointJSON {
	if c == nil {
		return nil
	}
	j := &checkpointJSON{
		ID: c.ID, Status: string(c.Status), Attempt: c.Attempt, Final: c.Final, Trigger: c.Trigger.UnixMilli(), Duration: c.Duration.Milliseconds(),
		checkpointFigures: checkpointFigures{
			CheckpointedSize: c.StoredSize, StateSize: c.StateSize, StartDelay: c.StartDelay.Milliseconds(),
			Alignment: checkpointAlignmentJSON{c.Alignment.Milliseconds()},
		},
		NumSubtasks: c.Subtasks, NumAcknowledged: c.Acknowledged, ExternalPath: c.ExternalPath, FailureMessage: c.Failure,
	}
	switch c.Status {
	case client.CheckpointInProgress:
		j.Duration = -1
	case client.CheckpointCompleted:
		j.Discarded = &c.Discarded
	case client.CheckpointFailed:
		j.FailureTimestamp = c.FailureTime.UnixMilli()
	}
	for _, v := range c.Tasks {
		if j.Tasks == nil {
			j.Tasks = map[string]checkpointVertexJSON{}
		}
		j.Tasks[v.ID] = checkpointVertexToJSON(v)
	}
	return j
}

func checkpointVertexToJSON(v client.CheckpointVertex) checkpointVertexJSON {
	j := checkpointVertexJSON{Name: v.Name, NumSubtasks: len(v.Subtasks), Subtasks: []checkpointSubtaskJSON{}}
	for _, s := range v.Subtasks {
		if !s.Acknowledged {
			j.Subtasks = append(j.Subtasks, checkpointSubtaskJSON{Index: s.Index, Status: "pending_or_failed"})
			continue
		}
		j.NumAcknowledged++
		j.Subtasks = append(j.Subtasks, checkpointSubtaskJSON{
			Index: s.Index, Status: "completed",
			checkpointFigures: &checkpointFigures{
				CheckpointedSize: s.StoredSize, StateSize: s.StateSize, StartDelay: s.StartDelay.Milliseconds(),
				Alignment: checkpointAlignmentJSON{s.Alignment.Milliseconds()},
			},
			Checkpoint: &checkpointPartsJSON{Sync: s.Sync.Milliseconds(), Async: s.Async.Milliseconds()},
		})
	}
	return j
}
