package scheduler

import (
	"fmt"
	"strings"

	"github.com/weirstream/weir/internal/ids"
)

// source deals out the splits of one source vertex in an attempt. It knows
// nothing of workers: it only decides which subtask gets which split (J5).
type source struct {
	enumerated, bounded bool
	splits              []Split
	// taken has the splits that were dealt; head and tail are the lowest ones
	// that may not have been, below and from the number of subtasks.
	taken      []bool
	head, tail int
	// asked are the subtasks that have asked before, and pending those that
	// asked before the splits were known.
	asked, pending []bool
}

func newSource(parallelism int) *source {
	return &source{asked: make([]bool, parallelism), pending: make([]bool, parallelism)}
}

// enumerate takes in the splits.
func (s *source) enumerate(splits []Split, bounded bool) {
	s.enumerated, s.bounded, s.splits = true, bounded, splits
	s.taken = make([]bool, len(splits))
	s.tail = min(len(s.asked), len(splits))
}

// next returns the index of the split that a subtask gets for its request,
// false if all are dealt. Its first request prefers the split with its own
// number, and splits that are still reserved in this way for others go last: so
// a source with one split for each subtask is dealt evenly, whoever asks first.
func (s *source) next(subtask int) (int, bool) {
	first := !s.asked[subtask]
	s.asked[subtask] = true
	if first && subtask < len(s.splits) && !s.taken[subtask] {
		s.taken[subtask] = true
		return subtask, true
	}
	if i, ok := s.take(&s.tail, len(s.splits)); ok {
		return i, true
	}
	return s.take(&s.head, min(len(s.asked), len(s.splits)))
}

// take takes the lowest split that is not taken from *from up to end.
func (s *source) take(from *int, end int) (int, bool) {
	for ; *from < end; *from++ {
		if i := *from; !s.taken[i] {
			s.taken[i] = true
			return i, true
		}
	}
	return 0, false
}

// deal returns the splits of one subtask of an unbounded source: every split is
// read for ever, so all are dealt at once.
func (s *source) deal(subtask int) (splits []Split) {
	for i := subtask; i < len(s.splits); i += len(s.asked) {
		splits = append(splits, s.splits[i])
		s.taken[i] = true
	}
	return splits
}

func (s *Scheduler) splitsEnumerated(e SplitsEnumerated) {
	j, w := s.origin(e.Origin, e)
	if j == nil {
		return
	}
	source := j.sources[e.Vertex]
	if source == nil || source.enumerated || j.tasks[e.Vertex][0].worker != w {
		s.drop(e.Session, e.Job, e, "the worker was not asked for the splits of vertex %d", e.Vertex)
		return
	}
	if j.state != Running {
		return // It is being stopped.
	}
	if e.Failure != nil {
		message := e.Failure.Message
		if name := j.graph.Plan.Vertices[e.Vertex].Name; !strings.Contains(message, name) {
			message = fmt.Sprintf("could not list the splits of %q: %s", name, message)
		}
		s.fail(j, &JobFailure{
			Message: message,
			Stack:   e.Failure.Stack, Time: e.Failure.Time, TaskManager: w.taskManager.ID, worker: w,
		}, false)
		return
	}
	source.enumerate(e.Splits, e.Bounded)
	for i := range j.tasks[e.Vertex] {
		t := ids.Subtask{Vertex: e.Vertex, Index: i}
		switch {
		case !e.Bounded:
			s.do(AssignSplits{Target: j.target(j.task(t).worker), Task: t, Splits: source.deal(i), NoMore: true})
		case source.pending[i]:
			s.assign(j, source, t)
		}
	}
}

func (s *Scheduler) splitRequested(e SplitRequested) {
	j, w := s.origin(e.Origin, e)
	if j == nil {
		return
	}
	t := j.task(e.Task)
	source := j.sources[e.Task.Vertex]
	if t == nil || source == nil || t.worker != w || t.state.Terminal() {
		s.drop(e.Session, e.Job, e, "the worker runs no source at %s", e.Task)
		return
	}
	switch {
	case j.state != Running:
		// It is being stopped.
	case !source.enumerated:
		source.pending[e.Task.Index] = true
	case source.bounded:
		s.assign(j, source, e.Task)
	}
	// An unbounded source has got all its splits when they were enumerated.
}

// assign answers a request of a subtask of a bounded source.
func (s *Scheduler) assign(j *job, source *source, t ids.Subtask) {
	a := AssignSplits{Target: j.target(j.task(t).worker), Task: t}
	if i, ok := source.next(t.Index); ok {
		a.Splits = []Split{source.splits[i]}
		source.splits[i] = Split{} // It is the worker's now.
	} else {
		a.NoMore = true
	}
	s.do(a)
}
