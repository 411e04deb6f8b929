package task

import (
	"errors"
	"fmt"

	"github.com/weirstream/weir/internal/invariants"
	"github.com/weirstream/weir/state/memory"
)

// SessionAggregate is the operator that aggregates the records of each key in
// session windows: a record less than Gap away from another one of its key is in
// the same session. The window begins with its first record and ends Gap after its
// last.
//
// Windows fire in the order of their ends, those of one end in the order in which
// they were opened; a window that others were merged into counts as the oldest of
// them.
type SessionAggregate[K comparable, T, A, O any] struct {
	Keys KeySelector[K, T]
	// Aggregation has a Merge: of two sessions that a record connects, the later is
	// merged into the earlier one, before the record is added.
	Aggregation Aggregation[K, T, A, O]
	// Gap is how long after its last record a session ends, in ms.
	Gap      int64
	Lateness Lateness
	// ProcessingTime tells that windows are of processing time.
	ProcessingTime bool
}

// Build implements [Operator].
func (w SessionAggregate[K, T, A, O]) Build(ctx *Context, out Outputs) (Inputs, error) {
	if w.Gap <= 0 {
		return nil, fmt.Errorf("a session gap of %d ms: it must be at least 1", w.Gap)
	}
	if w.Aggregation.Merge == nil {
		return nil, errors.New("an aggregation without a Merge in session windows, which are merged")
	}
	a := w.Aggregation
	if a.instance != nil {
		a = a.instance()
	}
	r := &sessionReceiver[K, T, A, O]{
		passing: out.passing(), keyed: newKeyed(w.Keys), agg: a,
		gap: w.Gap, allowed: w.Lateness.Allowed, watermark: NoTime,
		table: memory.NewTable[K, keySessions[A]](w.Keys.kind), index: make([]uint32, BatchSize),
		late: newLateRecords[T](ctx, w.Lateness, out), ctx: ctx, results: newResults(a, main[O](out)),
	}
	if err := r.register(); err != nil {
		return nil, err
	}
	if w.ProcessingTime {
		return Inputs{newClocked[T](ctx, out, r, func(to passing) { r.passing = to })}, nil
	}
	return Inputs{r}, nil
}

// Join implements [Operator].
func (w SessionAggregate[K, T, A, O]) Join(receivers []any) any { return join[O](receivers) }

// sessionReceiver keeps the sessions of each key in one table, and one timer for
// each session. A session that grows leaves its timer where it is: when that is due
// it is set anew, so that a record costs no more than its key's look-up.
type sessionReceiver[K comparable, T, A, O any] struct {
	passing
	keyed keyed[K, T]
	agg   Aggregation[K, T, A, O]
	gap   int64
	// allowed is for how long sessions are kept after they have fired, in ms.
	allowed   int64
	watermark int64

	table  *memory.Table[K, keySessions[A]]
	lists  sessionLists[A]
	timers sessionTimers[K]
	opened uint64 // sessions so far
	index  []uint32

	late       lateRecords[T]
	lateValues []T // of one Push
	lateTimes  []int64
	ctx        *Context
	results    results[K, A, O]
	// until is the watermark whose results are being emitted.
	until int64
}

func (r *sessionReceiver[K, T, A, O]) Push(values []T, times []int64) error {
	keys, hashes := r.keyed.of(values)
	index := r.index[:len(values)]
	r.table.Find(keys, hashes, index)
	adder, slots, gap := r.agg.Adder, r.table.Slots(), r.gap
	for i := range values {
		sessions, t := &slots[index[i]].Acc, times[i]
		if s := &sessions.latest; s.id != 0 && !s.fired && s.reaches(t, gap) && (t >= s.first || sessions.earlier == 0) {
			s.extend(t)
			adder.Add(&s.acc, values[i])
			continue
		}
		if t == NoTime {
			return errNoEventTime
		}
		s := r.place(index[i], t)
		if s == nil {
			r.lateValues, r.lateTimes = append(r.lateValues, values[i]), append(r.lateTimes, t)
			continue
		}
		adder.Add(&s.acc, values[i])
		r.settle(index[i], s)
	}
	if err := r.results.out.send(); err != nil {
		return err
	}
	return r.sendLate()
}

var errNoEventTime = errors.New("a record without an event time reached a window: give the stream WithWatermarks before it")

// sendLate disposes of the late records of a batch, and of the keys that came with
// them only.
func (r *sessionReceiver[K, T, A, O]) sendLate() error {
	if len(r.lateValues) == 0 {
		return nil
	}
	for _, slot := range r.table.New() {
		if r.table.At(slot).latest.id == 0 {
			r.table.Delete(slot)
		}
	}
	err := r.late.take(r.lateValues, r.lateTimes)
	clear(r.lateValues)
	r.lateValues, r.lateTimes = r.lateValues[:0], r.lateTimes[:0]
	return err
}

// place returns the session of the key in a slot that a record at t belongs to. It
// opens one, or merges two that t connects. It returns nil if t is late: the
// session would be gone.
func (r *sessionReceiver[K, T, A, O]) place(slot uint32, t int64) *session[A] {
	sessions := r.table.At(slot)
	i := r.lists.search(sessions, t, r.gap)
	s := r.lists.at(sessions, i)
	if s == nil || !s.reaches(t, r.gap) {
		if saturated(r.end(t)-1, r.allowed) <= r.watermark {
			return nil
		}
		return r.open(slot, i, t)
	}
	s.extend(t)
	if next := r.lists.at(sessions, i+1); next != nil && next.reaches(s.last, r.gap) {
		r.agg.Merge(&s.acc, &next.acc)
		s = r.lists.join(sessions, i)
	}
	return s
}

// open begins a session at place i of the key's.
func (r *sessionReceiver[K, T, A, O]) open(slot uint32, i int, t int64) *session[A] {
	r.opened++
	s := r.lists.insert(r.table.At(slot), i, session[A]{first: t, last: t, id: r.opened})
	if r.agg.Init != nil {
		r.agg.Init(&s.acc)
	}
	s.fired = r.end(t)-1 <= r.watermark
	s.due = r.next(s)
	r.timers.push(sessionTimer[K]{due: s.due, id: s.id, key: *r.table.KeyAt(slot)})
	return s
}

// settle sees to it that a session that has changed fires: at once if the watermark
// has passed its end.
func (r *sessionReceiver[K, T, A, O]) settle(slot uint32, s *session[A]) {
	s.fired = r.end(s.last)-1 <= r.watermark
	if due := r.next(s); due < s.due {
		s.due, s.later, s.hasLater = due, s.due, true
		r.timers.push(sessionTimer[K]{due: due, id: s.id, key: *r.table.KeyAt(slot)})
	}
	if s.fired {
		r.results.add(*r.table.KeyAt(slot), s.first, r.end(s.last), &s.acc)
	}
}

// end returns the end of a session with its last record at t: no later than the end
// of time.
func (r *sessionReceiver[K, T, A, O]) end(t int64) int64 { return saturated(t, r.gap) }

// next returns up to when nothing is to be done about a session: its last
// millisecond, at which it fires, and after that when it goes.
func (r *sessionReceiver[K, T, A, O]) next(s *session[A]) int64 {
	if !s.fired {
		return r.end(s.last) - 1
	}
	return saturated(r.end(s.last)-1, r.allowed)
}

// saturated returns t+d, at most MaxTime; d is not negative.
func saturated(t, d int64) int64 {
	if t > MaxTime-d {
		return MaxTime
	}
	return t + d
}

// Watermark fires the sessions that it ends, a chunk at a time.
func (r *sessionReceiver[K, T, A, O]) Watermark(t int64) error {
	if !r.timers.due(t) {
		r.watermark = t
		return r.passing.Watermark(t)
	}
	r.until = t
	r.ctx.Postpone(r)
	return nil
}

// resume sees to up to limit timers, and hands the watermark on after the last.
func (r *sessionReceiver[K, T, A, O]) resume(limit int) (n int, done bool, err error) {
	for ; r.timers.due(r.until); n++ {
		if n == limit {
			return n, false, r.results.out.send()
		}
		r.ring(r.timers.heap[0])
	}
	if err := r.results.out.send(); err != nil {
		return n, false, err
	}
	r.watermark = r.until
	return n, true, r.passing.Watermark(r.until)
}

// ring does what the first timer was set for.
func (r *sessionReceiver[K, T, A, O]) ring(t sessionTimer[K]) {
	slot, ok := r.table.Lookup(t.key, r.keyed.selector.kind.HashOne(t.key))
	if !ok {
		r.timers.drop()
		return
	}
	r.table.Touch(slot)
	sessions := r.table.At(slot)
	i, s := r.lists.find(sessions, t.id)
	if invariants.Enabled && s != nil && s.due != t.due {
		invariants.Check(false, "a timer at %d of session %d, which has one at %d", t.due, t.id, s.due)
	}
	switch {
	case s == nil: // it was merged into an older one
		r.timers.drop()
		return
	case r.next(s) > t.due: // it has grown
	case s.fired:
		r.remove(slot, i)
		return
	default:
		r.results.add(t.key, s.first, r.end(s.last), &s.acc)
		if r.allowed == 0 {
			r.remove(slot, i)
			return
		}
		s.fired = true
	}
	r.again(s)
}

// again sets the first timer anew, or leaves it to one that there is already.
func (r *sessionReceiver[K, T, A, O]) again(s *session[A]) {
	next := r.next(s)
	if s.hasLater && s.later <= next {
		s.due, s.hasLater = s.later, false
		r.timers.drop()
		return
	}
	s.due = next
	r.timers.postpone(next)
}

// remove forgets a session and its timer, which is the first, and a key without
// sessions.
func (r *sessionReceiver[K, T, A, O]) remove(slot uint32, i int) {
	r.timers.drop()
	if r.lists.remove(r.table.At(slot), i) {
		r.table.Delete(slot)
	}
}

// nextEnd implements windows. Sessions that have grown since their timers were set
// end later.
func (r *sessionReceiver[K, T, A, O]) nextEnd() int64 {
	if len(r.timers.heap) == 0 {
		return MaxTime
	}
	return saturated(r.timers.heap[0].due, 1)
}
