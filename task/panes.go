package task

import (
	"fmt"
	"slices"
	"sort"

	"github.com/weirstream/weir/internal/key"
	"github.com/weirstream/weir/state/memory"
)

// pane is the part of time that one table holds: [start, end) in ms.
type pane[K comparable, A any] struct {
	start, end int64
	table      *memory.Table[K, A]
	// fired tells that the watermark has passed its end: records that are allowed
	// to be so late update what it has emitted.
	fired bool
}

// panes are the open panes of an operator, by time, and emptied tables for the
// next ones.
type panes[K comparable, A any] struct {
	size, offset int64
	// cut is where in each size a pane ends and another begins; 0 is nowhere.
	cut  int64
	kind *key.Kind[K]
	// watermark is the last, and gonePast that less the allowed lateness: what ends
	// at it or before is not kept.
	watermark, gonePast int64
	open                []*pane[K, A]
	last                *pane[K, A]
	spare               []*memory.Table[K, A]
	// clone is how an accumulator is copied for a snapshot.
	clone func(*A) A
}

// maxSpare bounds the emptied tables that are kept: as many as are usually open
// at once.
const maxSpare = 8

// maxCleared is how many keys may be cleared at once: emptying a larger table that
// was not emptied while it fired would take longer than a chunk should.
const maxCleared = 1 << 16

func newPanes[K comparable, A any](kind *key.Kind[K], size, offset int64) panes[K, A] {
	return panes[K, A]{size: size, offset: offset, kind: kind, watermark: NoTime, gonePast: NoTime}
}

// at returns the pane of time t, or nil if it is gone.
func (p *panes[K, A]) at(t int64) (*pane[K, A], error) {
	if l := p.last; l != nil && t >= l.start && t < l.end {
		return l, nil
	}
	if t == NoTime {
		return nil, fmt.Errorf("a record without an event time reached a window: give the stream WithWatermarks before it")
	}
	start, end := p.bounds(t)
	if end-1 <= p.gonePast {
		return nil, nil
	}
	i := sort.Search(len(p.open), func(i int) bool { return p.open[i].start >= start })
	if i == len(p.open) || p.open[i].start != start {
		p.open = append(p.open, nil)
		copy(p.open[i+1:], p.open[i:])
		p.open[i] = &pane[K, A]{start: start, end: end, table: p.table(), fired: end-1 <= p.watermark}
	}
	p.last = p.open[i]
	return p.last, nil
}

// bounds returns the pane that t belongs to. Those at the two ends of time are
// cut short.
func (p *panes[K, A]) bounds(t int64) (start, end int64) {
	return paneBounds(t, p.size, p.cut, p.offset)
}

// gone reports whether the pane of time t is.
func (p *panes[K, A]) gone(t int64) bool {
	_, end := p.bounds(t)
	return t != NoTime && end-1 <= p.gonePast
}

// advance moves the watermark to t. Panes that are gone were released.
func (p *panes[K, A]) advance(t, lateness int64) {
	p.watermark, p.gonePast = t, before(t, lateness)
}

// anyGone reports whether the earliest pane is gone at watermark t.
func (p *panes[K, A]) anyGone(t, lateness int64) bool {
	return len(p.open) > 0 && p.open[0].end-1 <= before(t, lateness)
}

// before returns the time that lies d before t. The two ends of time stay what they
// are: the first has nothing before it, and behind the last nothing is kept.
func before(t, d int64) int64 {
	switch {
	case t == MaxTime:
		return t
	case t < NoTime+d:
		return NoTime
	}
	return t - d
}

func (p *panes[K, A]) table() *memory.Table[K, A] {
	if n := len(p.spare); n > 0 {
		t := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return t
	}
	t := memory.NewTable[K, A](p.kind)
	t.CloneWith(p.clone)
	return t
}

// complete returns the earliest pane that has not fired and that watermark t
// completes, or nil.
func (p *panes[K, A]) complete(t int64) *pane[K, A] {
	for _, pane := range p.open {
		if pane.end-1 > t {
			return nil
		}
		if !pane.fired {
			return pane
		}
	}
	return nil
}

// release closes the earliest pane.
func (p *panes[K, A]) release(first *pane[K, A]) {
	p.open = slices.Delete(p.open, 0, 1) // which forgets the table, too
	p.last = nil
	if len(p.spare) == maxSpare || first.table.Len() > maxCleared {
		return
	}
	if first.table.Len() > 0 {
		first.table.Clear()
	}
	p.spare = append(p.spare, first.table)
}
