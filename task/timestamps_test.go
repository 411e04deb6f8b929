package task

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestTimestamps: the watermark is behind the largest event time by the bound
// and one, and comes after the batch that raised it; what came before is void.
func TestTimestamps(t *testing.T) {
	var out recorder[int64]
	times := func(values, times []int64) { copy(times, values) }
	s := buildOperator[int64](t, Timestamps[int64]{Times: times, Bound: 10}, Receiver[int64](&out))
	for _, batch := range [][]int64{{5, 3}, {5}, {-20}, {7, 30, 8}} {
		if err := s.Push(batch, slices.Repeat([]int64{NoTime}, len(batch))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Watermark(1000); err != nil {
		t.Fatal(err)
	}
	if err := s.Watermark(MaxTime); err != nil {
		t.Fatal(err)
	}
	if want := []int64{-6, 19, MaxTime}; !slices.Equal(out.watermarks, want) {
		t.Errorf("watermarks %v, want %v", out.watermarks, want)
	}
	if want := []int{2, 7, 7}; !slices.Equal(out.marks, want) {
		t.Errorf("watermarks came after %v records, want %v", out.marks, want)
	}
	for _, r := range out.records {
		if r.Time != r.Value {
			t.Errorf("the record %d has the event time %d", r.Value, r.Time)
		}
	}
}

// TestTimestampsAtTheBeginningOfTime: there is no watermark before the first
// millisecond.
func TestTimestampsAtTheBeginningOfTime(t *testing.T) {
	var out recorder[int64]
	s := buildOperator[int64](t, Timestamps[int64]{Times: func(values, times []int64) { copy(times, values) }, Bound: 10}, Receiver[int64](&out))
	for _, at := range []int64{NoTime, NoTime + 1, NoTime + 11} {
		if err := s.Push([]int64{at}, make([]int64, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if len(out.watermarks) != 0 {
		t.Errorf("watermarks %v", out.watermarks)
	}
	if err := s.Push([]int64{NoTime + 12}, make([]int64, 1)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(out.watermarks, []int64{NoTime + 1}) {
		t.Errorf("watermarks %v", out.watermarks)
	}
}

// sluggish is an operator that postpones results at every watermark, and notes what
// it gets. What comes before they are out is a violation of T3.
type sluggish struct {
	ctx *Context
	// left is how many chunks are still to come, of the many of each watermark.
	left, many int
	log        []string
}

func (s *sluggish) note(format string, args ...any) {
	if s.left > 0 {
		s.log = append(s.log, "TOO EARLY")
	}
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *sluggish) Push(values []int64, _ []int64) error {
	for _, v := range values {
		s.note("%d", v)
	}
	return nil
}

func (s *sluggish) Watermark(t int64) error {
	s.note("watermark %d", t)
	if s.left = s.many; s.left > 0 {
		s.ctx.Postpone(s)
	}
	return nil
}

func (s *sluggish) Idle() error { s.note("idle"); return nil }
func (s *sluggish) End() error  { s.note("end"); return nil }

func (s *sluggish) resume(int) (int, bool, error) {
	s.left--
	return 1, s.left == 0, nil
}

// TestTimestampsWait: what comes while an operator behind is at work on the results
// of a watermark waits until they are out (T3), and comes in the same order as if
// they had been none. The operator before may push several batches at a time.
func TestTimestampsWait(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		perRecord := rapid.Bool().Draw(rt, "per record")
		many := rapid.IntRange(1, 3).Draw(rt, "chunks")
		chains := make([]*sluggish, 2)
		var receivers []*timestampReceiver[int64]
		for i := range chains {
			ctx := testContext(t)
			chains[i] = &sluggish{ctx: ctx, many: many * i} // the first postpones nothing
			in, err := Timestamps[int64]{Times: valuesAsTimes, PerRecord: perRecord}.Build(ctx, to(Receiver[int64](chains[i])))
			if err != nil {
				rt.Fatal(err)
			}
			receivers = append(receivers, in[0].(*timestampReceiver[int64]))
			receivers[i].perSplit()
			receivers[i].open(1, NoTime)
			receivers[i].open(2, NoTime)
		}
		settle := func() {
			for _, c := range chains {
				for len(c.ctx.postponed) > 0 {
					if _, err := c.ctx.resume(rapid.IntRange(1, 5).Draw(rt, "limit")); err != nil {
						rt.Fatal(err)
					}
				}
			}
		}
		steps := rapid.IntRange(0, 30).Draw(rt, "steps")
		closed := false
		for range steps {
			what := rapid.IntRange(0, 9).Draw(rt, "step")
			values := rapid.SliceOfN(rapid.Int64Range(0, 50), 1, 6).Draw(rt, "values")
			split := rapid.IntRange(1, 2).Draw(rt, "split")
			if closed {
				split = 1
			}
			for _, r := range receivers {
				var err error
				switch {
				case what == 0:
					err = r.Idle()
				case what == 1 && !closed:
					err = r.close(2)
				default:
					r.from(split)
					mine := slices.Clone(values)
					err = r.Push(mine, make([]int64, len(mine)))
					clear(mine) // T1
				}
				if err != nil {
					rt.Fatal(err)
				}
			}
			closed = closed || what == 1
			if rapid.Bool().Draw(rt, "settle") {
				settle()
			}
		}
		for _, r := range receivers {
			if err := r.Watermark(MaxTime); err != nil {
				rt.Fatal(err)
			}
			if err := r.End(); err != nil {
				rt.Fatal(err)
			}
		}
		settle()
		if !slices.Equal(chains[0].log, chains[1].log) {
			rt.Fatalf("with postponed results:\n%s\nwithout:\n%s", strings.Join(chains[1].log, ", "), strings.Join(chains[0].log, ", "))
		}
	})
}

// TestPostponedWithinPostponed: an operator whose results make another one behind it
// postpone does not go on before that is done.
func TestPostponedWithinPostponed(t *testing.T) {
	ctx := testContext(t)
	var log []string
	inner := step(func(n int) bool { log = append(log, fmt.Sprint("inner ", n)); return n == 2 })
	outer := step(func(n int) bool {
		log = append(log, fmt.Sprint("outer ", n))
		ctx.Postpone(stepping(inner))
		return n == 2
	})
	ctx.Postpone(stepping(outer))
	finish(t, ctx, 10)
	want := []string{"outer 1", "inner 1", "inner 2", "outer 2", "inner 1", "inner 2"}
	if !slices.Equal(log, want) {
		t.Errorf("order %v, want %v", log, want)
	}
}

type step func(n int) (done bool)

// stepper is a resumable that counts.
type stepper struct {
	f step
	n int
}

func stepping(f step) *stepper { return &stepper{f: f} }

func (s *stepper) resume(int) (int, bool, error) { s.n++; return 1, s.f(s.n), nil }

func TestTimestampsRefuse(t *testing.T) {
	ctx := testContext(t)
	if _, err := (Timestamps[int64]{Bound: -1}).Build(ctx, to(Receiver[int64](&recorder[int64]{}))); err == nil {
		t.Error("a negative bound was taken")
	}
	ctx.network = true
	_, err := Timestamps[int64]{Alignment: Alignment{Group: "g", Interval: time.Second}}.Build(ctx, to(Receiver[int64](&recorder[int64]{})))
	if err == nil || !strings.Contains(err.Error(), "the source is in another task") {
		t.Errorf("alignment behind an exchange: %v", err)
	}
}
