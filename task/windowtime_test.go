package task

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestProcessingTimeWindows drives windows with a clock that the test sets, also
// back, and compares them with the model, in which every batch has the time that the
// clock has reached, and windows fire when it reaches their end.
func TestProcessingTimeWindows(t *testing.T) {
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		ctx := testContext(tb)
		clock := rapid.Int64Range(-50, 50).Draw(t, "clock")
		ctx.wall = func() int64 { return clock }
		size := rapid.Int64Range(1, 60).Draw(t, "size")
		slide, offset := rapid.Int64Range(1, size).Draw(t, "slide"), rapid.Int64Range(-20, 20).Draw(t, "offset")
		keys := must[KeySelector[int, int64]](tb)(NewKeySelector(func(v int64) int { return int(v % 3) }))
		var operator Operator = SlidingAggregate[int, int64, listed, modelResult]{
			Keys: keys, Aggregation: listAggregation(false), Size: size, Slide: slide, Offset: offset, ProcessingTime: true,
		}
		if rapid.Bool().Draw(t, "tumbling") {
			slide = size
			operator = TumblingAggregate[int, int64, listed, modelResult]{
				Keys: keys, Aggregation: listAggregation(false), Size: size, Offset: offset, ProcessingTime: true,
			}
		}
		var out recorder[modelResult]
		window := must[Inputs](tb)(operator.Build(ctx, to(Receiver[modelResult](&out))))[0].(Receiver[int64])
		model := newWindowModel(size, slide, offset, 0)
		reached, value, watermarks := clock, int64(0), 0
		look := func() { // at the clock
			if err := window.Push(nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		look()
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				values, times := make([]int64, rapid.IntRange(0, 5).Draw(t, "records")), make([]int64, 5)
				for i := range values {
					value++
					values[i], times[i] = value, NoTime
					model.push(int(value%3), value, reached)
				}
				if err := window.Push(values, times[:len(values)]); err != nil {
					t.Fatal(err)
				}
			case 2:
				clock += rapid.Int64Range(-3, 40).Draw(t, "passes")
				if clock <= reached {
					break
				}
				reached = clock
				model.advance(reached - 1)
				for len(ctx.alarms.heap) > 0 && ctx.alarms.heap[0].t <= clock {
					if _, err := ctx.ring(); err != nil {
						t.Fatal(err)
					}
					finish(tb, ctx, rapid.IntRange(1, 5).Draw(t, "limit"))
				}
				look()
			case 3: // event time goes by
				watermarks++
				if err := window.Watermark(int64(watermarks)); err != nil {
					t.Fatal(err)
				}
			}
			got, want := map[modelResult]int{}, map[modelResult]int{}
			for _, r := range out.records {
				got[sorted(r.Value)]++
				if r.Time != r.Value.end-1 {
					t.Fatalf("the result of %v has the time %d", r.Value, r.Time)
				}
			}
			for _, r := range model.take() {
				want[sorted(r)]++
			}
			if out.records = nil; !maps.Equal(got, want) {
				t.Fatalf("at %d, size %d, slide %d, offset %d:\ngot  %v\nwant %v", reached, size, slide, offset, got, want)
			}
			if len(ctx.alarms.heap) > 1 {
				t.Fatalf("%d alarms are set", len(ctx.alarms.heap))
			}
		}
		// What is open at the end does not fire.
		if err := errors.Join(window.Watermark(MaxTime), window.End()); err != nil {
			t.Fatal(err)
		}
		if len(out.records) != 0 || !out.ended || len(out.watermarks) != watermarks+1 {
			t.Fatalf("at the end: %d results, ended %v, %d watermarks of %d", len(out.records), out.ended, len(out.watermarks), watermarks+1)
		}
	})
}

// TestWindowsAtTheEndsOfTime: records at the largest and smallest times are in
// windows, without opening more panes than they are in.
func TestWindowsAtTheEndsOfTime(t *testing.T) {
	keys := must[KeySelector[int, int64]](t)(NewKeySelector(func(v int64) int { return int(v) }))
	for _, size := range []int64{1, 7, 1000, math.MaxInt64 / 1_000_000} {
		for _, slides := range []int64{1, 3, 7, 1000} {
			slide := max(1, size/slides)
			t.Run(fmt.Sprint(size, " every ", slide), func(t *testing.T) {
				ctx := testContext(t)
				var out recorder[modelResult]
				r := must[Inputs](t)(SlidingAggregate[int, int64, listed, modelResult]{
					Keys: keys, Aggregation: listAggregation(false), Size: size, Slide: slide, Offset: 5,
				}.Build(ctx, to(Receiver[modelResult](&out))))[0].(*slidingReceiver[int, int64, listed, modelResult])
				times := []int64{NoTime + 1, 0, 9e18, MaxTime - 1, MaxTime, 9e18}
				values := []int64{0, 1, 2, 3, 4, 5}
				if err := r.Push(values, times); err != nil {
					t.Fatal(err)
				}
				if n := len(r.store.open); n > 5 {
					t.Errorf("%d panes for 5 times", n)
				}
				if err := r.Watermark(MaxTime); err != nil {
					t.Fatal(err)
				}
				finish(t, ctx, BatchSize)
				if err := r.empty(); err != nil {
					t.Error(err)
				}
				counts := map[int]int64{}
				for _, res := range out.records {
					k, start, end := res.Value.key, res.Value.start, res.Value.end
					counts[k]++
					if at := times[k]; at < start || at > end || at == end && at != MaxTime || res.Time != end-1 {
						t.Errorf("the record of time %d is in [%d, %d), with event time %d", at, start, end, res.Time)
					}
				}
				q := size / slide
				for k, n := range counts {
					if n > q+1 || n < q && k != 0 {
						t.Errorf("the record of time %d is in %d windows, of size %d every %d", times[k], n, size, slide)
					}
				}
				if len(counts) != len(values) {
					t.Errorf("of %d records %d are in windows", len(values), len(counts))
				}
			})
		}
	}
}

// TestFarTimesOpenOnePane each, and are given up with it.
func TestFarTimesOpenOnePane(t *testing.T) {
	keys, a := sums(func(v int64) int { return int(v) })
	ctx := testContext(t)
	r := must[Inputs](t)(SlidingAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Size: 1000, Slide: 1}.
		Build(ctx, to(Receiver[sumResult](&recorder[sumResult]{}))))[0].(*slidingReceiver[int, int64, sum, sumResult])
	for at := int64(1); at < MaxTime/100; at *= 10 {
		if err := r.Push([]int64{at}, []int64{at}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.store.open); n != 17 {
		t.Errorf("%d panes for 17 times", n)
	}
	if err := r.Watermark(5000); err != nil {
		t.Fatal(err)
	}
	finish(t, ctx, BatchSize)
	if n := len(r.store.open); n != 13 || r.store.ids.table.Len() != 13 {
		t.Errorf("%d panes and %d keys are left, want those of 13 times", n, r.store.ids.table.Len())
	}
}

// TestSlidingFiringIsResumable: no chunk emits more than it may, nor works much
// longer, however windows are made; the turning over of the stacks is part of it.
func TestSlidingFiringIsResumable(t *testing.T) {
	const keysPerSlide, limit = 20_000, 100
	for _, c := range []struct {
		size     int64
		subtract bool
	}{{5, false}, {40, false}, {40, true}} {
		t.Run(fmt.Sprint(c.size, c.subtract), func(t *testing.T) {
			keys, a := sums(func(v int64) int { return int(v) })
			merged := 0
			merge := a.Merge
			a.Merge = func(acc, other *sum) { merged++; merge(acc, other) }
			if c.subtract {
				a.Subtract = func(a, b *sum) { merged++; a.Count -= b.Count; a.Sum -= b.Sum }
			}
			ctx := testContext(t)
			var out recorder[sumResult]
			r := must[Inputs](t)(SlidingAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Size: c.size, Slide: 1}.
				Build(ctx, to(Receiver[sumResult](&out))))[0].(Receiver[int64])
			values, times := make([]int64, 1000), make([]int64, 1000)
			most := 0 // merged for a slide
			for at := range 2 * c.size {
				for from := 0; from < keysPerSlide; from += len(values) {
					for i := range values {
						values[i], times[i] = int64(from+i), at
					}
					if err := r.Push(values, times); err != nil {
						t.Fatal(err)
					}
				}
				if err := r.Watermark(at); err != nil {
					t.Fatal(err)
				}
				slide, before := merged, len(out.records)
				for len(ctx.postponed) > 0 {
					results, merges := len(out.records), merged
					if _, err := ctx.resume(limit); err != nil {
						t.Fatal(err)
					}
					if n := len(out.records) - results; n > limit {
						t.Fatalf("a chunk of %d has %d results", limit, n)
					}
					if n := merged - merges; n > int(c.size)*limit && c.size == 5 || n > 4*limit && c.size != 5 {
						t.Fatalf("a chunk of %d has merged %d", limit, n)
					}
				}
				most = max(most, merged-slide)
				if n := len(out.records) - before; n != keysPerSlide {
					t.Fatalf("the window that ends at %d has %d results", at+1, n)
				}
			}
			if most > 6*keysPerSlide {
				t.Errorf("a slide has merged %d accumulators of %d keys", most, keysPerSlide)
			}
			for _, r := range slices.Backward(out.records) {
				if r.Value.Count != c.size {
					t.Fatalf("a key has %d records in a window of %d", r.Value.Count, c.size)
				}
				break
			}
		})
	}
}
