package task

import (
	"fmt"
	"testing"
	"unsafe"
)

// namedEvent is an event whose key is a string, as in the benchmark of strings.
type namedEvent struct {
	Key         string
	Time, Value int64
}

// tagged is of no flat type.
type tagged struct {
	namedEvent
	Tags []string
}

// TestReductionKeepsNoRecord: the strings of what a reduction keeps are its own,
// and those that stay the same cost nothing per record.
func TestReductionKeepsNoRecord(t *testing.T) {
	shared := "a copy that the strings of many records share"
	record := func(n int64) namedEvent { return namedEvent{Key: shared[7:20], Value: n} }
	latest := Reduction[string](func(_, b namedEvent) namedEvent { return b })
	var acc Reduced[namedEvent]
	for n := range int64(3) {
		latest.Adder.Add(&acc, record(n))
		if acc.Value != record(n) {
			t.Fatalf("%+v is kept of %+v", acc.Value, record(n))
		}
		if unsafe.StringData(acc.Value.Key) == unsafe.StringData(shared[7:]) {
			t.Fatal("the copy is kept alive")
		}
	}
	if n := testing.AllocsPerRun(100, func() { latest.Adder.Add(&acc, record(5)) }); n != 0 {
		t.Errorf("%v allocations for a string that is kept already", n)
	}
}

// BenchmarkCodecLanes writes batches to four channels by key, and reads them.
func BenchmarkCodecLanes(b *testing.B) {
	b.Run("strings", func(b *testing.B) {
		benchmarkLanes(b, func(i int) namedEvent { return namedEvent{fmt.Sprintf("%016x", i%1000), int64(i), int64(i)} },
			func(e *namedEvent) *string { return &e.Key })
	})
	b.Run("tagged", func(b *testing.B) {
		benchmarkLanes(b, func(i int) tagged {
			return tagged{namedEvent{fmt.Sprintf("%016x", i%1000), int64(i), int64(i)}, []string{"a", "b"}}
		}, func(e *tagged) *string { return &e.Key })
	})
	b.Run("integers", func(b *testing.B) {
		benchmarkLanes(b, func(i int) event { return event{Key: int64(i % 1000), Time: int64(i)} },
			func(e *event) *int64 { return &e.Key })
	})
}

func benchmarkLanes[K comparable, T any](b *testing.B, next func(i int) T, field func(*T) *K) {
	const channels = 4
	w := newWire(b, channels, 32<<10, 64, 0)
	x := HashExchange[K, T]{Keys: must[KeySelector[K, T]](b)(NewKeyField(field)), Records: recordsOf[T](b)}
	out := must[any](b)(x.Writer(w.ctx, w.outlet)).(Receiver[T])
	r := must[reader](b)(x.Reader(w.ctx, Receiver[T](sink[T]{})))
	values, times := make([]T, BatchSize), make([]int64, BatchSize)
	for i := range values {
		values[i] = next(i * 7919)
	}
	read := func() {
		for _, inbox := range w.inboxes {
			for d, ok := inbox.Poll(); ok; d, ok = inbox.Poll() {
				if err := r.take(d.Buffer, d.Channel); err != nil {
					b.Fatal(err)
				}
				for done := false; !done; {
					var err error
					if _, done, err = r.step(BatchSize); err != nil {
						b.Fatal(err)
					}
				}
				d.Buffer.Recycle()
			}
		}
	}
	for name, receive := range map[string]func(){"write": w.discard, "write and read": read} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := out.Push(values, times); err != nil {
					b.Fatal(err)
				}
				receive()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(values)), "ns/record")
		})
	}
}
