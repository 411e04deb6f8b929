package task

import (
	"math/bits"
	"sort"
)

// slidingPane is the records of [start, end), in ms, added up by key.
type slidingPane[A any] struct {
	number, start, end int64
	col                *column[A]
}

// slidingStore is the panes of sliding windows, and the work on them that is to be
// done in parts.
type slidingStore[K comparable, A any] struct {
	slides slides
	ids    dictionary[K]
	open   []*slidingPane[A] // by number
	last   *slidingPane[A]
	spare  []*column[A]
	queue  []sweep[A]

	init          func(*A)
	add, subtract func(acc, other *A)
}

// sweep is work on a column that can be done some words of it at a time.
type sweep[A any] struct {
	over *column[A]
	at   int // the next word
	// step works on words from from to before to, and returns how many accumulators
	// it touched.
	step func(from, to int) int
	done func()
}

// sweepWords words without an accumulator take about as long as one accumulator.
const sweepWords = 16

// work does what is queued until it has touched limit accumulators, about, and
// reports how many these were and whether nothing is left.
func (s *slidingStore[K, A]) work(limit int) (n int, done bool) {
	for len(s.queue) > 0 && n < limit {
		w := &s.queue[0]
		to := min(len(w.over.has), w.at+max(1, (limit-n)/64))
		n += w.step(w.at, to) + (to-w.at+sweepWords-1)/sweepWords
		if w.at = to; to < len(w.over.has) {
			continue
		}
		if w.done != nil {
			w.done()
		}
		s.queue[0] = sweep[A]{}
		if s.queue = s.queue[1:]; len(s.queue) == 0 {
			s.queue = nil
		}
	}
	return n, len(s.queue) == 0
}

// merge queues that into gets what other has.
func (s *slidingStore[K, A]) merge(into, other *column[A]) {
	s.queue = append(s.queue, sweep[A]{over: other, step: func(from, to int) int {
		return into.merge(other, from, to, s.init, s.add)
	}})
}

// empty queues that a column is emptied, to be used again.
func (s *slidingStore[K, A]) empty(c *column[A], done func()) {
	s.queue = append(s.queue, sweep[A]{over: c, done: done, step: func(from, to int) int {
		c.clear(from, to)
		return to - from // about: a word's accumulators are cleared in one go
	}})
}

// column returns an empty one.
func (s *slidingStore[K, A]) column() *column[A] {
	if n := len(s.spare); n > 0 {
		c := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return c
	}
	return &column[A]{}
}

// keep keeps an empty column for later.
func (s *slidingStore[K, A]) keep(c *column[A]) {
	if len(s.spare) < maxSpare {
		s.spare = append(s.spare, c)
	}
}

// index returns where in open the panes from number on begin.
func (s *slidingStore[K, A]) index(number int64) int {
	return sort.Search(len(s.open), func(i int) bool { return s.open[i].number >= number })
}

// between returns the open panes from from to before to.
func (s *slidingStore[K, A]) between(from, to int64) []*slidingPane[A] {
	if from >= to {
		return nil
	}
	return s.open[s.index(from):s.index(to)]
}

// pane returns the open pane of time t, and opens it if there is none.
func (s *slidingStore[K, A]) pane(number, t int64) *slidingPane[A] {
	i := s.index(number)
	if i == len(s.open) || s.open[i].number != number {
		p := &slidingPane[A]{number: number, col: s.column()}
		p.start, p.end = paneBounds(t, s.slides.slide, s.slides.cut, s.slides.offset)
		s.open = append(s.open, nil)
		copy(s.open[i+1:], s.open[i:])
		s.open[i] = p
	}
	s.last = s.open[i]
	return s.last
}

// release closes the earliest pane, and queues that the ids are freed that no other
// pane has. Sums of panes have no others than the panes do.
func (s *slidingStore[K, A]) release() {
	col := s.open[0].col
	s.open[0] = nil
	s.open = s.open[1:]
	s.last = nil
	s.queue = append(s.queue, sweep[A]{over: col, done: func() { s.keep(col) }, step: func(from, to int) (n int) {
		for w := from; w < to; w++ {
			n += s.free(w, col.has[w])
		}
		col.clear(from, to)
		return n
	}})
}

// free frees the ids of a word that no open pane has, of those that are given.
func (s *slidingStore[K, A]) free(w int, dead uint64) (n int) {
	if dead == 0 {
		return 0
	}
	dead &= s.ids.live[w]
	for i := len(s.open) - 1; i >= 0 && dead != 0; i-- {
		dead &^= s.open[i].col.word(w)
	}
	n = bits.OnesCount64(dead)
	for ; dead != 0; dead &= dead - 1 {
		s.ids.remove(uint32(w*64 + bits.TrailingZeros64(dead)))
	}
	return n
}

// merging is how the results of windows are made of those of panes. A window is
// entered before it fires and left afterwards; what they queue is done before
// anything else comes.
type merging[A any] interface {
	// enter prepares the window of the panes from from to before to. They do not
	// decrease.
	enter(from, to int64)
	// columns appends to into what the results are to be merged from, the earliest
	// first. What they hold is there when the queue is done.
	columns(into []*column[A]) []*column[A]
	// leave lets go of panes before from.
	leave(from int64)
	// correct has apply change what holds the records of a pane for an id, beside
	// the pane itself, which has been changed; added tells that it had no such id.
	correct(p *slidingPane[A], id uint32, added bool, apply func(*A))
}

// atFiring merges all panes of a window when it fires. It is the fastest for a few,
// and for accumulators that grow with every record.
type atFiring[K comparable, A any] struct {
	store    *slidingStore[K, A]
	from, to int64
}

func (m *atFiring[K, A]) enter(from, to int64) { m.from, m.to = from, to }

func (m *atFiring[K, A]) columns(into []*column[A]) []*column[A] {
	for _, p := range m.store.between(m.from, m.to) {
		into = append(into, p.col)
	}
	return into
}

func (m *atFiring[K, A]) leave(int64) {}

func (m *atFiring[K, A]) correct(*slidingPane[A], uint32, bool, func(*A)) {}

// subtracting keeps the sum of a window's panes, from which those that leave it are
// subtracted.
type subtracting[K comparable, A any] struct {
	store    *slidingStore[K, A]
	from, to int64
	sum      *column[A]
	// panes is, for each id, the number of panes in sum that have it.
	panes []uint32
}

func (m *subtracting[K, A]) enter(from, to int64) {
	m.leave(from)
	for _, p := range m.store.between(max(from, m.to), to) {
		col := p.col
		m.store.queue = append(m.store.queue, sweep[A]{over: col, step: func(from, to int) int { return m.join(col, from, to) }})
	}
	m.from, m.to = from, to
}

func (m *subtracting[K, A]) leave(from int64) {
	for _, p := range m.store.between(m.from, min(from, m.to)) {
		col := p.col
		m.store.queue = append(m.store.queue, sweep[A]{over: col, step: func(from, to int) int { return m.part(col, from, to) }})
	}
	m.from = max(m.from, from)
}

func (m *subtracting[K, A]) join(col *column[A], from, to int) int {
	m.room(len(col.accs))
	for w := from; w < to; w++ {
		panes := m.panes[w*64 : w*64+64]
		for there := col.has[w]; there != 0; there &= there - 1 {
			panes[bits.TrailingZeros64(there)&63]++
		}
	}
	return m.sum.merge(col, from, to, m.store.init, m.store.add)
}

// part subtracts a pane. A key of which no pane is left begins anew, so that errors
// of rounding do not stay.
func (m *subtracting[K, A]) part(col *column[A], from, to int) (n int) {
	var zero A
	for w := from; w < to; w++ {
		there := col.has[w]
		if there == 0 {
			continue
		}
		n += bits.OnesCount64(there)
		panes, sums, accs := m.panes[w*64:w*64+64], m.sum.accs[w*64:w*64+64], col.accs[w*64:w*64+64]
		for ; there != 0; there &= there - 1 {
			i := bits.TrailingZeros64(there) & 63
			if panes[i]--; panes[i] > 0 {
				m.store.subtract(&sums[i], &accs[i])
				continue
			}
			sums[i] = zero
			m.sum.has[w] &^= 1 << i
		}
	}
	return n
}

func (m *subtracting[K, A]) room(n int) {
	m.sum.room(n)
	if len(m.panes) < len(m.sum.accs) {
		m.panes = append(m.panes, make([]uint32, len(m.sum.accs)-len(m.panes))...)
	}
}

func (m *subtracting[K, A]) columns(into []*column[A]) []*column[A] { return append(into, m.sum) }

func (m *subtracting[K, A]) correct(p *slidingPane[A], id uint32, added bool, apply func(*A)) {
	if p.number < m.from || p.number >= m.to {
		return
	}
	m.room(int(id) + 1)
	if added {
		m.panes[id]++
	}
	apply(m.sum.at(id, m.store.init))
}
