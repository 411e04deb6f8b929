package weir_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/task"
)

// direct runs a job's operators in the test's goroutine.
type direct struct {
	t *testing.T
	*task.Direct
}

func newDirect(t *testing.T, build func(*weir.Env)) direct {
	t.Helper()
	d, err := task.NewDirect(weir.BuildGraph(build), 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return direct{t, d}
}

// do calls what a source does, and settles.
func (d direct) do(source string, f func(r task.Receiver[tick]) error) {
	d.t.Helper()
	r, err := task.DirectSource[tick](d.Direct, source)
	if err == nil {
		err = f(r)
	}
	if err == nil {
		err = d.Settle()
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d direct) push(source string, times ...int64) {
	d.t.Helper()
	for _, at := range times {
		d.do(source, func(r task.Receiver[tick]) error { return r.Push([]tick{{Time: at, Value: at}}, []int64{task.NoTime}) })
	}
}

func (d direct) idle(source string) {
	d.t.Helper()
	d.do(source, task.Receiver[tick].Idle)
}

func (d direct) end(source string) {
	d.t.Helper()
	d.do(source, func(r task.Receiver[tick]) error { return r.Watermark(task.MaxTime) })
	d.do(source, task.Receiver[tick].End)
}

// TestDirectUnion drives a window behind a union: the slower source decides when it
// fires, unless it is idle.
func TestDirectUnion(t *testing.T) {
	var got *task.Recorded[int64]
	took := func(want ...int64) {
		t.Helper()
		if !slices.Equal(got.Values, want) {
			t.Errorf("fired %v, want %v", got.Values, want)
		}
		got.Values = nil
	}
	d := newDirect(t, func(env *weir.Env) {
		timed := func(name string) weir.Stream[tick] {
			return weir.From(env, name, numbersOfTicks()).WithWatermarks(weir.MonotonousTimestamps(), func(v tick) int64 { return v.Time })
		}
		timed("a").Union(timed("b")).
			KeyBy(func(v tick) int32 { return v.Key }).
			Window(weir.Tumbling(10*time.Millisecond)).
			Reduce(func(a, b tick) tick { a.Value += b.Value; return a }).
			Map(func(v tick) int64 { return v.Value }).To("sums", &collect[int64]{})
	})
	var err error
	got, err = task.DirectSink[int64](d.Direct, "sums")
	if err != nil {
		t.Fatal(err)
	}
	d.push("a", 1, 2, 11, 25)
	took()
	d.push("b", 3, 12)
	took(1 + 2 + 3)
	d.idle("b")
	took(11 + 12)
	d.push("a", 31)
	took(25)
	d.push("b", 35) // comes back, ahead
	took()
	d.idle("a")
	d.push("b", 41)
	took(31 + 35)
	d.end("a")
	took()
	d.end("b")
	took(41)
}

// numbersOfTicks is a source that only a direct run has records for.
func numbersOfTicks() lists[tick] { return dealt[tick](nil, 1) }
