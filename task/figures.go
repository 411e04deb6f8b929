package task

import (
	"sync/atomic"
	"time"
)

// activity is what a task spends its time on.
type activity int32

const (
	busy activity = iota
	idle
	backpressured
	over // the task has ended
	activities
)

// timesheet is how a task's wall time is divided: measured at every change,
// not sampled.
type timesheet struct {
	current atomic.Int32
	since   atomic.Int64 // ns since the task began
	spent   [activities]atomic.Int64
}

// enter ends the current activity and begins another. It returns the one that
// ended. Only the task calls it.
func (t *timesheet) enter(a activity, now time.Duration) activity {
	was := activity(t.current.Load())
	t.spent[was].Add(int64(now) - t.since.Load())
	t.since.Store(int64(now))
	t.current.Store(int32(a))
	return was
}

// read returns the time spent on each activity until now, with the one that is
// under way. Anyone may call it; a change in between may be counted in the next
// reading.
func (t *timesheet) read(now time.Duration) (spent [activities]time.Duration) {
	for i := range t.spent {
		spent[i] = time.Duration(t.spent[i].Load())
	}
	if under := int64(now) - t.since.Load(); under > 0 {
		spent[t.current.Load()] += time.Duration(under)
	}
	return spent
}

// Figures are the counts of a subtask. They are written by its task and read by
// anyone.
type Figures struct {
	timesheet
	RecordsIn, RecordsOut, BytesIn, BytesOut atomic.Uint64
	// RecordsInRemote are those of RecordsIn that came over TCP.
	RecordsInRemote atomic.Uint64
	// LateDropped are records that came after their window had fired.
	LateDropped atomic.Uint64
	// Watermark of the input, of a source that of its output, in ms since the epoch;
	// NoTime if there is none yet.
	Watermark atomic.Int64
	// AlignmentDrift is how far a source's watermark is beyond what its alignment group
	// allows, in ms.
	AlignmentDrift atomic.Int64
	// LongestFiring is the longest time, in ns, that one watermark held the task with
	// the results that it fired; what the end of the input fires is left out, since
	// nothing waits behind it.
	LongestFiring atomic.Int64
	// ProgressDone and ProgressTotal are in the source's own unit; the total is 0
	// if it is not known.
	ProgressDone, ProgressTotal atomic.Uint64

	user userMetrics
}

func newFigures() *Figures {
	f := &Figures{}
	f.Watermark.Store(NoTime)
	return f
}
