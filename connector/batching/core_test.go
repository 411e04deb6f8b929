package batching

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is what can be said of a core from outside, by whoever writes numbered
// records and answers requests: it looks at nothing but events and actions.
type model struct {
	*rapid.T
	core *core[int]
	l    limits

	now       time.Duration
	taken     int // records 0 to taken-1 were taken
	begun     int // records 0 to begun-1 were sent at least once
	written   []time.Duration
	acked     map[int]bool
	slots     map[int]*sentBatch
	wake      time.Duration
	draining  bool
	starved   bool
	mustFail  error // the first failure that had to end it
	wantError Error
}

// sentBatch is a request as the destination sees it.
type sentBatch struct {
	under    request[int] // as the core gave it
	records  []int        // a copy of its values; after a failure those that failed
	attempts int
	waiting  bool
	from, to time.Duration // when it must come again
}

// sizeOf is a record's size, of which some are alike.
func sizeOf(record int) int { return 1 + record*7%5 }

var (
	errTransient = errors.New("transient")
	errForever   = errors.New("forever")
)

func newModel(t *rapid.T) *model {
	l := limits{
		batch:    rapid.IntRange(1, 5).Draw(t, "batch"),
		inFlight: rapid.IntRange(1, 3).Draw(t, "in flight"),
		attempts: rapid.SampledFrom([]int{-1, 1, 2, 5}).Draw(t, "attempts"),
		linger:   time.Duration(rapid.IntRange(0, 20).Draw(t, "linger")),
		delay:    time.Duration(rapid.IntRange(0, 10).Draw(t, "delay")),
	}
	l.maxDelay = l.delay + time.Duration(rapid.IntRange(0, 30).Draw(t, "more delay"))
	l.buffer = l.batch + rapid.IntRange(0, 10).Draw(t, "more buffer")
	if rapid.Bool().Draw(t, "count bytes") {
		l.batchBytes = rapid.IntRange(5, 12).Draw(t, "batch bytes")
		if rapid.Bool().Draw(t, "bound bytes") {
			l.bufferBytes = l.batchBytes + rapid.IntRange(0, 10).Draw(t, "more buffer bytes")
		}
	}
	jitter := rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "jitter")
	return &model{
		T: t, l: l, wake: never, acked: map[int]bool{}, slots: map[int]*sentBatch{},
		core: newCore[int](l, func() float64 { return jitter }),
	}
}

// step gives the core an event, and checks all that must hold then.
func (m *model) step(e event[int]) {
	m.Helper()
	if e.kind == drained {
		m.draining = true
	}
	a := m.core.step(m.now, e)
	if e.kind == wrote {
		for range a.taken {
			m.written = append(m.written, m.now)
		}
		m.taken += a.taken
		m.starved = a.taken < len(e.values)
	}
	for _, r := range a.send {
		m.sent(r)
	}
	m.wake = a.wake
	m.check()
	if e.kind == wrote && m.starved && m.mustFail == nil {
		m.checkStarved()
	}
	if len(m.acked) == m.taken {
		m.draining = false
	}
}

// checkStarved: a write waits only if all requests are under way and the buffer
// has no room for its next record.
func (m *model) checkStarved() {
	m.Helper()
	records, bytes := m.taken-m.begun, 0
	for r := m.begun; r <= m.taken; r++ {
		bytes += sizeOf(r)
	}
	full := records == m.l.buffer || m.l.bufferBytes > 0 && bytes > m.l.bufferBytes
	if len(m.slots) < m.l.inFlight || !full {
		m.Fatalf("a write waits: %d requests, %d records buffered, with the next %d bytes", len(m.slots), records, bytes)
	}
}

// sent checks a request.
func (m *model) sent(r request[int]) {
	m.Helper()
	if m.mustFail != nil {
		m.Fatalf("records %v are sent after the failure: %v", r.values, m.mustFail)
	}
	if len(r.values) == 0 || len(r.values) > m.l.batch {
		m.Fatalf("a request of %d records", len(r.values))
	}
	if m.l.batchBytes > 0 && bytesOf(r.values) > m.l.batchBytes {
		m.Fatalf("a request of %d bytes", bytesOf(r.values))
	}
	if !slices.IsSorted(r.values) {
		m.Fatalf("a request out of order: %v", r.values)
	}
	for _, record := range r.values {
		if m.acked[record] {
			m.Fatalf("record %d was acknowledged and is sent again", record)
		}
	}
	s := m.slots[r.slot]
	if s == nil {
		m.sentFirst(r)
		return
	}
	if !s.waiting || m.now < s.from || !slices.Equal(r.values, s.records) {
		m.Fatalf("at %d slot %d sends %v; it was to send %v between %d and %d (waiting: %t)",
			m.now, r.slot, r.values, s.records, s.from, s.to, s.waiting)
	}
	s.under, s.waiting = r, false
	s.attempts++
}

// sentFirst checks the first request of records.
func (m *model) sentFirst(r request[int]) {
	m.Helper()
	for i, record := range r.values {
		if record != m.begun+i {
			m.Fatalf("%v are sent; the first that was not sent yet is %d", r.values, m.begun)
		}
	}
	if m.l.inFlight == 1 && len(m.acked) != m.begun {
		m.Fatalf("%v are sent while earlier records are not acknowledged", r.values)
	}
	next := r.values[len(r.values)-1] + 1
	full := len(r.values) == m.l.batch || m.l.batchBytes > 0 && bytesOf(r.values)+sizeOf(next) > m.l.batchBytes
	if age := m.now - m.written[r.values[0]]; !full && !m.draining && !m.starved && age < m.l.linger {
		m.Fatalf("%v are sent after %d, with room for more", r.values, age)
	}
	m.begun = next
	m.slots[r.slot] = &sentBatch{under: r, records: slices.Clone(r.values), attempts: 1}
}

func bytesOf(records []int) (sum int) {
	for _, r := range records {
		sum += sizeOf(r)
	}
	return sum
}

// check checks the state of affairs.
func (m *model) check() {
	m.Helper()
	if len(m.slots) > m.l.inFlight {
		m.Fatalf("%d requests at a time", len(m.slots))
	}
	if got, want := m.core.unacked, m.taken-len(m.acked); got != want {
		m.Fatalf("%d records are not acknowledged, says the core; it is %d", got, want)
	}
	if (m.core.err != nil) != (m.mustFail != nil) {
		m.Fatalf("failure: %v, want %v", m.core.err, m.mustFail)
	}
	if err := m.core.err; err != nil {
		m.checkError(err)
		return
	}
	var buffered []int
	for r := m.begun; r < m.taken; r++ {
		buffered = append(buffered, r)
	}
	if len(buffered) > m.l.buffer || m.l.bufferBytes > 0 && bytesOf(buffered) > m.l.bufferBytes {
		m.Fatalf("%d records of %d bytes are buffered", len(buffered), bytesOf(buffered))
	}
	if m.wake <= m.now {
		m.Fatalf("at %d the next wake-up is at %d", m.now, m.wake)
	}
	for slot, s := range m.slots {
		if s.waiting && (s.to <= m.now || m.wake > s.to) {
			m.Fatalf("at %d, next wake-up at %d: slot %d was to send again until %d", m.now, m.wake, slot, s.to)
		}
	}
	if len(m.slots) == m.l.inFlight || len(buffered) == 0 {
		return
	}
	due := m.written[m.begun] + m.l.linger
	if m.draining || len(buffered) >= m.l.batch || due <= m.now || m.wake > due {
		m.Fatalf("at %d, next wake-up at %d: %d records are buffered, the first until %d", m.now, m.wake, len(buffered), due)
	}
}

func (m *model) checkError(err *Error) {
	m.Helper()
	got := Error{Records: err.Records, Unacknowledged: err.Unacknowledged, Attempts: err.Attempts}
	if got != m.wantError || !errors.Is(err, m.mustFail) {
		m.Fatalf("failure %+v by %v, want %+v by %v", got, err.Err, m.wantError, m.mustFail)
	}
	if m.wake != never {
		m.Fatalf("a wake-up at %d after the failure", m.wake)
	}
}

// write gives the core n further records, as far as it takes them.
func (m *model) write(n int) {
	m.Helper()
	e := event[int]{kind: wrote}
	for r := m.taken; r < m.taken+n; r++ {
		e.values = append(e.values, r)
		if m.l.batchBytes > 0 {
			e.sizes = append(e.sizes, sizeOf(r))
		}
	}
	m.step(e)
}

// outcome is one of the ways in which a request can end.
type outcome int

const (
	accepted outcome = iota
	refused          // all of it
	partly           // refused in part
	forever          // a fatal error
	partlyForever
	later // with a time to wait
	outcomes
)

// answer ends a request that is under way.
func (m *model) answer(o outcome, which int) {
	m.Helper()
	var under []int
	for slot, s := range m.slots {
		if !s.waiting {
			under = append(under, slot)
		}
	}
	if len(under) == 0 {
		return
	}
	slices.Sort(under)
	slot := under[which%len(under)]
	s := m.slots[slot]
	if !slices.Equal(s.under.values, s.records) {
		m.Fatalf("the core changed a batch that is under way: %v, was %v", s.under.values, s.records)
	}
	e := event[int]{kind: answered, slot: slot}
	cause, after := errTransient, time.Duration(0)
	switch o {
	case accepted:
	case refused:
		e.err = errTransient
	case forever:
		cause = errForever
		e.err = Fatal(errForever)
	case later:
		after = 50
		e.err = RetryAfter(errTransient, after)
	case partly, partlyForever:
		e.failed = m.someOf(len(s.records))
		if o == partlyForever {
			cause = errForever
			e.failed[rapid.IntRange(0, len(e.failed)-1).Draw(m.T, "fatal")].Err = Fatal(errForever)
		}
	case outcomes:
	}
	m.expect(slot, e, cause, after)
	m.step(e)
}

// someOf draws failures of some records, in any order.
func (m *model) someOf(records int) (failed []Failure) {
	all := make([]int, records)
	for i := range all {
		all[i] = i
	}
	for _, i := range rapid.Permutation(all).Draw(m.T, "failed")[:rapid.IntRange(1, records).Draw(m.T, "how many")] {
		failed = append(failed, Failure{Index: i, Err: errTransient})
	}
	return failed
}

// expect notes what must follow from an answer.
func (m *model) expect(slot int, e event[int], cause error, after time.Duration) {
	s := m.slots[slot]
	failed := map[int]bool{}
	for _, f := range e.failed {
		failed[s.records[f.Index]] = true
	}
	var left []int
	for _, r := range s.records {
		if e.err != nil || failed[r] {
			left = append(left, r)
		} else {
			m.acked[r] = true
		}
	}
	s.records = left
	if len(left) == 0 {
		delete(m.slots, slot)
		return
	}
	backoff := m.l.delay
	for range s.attempts - 1 {
		backoff = min(2*backoff, m.l.maxDelay)
	}
	s.waiting, s.from, s.to = true, m.now+max(after, backoff/2), m.now+max(after, backoff)
	exhausted := m.l.attempts >= 0 && s.attempts >= m.l.attempts
	if m.mustFail == nil && (exhausted || errors.Is(cause, errForever)) {
		m.mustFail = cause
		m.wantError = Error{Records: len(left), Unacknowledged: m.taken - len(m.acked), Attempts: s.attempts}
	}
}

// TestCore walks at random through writes, answers and time: no record is lost or
// sent again after it was acknowledged, and every limit, time and order is kept,
// whatever requests come to.
func TestCore(t *testing.T) {
	failures, retries := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		harsh := rapid.Bool().Draw(t, "harsh")
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2:
				m.write(rapid.IntRange(0, 12).Draw(t, "records"))
			case 3, 4, 5:
				most := later
				if !harsh {
					most = partly
				}
				o := outcome(rapid.IntRange(0, int(most)).Draw(t, "outcome"))
				m.answer(o, rapid.IntRange(0, 5).Draw(t, "request"))
			case 6, 7:
				m.now = min(m.wake, m.now+time.Duration(rapid.IntRange(0, 15).Draw(t, "time")))
				m.step(event[int]{})
			case 8:
				if m.wake != never {
					m.now = m.wake
				}
				m.step(event[int]{})
			case 9:
				m.step(event[int]{kind: drained})
			}
			for _, s := range m.slots {
				if s.attempts > 1 {
					retries++
				}
			}
		}
		if m.mustFail != nil {
			failures++
			m.write(3)
			m.step(event[int]{kind: drained})
			return
		}
		// Now the destination takes everything: a wait for all of it ends.
		m.step(event[int]{kind: drained})
		for len(m.acked) < m.taken {
			before := len(m.acked)
			m.answer(accepted, 0)
			if len(m.acked) > before {
				continue
			}
			if m.wake == never {
				t.Fatalf("%d of %d records are acknowledged, nothing is under way, and there is no wake-up", len(m.acked), m.taken)
			}
			m.now = m.wake
			m.step(event[int]{})
		}
	})
	if failures == 0 || retries == 0 {
		t.Errorf("%d walks ended in a failure, %d requests were seen to be repeated: the walks miss something", failures, retries)
	}
}

// TestBackoff compares delays with doubling by hand.
func TestBackoff(t *testing.T) {
	for _, test := range []struct {
		jitter float64
		made   int
		want   time.Duration
	}{
		{0, 1, 50},
		{0, 2, 100},
		{0, 3, 200},
		{0, 4, 350},
		{0, 5, 350},
		{0, 64, 350},
		{0, 1 << 40, 350},
		{0.5, 1, 75},
		{0.5, 3, 300},
		{math.Nextafter(1, 0), 4, 699},
	} {
		c := newCore[int](limits{delay: 100, maxDelay: 700}, func() float64 { return test.jitter })
		if got := c.backoff(test.made); got != test.want {
			t.Errorf("after %d attempts, with jitter %v: %d, want %d", test.made, test.jitter, got, test.want)
		}
	}
	for _, d := range []time.Duration{0, 1, 1 << 62} {
		c := newCore[int](limits{delay: d, maxDelay: d}, func() float64 { return 0 })
		if got := c.backoff(40); got != d/2 {
			t.Errorf("between %d and %d: %d", d, d, got)
		}
	}
}

// TestNonsense: what a sender cannot mean is fatal, and what it may leave out is
// not.
func TestNonsense(t *testing.T) {
	for _, test := range []struct {
		failed []Failure
		want   string
	}{
		{[]Failure{{Index: 3}}, "record 3 failed, of a request of 3 records"},
		{[]Failure{{Index: -1}}, "record -1 failed"},
		{[]Failure{{Index: 2}, {Index: 0}, {Index: 2}}, "twice that record 2 failed"},
		{[]Failure{{Index: 2}, {Index: 0}}, ""},
	} {
		c := newCore[int](limits{batch: 3, inFlight: 1, buffer: 3, attempts: -1, delay: 1, maxDelay: 1}, func() float64 { return 0 })
		c.step(0, event[int]{kind: wrote, values: []int{0, 1, 2}})
		c.step(1, event[int]{kind: answered, failed: test.failed})
		switch {
		case test.want == "" && c.err != nil:
			t.Errorf("%v: %v", test.failed, c.err)
		case test.want != "" && (c.err == nil || !strings.Contains(c.err.Error(), test.want)):
			t.Errorf("%v: %v, want %q", test.failed, c.err, test.want)
		}
	}
}

// TestNothingIsKept: a core does not keep alive what acknowledged records refer
// to.
func TestNothingIsKept(t *testing.T) {
	c := newCore[*int](limits{batch: 4, inFlight: 1, buffer: 4, attempts: 2}, func() float64 { return 0 })
	under := c.step(0, event[*int]{kind: wrote, values: []*int{new(int), new(int), new(int), new(int)}}).send[0].values
	c.step(1, event[*int]{kind: answered, failed: []Failure{{Index: 1}, {Index: 3}}})
	if under[2] != nil || under[3] != nil {
		t.Error("records that were acknowledged apart from others are kept")
	}
	c.step(2, event[*int]{kind: answered})
	if under[0] != nil || under[1] != nil || c.unacked != 0 {
		t.Error("records that were acknowledged are kept")
	}
}
