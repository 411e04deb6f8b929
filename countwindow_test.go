package weir_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirstream/weir"
)

// TestCountWindows: windows of each key, in the order in which its records come.
func TestCountWindows(t *testing.T) {
	for _, p := range []int{1, 2, 4} {
		for _, windows := range [][2]int{{5, 5}, {5, 2}, {3, 7}} {
			size, slide := windows[0], windows[1]
			ticks := randomTicks(rand.New(rand.NewPCG(uint64(p), uint64(size))), 3000)
			var totals []totalOf[int32]
			var highest []tick
			var texts, sums []string
			all := map[int32][]tick{}
			for _, v := range ticks {
				all[v.Key] = append(all[v.Key], v)
				n := len(all[v.Key])
				if n%slide != 0 {
					continue
				}
				window := all[v.Key][max(0, n-size):]
				row := sessionTotal(window, 0)
				row.Start, row.End = 0, 0
				best := window[0]
				for _, w := range window {
					best = higher(best, w)
				}
				totals, highest = append(totals, row), append(highest, best)
				texts, sums = append(texts, fmt.Sprint(v.Key, window)), append(sums, fmt.Sprint(v.Key, row.Sum))
			}
			var gotTotals collect[totalOf[int32]]
			var gotHighest collect[tick]
			var gotTexts, gotSums collect[string]
			_, err := newEngine(min(p, 2), p).run(t.Context(), func(env *weir.Env) {
				counted := weir.From(env, "ticks", listOf(ticks...)).Parallelism(1).KeyBy(keyOf).CountWindow(size)
				if slide != size {
					counted = counted.Slide(slide)
				}
				counted.Aggregate(totalTicks).ID("totals").To("totals sink", &gotTotals)
				counted.Reduce(higher).ID("highest").To("highest sink", &gotHighest)
				counted.Process(func(k int32, ticks []tick, emit func(string)) { emit(fmt.Sprint(k, ticks)) }).ID("texts").To("texts sink", &gotTexts)
				counted.AggregateProcess(totalTicks, func(k int32, row totalOf[int32], emit func(string)) {
					emit(fmt.Sprint(k, row.Sum))
				}).ID("sums").To("sums sink", &gotSums)
			})
			if err != nil {
				t.Fatal(err)
			}
			what := fmt.Sprintf("parallelism %d, %d every %d: ", p, size, slide)
			sameRows(t, what+"aggregate", gotTotals.rows, totals)
			sameRows(t, what+"reduce", gotHighest.rows, highest)
			sameRows(t, what+"process", gotTexts.rows, texts)
			sameRows(t, what+"aggregate and process", gotSums.rows, sums)
		}
	}
}

// TestCountWindowMistakes are reported where they are made.
func TestCountWindowMistakes(t *testing.T) {
	mistakes := weir.BuildGraph(func(env *weir.Env) {
		keyed := weir.From(env, "ticks", listOf[tick]()).KeyBy(keyOf)
		keyed.CountWindow(0).Reduce(higher).To("a", &collect[tick]{})
		keyed.CountWindow(1).Slide(-1).Reduce(nil).To("b", &collect[tick]{})
		keyed.CountWindow(1).Aggregate[int, int](nil).To("c", &collect[int]{})
		keyed.CountWindow(1).Process[int](nil).To("d", &collect[int]{})
		keyed.CountWindow(1).AggregateProcess[int, int, int](summing{}, nil).To("e", &collect[int]{})
	}).Layout().Plan.Mistakes
	want := []string{
		"a window of 0 records: it must have at least 1",
		"a window that slides by -1 records: it must be at least 1", "the function of the reduce is nil",
		"the aggregator is nil", "the function of the window is nil", "the function of the window is nil",
	}
	if len(mistakes) != len(want) {
		t.Fatalf("%d mistakes, want %d:\n%s", len(mistakes), len(want), strings.Join(mistakes, "\n"))
	}
	for i, m := range mistakes {
		if !strings.Contains(m, want[i]) || !strings.Contains(m, "countwindow_test.go:") {
			t.Errorf("mistake %q, want %q", m, want[i])
		}
	}
}
