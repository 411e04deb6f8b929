package task

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestParts compares the combination of splits with its definition: the smallest
// watermark of those that are read and not idle, as far as it is not below an
// earlier one.
func TestParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, low := newParts(), NoTime
		times := rapid.OneOf(rapid.Int64Range(-4, 4), rapid.SampledFrom([]int64{NoTime, NoTime + 1, MaxTime - 1}))
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			var rose bool
			what, at := rapid.IntRange(0, 7).Draw(t, "step"), 0
			if n := len(p.list); n == 0 {
				what = 0
			} else {
				at = rapid.IntRange(0, n-1).Draw(t, "split")
			}
			switch what {
			case 0:
				p.add(&part{watermark: NoTime})
			case 1:
				rose = p.remove(p.list[at])
			case 2, 3:
				rose = p.rest(p.list[at])
			default:
				q := p.list[at]
				before, time := q.watermark, times.Draw(t, "time")
				rose = p.raise(q, time)
				if q.idle || q.watermark != max(before, time) {
					t.Fatalf("a split at %d that is given %d is at %d, idle %v", before, time, q.watermark, q.idle)
				}
			}
			smallest, any := MaxTime, false
			for _, q := range p.list {
				if !q.idle {
					smallest, any = min(smallest, q.watermark), true
				}
			}
			before := low
			if any {
				low = max(low, smallest)
			}
			if p.low != low || rose != (low > before) || p.idle() != (len(p.list) > 0 && !any) {
				t.Fatalf("the watermark is %d and rose: %v, idle %v; it was %d and should be %d", p.low, rose, p.idle(), before, low)
			}
		}
	})
}

func TestLater(t *testing.T) {
	for _, c := range []struct{ t, d, want int64 }{
		{5, 3, 8},
		{NoTime, 10, NoTime + 10},
		{MaxTime, 1, MaxTime},
		{MaxTime - 3, 3, MaxTime},
		{MaxTime - 3, 4, MaxTime},
		{NoTime, math.MaxInt64, -1},
		{0, math.MaxInt64, MaxTime},
	} {
		if got := later(c.t, c.d); got != c.want {
			t.Errorf("%d after %d: %d, want %d", c.d, c.t, got, c.want)
		}
	}
}
