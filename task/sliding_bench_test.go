package task

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkWindows is a window operator by itself: a count and a sum per key, with a
// million records in each slide. Tumbling windows are as long as the slide, so that
// both fire as often. It reports what a record takes, with its share of the firing,
// and the longest time for which a firing held the operator.
func BenchmarkWindows(b *testing.B) {
	const slide = 1000
	for _, keys := range []uint64{1000, 100_000} {
		a := eventSums()
		b.Run(fmt.Sprintf("tumbling/keys=%d", keys), func(b *testing.B) {
			benchmarkWindow(b, TumblingAggregate[int64, event, sum, sum]{Keys: byField(b), Aggregation: a, Size: slide}, keys)
		})
		for _, panes := range []int64{10, 60} {
			for _, subtract := range []bool{false, true} {
				a := a
				if subtract {
					a.Subtract = func(a, b *sum) { a.Count -= b.Count; a.Sum -= b.Sum }
				}
				b.Run(fmt.Sprintf("sliding/keys=%d/panes=%d/subtract=%v", keys, panes, subtract), func(b *testing.B) {
					benchmarkWindow(b, SlidingAggregate[int64, event, sum, sum]{Keys: byField(b), Aggregation: a, Size: panes * slide, Slide: slide}, keys)
				})
			}
		}
	}
}

func benchmarkWindow(b *testing.B, operator Operator, keys uint64) {
	ctx := testContext(b)
	window := must[Inputs](b)(operator.Build(ctx, to(Receiver[sum](sink[sum]{}))))[0].(Receiver[event])
	const n = 512
	values, times := make([]event, n), make([]int64, n)
	x, at, held := uint64(1), 0.0, time.Duration(0)
	batch := func(perSlide float64) {
		for j := range values {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			times[j] = int64(at)
			values[j] = event{Key: int64(x % keys), Time: times[j]}
			at += 1000 / perSlide
		}
		if err := window.Push(values, times); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		if err := window.Watermark(times[n-1] - 1); err != nil {
			b.Fatal(err)
		}
		for len(ctx.postponed) > 0 {
			if _, err := ctx.resume(BatchSize); err != nil {
				b.Fatal(err)
			}
		}
		held = max(held, time.Since(start))
	}
	for at < 100_000 { // until a window is full
		batch(4 * float64(keys))
	}
	held = 0
	for b.Loop() {
		batch(1_000_000)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
	b.ReportMetric(float64(held.Microseconds())/1000, "ms-held")
	b.ReportMetric(0, "ns/op")
}
