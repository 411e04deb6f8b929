package batching

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// core decides which records go into which request, and when. It has no
// goroutine and no clock: [core.step] is told what happened and what time it is,
// and returns what is to be done. The same events at the same times give the
// same actions, but for what jitter returns.
//
// A record is in the open batch, then in a sealed one, then in a slot until it is
// acknowledged. There is one slot for each request that may be under way. A slot
// keeps its batch also while the batch waits to be sent again, which is what
// keeps the order when there is one slot (B4).
type core[T any] struct {
	limits limits
	jitter func() float64 // in [0, 1)

	open      batch[T]
	since     time.Duration // when the first record of open was written
	sealed    []batch[T]    // oldest first
	records   int           // in open and sealed
	bytes     int           // in open and sealed
	slots     []slot[T]
	unacked   int  // records that were taken and are not acknowledged
	starved   bool // a write waits for room
	draining  bool // everything is to be acknowledged
	err       *Error
	sends     []request[T]
	discarded [][]T // buffers of batches that were acknowledged
}

// limits are the settings of a sink that the core heeds.
type limits struct {
	batch       int // records of a request
	batchBytes  int // bytes of a request; 0 is no limit
	buffer      int // records that wait for their first request
	bufferBytes int // their bytes; 0 is no limit
	inFlight    int
	attempts    int // requests for a record; negative is no limit
	linger      time.Duration
	delay       time.Duration // before the second attempt
	maxDelay    time.Duration
}

type batch[T any] struct {
	values []T
	bytes  int
}

// slot is a place for a request.
type slot[T any] struct {
	state  slotState
	values []T           // what is not acknowledged, in the order of writing
	made   int           // attempts so far
	first  time.Duration // when the first was made
	due    time.Duration // of the next, when it waits
}

type slotState uint8

const (
	vacant  slotState = iota
	sent              // its request is under way
	resting           // until due, then it is sent again
)

// event is what happened. The fields behind kind belong to the kinds that they
// name.
type event[T any] struct {
	kind   eventKind
	values []T       // wrote: what is to be taken
	sizes  []int     // wrote: their sizes in bytes; nil when nobody counts
	slot   int       // answered
	failed []Failure // answered
	err    error     // answered
}

type eventKind uint8

const (
	ticked   eventKind = iota // a wake-up is due
	wrote                     // there are records
	answered                  // a request has returned
	drained                   // the task waits for all acknowledgements
)

// actions are what a step asks for.
type actions[T any] struct {
	send  []request[T]  // requests to be sent now; good until the next step
	wake  time.Duration // when the next ticked is due; never if there is none
	taken int           // how many of the values of wrote were taken
}

// request is the values of a slot on their way. They stay as they are until
// the slot is answered.
type request[T any] struct {
	slot   int
	values []T
}

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

func newCore[T any](l limits, jitter func() float64) *core[T] {
	return &core[T]{limits: l, jitter: jitter, slots: make([]slot[T], l.inFlight)}
}

// step is told of an event at a time and returns what to do. Time never goes
// back.
func (c *core[T]) step(now time.Duration, e event[T]) actions[T] {
	c.sends = c.sends[:0]
	var a actions[T]
	switch e.kind {
	case ticked:
	case wrote:
		a.taken = c.take(now, e.values, e.sizes)
	case answered:
		c.answer(now, e)
	case drained:
		c.draining = true
	}
	c.dispatch(now)
	c.draining = c.draining && c.unacked > 0
	a.send, a.wake = c.sends, c.wake()
	return a
}

// take buffers values until there is no room, and returns how many it took.
func (c *core[T]) take(now time.Duration, values []T, sizes []int) int {
	c.starved = false
	for i := range values {
		if c.err != nil {
			return i
		}
		size := 0
		if sizes != nil {
			size = sizes[i]
		}
		if size < 0 || c.limits.batchBytes > 0 && size > c.limits.batchBytes {
			c.fail(now, 1, 0, nil, Fatal(fmt.Errorf("its size is %d bytes; a request has at most %d", size, c.limits.batchBytes)))
			return i
		}
		if !c.room(size) && !c.makeRoom(now, size) {
			return i
		}
		if c.limits.batchBytes > 0 && c.open.bytes+size > c.limits.batchBytes {
			c.seal()
		}
		c.add(now, values[i], size)
	}
	return len(values)
}

// makeRoom sends what it may, first full batches only. Where that is not enough,
// nothing is gained by keeping an open one: its records wait for others that
// wait for them.
func (c *core[T]) makeRoom(now time.Duration, size int) bool {
	c.dispatch(now)
	if !c.room(size) {
		c.starved = true
		c.dispatch(now)
	}
	if c.room(size) {
		c.starved = false
	}
	return !c.starved
}

// room reports whether a record of this size may be buffered. One is always let
// into an empty buffer.
func (c *core[T]) room(size int) bool {
	if c.records == 0 {
		return true
	}
	return c.records < c.limits.buffer && (c.limits.bufferBytes == 0 || c.bytes+size <= c.limits.bufferBytes)
}

// add puts a record that fits into the open batch.
func (c *core[T]) add(now time.Duration, value T, size int) {
	if len(c.open.values) == 0 {
		c.since = now
		if last := len(c.discarded) - 1; last >= 0 {
			c.open.values = c.discarded[last]
			c.discarded = c.discarded[:last]
		}
	}
	c.open.values = append(c.open.values, value)
	c.open.bytes += size
	c.records++
	c.bytes += size
	c.unacked++
	if len(c.open.values) == c.limits.batch {
		c.seal()
	}
}

// seal ends the open batch.
func (c *core[T]) seal() {
	c.sealed = append(c.sealed, c.open)
	c.open = batch[T]{}
}

// answer is what a request came to.
func (c *core[T]) answer(now time.Duration, e event[T]) {
	s := &c.slots[e.slot]
	failed, err := e.failed, e.err
	if err == nil {
		failed, err = ordered(failed, len(s.values))
	}
	if err != nil {
		c.repeat(now, s, len(s.values), verdictOf(err), err)
		return
	}
	if len(failed) == 0 {
		c.vacate(s)
		return
	}
	v, cause := verdict{}, error(nil)
	for _, f := range failed {
		of := verdictOf(f.Err)
		if cause == nil || of.fatal && !v.fatal {
			cause = f.Err
		}
		v.fatal = v.fatal || of.fatal
		v.after = max(v.after, of.after)
	}
	total := len(s.values)
	c.keep(s, failed)
	c.repeat(now, s, total, v, cause)
}

// ordered returns failures in the order of their records, or says what is wrong
// with them.
func ordered(failed []Failure, records int) ([]Failure, error) {
	if len(failed) == 0 {
		return nil, nil
	}
	failed = slices.Clone(failed)
	slices.SortFunc(failed, func(a, b Failure) int { return cmp.Compare(a.Index, b.Index) })
	for i := range failed {
		f := &failed[i]
		switch {
		case f.Index < 0 || f.Index >= records:
			return nil, Fatal(fmt.Errorf("the sender says that record %d failed, of a request of %d records, which count from 0", f.Index, records))
		case i > 0 && f.Index == failed[i-1].Index:
			return nil, Fatal(fmt.Errorf("the sender says twice that record %d failed", f.Index))
		case f.Err == nil:
			f.Err = errNotAccepted
		}
	}
	return failed, nil
}

var errNotAccepted = errors.New("the destination did not accept it")

// keep leaves in a slot what failed, in order, and acknowledges the rest.
func (c *core[T]) keep(s *slot[T], failed []Failure) {
	for i, f := range failed {
		s.values[i] = s.values[f.Index]
	}
	c.unacked -= len(s.values) - len(failed)
	clear(s.values[len(failed):])
	s.values = s.values[:len(failed)]
}

// repeat has what is in a slot sent again later, or gives up. total is how many
// records the request had.
func (c *core[T]) repeat(now time.Duration, s *slot[T], total int, v verdict, cause error) {
	if v.fatal || c.limits.attempts >= 0 && s.made >= c.limits.attempts {
		c.fail(now, len(s.values), total, s, cause)
	}
	s.state = resting
	s.due = now + max(v.after, c.backoff(s.made))
	if s.due < now { // a time beyond all times
		s.due = never
	}
}

// backoff returns how long to wait after so many attempts: twice as long after
// each, of which between the half and the whole.
func (c *core[T]) backoff(made int) time.Duration {
	d := c.limits.maxDelay
	if c.limits.delay <= d>>(made-1) {
		d = c.limits.delay << (made - 1)
	}
	return d/2 + time.Duration(c.jitter()*float64(d-d/2))
}

// fail notes the first failure; with it, sending ends. s is nil for a record
// that was never sent.
func (c *core[T]) fail(now time.Duration, records, of int, s *slot[T], cause error) {
	if c.err != nil {
		return
	}
	c.err = &Error{Records: records, Unacknowledged: c.unacked, Err: cause, of: of}
	if s == nil {
		c.err.Unacknowledged++ // it was not taken
		return
	}
	c.err.Attempts, c.err.elapsed = s.made, now-s.first
}

// vacate acknowledges all that is in a slot.
func (c *core[T]) vacate(s *slot[T]) {
	c.unacked -= len(s.values)
	clear(s.values) // what values refer to is garbage now
	if len(c.discarded) <= c.limits.inFlight {
		c.discarded = append(c.discarded, s.values[:0])
	}
	*s = slot[T]{}
}

// dispatch sends what is due.
func (c *core[T]) dispatch(now time.Duration) {
	if c.err != nil {
		return
	}
	for i := range c.slots {
		s := &c.slots[i]
		switch s.state {
		case sent:
			continue
		case resting:
			if now < s.due {
				continue
			}
		case vacant:
			b, ok := c.next(now)
			if !ok {
				continue
			}
			*s = slot[T]{values: b.values, first: now}
		}
		s.state = sent
		s.made++
		c.sends = append(c.sends, request[T]{slot: i, values: s.values})
	}
}

// next takes the oldest batch that is due out of the buffer.
func (c *core[T]) next(now time.Duration) (batch[T], bool) {
	var b batch[T]
	switch {
	case len(c.sealed) > 0:
		b = c.sealed[0]
		c.sealed = slices.Delete(c.sealed, 0, 1)
	case len(c.open.values) == 0:
		return b, false
	case c.draining || c.starved || now-c.since >= c.limits.linger:
		b = c.open
		c.open = batch[T]{}
	default:
		return b, false
	}
	c.records -= len(b.values)
	c.bytes -= b.bytes
	return b, true
}

// wake returns when something will be due by time alone.
func (c *core[T]) wake() time.Duration {
	wake, free := never, false
	if c.err != nil {
		return wake
	}
	for i := range c.slots {
		switch s := &c.slots[i]; s.state {
		case vacant:
			free = true
		case resting:
			wake = min(wake, s.due)
		case sent:
		}
	}
	if free && len(c.open.values) > 0 {
		if due := c.since + c.limits.linger; due >= c.since {
			wake = min(wake, due)
		}
	}
	return wake
}
