package task

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"
)

// TestIdleSubtask: behind an operator, a subtask is idle once it has had no record
// for as long as was said, and comes back with the next.
func TestIdleSubtask(t *testing.T) {
	var out recorder[int64]
	now := int64(1000)
	ctx := drivenContext(t, &now)
	in, err := Timestamps[int64]{Times: valuesAsTimes, Idleness: 500 * time.Millisecond}.Build(ctx, to(Receiver[int64](&out)))
	if err != nil {
		t.Fatal(err)
	}
	r := in[0].(Receiver[int64])
	push := func() {
		t.Helper()
		if err := r.Push([]int64{now}, make([]int64, 1)); err != nil {
			t.Fatal(err)
		}
	}
	idleAt := func(at int64, want int) {
		t.Helper()
		ringAt(t, ctx, &now, at)
		if out.idle != want {
			t.Errorf("at %d it has said %d times that it is idle, want %d", at, out.idle, want)
		}
	}
	idleAt(1499, 0)
	idleAt(1500, 1) // It never had a record.
	idleAt(9000, 1)
	push()
	idleAt(9300, 1)
	push()
	idleAt(9799, 1)
	idleAt(9800, 2)
	push()
	if n := len(ctx.alarms.heap); n != 1 {
		t.Errorf("%d alarms are set", n)
	}
	for range 1000 {
		push()
	}
	if n := len(ctx.alarms.heap); n != 1 {
		t.Errorf("%d alarms are set after many records", n)
	}
	// Time in which the task waited for output does not count.
	ctx.figures.spent[backpressured].Add(int64(200*time.Millisecond + 1))
	idleAt(10_500, 2)
	idleAt(10_501, 3)
	push()
	if err := r.Watermark(MaxTime); err != nil {
		t.Fatal(err)
	}
	idleAt(20_000, 3)
}

// TestIdleFromBefore: an input that is idle has an idle output, too.
func TestIdleFromBefore(t *testing.T) {
	var out recorder[int64]
	r := buildOperator[int64](t, Timestamps[int64]{Times: valuesAsTimes}, Receiver[int64](&out))
	if err := r.Idle(); err != nil || out.idle != 1 {
		t.Errorf("idle %d times, %v", out.idle, err)
	}
}

// fed is a source whose splits have what the test has given them.
type fed struct {
	values map[string][]int
	ended  map[string]bool
}

func (f *fed) Splits(context.Context, int) ([]Split, error) { return nil, nil }
func (f *fed) Bounded() bool                                { return true }
func (f *fed) Open(_ context.Context, split Split, _ []byte) (Reader[int], error) {
	return fedReader{f, split.ID}, nil
}

type fedReader struct {
	f     *fed
	split string
}

func (r fedReader) Read(values []int) (int, error) {
	n := copy(values, r.f.values[r.split])
	r.f.values[r.split] = r.f.values[r.split][n:]
	if r.f.ended[r.split] && len(r.f.values[r.split]) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func (r fedReader) Ready() <-chan struct{}    { return make(chan struct{}) }
func (r fedReader) Position() ([]byte, error) { return nil, nil }
func (r fedReader) Close() error              { return nil }

// splitTest is a source with a strategy behind it, on a driven clock.
type splitTest struct {
	head  *sourceHead[int]
	plain recorder[int] // another consumer, which knows of no splits
	out   recorder[int]
	now   int64
	fed   fed
}

func newSplitTest(t *testing.T, strategy Timestamps[int]) *splitTest {
	t.Helper()
	st := &splitTest{now: 1000, fed: fed{values: map[string][]int{}, ended: map[string]bool{}}}
	ctx := drivenContext(t, &st.now)
	strategy.Times = func(values []int, times []int64) {
		for i := range values {
			times[i] = int64(values[i])
		}
	}
	in, err := strategy.Build(ctx, to(Receiver[int](&st.out)))
	if err != nil {
		t.Fatal(err)
	}
	next := join[int]([]any{Receiver[int](&st.plain), in[0]})
	st.head = must[head](t)(SourceCode[int]{Source: &st.fed}.head(ctx, to(next), func() {})).(*sourceHead[int])
	return st
}

func (st *splitTest) assign(t *testing.T, noMore bool, ids ...string) {
	t.Helper()
	var splits []Split
	for _, id := range ids {
		splits = append(splits, Split{ID: id})
	}
	if err := st.head.assign(splits, noMore); err != nil {
		t.Fatal(err)
	}
}

func (st *splitTest) give(split string, values ...int) {
	st.fed.values[split] = append(st.fed.values[split], values...)
}

// at moves the time and steps until the source has nothing to do.
func (st *splitTest) at(t *testing.T, now int64, want status) {
	t.Helper()
	st.now = now
	for {
		if _, err := st.head.ctx.ring(); err != nil {
			t.Fatal(err)
		}
		_, s, err := st.head.step(10)
		if err != nil {
			t.Fatal(err)
		}
		if s != working {
			if s != want {
				t.Errorf("status %d, want %d", s, want)
			}
			return
		}
	}
}

func (st *splitTest) want(t *testing.T, idle int, watermarks ...int64) {
	t.Helper()
	if !slices.Equal(st.out.watermarks, watermarks) || st.out.idle != idle {
		t.Errorf("at %d: idle %d times, watermarks %v; want %d, %v", st.now, st.out.idle, st.out.watermarks, idle, watermarks)
	}
}

// TestWatermarkOfSplits: the smallest of the splits that are read; one that has
// ended drops out, and one that begins does not pull it back.
func TestWatermarkOfSplits(t *testing.T) {
	st := newSplitTest(t, Timestamps[int]{})
	st.assign(t, false, "a", "b")
	st.give("a", 101)
	st.at(t, 1000, waiting)
	st.want(t, 0) // b has had none.
	st.give("b", 11)
	st.at(t, 1000, waiting)
	st.want(t, 0, 10)
	st.give("b", 171)
	st.at(t, 1000, waiting)
	st.want(t, 0, 10, 100)
	st.fed.ended["a"] = true
	st.at(t, 1000, waiting)
	st.want(t, 0, 10, 100, 170)
	if got := st.head.ctx.figures.Watermark.Load(); got != 170 {
		t.Errorf("the figures say %d", got)
	}
	st.assign(t, true, "c")
	st.give("c", 131)
	st.give("b", 201)
	st.at(t, 1000, waiting)
	st.want(t, 0, 10, 100, 170) // c is at 130.
	st.give("c", 191)
	st.at(t, 1000, waiting)
	st.want(t, 0, 10, 100, 170, 190)
	st.fed.ended["b"], st.fed.ended["c"] = true, true
	st.at(t, 1000, ended)
	if got := st.out.watermark(); got != MaxTime || len(st.plain.records) != len(st.out.records) || len(st.out.records) != 6 {
		t.Errorf("the last watermark is %d, after %d and %d records", got, len(st.plain.records), len(st.out.records))
	}
}

// TestIdleSplits: a split whose reader has nothing for long enough holds back
// nobody; when all are idle, so is the subtask; and a record brings it back.
func TestIdleSplits(t *testing.T) {
	st := newSplitTest(t, Timestamps[int]{Idleness: 500 * time.Millisecond})
	st.assign(t, true, "a", "b")
	st.give("a", 101)
	st.give("b", 11)
	st.at(t, 1000, waiting)
	st.want(t, 0, 10)
	st.give("a", 121)
	st.at(t, 1400, waiting)
	st.want(t, 0, 10)
	st.at(t, 1499, waiting)
	st.want(t, 0, 10)
	st.at(t, 1500, waiting) // b has had nothing since 1000.
	st.want(t, 0, 10, 120)
	st.at(t, 1899, waiting)
	st.want(t, 0, 10, 120)
	st.at(t, 1900, waiting)
	st.want(t, 1, 10, 120)
	st.at(t, 9000, waiting)
	st.want(t, 1, 10, 120)
	st.give("b", 51) // It is late, and holds back the watermark while it is behind.
	st.give("a", 201)
	st.at(t, 9000, waiting)
	st.want(t, 1, 10, 120)
	st.give("b", 181)
	st.at(t, 9100, waiting)
	st.want(t, 1, 10, 120, 180)
	st.at(t, 9600, waiting)
	st.want(t, 2, 10, 120, 180) // b rests last: nobody knows that a is further.
	st.give("a", 205)
	st.fed.ended["a"] = true
	st.at(t, 9700, waiting) // Only b is left, which is idle.
	st.want(t, 3, 10, 120, 180, 204)
	st.fed.ended["b"] = true
	st.at(t, 9700, ended)
	st.want(t, 3, 10, 120, 180, 204, MaxTime)
}

// TestIdleSplitIsAskedFirst: time in which a subtask could not read makes no split
// idle that has something to give.
func TestIdleSplitIsAskedFirst(t *testing.T) {
	st := newSplitTest(t, Timestamps[int]{Idleness: 500 * time.Millisecond})
	st.assign(t, true, "a")
	st.give("a", 101)
	st.at(t, 1000, waiting)
	// An hour passes, in which the split has got a record.
	st.give("a", 121)
	st.at(t, 3_600_000, waiting)
	st.want(t, 0, 100, 120)
	// Backpressure: a second passes that does not count.
	st.head.ctx.figures.spent[backpressured].Add(int64(time.Second))
	st.at(t, 3_600_500, waiting)
	st.want(t, 0, 100, 120)
	st.at(t, 3_601_500, waiting)
	st.want(t, 1, 100, 120)
}

// TestAlignedSplits: a split that is ahead is neither read nor waited for; when the
// one that it waits for is idle, or the group allows more, it goes on.
func TestAlignedSplits(t *testing.T) {
	aligned := Alignment{Group: "g", MaxDrift: 50 * time.Millisecond, Interval: 200 * time.Millisecond}
	st := newSplitTest(t, Timestamps[int]{Idleness: 500 * time.Millisecond, Alignment: aligned})
	var reports []int64
	st.head.ctx.report = func(r AlignmentReport) {
		if r.Group != "g" || r.MaxDrift != 50 {
			t.Errorf("a report %+v", r)
		}
		reports = append(reports, r.Watermark)
	}
	align := func(limit int64) {
		for _, f := range st.head.ctx.aligned {
			f("another", 1)
			f("g", limit)
		}
	}
	read := func(want ...int) {
		t.Helper()
		if got := st.out.values(); !slices.Equal(got, want) {
			t.Errorf("at %d: read %v, want %v", st.now, got, want)
		}
	}
	st.assign(t, true, "a", "b")
	st.give("a", 101)
	st.give("b", 11)
	st.at(t, 1000, waiting)
	st.give("a", 201)
	st.at(t, 1001, waiting)
	read(11, 101)
	st.give("b", 41)
	st.at(t, 1200, waiting)
	read(11, 101, 41)
	if want := []int64{NoTime, 10}; !slices.Equal(reports, want) {
		t.Errorf("reports %v, want %v", reports, want)
	}
	align(150)
	st.at(t, 1700, waiting) // b is idle, so a reads on, as far as the group allows.
	st.give("a", 301)
	st.at(t, 1701, waiting)
	read(11, 101, 41, 201)
	if got := st.head.ctx.figures.AlignmentDrift.Load(); got != 50 {
		t.Errorf("the drift is %d, want 50", got)
	}
	st.at(t, 1900, waiting)
	if got := reports[len(reports)-1]; got != 200 {
		t.Errorf("the last report is %d, want 200", got)
	}
	align(MaxTime)
	st.at(t, 1900, waiting)
	read(11, 101, 41, 201, 301)
	st.at(t, 2500, waiting)
	st.at(t, 2700, waiting)
	if got := reports[len(reports)-1]; got != MaxTime {
		t.Errorf("all is idle, and the report is %d", got)
	}
}
