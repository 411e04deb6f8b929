package weirtest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/leaktest"
	"github.com/weirstream/weir/weirtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

type reading struct {
	Sensor string
	At     time.Time
	Value  int
}

func at(seconds int) time.Time { return time.Unix(int64(seconds), 0).UTC() }

// maxima is a job as a program has it: with a source and a sink that a test must
// not open.
func maxima(env *weir.Env) {
	weir.From(env, "readings", closed{}).
		WithWatermarks(weir.BoundedOutOfOrderness(5*time.Second), func(r reading) time.Time { return r.At }).
		KeyBy(func(r reading) string { return r.Sensor }).
		Window(weir.Tumbling(10*time.Second)).
		Reduce(func(a, b reading) reading {
			if b.Value > a.Value {
				return b
			}
			return a
		}).
		To("maxima", locked{})
}

// closed and locked are a source and a sink that fail when they are opened.
type (
	closed struct{ weir.Source[reading] }
	locked struct{ weir.Sink[reading] }
)

func (closed) Bounded() bool { return false }

func TestWindowUnderVirtualTime(t *testing.T) {
	run := weirtest.Start(t, maxima)
	readings, out := weirtest.InputOf[reading](run, "readings"), weirtest.OutputOf[reading](run, "maxima")
	if _, ok := out.Watermark(); ok {
		t.Error("there is a watermark before there are records")
	}
	readings.Push(reading{"a", at(3), 7}, reading{"b", at(8), 1}, reading{"a", at(14), 9}, reading{"a", at(9), 8})
	if got := out.Take(); len(got) > 0 {
		t.Errorf("a window has fired before its end: %v", got)
	}
	readings.Push(reading{"c", at(15), 2})
	want := []weirtest.Record[reading]{
		{Value: reading{"a", at(9), 8}, Time: at(10).Add(-time.Millisecond)},
		{Value: reading{"b", at(8), 1}, Time: at(10).Add(-time.Millisecond)},
	}
	got := out.Records()
	slices.SortFunc(got, func(a, b weirtest.Record[reading]) int { return strings.Compare(a.Value.Sensor, b.Value.Sensor) })
	if !slices.Equal(got, want) {
		t.Errorf("fired %v, want %v", got, want)
	}
	if w, ok := out.Watermark(); !ok || w != at(10).Add(-time.Millisecond) {
		t.Errorf("the watermark is %v, %v", w, ok)
	}
	readings.End()
	if got := len(out.Take()); got != 2 || !out.Ended() {
		t.Errorf("%d rows at the end, ended: %v", got, out.Ended())
	}
}

// TestBatches gives many records at once: the same results.
func TestBatches(t *testing.T) {
	run := weirtest.Start(t, maxima)
	readings, out := weirtest.InputOf[reading](run, "readings"), weirtest.OutputOf[reading](run, "maxima")
	var all []reading
	for i := range 5000 {
		all = append(all, reading{fmt.Sprint(i % 7), at(i / 100), i})
	}
	readings.PushBatch(all...)
	readings.End()
	rows := out.Take()
	if len(rows) != 7*5 {
		t.Fatalf("%d rows, want 35", len(rows))
	}
	for _, r := range rows {
		if last := r.Value - r.Value%1000 + 1000; r.Value+7 < last {
			t.Errorf("%v is not the largest of its window", r)
		}
	}
}

func TestFailure(t *testing.T) {
	broken := errors.New("it is broken")
	run := weirtest.Start(t, func(env *weir.Env) {
		weir.From(env, "numbers", weirtest.Values[int]()).
			TryMap(func(v int) (int, error) {
				if v == 2 {
					return 0, broken
				}
				return 10 * v, nil
			}).To("sink", &weirtest.Collector[int]{})
	})
	numbers, out := weirtest.InputOf[int](run, "numbers"), weirtest.OutputOf[int](run, "sink")
	if err := numbers.TryPush(1, 2, 3); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
	if err := numbers.TryPush(4); !errors.Is(err, broken) {
		t.Errorf("a job that has failed takes records: %v", err)
	}
	if got := out.Take(); !slices.Equal(got, []int{10}) {
		t.Errorf("rows %v, want [10]", got)
	}
}

// failing is a test that has failed, told by its message.
type failing struct {
	testing.TB
	message string
}

func (f *failing) Helper() {}
func (f *failing) Fatal(arguments ...any) {
	f.message = fmt.Sprint(arguments...)
	panic(f)
}

func TestWhatIsNotThere(t *testing.T) {
	run := weirtest.Start(t, maxima)
	wrong := weirtest.Start(t, maxima)
	_ = run
	for want, f := range map[string]func(r *weirtest.Run){
		`the job has no source "writings"`:                                 func(r *weirtest.Run) { weirtest.InputOf[reading](r, "writings") },
		`the job has no sink "minima"`:                                     func(r *weirtest.Run) { weirtest.OutputOf[reading](r, "minima") },
		`source "readings" has records of another type than int`:           func(r *weirtest.Run) { weirtest.InputOf[int](r, "readings") },
		`sink "maxima" takes records of another type than weirtest_test.x`: func(r *weirtest.Run) { weirtest.OutputOf[x](r, "maxima") },
	} {
		f := f
		ft := &failing{TB: t}
		func() {
			defer func() {
				if p := recover(); p != nil && p != any(ft) {
					panic(p)
				}
			}()
			f(wrong.For(ft))
		}()
		if !strings.Contains(ft.message, want) {
			t.Errorf("message %q, want %q", ft.message, want)
		}
	}
	ft := &failing{TB: t}
	func() {
		defer func() { _ = recover() }()
		weirtest.Start(ft, func(env *weir.Env) { weir.From(env, "readings", closed{}) })
	}()
	if !strings.Contains(ft.message, "nothing consumes") {
		t.Errorf("a job that is built wrongly starts: %q", ft.message)
	}
}

type x struct{}

func TestRunJob(t *testing.T) {
	for _, parallelism := range []int{1, 2, 4} {
		var sink weirtest.Collector[int]
		weirtest.RunJob(t, func(env *weir.Env) {
			weir.From(env, "numbers", weirtest.Splits([]int{1, 2, 3}, []int{4}, nil, []int{5, 6})).
				Rebalance().Map(func(v int) int { return v * v }).To("squares", &sink)
		}, weirtest.Parallelism(parallelism))
		got := sink.Values()
		slices.Sort(got)
		if want := []int{1, 4, 9, 16, 25, 36}; !slices.Equal(got, want) {
			t.Errorf("parallelism %d: %v, want %v", parallelism, got, want)
		}
		if n := len(sink.Subtask(0)); n == 0 || n < 6/parallelism || parallelism > 1 && n == 6 {
			t.Errorf("parallelism %d: the first subtask got %d of 6", parallelism, n)
		}
	}
	err := weirtest.TryJob(t, func(env *weir.Env) {
		weir.From(env, "numbers", weirtest.Values(1)).Map(func(int) int { panic("broken") }).To("sink", &weirtest.Collector[int]{})
	})
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("error %v", err)
	}
}
