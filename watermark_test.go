package weir_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir"
)

func asTime(n int64) int64 { return n }

// sums is the sum of the values of each second, in the order in which they came.
func sums(s weir.Stream[int64], name string, sink weir.Sink[int64]) {
	s.KeyBy(func(int64) bool { return true }).Window(weir.Tumbling(time.Second)).
		Reduce(func(a, b int64) int64 { return a + b }).ID("window "+name).To(name, sink)
}

// playing runs a job on a driven clock while play goes on; then its sources end.
func playing(t *testing.T, build func(*weir.Env), play func(e *engine), sources ...*feed[int64]) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		for _, s := range sources {
			*s = feed[int64]{ready: make(chan struct{}, 1), ends: true}
		}
		e := newEngine(1, 1)
		if err := e.start(build); err != nil {
			t.Fatal(err)
		}
		play(e)
		for _, s := range sources {
			s.end()
		}
		if err := e.wait(t.Context()); err != nil {
			t.Error(err)
		}
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
}

// arrived checks what a sink has got; a task that is at work on it is waited for.
func (c *collect[T]) arrived(t *testing.T, when string, want ...T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if fmt.Sprint(c.rows) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", when, c.rows, want)
	}
}

// TestIdleInputOfUnion: an input that is slow holds back the windows behind a union,
// one that is idle does not; that all are idle fires nothing; the end fires all.
func TestIdleInputOfUnion(t *testing.T) {
	var fast, slow feed[int64]
	var got collect[int64]
	strategy := weir.MonotonousTimestamps().WithIdleness(5 * time.Second)
	playing(t, func(env *weir.Env) {
		a := weir.From(env, "fast", &fast).WithWatermarks(strategy, asTime)
		b := weir.From(env, "slow", &slow).WithWatermarks(strategy, asTime)
		sums(a.Union(b), "sums", &got)
	}, func(*engine) {
		fast.send(500)
		slow.send(700)
		for i := range int64(4) {
			passes(time.Second)
			fast.send(1500 + 1000*i)
		}
		passes(500 * time.Millisecond)
		got.arrived(t, "the slow input is at 700")
		passes(time.Second)
		got.arrived(t, "the slow input is idle", 1200, 1500, 2500, 3500)
		slow.send(600) // too late
		slow.send(4700)
		passes(time.Second)
		fast.send(6000)
		passes(time.Second)
		got.arrived(t, "the slow input is at 4700", 1200, 1500, 2500, 3500)
		passes(time.Minute)
		got.arrived(t, "both are idle, the furthest at 6000", 1200, 1500, 2500, 3500, 9200)
		passes(time.Hour)
		slow.send(6100)
		passes(time.Second)
		got.arrived(t, "one is back, and has caught up", 1200, 1500, 2500, 3500, 9200)
	}, &fast, &slow)
	got.arrived(t, "the end", 1200, 1500, 2500, 3500, 9200, 12_100)
}

// TestWatermarkOfConnectedStreams is the smaller of both, and ends with both.
func TestWatermarkOfConnectedStreams(t *testing.T) {
	var first, second feed[int64]
	var got collect[int64]
	same := func(n int64) int64 { return n }
	playing(t, func(env *weir.Env) {
		a := weir.From(env, "first", &first).WithWatermarks(weir.MonotonousTimestamps(), asTime)
		b := weir.From(env, "second", &second).WithWatermarks(weir.MonotonousTimestamps(), asTime)
		sums(a.Connect(b).Map(same, same), "sums", &got)
	}, func(*engine) {
		first.send(100, 5000)
		passes(time.Hour)
		got.arrived(t, "the second has brought nothing")
		second.send(200, 2100)
		passes(time.Second)
		got.arrived(t, "the second is at 2100", 300)
		first.end()
		passes(time.Second)
		got.arrived(t, "the first has ended", 300)
		second.send(3500)
		passes(time.Second)
		got.arrived(t, "the second alone counts", 300, 2100)
	}, &first, &second)
	got.arrived(t, "the end", 300, 2100, 3500, 5000)
}

// TestFanOutOfWatermarks: two windows behind one stream fire each for itself.
func TestFanOutOfWatermarks(t *testing.T) {
	var source feed[int64]
	var one, two collect[int64]
	playing(t, func(env *weir.Env) {
		plain := weir.From(env, "source", &source)
		sums(plain.WithWatermarks(weir.MonotonousTimestamps(), asTime), "one", &one)
		sums(plain.WithWatermarks(weir.BoundedOutOfOrderness(2*time.Second), asTime), "two", &two)
	}, func(*engine) {
		source.send(100, 1100, 2500)
		passes(time.Second)
		source.send(900) // late for one of them
		passes(time.Second)
		one.arrived(t, "without a bound", 100, 1100)
		source.send(2999)
		passes(time.Second)
		two.arrived(t, "with a bound, at 2999")
		source.send(3000)
		passes(time.Second)
		two.arrived(t, "with a bound, at 3000", 1000)
	}, &source)
	one.arrived(t, "without a bound, at the end", 100, 1100, 5499, 3000)
	two.arrived(t, "with a bound, at the end", 1000, 1100, 5499, 3000)
}

// TestIdlenessBehindAnOperator is of a subtask, on the clock of its task.
func TestIdlenessBehindAnOperator(t *testing.T) {
	var busy, silent feed[int64]
	var got collect[int64]
	playing(t, func(env *weir.Env) {
		strategy := weir.MonotonousTimestamps().WithIdleness(10 * time.Second)
		a := weir.From(env, "busy", &busy).Rebalance().Map(asTime).WithWatermarks(strategy, asTime)
		b := weir.From(env, "silent", &silent).Rebalance().Map(asTime).WithWatermarks(strategy, asTime)
		sums(a.Union(b), "sums", &got)
	}, func(*engine) {
		passes(8 * time.Second)
		busy.send(100, 1200)
		passes(1500 * time.Millisecond)
		got.arrived(t, "nine seconds and a half")
		passes(time.Second)
		got.arrived(t, "ten seconds and a half", 100)
	}, &busy, &silent)
	got.arrived(t, "the end", 100, 1200)
}

// everyTenth is a generator that emits at values that end in 0, and what it was told
// last when it is asked.
type everyTenth struct{ last int64 }

func (g *everyTenth) OnEvent(value, _ int64, out weir.WatermarkOutput) {
	if g.last = value; value%10 == 0 {
		out.Emit(value)
	}
}

func (g *everyTenth) OnPeriodic(out weir.WatermarkOutput) { out.Emit(g.last) }

func TestGeneratorOfTheUser(t *testing.T) {
	var source feed[int64]
	var got collect[int64]
	playing(t, func(env *weir.Env) {
		strategy := weir.ForGenerator(func() weir.WatermarkGenerator[int64] { return &everyTenth{last: -1} })
		sums(weir.From(env, "source", &source).WithWatermarks(strategy, asTime), "sums", &got)
	}, func(*engine) {
		passes(50 * time.Millisecond)
		source.send(1, 1010, 2, 2001) // 2 is too late: it comes behind 1010.
		passes(100 * time.Millisecond)
		got.arrived(t, "at the mark", 1)
		passes(300 * time.Millisecond)
		got.arrived(t, "after the interval", 1, 1010)
	}, &source)
	got.arrived(t, "the end", 1, 1010, 2001)
}

// TestLateRecordsPerRecord: with a watermark for each record it depends on no batch,
// buffer or task between which records are late.
func TestLateRecordsPerRecord(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const size, allowed = 500, 1000
	times := make([]int64, 20_000)
	late, watermark := uint64(0), int64(-1<<62)
	for i := range times {
		times[i] = int64(i)*10 - r.Int64N(4000)
		if floor(times[i], size, 0)+size-1 <= watermark {
			late++
		}
		watermark = max(watermark, times[i]-allowed-1)
	}
	for _, c := range []struct {
		name string
		pre  bool
		via  func(weir.Stream[int64]) weir.Stream[int64]
	}{
		{"at once", false, func(s weir.Stream[int64]) weir.Stream[int64] { return s }},
		{"combined before", true, func(s weir.Stream[int64]) weir.Stream[int64] { return s }},
		{"by other tasks", false, func(s weir.Stream[int64]) weir.Stream[int64] {
			return s.Rebalance().Map(asTime).Rebalance().Filter(func(int64) bool { return true })
		}},
	} {
		for _, atMost := range []int{0, 1, 77} {
			e := newEngine(1, 1)
			e.settings.PreAggregation = c.pre
			var got collect[int64]
			metrics, err := e.run(t.Context(), func(env *weir.Env) {
				s := weir.From(env, "times", lists[int64]{splits: [][]int64{times}, atMost: atMost}).
					WithWatermarks(weir.BoundedOutOfOrderness(allowed*time.Millisecond).PerRecord(), asTime)
				c.via(s).KeyBy(func(int64) bool { return true }).Window(weir.Tumbling(size*time.Millisecond)).
					Aggregate(counting64{}).ID("count").To("sink", &got)
			})
			if err != nil {
				t.Fatal(err)
			}
			total := int64(0)
			for _, n := range got.rows {
				total += n
			}
			if n := lateDropped(metrics); n != late || total != int64(len(times))-int64(late) || late < 100 {
				t.Errorf("%s, at most %d: %d records were late, want %d; %d of %d are in a window", c.name, atMost, n, late, total, len(times))
			}
		}
	}
}

// counting64 counts.
type counting64 struct{}

func (counting64) Add(acc *int64, _ int64)                      { *acc++ }
func (counting64) Merge(acc, other *int64)                      { *acc += *other }
func (counting64) Result(_ bool, _ weir.Window, a *int64) int64 { return *a }

// TestStrategyMistakes are reported with the place of WithWatermarks.
func TestStrategyMistakes(t *testing.T) {
	generator := func() weir.WatermarkGenerator[int64] { return &everyTenth{} }
	for _, c := range []struct {
		strategy weir.WatermarkStrategy
		want     string
	}{
		{weir.BoundedOutOfOrderness(-1), "a bound of -1ns for out-of-order records"},
		{weir.NoWatermarks().PerRecord(), "PerRecord is for MonotonousTimestamps and BoundedOutOfOrderness"},
		{weir.ForGenerator(generator).PerRecord(), "PerRecord is for"},
		{weir.ForGenerator[int64](nil), "the function that makes generators of watermarks is nil"},
		{weir.ForGenerator(func() weir.WatermarkGenerator[string] { return nil }), "is a func() weir.WatermarkGenerator[string], and the records are of type int64"},
		{weir.MonotonousTimestamps().WithIdleness(0), "an idleness of 0s: it must be more than 0"},
		{weir.MonotonousTimestamps().WithAlignment("", 0, time.Second), `alignment group ""`},
		{weir.MonotonousTimestamps().WithAlignment("\xff", 0, time.Second), `alignment group "\xff"`},
		{weir.MonotonousTimestamps().WithAlignment("g", -1, time.Second), "a drift of -1ns, updated every 1s"},
		{weir.MonotonousTimestamps().WithAlignment("g", 0, 0), "updated every 0s"},
		{weir.NoWatermarks().WithAlignment("g", 0, time.Second), "no watermarks to align"},
	} {
		var source feed[int64]
		plan := weir.BuildGraph(func(env *weir.Env) {
			weir.From(env, "source", &source).WithWatermarks(c.strategy, asTime).To("sink", &collect[int64]{})
		}).Layout().Plan
		if len(plan.Mistakes) != 1 || !strings.Contains(plan.Mistakes[0], c.want) || !strings.Contains(plan.Mistakes[0], "watermark_test.go:") {
			t.Errorf("mistakes %q, want %q", plan.Mistakes, c.want)
		}
	}
	var source feed[int64]
	aligned := weir.MonotonousTimestamps().WithAlignment("g", time.Second, time.Second)
	behind := func(env *weir.Env) {
		weir.From(env, "source", &source).Map(asTime).WithWatermarks(aligned, asTime).To("sink", &collect[int64]{})
	}
	if got := weir.BuildGraph(behind).Layout().Plan.Mistakes; !slices.ContainsFunc(got, func(m string) bool { return strings.Contains(m, `"map" is none`) }) {
		t.Errorf("alignment behind a map: mistakes %q", got)
	}
	// That another task reads is known only when the job runs.
	source = feed[int64]{ready: make(chan struct{}, 1), ends: true}
	source.end()
	_, err := newEngine(1, 1).run(t.Context(), func(env *weir.Env) {
		weir.From(env, "source", &source).DisableChaining().WithWatermarks(aligned, asTime).To("sink", &collect[int64]{})
	})
	if err == nil || !strings.Contains(err.Error(), "the source is in another task") {
		t.Errorf("alignment in another task than the source: %v", err)
	}
}
