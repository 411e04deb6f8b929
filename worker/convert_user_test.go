package worker

import (
	"testing"

	"google.golang.org/protobuf/proto"

	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/task"
)

func TestUserMetricsToProto(t *testing.T) {
	got := userMetricsToProto([]task.UserMetric{
		{Operator: "f", Name: "c", Kind: task.CounterMetric, Count: -3},
		{Operator: "f", Name: "g\xff", Kind: task.GaugeMetric, Gauge: 1.5},
		{Operator: "f", Name: "h", Kind: task.HistogramMetric, Histogram: task.HistogramFigures{Count: 3, Min: 1, Max: 9, Values: []int64{1, 9}, Counts: []uint64{2, 1}}},
	})
	want := []*workerv1.UserMetric{
		{Operator: "f", Name: "c", Value: &workerv1.UserMetric_Counter{Counter: -3}},
		{Operator: "f", Name: text("g\xff"), Value: &workerv1.UserMetric_Gauge{Gauge: 1.5}},
		{Operator: "f", Name: "h", Value: &workerv1.UserMetric_Histogram{Histogram: &workerv1.Histogram{Count: 3, Min: 1, Max: 9, Values: []int64{1, 9}, Counts: []uint64{2, 1}}}},
	}
	if len(got) != len(want) {
		t.Fatalf("%d metrics, want %d", len(got), len(want))
	}
	for i := range want {
		if !proto.Equal(got[i], want[i]) {
			t.Errorf("metric %d is %v, want %v", i, got[i], want[i])
		}
	}
}
