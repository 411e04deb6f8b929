package task

import (
	"math"
	"slices"
)

// parts computes the watermark of a subtask from those of the parts of its input:
// the splits that it reads, or the one that is all of it. It is the smallest of
// those that are not idle, and never falls. So a part that has just begun, or that
// comes back from being idle, holds the watermark where it is until it has passed
// it; one that has ended holds back nobody. It is a pure state machine. (The rules
// are Flink's, see its WatermarkOutputMultiplexer.)
type parts struct {
	list []*part
	low  int64
}

// part is one of them.
type part struct {
	watermark int64
	idle      bool
}

func newParts() parts { return parts{low: NoTime} }

func (p *parts) add(q *part) { p.list = append(p.list, q) }

// remove takes a part out that has ended, and reports whether the watermark rose.
func (p *parts) remove(q *part) (rose bool) {
	if i := slices.Index(p.list, q); i >= 0 {
		p.list = slices.Delete(p.list, i, i+1)
	}
	return p.settle()
}

// raise gives a part its watermark, which ends its idleness, and reports whether
// the watermark of the subtask rose. One that falls is ignored.
func (p *parts) raise(q *part, t int64) (rose bool) {
	before := q.watermark
	q.watermark = max(before, t)
	switch {
	case q.idle:
		q.idle = false
	case t <= before, before > p.low: // another one holds back the watermark
		return false
	}
	return p.settle()
}

// rest makes a part idle, and reports whether the watermark rose.
func (p *parts) rest(q *part) (rose bool) {
	q.idle = true
	return p.settle()
}

// settle computes the watermark anew.
func (p *parts) settle() (rose bool) {
	low, active := p.slowest()
	if !active || low <= p.low {
		return false
	}
	p.low = low
	return true
}

// slowest returns the smallest watermark of the parts that are not idle, which may
// be below that of the subtask, and false if there is none.
func (p *parts) slowest() (low int64, active bool) {
	low = MaxTime
	for _, q := range p.list {
		if !q.idle {
			low, active = min(low, q.watermark), true
		}
	}
	return low, active
}

// idle reports whether there are parts and all of them are idle.
func (p *parts) idle() bool {
	_, active := p.slowest()
	return len(p.list) > 0 && !active
}

// later returns t + d, or the end of time.
func later(t, d int64) int64 {
	if t > math.MaxInt64-d {
		return math.MaxInt64
	}
	return t + d
}
