package task

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// countedRow is what a count window is expected to emit.
type countedRow struct {
	key    int
	values []int64
	time   int64
}

// countModel says what count windows emit, from all records of each key so far.
func countModel(values, times []int64, size, slide int) (rows []countedRow) {
	all := map[int][]int64{}
	for i, v := range values {
		k := int(v % 5)
		all[k] = append(all[k], v)
		if n := len(all[k]); n%slide == 0 {
			rows = append(rows, countedRow{k, all[k][max(0, n-size):], times[i]})
		}
	}
	return rows
}

// countDriver pushes records into an operator, in batches of any size, with
// watermarks and idle signals between them, and returns what came out.
func countDriver[A, O any](tb testing.TB, t *rapid.T, w CountAggregate[int, int64, A, O], values, times []int64) (*recorder[O], any) {
	tb.Helper()
	ctx := testContext(tb)
	out := &recorder[O]{}
	r := must[Inputs](tb)(w.Build(ctx, to(Receiver[O](out))))[0].(Receiver[int64])
	signals := 0
	for at := 0; at < len(values); {
		n := min(len(values)-at, rapid.IntRange(0, 9).Draw(t, "batch"))
		if err := r.Push(values[at:at+n], times[at:at+n]); err != nil {
			t.Fatal(err)
		}
		if at += n; n == 0 {
			signals++
			if err := r.Watermark(int64(signals)); err != nil {
				t.Fatal(err)
			}
			if err := r.Idle(); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := len(out.records)
	if err := r.Watermark(MaxTime); err != nil {
		t.Fatal(err)
	}
	if err := r.End(); err != nil {
		t.Fatal(err)
	}
	if len(ctx.postponed) > 0 || len(out.records) != before || len(out.watermarks) != signals+1 || out.idle != signals || !out.ended {
		t.Fatalf("%d results at the end of the input, %d of %d watermarks, %d of %d idle signals", len(out.records)-before, len(out.watermarks), signals+1, out.idle, signals)
	}
	return out, r
}

// TestCountWindows compares aggregates and functions with the model.
func TestCountWindows(t *testing.T) {
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 7).Draw(t, "size")
		slide := size
		if rapid.Bool().Draw(t, "slides") {
			slide = rapid.IntRange(1, 9).Draw(t, "slide")
		}
		values := rapid.SliceOfN(rapid.Int64Range(0, 100), 0, 80).Draw(t, "values")
		times := rapid.SliceOfN(rapid.OneOf(rapid.Int64Range(-5, 5), rapid.Just(MaxTime), rapid.Just(NoTime)), len(values), len(values)).Draw(t, "times")
		want := countModel(values, times, size, slide)

		keys, a := sums(func(v int64) int { return int(v % 5) })
		out, r := countDriver(tb, t, CountAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Size: size, Slide: slide}, values, times)
		var rows []record[sumResult]
		for _, w := range want {
			s := sumResult{Key: w.key, sum: sum{Count: int64(len(w.values)), Initial: 1000}}
			for _, v := range w.values {
				s.Sum += v
			}
			rows = append(rows, record[sumResult]{s, w.time})
		}
		if !slices.Equal(out.records, rows) {
			t.Fatalf("got  %v\nwant %v", out.records, rows)
		}
		checkForgotten(t, r, values, size, slide)

		// A function that spoils what it was given, since it may change its order.
		f := Collection(func(k int, start, end int64, records []int64, emit func(string)) {
			emit(fmt.Sprint(k, start, end, records))
			emit("again")
			slices.Reverse(records)
		})
		texts, _ := countDriver(tb, t, CountAggregate[int, int64, Collected[int64], string]{Keys: keys, Aggregation: f, Size: size, Slide: slide}, values, times)
		var lines []record[string]
		for _, w := range want {
			lines = append(lines, record[string]{fmt.Sprint(w.key, 0, 0, w.values), w.time}, record[string]{"again", w.time})
		}
		if !slices.Equal(texts.records, lines) {
			t.Fatalf("got  %v\nwant %v", texts.records, lines)
		}
	})
}

// checkForgotten expects that no key is kept whose window is complete.
func checkForgotten(t *rapid.T, r any, values []int64, size, slide int) {
	t.Helper()
	if size != slide {
		return
	}
	n, open := map[int64]int{}, 0
	for _, v := range values {
		n[v%5]++
	}
	for _, count := range n {
		if count%size != 0 {
			open++
		}
	}
	if got := r.(*countReceiver[int, int64, sum, sumResult]).table.Len(); got != open {
		t.Fatalf("%d keys are kept, want %d", got, open)
	}
}

// TestCountWindowReduces: the first record of a window is its first value.
func TestCountWindowReduces(t *testing.T) {
	keys := must[KeySelector[bool, string]](t)(NewKeySelector(func(string) bool { return true }))
	for slide, want := range map[int][]string{3: {"abc", "def"}, 1: {"a", "ab", "abc", "bcd", "cde", "def", "efg"}, 2: {"ab", "bcd", "def"}, 5: {"cde"}} {
		var out recorder[string]
		w := CountAggregate[bool, string, Reduced[string], string]{
			Keys: keys, Aggregation: Reduction[bool](func(a, b string) string { return a + b }), Size: 3, Slide: slide,
		}
		r := must[Inputs](t)(w.Build(testContext(t), to(Receiver[string](&out))))[0].(Receiver[string])
		if err := r.Push([]string{"a", "b", "c", "d", "e", "f", "g"}, make([]int64, 7)); err != nil {
			t.Fatal(err)
		}
		if got := out.values(); !slices.Equal(got, want) {
			t.Errorf("slide %d: got %q, want %q", slide, got, want)
		}
	}
}

// TestCountWindowMistakes are refused.
func TestCountWindowMistakes(t *testing.T) {
	keys, a := sums(func(v int64) int { return 0 })
	for _, w := range []CountAggregate[int, int64, sum, sumResult]{
		{Keys: keys, Aggregation: a, Size: 0, Slide: 1}, {Keys: keys, Aggregation: a, Size: 1, Slide: 0}, {Keys: keys, Aggregation: a, Size: -1, Slide: -1},
	} {
		if _, err := w.Build(testContext(t), to(Receiver[sumResult](sink[sumResult]{}))); err == nil {
			t.Errorf("%d every %d is accepted", w.Size, w.Slide)
		}
	}
}
