package scheduler

import (
	"math"

	"github.com/weirstream/weir/internal/ids"
)

// maxGroups and maxGroupName bound what a job's workers can make the scheduler keep.
const (
	maxGroups    = 1024
	maxGroupName = 1024
)

// watermarkReported answers a source's subtask with how far its group lets it read:
// its drift ahead of the slowest. What nobody has to wait for, tasks that have ended
// and those that are idle, does not count.
func (s *Scheduler) watermarkReported(e WatermarkReported) {
	j, w := s.origin(e.Origin, e)
	if j == nil {
		return
	}
	t := j.task(e.Task)
	if t == nil || j.sources[e.Task.Vertex] == nil || t.worker != w || t.state.Terminal() {
		s.drop(e.Session, e.Job, e, "the worker runs no source at %s", e.Task)
		return
	}
	if j.state != Running {
		return // It is being stopped.
	}
	group := j.groups[e.Group]
	if group == nil {
		if len(j.groups) >= maxGroups || len(e.Group) > maxGroupName {
			s.drop(e.Session, e.Job, e, "a job may have %d alignment groups, with names of %d bytes", maxGroups, maxGroupName)
			return
		}
		group = map[ids.Subtask]int64{}
		j.groups[e.Group] = group
	}
	group[e.Task] = e.Watermark
	s.do(AlignSource{Target: j.target(w), Task: e.Task, Group: e.Group, Limit: ahead(j.slowest(group), e.MaxDrift)})
}

// slowest returns the smallest watermark that the tasks of a group have reported,
// the largest of all times if none counts.
func (j *job) slowest(group map[ids.Subtask]int64) int64 {
	low := int64(math.MaxInt64)
	for id, watermark := range group {
		if !j.task(id).state.Terminal() {
			low = min(low, watermark)
		}
	}
	return low
}

// ahead returns the time that is drift after t, or the end of time.
func ahead(t, drift int64) int64 {
	drift = max(0, drift)
	if t > math.MaxInt64-drift {
		return math.MaxInt64
	}
	return t + drift
}
