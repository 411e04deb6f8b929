package checkpoint

import (
	"slices"
	"time"

	"github.com/weirstream/weir/internal/ids"
)

// maxHistory is web.checkpoints.history: how many checkpoints that have ended
// are remembered for users.
const maxHistory = 10

// Status is how far a checkpoint is. The names are Flink's.
type Status string

// The statuses of a checkpoint.
const (
	InProgress Status = "IN_PROGRESS"
	Complete   Status = "COMPLETED"
	Failed     Status = "FAILED"
)

// View is what to show to users of a job's checkpoints since its coordinator
// was created.
type View struct {
	// Total is how many were triggered; the others are how many of them are in
	// each status.
	Total, InProgress, Completed, Failed int
	// History has those in progress and the last ones that have ended, the newest
	// first.
	History []Summary
}

// Summary is what to show of one checkpoint.
type Summary struct {
	ID        ID
	Attempt   ids.Attempt
	Status    Status
	Final     bool
	Triggered time.Time
	// Ended is when it completed or failed.
	Ended time.Time
	// Failure says why it failed.
	Failure string
	// Metadata is its metadata file, if it has completed.
	Metadata string
	// StateSize and StoredSize are sums over the tasks that have acknowledged.
	StateSize, StoredSize int64
	// Tasks has one for each task.
	Tasks []TaskView
}

// TaskView is what to show of a task's part of a checkpoint.
type TaskView struct {
	Task         ids.Subtask
	Acknowledged bool
	Figures
}

// history is what is remembered for users.
type history struct {
	total, complete, failed int
	// ended are the last that have ended, the oldest first.
	ended []Summary
}

func (h *history) started(*pending) { h.total++ }

func (h *history) completed(p *pending, r Record, now time.Time) {
	h.complete++
	v := p.view(Complete)
	v.Ended, v.Metadata = now, r.Metadata
	h.add(v)
}

func (h *history) aborted(p *pending, reason string, now time.Time) {
	h.failed++
	v := p.view(Failed)
	v.Ended, v.Failure = now, reason
	h.add(v)
}

func (h *history) add(v Summary) {
	if len(h.ended) == maxHistory {
		h.ended = slices.Delete(h.ended, 0, 1)
	}
	h.ended = append(h.ended, v)
}

func (p *pending) view(status Status) Summary {
	v := Summary{ID: p.id, Attempt: p.attempt, Status: status, Final: p.final, Triggered: p.triggered}
	v.Tasks = make([]TaskView, len(p.acknowledged))
	for t, i := range p.tasks {
		v.Tasks[i].Task = t
		if a := p.acknowledged[i]; a != nil {
			v.Tasks[i].Acknowledged, v.Tasks[i].Figures = true, a.Figures
			v.StateSize += a.StateSize
			v.StoredSize += a.StoredSize
		}
	}
	return v
}

// View returns what to show to users. It belongs to the caller.
func (c *Coordinator) View() View {
	v := View{Total: c.history.total, InProgress: len(c.pending), Completed: c.history.complete, Failed: c.history.failed}
	for _, p := range c.pending {
		v.History = append(v.History, p.view(InProgress))
	}
	v.History = append(v.History, c.history.ended...)
	slices.SortFunc(v.History, func(a, b Summary) int { return int(b.ID) - int(a.ID) })
	return v
}
