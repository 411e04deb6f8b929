package task

import (
	"slices"
	"testing"
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
