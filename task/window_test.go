package task

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/key"
)

func TestWindowBounds(t *testing.T) {
	for _, c := range []struct{ t, size, offset, start, end int64 }{
		{0, 10, 0, 0, 10},
		{9, 10, 0, 0, 10},
		{10, 10, 0, 10, 20},
		{-1, 10, 0, -10, 0},
		{-10, 10, 0, -10, 0},
		{-11, 10, 0, -20, -10},
		{0, 10, 3, -7, 3},
		{2, 10, 3, -7, 3},
		{3, 10, 3, 3, 13},
		{0, 10, -3, -3, 7},
		{7, 10, -3, 7, 17},
		{0, 10, 23, -7, 3},
		{5, 1, 0, 5, 6},
		{MaxTime, 10, 0, MaxTime - 7, MaxTime},
		{MaxTime, 10, -5, MaxTime - 2, MaxTime},
		{NoTime + 1, 10, 0, NoTime, NoTime + 8},
		{NoTime, 10, 0, NoTime, NoTime + 8},
	} {
		p := panes[int, int]{size: c.size, offset: c.offset}
		if start, end := p.bounds(c.t); start != c.start || end != c.end {
			t.Errorf("t %d, size %d, offset %d: [%d, %d), want [%d, %d)", c.t, c.size, c.offset, start, end, c.start, c.end)
		}
	}
}

// TestWindowBoundsOfAllTimes compares with arithmetic that does not overflow.
func TestWindowBoundsOfAllTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at, offset := rapid.Int64().Draw(t, "t"), rapid.Int64().Draw(t, "offset")
		size := rapid.Int64Range(1, MaxTime/4).Draw(t, "size")
		p := panes[int, int]{size: size, offset: offset}
		start, end := p.bounds(at)

		// start = offset + floor((t − offset) / size) · size
		n := new(big.Int).Sub(big.NewInt(at), big.NewInt(offset))
		n.Div(n, big.NewInt(size)) // Euclidean, and so floor for a positive size
		want := n.Mul(n, big.NewInt(size)).Add(n, big.NewInt(offset))
		wantEnd := new(big.Int).Add(want, big.NewInt(size))
		if want.Cmp(big.NewInt(NoTime)) < 0 {
			want.SetInt64(NoTime)
		}
		if wantEnd.Cmp(big.NewInt(MaxTime)) > 0 {
			wantEnd.SetInt64(MaxTime)
		}
		if want.Cmp(big.NewInt(start)) != 0 || wantEnd.Cmp(big.NewInt(end)) != 0 {
			t.Fatalf("[%d, %d), want [%v, %v)", start, end, want, wantEnd)
		}
	})
}

// sum is an aggregate with everything that an aggregation may have.
type sum struct{ Count, Sum, Initial int64 }

type sumAdder struct{}

func (sumAdder) Add(a *sum, v int64) { a.Count++; a.Sum += v }

type sumResult struct {
	Key        int
	Start, End int64
	sum
}

func sums(f func(int64) int) (KeySelector[int, int64], Aggregation[int, int64, sum, sumResult]) {
	keys, err := NewKeySelector(f)
	if err != nil {
		panic(err)
	}
	return keys, Aggregation[int, int64, sum, sumResult]{
		Adder: sumAdder{},
		Init:  func(a *sum) { a.Initial = 1000 },
		Merge: func(a, b *sum) { a.Count += b.Count; a.Sum += b.Sum },
		Result: func(k int, start, end int64, a *sum) sumResult {
			return sumResult{k, start, end, *a}
		},
	}
}

// TestTumblingWindow compares the operator with a table of windows, over any
// times, watermarks, batches, and sizes of the chunks in which it fires.
func TestTumblingWindow(t *testing.T) {
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		keys, a := sums(func(v int64) int { return int(v % 5) })
		ctx := testContext(tb)
		operator := TumblingAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Size: rapid.Int64Range(1, 20).Draw(t, "size"), Offset: rapid.Int64Range(-30, 30).Draw(t, "offset")}
		var out recorder[sumResult]
		built := must[Inputs](tb)(operator.Build(ctx, to(Receiver[sumResult](&out))))[0]
		window := built.(*tumblingReceiver[int, int64, sum, sumResult])

		type slot struct {
			start int64
			key   int
		}
		model, late, watermark := map[slot]*sum{}, uint64(0), NoTime
		start := func(at int64) int64 {
			s := at - (at-operator.Offset)%operator.Size
			if s > at {
				s -= operator.Size
			}
			return s
		}
		var want []sumResult
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			values := rapid.SliceOfN(rapid.Int64Range(0, 100), 0, 8).Draw(t, "values")
			times := make([]int64, len(values))
			for i, v := range values {
				times[i] = rapid.Int64Range(-60, 60).Draw(t, "time")
				s := slot{start(times[i]), int(v % 5)}
				if s.start+operator.Size-1 <= watermark {
					late++
					continue
				}
				if model[s] == nil {
					model[s] = &sum{Initial: 1000}
				}
				model[s].Count++
				model[s].Sum += v
			}
			if err := window.Push(values, times); err != nil {
				t.Fatal(err)
			}
			if !rapid.Bool().Draw(t, "fire") {
				continue
			}
			watermark = max(watermark, rapid.Int64Range(-60, 80).Draw(t, "watermark"))
			if err := window.Watermark(watermark); err != nil {
				t.Fatal(err)
			}
			finish(tb, ctx, rapid.IntRange(1, 4).Draw(t, "chunk"))
			for s, acc := range model {
				if s.start+operator.Size-1 <= watermark {
					want = append(want, sumResult{s.key, s.start, s.start + operator.Size, *acc})
					delete(model, s)
				}
			}
			// Results go before the watermark that made them.
			if n := len(out.watermarks) - 1; n < 0 || out.watermarks[n] != watermark || out.marks[n] != len(want) {
				t.Fatalf("watermark %d came on as %v after %v results, want %d", watermark, out.watermarks, out.marks, len(want))
			}
		}
		checkResults(t, out.records, want)
		if got := ctx.figures.LateDropped.Load(); got != late {
			t.Fatalf("%d records were late, want %d", got, late)
		}
	})
}

// checkResults compares results in any order within a window; windows in order.
func checkResults(t *rapid.T, got []record[sumResult], want []sumResult) {
	t.Helper()
	seen := map[sumResult]int{}
	for _, r := range got {
		seen[r.Value]++
		if r.Time != r.Value.End-1 {
			t.Fatalf("the result of [%d, %d) has the event time %d", r.Value.Start, r.Value.End, r.Time)
		}
	}
	expected := map[sumResult]int{}
	for _, r := range want {
		expected[r]++
	}
	if !maps.Equal(seen, expected) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
}

// TestFiringIsResumable: results leave in chunks of any size, none larger than
// asked for, and the watermark behind the last of them.
func TestFiringIsResumable(t *testing.T) {
	const n = 3*BatchSize + 7
	for _, limit := range []int{1, 100, BatchSize} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			keys, a := sums(func(v int64) int { return int(v) })
			ctx := testContext(t)
			var out recorder[sumResult]
			w := must[Inputs](t)(TumblingAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Size: 10}.Build(ctx, to(Receiver[sumResult](&out))))[0].(*tumblingReceiver[int, int64, sum, sumResult])
			for i := range int64(n) {
				if err := w.Push([]int64{i}, []int64{i % 20}); err != nil { // two panes
					t.Fatal(err)
				}
			}
			if err := w.Watermark(MaxTime); err != nil {
				t.Fatal(err)
			}
			if len(out.records) != 0 || len(out.watermarks) != 0 {
				t.Fatalf("%d results and %d watermarks before the first chunk", len(out.records), len(out.watermarks))
			}
			for i, got := range finish(t, ctx, limit) {
				if left := n - i*limit; got != min(limit, left) {
					t.Errorf("chunk %d has %d results of %d left", i, got, left)
				}
			}
			if len(out.records) != n || !slices.Equal(out.watermarks, []int64{MaxTime}) || out.marks[0] != n {
				t.Errorf("%d results, watermarks %v after %v", len(out.records), out.watermarks, out.marks)
			}
			if i := slices.IndexFunc(out.records, func(r record[sumResult]) bool { return r.Value.Start == 10 }); slices.ContainsFunc(out.records[i:], func(r record[sumResult]) bool { return r.Value.Start == 0 }) {
				t.Error("the panes are not in order")
			}
		})
	}
}

// TestPanesReuseTables: the table of a pane that has fired serves the next, and
// comes empty.
func TestPanesReuseTables(t *testing.T) {
	kind := must[*key.Kind[int]](t)(key.For[int]())
	p := newPanes[int, int](kind, 10, 0)
	first, err := p.at(5)
	if err != nil {
		t.Fatal(err)
	}
	table := first.table
	table.Find([]int{1}, []uint64{1}, make([]uint32, 1))
	p.release(first)
	second, err := p.at(15)
	if err != nil {
		t.Fatal(err)
	}
	if second.table != table || table.Len() != 0 {
		t.Errorf("the next pane has another table, or one with %d keys", table.Len())
	}
	if again, _ := p.at(19); again != second {
		t.Error("a time in the same pane opened another")
	}
}

// TestLatePartialResults count all of their records.
func TestLatePartialResults(t *testing.T) {
	keys, a := sums(func(v int64) int { return int(v) })
	ctx := testContext(t)
	var out recorder[sumResult]
	w := must[Inputs](t)(TumblingAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Size: 10}.Build(ctx, to(Receiver[sumResult](&out))))[0].(*tumblingReceiver[int, int64, sum, sumResult])
	if err := w.Watermark(9); err != nil {
		t.Fatal(err)
	}
	partials := []Partial[int, sum]{{1, 5, sum{Count: 5}}, {2, 3, sum{Count: 3}}, {1, 7, sum{Count: 7}}, {1, 2, sum{Count: 2}}}
	if err := w.pushPartials(partials, []int64{0, 10, 0, 10}); err != nil {
		t.Fatal(err)
	}
	if err := w.Watermark(MaxTime); err != nil {
		t.Fatal(err)
	}
	finish(t, ctx, BatchSize)
	if late := ctx.figures.LateDropped.Load(); late != 12 {
		t.Errorf("%d records were late, want 12", late)
	}
	counts := map[int]int64{}
	for _, r := range out.records {
		counts[r.Value.Key] = r.Value.Count
	}
	if !maps.Equal(counts, map[int]int64{1: 2, 2: 3}) {
		t.Errorf("counts %v", counts)
	}
}

func TestWindowWithoutEventTimes(t *testing.T) {
	keys, a := sums(func(v int64) int { return 0 })
	w := must[Inputs](t)(TumblingAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Size: 10}.Build(testContext(t), to(Receiver[sumResult](&recorder[sumResult]{}))))[0].(Receiver[int64])
	if err := w.Push([]int64{1}, []int64{NoTime}); err == nil {
		t.Error("a record without an event time is in a window")
	}
}
