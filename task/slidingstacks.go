package task

import (
	"math"
	"sort"
)

// stacked keeps sums such that a window is made of three of them, however many panes
// it has: the panes of a window are a front, a frozen and a back part.
//
//	from                frozenFrom            backFrom        to
//	 |  front            |  frozen             |  back         |
//	 each pane with all  being made the next   one sum, to
//	 that follow it in   front; and one sum    which panes
//	 the front                                 are added
//
// A window that leaves a pane drops the sum at the head of the front. When the front
// is used up, the frozen part becomes the front and the back the frozen part. Until
// then, a few sums of the next front are made with each window, from the last pane
// to the first, so that none has to wait for all of them: this is the two stacks
// that make a queue, with the turning over of a stack spread over half a window.
type stacked[K comparable, A any] struct {
	store *slidingStore[K, A]
	// separate tells that panes must stay what they are, because late records may
	// make a window of the past fire again, or because snapshots are taken of them.
	// Otherwise a pane becomes its sum.
	separate bool

	from, frozenFrom, backFrom, to int64
	front, next                    []suffix[A] // by pane
	// undone is the first pane of next, or where its sums begin to be made.
	undone             int64
	frozenSum, backSum *column[A]
}

// suffix is the sum of a pane and those that follow it in its part.
type suffix[A any] struct {
	pane int64
	col  *column[A]
}

func newStacked[K comparable, A any](s *slidingStore[K, A], separate bool) *stacked[K, A] {
	m := &stacked[K, A]{store: s, separate: separate, frozenSum: &column[A]{}, backSum: &column[A]{}}
	m.restart(math.MinInt64)
	return m
}

// restart begins with no panes, from from on.
func (m *stacked[K, A]) restart(from int64) {
	m.from, m.frozenFrom, m.backFrom, m.undone, m.to = from, from, from, from, from
}

func (m *stacked[K, A]) enter(from, to int64) {
	m.leave(from)
	if m.to <= from {
		// Where a stream begins, its first pane is the last of the first window. Then
		// the front has nothing in it to be made at once.
		m.from, m.frozenFrom, m.backFrom, m.undone = from, from+(to-from)/2, to, to
		for _, p := range m.store.between(m.frozenFrom, to) {
			m.store.merge(m.frozenSum, p.col)
		}
		m.front = m.make(m.store.between(from, m.frozenFrom), m.front)
	} else {
		for _, p := range m.store.between(m.to, to) {
			m.store.merge(m.backSum, p.col)
		}
	}
	m.to = to

	per := m.store.slides.per
	left := (m.frozenFrom - from + per - 1) / per // windows until the front is used up
	waiting := m.store.between(m.frozenFrom, m.undone)
	if n := int64(len(waiting)); n > 0 {
		share := min(n, (n+left-1)/left)
		m.undone = waiting[n-share].number
		m.next = m.make(waiting[n-share:], m.next)
	}
}

// make queues that the sums of panes are made, ahead of others of the same part.
func (m *stacked[K, A]) make(panes []*slidingPane[A], others []suffix[A]) []suffix[A] {
	made := make([]suffix[A], len(panes), len(panes)+len(others))
	for i := len(panes) - 1; i >= 0; i-- {
		col := panes[i].col
		if m.separate {
			col = m.store.column()
			m.store.merge(col, panes[i].col)
		}
		if i+1 < len(made) {
			m.store.merge(col, made[i+1].col)
		} else if len(others) > 0 {
			m.store.merge(col, others[0].col)
		}
		made[i] = suffix[A]{panes[i].number, col}
	}
	return append(made, others...)
}

func (m *stacked[K, A]) leave(from int64) {
	if from >= m.to {
		m.drop(&m.front, math.MaxInt64)
		m.drop(&m.next, math.MaxInt64)
		m.store.empty(m.frozenSum, nil)
		m.store.empty(m.backSum, nil)
		m.restart(max(m.to, from))
		return
	}
	m.from = max(m.from, from)
	m.drop(&m.front, from)
	for from >= m.frozenFrom {
		m.turn()
		m.drop(&m.front, from)
	}
}

// turn makes the frozen part the front, and the back the frozen part.
func (m *stacked[K, A]) turn() {
	m.front = m.make(m.store.between(max(m.from, m.frozenFrom), m.undone), m.next)
	m.next = nil
	m.store.empty(m.frozenSum, nil)
	m.frozenSum, m.backSum = m.backSum, m.frozenSum
	m.frozenFrom, m.backFrom, m.undone = m.backFrom, m.to, m.to
}

// drop lets go of the sums before from.
func (m *stacked[K, A]) drop(part *[]suffix[A], from int64) {
	for len(*part) > 0 && (*part)[0].pane < from {
		if col := (*part)[0].col; m.separate {
			m.store.empty(col, func() { m.store.keep(col) })
		}
		(*part)[0] = suffix[A]{}
		*part = (*part)[1:]
	}
}

func (m *stacked[K, A]) columns(into []*column[A]) []*column[A] {
	if len(m.front) > 0 {
		into = append(into, m.front[0].col)
	}
	return append(into, m.frozenSum, m.backSum)
}

func (m *stacked[K, A]) correct(p *slidingPane[A], id uint32, _ bool, apply func(*A)) {
	switch {
	case p.number < m.from || p.number >= m.to:
	case p.number < m.frozenFrom:
		m.front = m.correctPart(m.front, p, id, apply)
	case p.number < m.backFrom:
		m.apply(m.frozenSum, id, apply)
		if p.number >= m.undone {
			m.next = m.correctPart(m.next, p, id, apply)
		}
	default:
		m.apply(m.backSum, id, apply)
	}
}

func (m *stacked[K, A]) apply(c *column[A], id uint32, apply func(*A)) {
	c.room(int(id) + 1)
	apply(c.at(id, m.store.init))
}

// correctPart changes the sums of a part that have the pane in them. One that the
// part did not have gets its sum here, with what was added to it.
func (m *stacked[K, A]) correctPart(part []suffix[A], p *slidingPane[A], id uint32, apply func(*A)) []suffix[A] {
	at := sort.Search(len(part), func(i int) bool { return part[i].pane >= p.number })
	for _, s := range part[:at] {
		m.apply(s.col, id, apply)
	}
	if at < len(part) && part[at].pane == p.number {
		if part[at].col != p.col {
			m.apply(part[at].col, id, apply)
		}
		return part
	}
	sum := p.col
	if m.separate {
		sum = m.store.column()
		sum.merge(p.col, 0, len(p.col.has), m.store.init, m.store.add)
	}
	if at < len(part) {
		next := part[at].col
		sum.merge(next, 0, len(next.has), m.store.init, m.store.add)
	}
	part = append(part, suffix[A]{})
	copy(part[at+1:], part[at:])
	part[at] = suffix[A]{p.number, sum}
	return part
}
