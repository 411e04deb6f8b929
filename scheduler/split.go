package scheduler

import (
	"fmt"
	"slices"
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

// enumerate takes in the splits. It keeps a list of its own, from which it takes
// out what is dealt.
func (s *source) enumerate(splits []Split, bounded bool) {
	s.enumerated, s.bounded, s.splits = true, bounded, slices.Clone(splits)
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

// undealt returns the splits that no subtask has been given.
func (s *source) undealt() []Split {
	var splits []Split
	for i, split := range s.splits {
		if !s.taken[i] {
			splits = append(splits, split)
		}
	}
	return splits
}

// startSource begins to deal out the splits of a source: those that are
// restored, or what the source says when it is asked.
func (s *Scheduler) startSource(j *job, vertex int) {
	source := newSource(j.graph.Parallelism[vertex])
	j.sources[vertex] = source
	splits, restored := j.restore.splits(vertex)
	if !restored {
		s.do(EnumerateSplits{Target: j.target(j.tasks[vertex][0].worker), Vertex: vertex})
		return
	}
	source.enumerate(splits, j.graph.Plan.Vertices[vertex].Bounded)
	s.dealKnown(j, vertex)
}

// Undealt returns the splits of a job's attempt that no subtask has been given
// so far, by vertex: what a checkpoint has to have beside the state of its tasks,
// if these are told of it before the next step. A source that has not listed its
// splits yet is left out: it will list them anew. It returns nil if the job does
// not run. The splits must not be changed.
func (s *Scheduler) Undealt(id ids.JobID) map[int][]Split {
	j := s.jobs[id]
	if j == nil || j.state != Running {
		return nil
	}
	all := map[int][]Split{}
	for vertex, source := range j.sources {
		if source.enumerated {
			all[vertex] = source.undealt()
		}
	}
	return all
}

// checkpoint returns what StartTasks says; a nil Restore has none.
func (r *Restore) checkpoint() uint64 {
	if r == nil {
		return 0
	}
	return r.Checkpoint
}

// splits returns what is restored of a source, false if nothing is.
func (r *Restore) splits(vertex int) ([]Split, bool) {
	if r == nil {
		return nil, false
	}
	splits, ok := r.Sources[vertex]
	return splits, ok
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
		f := e.Failure.of(w)
		f.Message = message
		s.fail(j, f, false)
		return
	}
	source.enumerate(e.Splits, e.Bounded)
	s.dealKnown(j, e.Vertex)
}

// dealKnown deals the splits of a source that have just become known: all if they
// are read for ever, otherwise one to each subtask that has asked before.
func (s *Scheduler) dealKnown(j *job, vertex int) {
	source := j.sources[vertex]
	for i := range j.tasks[vertex] {
		t := ids.Subtask{Vertex: vertex, Index: i}
		switch {
		case !source.bounded:
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
