package task

import (
	"cmp"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/ids"
)

// Metrics are one subtask's figures. Counts are since its start.
type Metrics struct {
	Vertex, Subtask                          int
	RecordsIn, RecordsOut, BytesIn, BytesOut uint64
	// RecordsInRemote are those of RecordsIn that came over TCP.
	RecordsInRemote, LateDropped uint64
	// Wall time since the reading before, in ms per second: together 1000, or 0
	// after the task has ended.
	Busy, Idle, Backpressured int
	// Watermark of the input, of a source that of its output, in ms since the epoch;
	// NoTime if there is none.
	Watermark int64
	// AlignmentDrift is how far a source's watermark is beyond what its alignment group
	// allows, in ms: negative below that, 0 without a limit.
	AlignmentDrift int64
	// LongestFiring is the longest time that one watermark held the task with the
	// results that it fired, before the end of its input.
	LongestFiring time.Duration
	// How much of a bounded input is read, in the source's own unit; the total is
	// 0 if it is not known.
	ProgressDone, ProgressTotal uint64
	// User are those of the job's functions.
	User []UserMetric
}

// reading is what a task's timesheet said, and when.
type reading struct {
	at    time.Duration
	spent [activities]time.Duration
}

// Metrics reads the figures of all tasks, by vertex and subtask. Rates are
// since the call before, so one caller at a time should use it.
func (h *Host) Metrics() []Metrics {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]Metrics, 0, len(h.tasks))
	for id, t := range h.tasks {
		all = append(all, t.metrics(id))
	}
	slices.SortFunc(all, func(a, b Metrics) int {
		return cmp.Or(cmp.Compare(a.Vertex, b.Vertex), cmp.Compare(a.Subtask, b.Subtask))
	})
	return all
}

func (t *task) metrics(id ids.Subtask) Metrics {
	f, now := t.ctx.figures, t.ctx.clock.now()
	next := reading{at: now, spent: f.read(now)}
	rate := func(a activity) int {
		elapsed := next.at - t.seen.at
		if elapsed <= 0 {
			return 0
		}
		share := (next.spent[a] - t.seen.spent[a]) * 1000 / elapsed
		return int(min(1000, max(0, share)))
	}
	m := Metrics{
		Vertex: id.Vertex, Subtask: id.Index,
		RecordsIn: f.RecordsIn.Load(), RecordsOut: f.RecordsOut.Load(), BytesIn: f.BytesIn.Load(), BytesOut: f.BytesOut.Load(),
		RecordsInRemote: f.RecordsInRemote.Load(), LateDropped: f.LateDropped.Load(),
		Busy: rate(busy), Idle: rate(idle), Backpressured: rate(backpressured),
		Watermark: f.Watermark.Load(), AlignmentDrift: f.AlignmentDrift.Load(), ProgressDone: f.ProgressDone.Load(), ProgressTotal: f.ProgressTotal.Load(),
	}
	m.LongestFiring = time.Duration(f.LongestFiring.Load())
	m.User = f.user.read()
	t.seen = next
	return m
}
