package task

import (
	"errors"
	"math"
	"testing"
	"unsafe"
)

// event has what most records have, and no pointers.
type event struct {
	Key, Time, Value int64
	Rest             uint64
}

// batchOf returns a batch of events of so many keys, of one second.
func batchOf(keys int64) (values []event, times []int64) {
	for i := range int64(BatchSize) {
		values = append(values, event{Key: i * 7919 % keys, Time: i, Value: i})
		times = append(times, i%1000)
	}
	return values, times
}

func byField(t testing.TB) KeySelector[int64, event] {
	t.Helper()
	return must[KeySelector[int64, event]](t)(NewKeyField(func(e *event) *int64 { return &e.Key }))
}

func byCall(t testing.TB) KeySelector[int64, event] {
	t.Helper()
	return must[KeySelector[int64, event]](t)(NewKeySelector(func(e event) int64 { return e.Key }))
}

// eventSum is an aggregate of events.
type eventSum struct{}

func (eventSum) Add(a *sum, e event) { a.Count++; a.Sum += e.Value }

func eventSums() Aggregation[int64, event, sum, sum] {
	return Aggregation[int64, event, sum, sum]{
		Adder: eventSum{}, Init: func(a *sum) { a.Initial = 1 }, Merge: func(a, b *sum) { a.Count += b.Count; a.Sum += b.Sum },
		Result: func(_ int64, _, _ int64, a *sum) sum { return *a },
	}
}

func recordsOf[T any](t testing.TB) Records[T] {
	t.Helper()
	return must[Records[T]](t)(NewRecords[T]())
}

// TestNothingIsAllocated is the budget of the record path: at steady state a
// batch costs no allocation in any operator, nor in an exchange of records
// without pointers, nor in writing encoded ones.
func TestNothingIsAllocated(t *testing.T) {
	values, times := batchOf(1000)
	strings, stringTimes := make([]string, BatchSize), make([]int64, BatchSize)
	for i := range strings {
		strings[i] = "a text of some length, to be kept apart"[:i%30]
	}
	var long []string
	for n := range 30 {
		long = append(long, string(make([]byte, 50*n)))
	}
	for name, batch := range map[string]func() (*wire, func() error){
		"map": func() (*wire, func() error) {
			r := buildOperator[event](t, Map[event, int64]{F: func(in []event, out []int64) error {
				for i := range in {
					out[i] = in[i].Value
				}
				return nil
			}}, Receiver[int64](sink[int64]{}))
			return nil, func() error { return r.Push(values, times) }
		},
		"filter": func() (*wire, func() error) {
			r := buildOperator[event](t, Filter[event]{F: func(e event) bool { return e.Value%2 == 0 }}, Receiver[event](sink[event]{}))
			return nil, func() error { return r.Push(values, times) }
		},
		"flat map": func() (*wire, func() error) {
			r := buildOperator[event](t, FlatMap[event, event]{F: func(e event, emit func(event)) error { emit(e); emit(e); return nil }}, Receiver[event](sink[event]{}))
			return nil, func() error { return r.Push(values, times) }
		},
		"timestamps": func() (*wire, func() error) {
			f := must[func([]event, []int64)](t)(NewTimeField(func(e *event) *int64 { return &e.Time }))
			r := buildOperator[event](t, Timestamps[event]{Times: f, Bound: 5}, Receiver[event](sink[event]{}))
			return nil, func() error { return r.Push(values, times) }
		},
		"fan-out": func() (*wire, func() error) {
			r := join[event]([]any{Receiver[event](sink[event]{}), Receiver[event](sink[event]{})}).(Receiver[event])
			return nil, func() error { return r.Push(values, times) }
		},
		"running aggregate": func() (*wire, func() error) {
			r := buildOperator[event](t, RunningAggregate[int64, event, sum, sum]{Keys: byCall(t), Aggregation: eventSums()}, Receiver[sum](sink[sum]{}))
			return nil, func() error { return r.Push(values, times) }
		},
		"tumbling window": func() (*wire, func() error) {
			r := buildOperator[event](t, TumblingAggregate[int64, event, sum, sum]{Keys: byField(t), Aggregation: eventSums(), Size: 1000}, Receiver[sum](sink[sum]{}))
			return nil, func() error { return r.Push(values, times) }
		},
		"tumbling window, reading partial results": func() (*wire, func() error) {
			r := buildOperator[event](t, TumblingAggregate[int64, event, sum, sum]{Keys: byField(t), Aggregation: eventSums(), Size: 1000}, Receiver[sum](sink[sum]{})).(*tumblingReceiver[int64, event, sum, sum])
			partials, starts := make([]Partial[int64, sum], BatchSize), make([]int64, BatchSize)
			for i := range partials {
				partials[i] = Partial[int64, sum]{Key: int64(i), Count: 1}
			}
			return nil, func() error { return r.pushPartials(partials, starts) }
		},
		"hash exchange by call":  func() (*wire, func() error) { return hashExchange(t, 3, byCall(t), values, times) },
		"hash exchange by field": func() (*wire, func() error) { return hashExchange(t, 3, byField(t), values, times) },
		"hash exchange to one":   func() (*wire, func() error) { return hashExchange(t, 1, byCall(t), values, times) },
		"turn exchange": func() (*wire, func() error) {
			w := newWire(t, 3, 32<<10, 16, 0)
			out := writerOf[event](t, w)
			return w, func() error { defer w.discard(); return out.Push(values, times) }
		},
		"turn exchange of strings, writing": func() (*wire, func() error) {
			w := newWire(t, 3, 32<<10, 16, 0)
			out := writerOf[string](t, w)
			return w, func() error { defer w.discard(); return out.Push(strings, stringTimes) }
		},
		"turn exchange of texts that fill buffers, or runs of them": func() (*wire, func() error) {
			w := newWire(t, 3, 1024, 100, 0)
			out := writerOf[string](t, w)
			return w, func() error { defer w.discard(); return out.Push(long, stringTimes[:len(long)]) }
		},
		"pre-aggregation": func() (*wire, func() error) {
			p := newPreAggregated(t, 3, TumblingAggregate[int64, event, sum, sum]{Keys: byField(t), Aggregation: eventSums(), Size: 1000})
			return p.wire, func() error { return p.sender.Push(values, times) }
		},
		"pre-aggregation, sending": func() (*wire, func() error) {
			p := newPreAggregated(t, 3, TumblingAggregate[int64, event, sum, sum]{Keys: byField(t), Aggregation: eventSums(), Size: 1000})
			return p.wire, func() error {
				defer p.wire.discard()
				// The pane stays open, since opening one is an allocation.
				if err := p.sender.Push(values, times); err != nil {
					return err
				}
				return p.sender.emit(p.sender.panes.open[0])
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, f := batch()
			checkAllocations(t, 0, w, f)
		})
	}
}

// checkAllocations expects so many allocations per call, at steady state. In a
// build with invariants every buffer of w is checked when it is lent and sent,
// which allocates; that is not counted.
func checkAllocations(t *testing.T, want float64, w *wire, f func() error) {
	t.Helper()
	for range 10 { // tables and queues grow to what they need
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	perBuffer, requested := 0.0, 0
	if w != nil {
		perBuffer = testing.AllocsPerRun(10, func() {
			w.outlet.partition.Send(0, w.outlet.partition.TryRequest())
			w.discard()
		})
		requested = -w.requested()
	}
	const runs = 100
	var failure error
	calls := 0
	got := testing.AllocsPerRun(1, func() { // which calls it once before
		if calls++; calls == 1 {
			return
		}
		for range runs {
			failure = errors.Join(failure, f())
		}
	})
	if failure != nil {
		t.Fatal(failure)
	}
	if w != nil {
		requested += w.requested()
	}
	if got = (got - perBuffer*float64(requested)) / runs; math.Abs(got-want) >= 0.25 {
		t.Errorf("%v allocations per batch, want %v", got, want)
	}
}

func hashExchange(t *testing.T, channels int, keys KeySelector[int64, event], values []event, times []int64) (*wire, func() error) {
	t.Helper()
	w := newWire(t, channels, 32<<10, 16, 0)
	out := must[any](t)(HashExchange[int64, event]{Keys: keys, Records: recordsOf[event](t)}.Writer(w.ctx, w.outlet)).(Receiver[event])
	return w, func() error { defer w.discard(); return out.Push(values, times) }
}

// TestReadingAllocates: reading a buffer allocates nothing for records without
// pointers, one copy of the buffer for all of its strings, and beyond that what
// a value is made of.
func TestReadingAllocates(t *testing.T) {
	texts := []string{"some", "", "texts"}
	t.Run("raw", func(t *testing.T) { readingAllocates(t, 0, event{Key: 1}) })
	t.Run("string", func(t *testing.T) { readingAllocates(t, 1, "a text") })
	t.Run("struct with strings", func(t *testing.T) { readingAllocates(t, 1, struct{ A, B string }{"a", "text"}) })
	t.Run("slices", func(t *testing.T) { readingAllocates(t, 1+100, texts) })
}

// readingAllocates sends 100 records in one buffer.
func readingAllocates[T any](t *testing.T, want float64, v T) {
	t.Helper()
	const n = 100
	w := newWire(t, 1, 32<<10, 4, 0)
	out := writerOf[T](t, w)
	r := recordsOf[T](t).reader(Receiver[T](sink[T]{}))
	values, times := make([]T, n), make([]int64, n)
	for i := range values {
		values[i] = v
	}
	if size := n * int(unsafe.Sizeof(v)+8); size > w.outlet.payload {
		t.Fatalf("%d bytes do not fit into one buffer", size)
	}
	checkAllocations(t, want, w, func() error {
		if err := out.Push(values, times); err != nil {
			return err
		}
		w.outlet.seal(0)
		for d, ok := w.inboxes[0].Poll(); ok; d, ok = w.inboxes[0].Poll() {
			if err := r.take(d.Buffer, d.Channel); err != nil {
				return err
			}
			for done := false; !done; {
				var err error
				if _, done, err = r.step(BatchSize); err != nil {
					return err
				}
			}
			w.received++
			d.Buffer.Recycle()
		}
		return nil
	})
}

// TestInputAllocatesNothing is a task's head over its gate: polling, reading,
// the valve and a window.
func TestInputAllocatesNothing(t *testing.T) {
	w := newWire(t, 1, 32<<10, 4, 0)
	values, times := batchOf(100)
	out := writerOf[event](t, w)
	window := buildOperator[event](t, TumblingAggregate[int64, event, sum, sum]{Keys: byField(t), Aggregation: eventSums(), Size: 1000}, Receiver[sum](sink[sum]{}))
	head := newInputHead(w.ctx, w.inboxes[0], []inputGate{{reader: recordsOf[event](t).reader(window), remote: []bool{false}}}, window)
	watermark := int64(-1_000_000)
	checkAllocations(t, 0, w, func() error {
		if err := out.Push(values, times); err != nil {
			return err
		}
		watermark++
		if err := out.Watermark(watermark); err != nil {
			return err
		}
		w.outlet.seal(0)
		for {
			n, s, err := head.step(BatchSize)
			if err != nil || s == waiting {
				return err
			}
			if n > 0 {
				w.received++ // it had the whole batch in one buffer
			}
		}
	})
	if got := w.ctx.figures.Watermark.Load(); got != watermark {
		t.Errorf("the watermark is %d, want %d", got, watermark)
	}
}

// TestFiringAllocatesNothing: results leave through the operator's one batch,
// and the pane's table is kept for the next. The pane itself is one allocation.
func TestFiringAllocatesNothing(t *testing.T) {
	values, times := batchOf(BatchSize)
	r := buildOperator[event](t, TumblingAggregate[int64, event, sum, sum]{Keys: byField(t), Aggregation: eventSums(), Size: 1000}, Receiver[sum](sink[sum]{})).(*tumblingReceiver[int64, event, sum, sum])
	r.until = MaxTime
	checkAllocations(t, 1, nil, func() error {
		r.panes.advance(NoTime, 0)
		if err := r.Push(values, times); err != nil {
			return err
		}
		for {
			if _, done, err := r.resume(BatchSize / 2); done || err != nil {
				return err
			}
		}
	})
}
