package task

import "time"

// chunkTime is how much work a task does before it looks at its timers, its
// control messages and its buffers again.
const chunkTime = time.Millisecond

// pace decides how many records a chunk may have, from how long the last one
// took: as many as fit into [chunkTime], at least one, at most a batch. It
// starts with one and doubles, so a function that takes 10 ms never gets more
// than one record at a time.
type pace struct{ size int }

func newPace() pace { return pace{size: 1} }

// observe learns from a chunk of n records that took work.
func (p *pace) observe(n int, work time.Duration) {
	switch {
	case n == 0:
	case work > chunkTime:
		p.size = max(1, int(int64(n)*int64(chunkTime)/int64(work)))
	case n >= p.size && work <= chunkTime/2:
		p.size = min(BatchSize, 2*p.size)
	}
}
