package task

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestValve compares the valve with its definition: the smallest of the largest
// watermarks that the channels have had.
func TestValve(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		channels := rapid.IntRange(1, 6).Draw(t, "channels")
		v := newValve(channels)
		largest := slices.Repeat([]int64{NoTime}, channels)
		if v.low != NoTime {
			t.Fatalf("a new valve is at %d", v.low)
		}
		// Few values, so that channels are often equal.
		times := rapid.OneOf(rapid.Int64Range(-3, 3), rapid.SampledFrom([]int64{NoTime, NoTime + 1, MaxTime - 1, MaxTime}))
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			c, at := rapid.IntRange(0, channels-1).Draw(t, "channel"), times.Draw(t, "time")
			before := slices.Min(largest)
			largest[c] = max(largest[c], at)
			rose := v.raise(c, at)
			if want := slices.Min(largest); v.low != want || rose != (want > before) {
				t.Fatalf("channels %v: the valve is at %d and rose: %v; before it was at %d", largest, v.low, rose, before)
			}
		}
	})
}

func TestValveEnds(t *testing.T) {
	v := newValve(3)
	for i, want := range []bool{false, false, true} {
		if got := v.end(); got != want {
			t.Errorf("end %d: all ended is %v, want %v", i, got, want)
		}
	}
}
