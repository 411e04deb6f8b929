package recovery

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/weirstream/weir"
)

// Model computes which rows must be committed, and how many times each, without any
// engine.
func Model(source Events) map[string]int {
	rows := map[string]int{}
	byKey := map[int64][]event{}
	for split := range source.Parts {
		for seq := range source.Each {
			e := eventAt(split, seq, source.Keys)
			byKey[e.Key] = append(byKey[e.Key], e)
		}
	}
	for key, list := range byKey {
		slices.SortFunc(list, func(a, b event) int { return cmp.Compare(a.Time, b.Time) })
		addWindows(key, list, size, size, func(t tally) {
			rows[t.row("tumbling")]++
			rows[fmt.Sprintf("timer key=%d end=%d count=%d", key, t.Window.End, t.Count)]++
			t.Min = 0
			rows[t.row("collected")]++
		})
		addWindows(key, list, size, slide, func(t tally) { rows[t.row("sliding")]++ })
		addWindows(key, list, narrow, slide, func(t tally) { rows[t.row("narrow")]++ })
		addSessions(rows, key, list)
		for i := range list {
			n := i + 1
			rows[fmt.Sprintf("running key=%d count=%d", key, n)]++
			if n%counted == 0 {
				rows[fmt.Sprintf("count key=%d count=%d", key, counted)]++
			}
			if n%every == 0 {
				rows[fmt.Sprintf("last key=%d count=%d", key, min(n, last))]++
			}
		}
	}
	return rows
}

// Compare returns the rows that were committed more or less often than they must be.
func Compare(got, want map[string]int) (differ []string) {
	for _, row := range slices.Sorted(maps.Keys(want)) {
		if got[row] != want[row] {
			differ = append(differ, fmt.Sprintf("%s: committed %d times, want %d", row, got[row], want[row]))
		}
	}
	for _, row := range slices.Sorted(maps.Keys(got)) {
		if want[row] == 0 {
			differ = append(differ, fmt.Sprintf("%s: committed %d times, want none", row, got[row]))
		}
	}
	return differ
}

// addWindows adds the rows of windows. add is called with what each window has.
func addWindows(key int64, list []event, size, slide int64, add func(t tally)) {
	windows := map[int64]*tally{}
	for _, e := range list {
		for start := e.Time - e.Time%slide; start > e.Time-size; start -= slide {
			t := windows[start]
			if t == nil {
				t = &tally{Key: key, Window: weir.Window{Start: start, End: start + size}, Min: math.MaxInt64}
				windows[start] = t
			}
			t.Count++
			t.Sum += e.Value
			t.Min = min(t.Min, e.Value)
		}
	}
	for _, t := range windows {
		add(*t)
	}
}

func addSessions(rows map[string]int, key int64, list []event) {
	for i := 0; i < len(list); {
		j := i + 1
		for j < len(list) && list[j].Time-list[j-1].Time < sessionGap {
			j++
		}
		t := tally{Key: key, Window: weir.Window{Start: list[i].Time, End: list[j-1].Time + sessionGap}, Min: math.MaxInt64}
		for _, e := range list[i:j] {
			t.Count++
			t.Sum += e.Value
			t.Min = min(t.Min, e.Value)
		}
		rows[t.row("session")]++
		i = j
	}
}
