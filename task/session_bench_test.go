package task

import (
	"fmt"
	"testing"

	"github.com/weirstream/weir/internal/invariants"
)

// sessionOf builds session windows of events.
func sessionOf(t testing.TB, gap, allowed int64) *sessionReceiver[int64, event, sum, sum] {
	t.Helper()
	return buildOperator[event](t, SessionAggregate[int64, event, sum, sum]{
		Keys: byField(t), Aggregation: eventSums(), Gap: gap, Lateness: Lateness{Allowed: allowed},
	}, Receiver[sum](sink[sum]{})).(*sessionReceiver[int64, event, sum, sum])
}

// stream makes batches of events of so many keys that go on for good: of each key
// there is one in a round, and a round takes step ms.
type stream struct {
	keys, step int64
	next       int64
	values     []event
	times      []int64
}

func newStream(keys, step int64) *stream {
	return &stream{keys: keys, step: step, values: make([]event, BatchSize), times: make([]int64, BatchSize)}
}

func (s *stream) batch() (values []event, times []int64, last int64) {
	for i := range s.values {
		round := s.next / s.keys
		s.values[i] = event{Key: s.next % s.keys * 7919, Value: s.next}
		s.times[i] = round * s.step
		s.next++
	}
	return s.values, s.times, s.times[len(s.times)-1]
}

// through pushes a batch and raises the watermark behind it by lag.
func (s *stream) through(t testing.TB, r *sessionReceiver[int64, event, sum, sum], lag int64) error {
	t.Helper()
	values, times, last := s.batch()
	if err := r.Push(values, times); err != nil {
		return err
	}
	if err := r.Watermark(last - lag); err != nil {
		return err
	}
	finish(t, r.ctx, BatchSize)
	return nil
}

// TestSessionsAndCountsAllocateNothing: neither do records in sessions that go on, nor
// sessions that begin and end, nor windows of a count.
func TestSessionsAndCountsAllocateNothing(t *testing.T) {
	t.Run("sessions that go on", func(t *testing.T) {
		s, r := newStream(1000, 7), sessionOf(t, 10, 0)
		checkAllocations(t, 0, nil, func() error { values, times, _ := s.batch(); return r.Push(values, times) })
		if n := len(r.timers.heap); n != 1000 {
			t.Errorf("%d timers for 1000 sessions", n)
		}
	})
	t.Run("a reduction", func(t *testing.T) {
		s := newStream(1000, 7)
		r := buildOperator[event](t, SessionAggregate[int64, event, Reduced[event], event]{
			Keys: byField(t), Gap: 10,
			Aggregation: Reduction[int64](func(a, b event) event { a.Value += b.Value; return a }),
		}, Receiver[event](sink[event]{}))
		checkAllocations(t, 0, nil, func() error { values, times, _ := s.batch(); return r.Push(values, times) })
	})
	t.Run("windows of a count", func(t *testing.T) {
		s := newStream(1000, 7)
		r := buildOperator[event](t, CountAggregate[int64, event, sum, sum]{Keys: byField(t), Aggregation: eventSums(), Size: 3, Slide: 3}, Receiver[sum](sink[sum]{}))
		checkDeleting(t, func() error { values, times, _ := s.batch(); return r.Push(values, times) })
	})
	t.Run("sliding windows of a count", func(t *testing.T) {
		s := newStream(100, 7)
		r := buildOperator[event](t, CountAggregate[int64, event, sum, sum]{Keys: byField(t), Aggregation: eventSums(), Size: 30, Slide: 3}, Receiver[sum](sink[sum]{}))
		checkAllocations(t, 0, nil, func() error { values, times, _ := s.batch(); return r.Push(values, times) })
	})
}

// TestSessionsThatEndAllocateNothing: their places in tables, lists and among the
// timers are used again.
func TestSessionsThatEndAllocateNothing(t *testing.T) {
	for name, step := range map[string]int64{"one at a time": 15, "that grow": 4} {
		t.Run(name, func(t *testing.T) {
			s, r := newStream(1000, step), sessionOf(t, 10, 0)
			fired := 0
			round := func() error {
				values, times, last := s.batch()
				if err := r.Push(values, times); err != nil {
					return err
				}
				r.until = last - 20
				for {
					n, done, err := r.resume(BatchSize / 2)
					if fired += n; done || err != nil {
						return err
					}
				}
			}
			for range 100 { // until every list has been used at its longest
				if err := round(); err != nil {
					t.Fatal(err)
				}
			}
			checkDeleting(t, round)
			if fired < 10_000 {
				t.Errorf("%d timers were due: the test says little", fired)
			}
		})
	}
}

// checkDeleting expects no allocations of a function that deletes keys. In a build
// with invariants each deletion is checked, which allocates; there it is only run.
func checkDeleting(t *testing.T, f func() error) {
	t.Helper()
	if !invariants.Enabled {
		checkAllocations(t, 0, nil, f)
		return
	}
	for range 100 {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkSession takes batches of records of so many keys: in sessions that go on,
// whose timers are set anew now and then, and in ones that end with every record.
func BenchmarkSession(b *testing.B) {
	for _, keys := range []int64{1000, 10_000, 100_000} {
		for name, step := range map[string]int64{"go on": 7, "end": 15} {
			b.Run(fmt.Sprintf("%s/%d", name, keys), func(b *testing.B) {
				s, r := newStream(keys, step), sessionOf(b, 10, 0)
				for range 3 * keys / BatchSize {
					if err := s.through(b, r, 20); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportAllocs()
				for b.Loop() {
					if err := s.through(b, r, 20); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/BatchSize, "ns/record")
			})
		}
	}
}

// BenchmarkCountWindow takes batches of records of 1000 keys.
func BenchmarkCountWindow(b *testing.B) {
	for _, w := range [][2]int{{1, 1}, {10, 10}, {100, 100}, {10, 1}, {100, 10}} {
		b.Run(fmt.Sprintf("%d every %d", w[0], w[1]), func(b *testing.B) {
			s := newStream(1000, 1)
			r := buildOperator[event](b, CountAggregate[int64, event, sum, sum]{Keys: byField(b), Aggregation: eventSums(), Size: w[0], Slide: w[1]}, Receiver[sum](sink[sum]{}))
			b.ReportAllocs()
			for b.Loop() {
				values, times, _ := s.batch()
				if err := r.Push(values, times); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/BatchSize, "ns/record")
		})
	}
}
