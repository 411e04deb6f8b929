package main

import (
	"errors"
	"testing"
	"time"

	"github.com/weirstream/weir/bench/internal/histogram"
	"github.com/weirstream/weir/bench/internal/workload"
)

// times returns a histogram of n records that take the same time.
func times(n int, d time.Duration) *histogram.Histogram {
	h := new(histogram.Histogram)
	for range n {
		h.Record(d)
	}
	return h
}

func TestLatencyLine(t *testing.T) {
	lines := printed(t,
		workload.Latencies{Subtask: 0, Local: times(500, 100*time.Microsecond), Remote: times(490, 200*time.Microsecond)},
		workload.Latencies{Subtask: 1, Local: times(500, 100*time.Microsecond), Remote: times(510, 300*time.Microsecond)})
	got, err := latencyCase{name: "exchange"}.line(lines, 2000)
	if err != nil {
		t.Fatal(err)
	}
	within := func(got, want float64) bool { return got >= want && got <= 1.01*want }
	if got.Case != "exchange" || got.Records != 2000 || got.TCPRecords != 1000 || got.Max != 300 ||
		!within(got.P50, 100) || !within(got.P99, 300) || !within(got.TCPP99, 300) {
		t.Errorf("%+v", got)
	}
}

func TestLatencyLineRefuses(t *testing.T) {
	both := workload.Latencies{Local: times(500, 1), Remote: times(500, 1)}
	for name, test := range map[string]struct {
		lines [][]byte
		wrong bool
	}{
		"a record is lost":    {printed(t, workload.Latencies{Local: times(500, 1), Remote: times(499, 1)}), true},
		"nothing":             {nil, true},
		"a record too many":   {printed(t, both, workload.Latencies{Local: times(1, 1), Remote: times(0, 1)}), true},
		"nothing over TCP":    {printed(t, workload.Latencies{Local: times(1000, 1), Remote: times(0, 1)}), true},
		"a histogram missing": {[][]byte{[]byte(`{"subtask":0,"local":{"buckets":[],"counts":[]},"remote":null}`)}, false},
		"another line":        {[][]byte{[]byte("hello")}, false},
	} {
		got, err := latencyCase{}.line(test.lines, 1000)
		if err == nil || errors.Is(err, errWrong) != test.wrong {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestPace(t *testing.T) {
	got := latencyCase{rate: 200}.pace(15 * time.Second)
	if want := (workload.Pace{Records: 3200, WarmUp: 200, Rate: 200}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := (latencyCase{rate: 200}).pace(time.Nanosecond).Check(); err != nil {
		t.Error(err)
	}
}

func TestMicros(t *testing.T) {
	if got := micros(1_234_567 * time.Nanosecond); got != 1234.6 {
		t.Errorf("%v, want 1234.6", got)
	}
}
