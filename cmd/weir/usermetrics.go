package main

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/weirstream/weir/client"
)

// describeUserMetrics returns the table of what the functions of a vertex measure,
// over all subtasks; nothing if they measure nothing.
func describeUserMetrics(v client.Vertex) string {
	metrics := v.UserMetrics()
	if len(metrics) == 0 {
		return ""
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "    METRIC\tTYPE\tVALUE")
	for _, m := range metrics {
		kind, value := "counter", ""
		switch {
		case m.Counter != nil:
			value = fmt.Sprint(*m.Counter)
		case m.Gauge != nil:
			kind = "gauge"
			value = fmt.Sprintf("min %v, max %v, sum %v", m.Gauge.Min, m.Gauge.Max, m.Gauge.Sum)
		case m.Histogram != nil:
			h := m.Histogram
			kind = "histogram"
			value = fmt.Sprintf("count %d, min %d, p50 %d, p99 %d, max %d", h.Count, h.Min, h.Quantile(0.5), h.Quantile(0.99), h.Max)
		}
		_, _ = fmt.Fprintf(table, "    %s\t%s\t%s\n", metricID(m), kind, value)
	}
	_ = table.Flush() // A strings.Builder takes everything.
	return b.String()
}

// metricID is Flink's id of an operator's metric: its name behind the operator's.
func metricID(m client.UserMetric) string { return m.Operator + "." + m.Name }

// userMetricJSON is an aggregated metric, in the words of Flink's REST API.
type userMetricJSON struct {
	ID    string  `json:"id"`
	Type  string  `json:"type"`
	Sum   any     `json:"sum,omitempty"`
	Count *uint64 `json:"count,omitempty"`
	Min   any     `json:"min,omitempty"`
	Max   any     `json:"max,omitempty"`
	P50   *int64  `json:"p50,omitempty"`
	P99   *int64  `json:"p99,omitempty"`
}

func userMetricsToJSON(v client.Vertex) (list []userMetricJSON) {
	for _, m := range v.UserMetrics() {
		j := userMetricJSON{ID: metricID(m), Type: "counter"}
		switch {
		case m.Counter != nil:
			j.Sum = *m.Counter
		case m.Gauge != nil:
			j.Type, j.Min, j.Max, j.Sum = "gauge", number(m.Gauge.Min), number(m.Gauge.Max), number(m.Gauge.Sum)
		case m.Histogram != nil:
			h := m.Histogram
			p50, p99 := h.Quantile(0.5), h.Quantile(0.99)
			j.Type, j.Count, j.Min, j.Max, j.P50, j.P99 = "histogram", &h.Count, h.Min, h.Max, &p50, &p99
		}
		list = append(list, j)
	}
	return list
}

// number is a value for JSON, which has no infinities and no NaN.
func number(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Sprint(f)
	}
	return f
}
