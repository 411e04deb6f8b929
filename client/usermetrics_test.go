package client

import (
	"fmt"
	"strings"
	"testing"

	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

func userHistogram(low, high int64, values []int64, counts []uint64) *workerv1.UserMetric {
	h := &workerv1.Histogram{Min: low, Max: high, Values: values, Counts: counts}
	for _, n := range counts {
		h.Count += n
	}
	return &workerv1.UserMetric{Operator: "f", Name: "h", Value: &workerv1.UserMetric_Histogram{Histogram: h}}
}

func userCounter(n int64) *workerv1.UserMetric {
	return &workerv1.UserMetric{Operator: "f", Name: "c", Value: &workerv1.UserMetric_Counter{Counter: n}}
}

func userGauge(v float64) *workerv1.UserMetric {
	return &workerv1.UserMetric{Operator: "f", Name: "g", Value: &workerv1.UserMetric_Gauge{Gauge: v}}
}

func TestUserMetricsOverSubtasks(t *testing.T) {
	v := Vertex{Subtasks: make([]Subtask, 4)}
	for i, metrics := range [][]*workerv1.UserMetric{
		{userCounter(3), userGauge(-1), userHistogram(1, 33, []int64{1, 2, 32}, []uint64{1, 1, 1})},
		{userCounter(4), userHistogram(0, 0, nil, nil), userGauge(2.5)},
		nil, // has reported nothing yet
		{userCounter(-1), userHistogram(2, 1001, []int64{2, 992}, []uint64{95, 2}), {Operator: "f", Name: "of a later version"}},
	} {
		v.Subtasks[i].Metrics = metricsFromProto(&workerv1.TaskMetrics{UserMetrics: metrics})
	}
	var got []string
	for _, m := range v.UserMetrics() {
		switch {
		case m.Counter != nil:
			got = append(got, fmt.Sprint(m.Operator, ".", m.Name, "=", *m.Counter))
		case m.Gauge != nil:
			got = append(got, fmt.Sprintf("%s.%s=%+v", m.Operator, m.Name, *m.Gauge))
		default:
			h := m.Histogram
			got = append(got, fmt.Sprintf("%s.%s=%d %d %d %d %d", m.Operator, m.Name, h.Count, h.Min, h.Quantile(0.5), h.Quantile(0.99), h.Max))
		}
	}
	const want = "f.c=6 f.g={Min:-1 Max:2.5 Sum:1.5} f.h=100 1 2 992 1001"
	if g := strings.Join(got, " "); g != want {
		t.Errorf("metrics are %s, want %s", g, want)
	}
	if v.Subtasks[0].Metrics.User[2].Histogram.Count != 3 {
		t.Error("a subtask's own histogram has changed")
	}
	if q := (&Histogram{}).Quantile(0.5); q != 0 {
		t.Errorf("a quantile of nothing is %d", q)
	}
}
