package task

import (
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/ids"
)

// TestTimesheet compares the timesheet with plain sums, at every moment.
func TestTimesheet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sheet timesheet
		var want [activities]time.Duration
		current, now := busy, time.Duration(0)
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			d := time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "time"))
			now += d
			want[current] += d
			if rapid.Bool().Draw(t, "change") {
				next := activity(rapid.IntRange(0, int(over)).Draw(t, "next"))
				if was := sheet.enter(next, now); was != current {
					t.Fatalf("the activity that ended was %d, want %d", was, current)
				}
				current = next
			}
			if got := sheet.read(now); got != want {
				t.Fatalf("at %v: %v, want %v", now, got, want)
			}
		}
	})
}

// TestTimesheetReadInBetween: a reader whose clock is behind the task's counts
// no negative time.
func TestTimesheetReadInBetween(t *testing.T) {
	var sheet timesheet
	sheet.enter(idle, time.Second)
	if got := sheet.read(900 * time.Millisecond); got != [activities]time.Duration{busy: time.Second} {
		t.Errorf("got %v", got)
	}
}

// TestMetricsRates divides known times, on a driven clock.
func TestMetricsRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := testContext(t)
		task := newTask(ctx, func() {})
		spend := func(a activity, d time.Duration) {
			ctx.figures.enter(a, ctx.clock.now())
			<-time.After(d)
		}
		id := ids.Subtask{Vertex: 2, Index: 3}
		spend(busy, 250*time.Millisecond)
		spend(idle, 600*time.Millisecond)
		spend(backpressured, 150*time.Millisecond)
		ctx.figures.RecordsIn.Add(7)
		m := task.metrics(id)
		want := Metrics{Vertex: 2, Subtask: 3, RecordsIn: 7, Busy: 250, Idle: 600, Backpressured: 150, Watermark: NoTime}
		if !reflect.DeepEqual(m, want) {
			t.Errorf("got  %+v\nwant %+v", m, want)
		}
		// Rates are since the reading before; counts are since the start.
		spend(idle, time.Second)
		if m := task.metrics(id); m.Idle != 1000 || m.Busy != 0 || m.Backpressured != 0 || m.RecordsIn != 7 {
			t.Errorf("after an idle second: %+v", m)
		}
		spend(over, time.Second)
		if m := task.metrics(id); m.Idle != 0 || m.Busy != 0 || m.Backpressured != 0 {
			t.Errorf("after the end: %+v", m)
		}
		if m := task.metrics(id); m.Idle != 0 || m.Busy != 0 || m.Backpressured != 0 {
			t.Errorf("read twice at one moment: %+v", m)
		}
	})
}
