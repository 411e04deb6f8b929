package jobmanager

import (
	"slices"
	"time"

	"github.com/weirstream/weir/checkpoint"
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
