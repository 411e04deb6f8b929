package report_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/weirstream/weir/bench/internal/report"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// The lines are an interface: scripts read them.
func TestLines(t *testing.T) {
	records := int64(100_000_001)
	for _, test := range []struct {
		line any
		want string
	}{
		{
			report.Figure{Bench: "keyed-window", System: report.Weir, Keys: 1000, Events: 200_000_000, TCPRecords: &records, EventsPerSecond: 52_345_678},
			`{"bench":"keyed-window","system":"weir","keys":1000,"preaggregate":false,"events":200000000,"tcp_records":100000001,"events_per_second":52345678}`,
		},
		{
			report.Figure{Bench: "strings", System: report.Flink, Variant: "string", Keys: 1, PreAggregate: true, Events: 1, EventsPerSecond: 2},
			`{"bench":"strings","system":"flink","variant":"string","keys":1,"preaggregate":true,"events":1,"events_per_second":2}`,
		},
		{
			report.Comparison{Bench: "keyed-window", Ratio: "weir/limit", Keys: 1000, Pairs: 7, Median: 0.761, Low: 0.7, High: 0.82},
			`{"bench":"keyed-window","ratio":"weir/limit","keys":1000,"preaggregate":false,"pairs":7,"median":0.761,"low":0.7,"high":0.82}`,
		},
	} {
		var out bytes.Buffer
		if err := report.Print(&out, test.line); err != nil || out.String() != test.want+"\n" {
			t.Errorf("%s%v, want\n%s", &out, err, test.want)
		}
	}
}

func TestCompare(t *testing.T) {
	var r report.Ratios
	for _, pair := range [][2]float64{{50, 100}, {70, 100}, {60, 80}, {40, 64}, {1, 3}} {
		r.Add(report.Figure{EventsPerSecond: pair[0]}, report.Figure{EventsPerSecond: pair[1]})
	}
	named := report.Comparison{Bench: "b", Ratio: "x/y", Keys: 7, PreAggregate: true}
	want := named
	want.Pairs, want.Median, want.Low, want.High = 5, 0.625, 0.333, 0.75
	if got, err := r.Compare(named); got != want || err != nil {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

func TestCompareRefuses(t *testing.T) {
	for name, r := range map[string]report.Ratios{
		"no pair": nil, "nothing by nothing": {1, math.NaN()}, "something by nothing": {math.Inf(1)},
	} {
		if got, err := r.Compare(report.Comparison{Bench: "b"}); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}, {[]float64{1, 2, 3, 100}, 2.5},
	} {
		if got := report.Median(test.values); got != test.want {
			t.Errorf("median of %v: %v, want %v", test.values, got, test.want)
		}
	}
}

func TestRate(t *testing.T) {
	if got := report.Rate(100, 3); got != 33 {
		t.Errorf("100 in 3 s: %v per second, want 33", got)
	}
}
