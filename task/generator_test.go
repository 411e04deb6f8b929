package task

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// anyTime draws event times that are often equal, and the extremes.
var anyTime = rapid.OneOf(rapid.Int64Range(-20, 20), rapid.SampledFrom([]int64{NoTime, NoTime + 1, NoTime + 5, MaxTime - 1, MaxTime}))

func valuesAsTimes(values, times []int64) { copy(times, values) }

// modelWatermark is the watermark after records with these times.
func modelWatermark(times []int64, bound int64) int64 {
	if len(times) == 0 {
		return NoTime
	}
	highest := slices.Max(times)
	if highest < 0 && highest-NoTime < bound+2 { // the difference does not overflow for negative numbers
		return NoTime
	}
	return highest - bound - 1
}

// TestWatermarksOfBatches: with PerRecord, whatever the batches, each record sees
// the watermark of all records before it; without, that of all batches before.
func TestWatermarksOfBatches(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		perRecord := rapid.Bool().Draw(rt, "per record")
		bound := rapid.SampledFrom([]int64{0, 1, 7, MaxTime - 2}).Draw(rt, "bound")
		batches := rapid.SliceOf(rapid.SliceOfN(anyTime, 1, 8)).Draw(rt, "batches")
		var out recorder[int64]
		r := buildOperator[int64](t, Timestamps[int64]{Times: valuesAsTimes, Bound: bound, PerRecord: perRecord}, Receiver[int64](&out))
		var all, seen []int64 // and the watermark that each record is to see
		for _, b := range batches {
			sees := modelWatermark(all, bound)
			for i := range b {
				if perRecord {
					sees = modelWatermark(append(slices.Clone(all), b[:i]...), bound)
				}
				seen = append(seen, sees)
			}
			all = append(all, b...)
			if err := r.Push(b, make([]int64, len(b))); err != nil {
				rt.Fatal(err)
			}
			if got, want := out.watermark(), modelWatermark(all, bound); got != want {
				rt.Fatalf("after %v the watermark is %d, want %d", all, got, want)
			}
		}
		if got := out.seen(); !slices.Equal(got, seen) || !slices.Equal(out.values(), all) {
			rt.Fatalf("records %v saw %v; want %v to see %v", out.values(), got, all, seen)
		}
		if !slices.IsSortedFunc(out.watermarks, func(a, b int64) int { return cmp.Or(cmp.Compare(a, b), 1) }) {
			rt.Fatalf("the watermarks do not rise: %v", out.watermarks)
		}
	})
}

// watermark is the last one.
func (r *recorder[T]) watermark() int64 {
	if len(r.watermarks) == 0 {
		return NoTime
	}
	return r.watermarks[len(r.watermarks)-1]
}

// seen returns the watermark that was in force when each record came.
func (r *recorder[T]) seen() (seen []int64) {
	for i := range r.records {
		w := NoTime
		for j, mark := range r.marks {
			if mark <= i {
				w = r.watermarks[j]
			}
		}
		seen = append(seen, w)
	}
	return seen
}

// marked is a generator that emits a value that ends in 0, and, periodically, what
// it is told to.
type marked struct {
	periodic int64
	quiet    bool
	calls    int
}

func (g *marked) OnEvent(value, _ int64, out *WatermarkOutput) {
	if value%10 == 0 {
		out.Emit(value)
	}
	if value == 13 {
		out.Idle()
	}
}

func (g *marked) OnPeriodic(out *WatermarkOutput) {
	g.calls++
	if g.quiet {
		out.Idle()
		return
	}
	out.Emit(g.periodic)
}

// drivenContext is a context whose processing time the test sets.
func drivenContext(t testing.TB, now *int64) *Context {
	t.Helper()
	ctx := testContext(t)
	ctx.wall = func() int64 { return *now }
	return ctx
}

// ringAt moves the time, stopping at each alarm on the way.
func ringAt(t testing.TB, ctx *Context, now *int64, to int64) {
	t.Helper()
	for len(ctx.alarms.heap) > 0 && ctx.alarms.heap[0].t <= to {
		*now = max(*now, ctx.alarms.heap[0].t)
		if _, err := ctx.ring(); err != nil {
			t.Fatal(err)
		}
	}
	*now = to
}

// TestUserGenerator: what it emits for a record holds behind that record; one that
// falls is ignored, and the end of time is not its to say.
func TestUserGenerator(t *testing.T) {
	var out recorder[int64]
	now, g := int64(1000), &marked{periodic: NoTime}
	ctx := drivenContext(t, &now)
	in, err := Timestamps[int64]{Times: valuesAsTimes, Generator: func() Generator[int64] { return g }}.Build(ctx, to(Receiver[int64](&out)))
	if err != nil {
		t.Fatal(err)
	}
	r := in[0].(Receiver[int64])
	push := func(values ...int64) {
		t.Helper()
		if err := r.Push(values, make([]int64, len(values))); err != nil {
			t.Fatal(err)
		}
	}
	push(5, 10, 7, 30, 20, 30, 31)
	if want := []int64{10, 30}; !slices.Equal(out.watermarks, want) || !slices.Equal(out.marks, []int{2, 4}) {
		t.Errorf("watermarks %v behind %v records", out.watermarks, out.marks)
	}
	ringAt(t, ctx, &now, 1199)
	if g.calls != 0 {
		t.Errorf("it was called %d times before the interval has passed", g.calls)
	}
	ringAt(t, ctx, &now, 1200)
	g.periodic = 25
	ringAt(t, ctx, &now, 1400)
	g.periodic = 45
	ringAt(t, ctx, &now, 1600)
	if want := []int64{10, 30, 45}; g.calls != 3 || !slices.Equal(out.watermarks, want) {
		t.Errorf("watermarks %v after %d periods, want %v", out.watermarks, g.calls, want)
	}

	g.quiet = true
	ringAt(t, ctx, &now, 2000)
	if out.idle != 1 {
		t.Errorf("it said %d times that it is idle", out.idle)
	}
	g.quiet, g.periodic = false, MaxTime
	ringAt(t, ctx, &now, 2200)
	if got := out.watermark(); got != MaxTime-1 {
		t.Errorf("the end of time, emitted by a user, became %d", got)
	}
	push(13)
	if out.idle != 2 {
		t.Errorf("it said %d times that it is idle, the last time for a record", out.idle)
	}
	if err := r.Watermark(MaxTime); err != nil {
		t.Fatal(err)
	}
	calls := g.calls
	ringAt(t, ctx, &now, 10_000)
	if g.calls != calls || out.watermark() != MaxTime {
		t.Errorf("after the end it was called %d times", g.calls-calls)
	}
}

// TestNoWatermarks: but the last.
func TestNoWatermarks(t *testing.T) {
	var out recorder[int64]
	r := buildOperator[int64](t, Timestamps[int64]{Times: valuesAsTimes, None: true}, Receiver[int64](&out))
	for _, v := range []int64{1, MaxTime} {
		if err := r.Push([]int64{v}, make([]int64, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Watermark(MaxTime); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(out.watermarks, []int64{MaxTime}) || out.records[0].Time != 1 {
		t.Errorf("watermarks %v, records %v", out.watermarks, out.records)
	}
}
