package main

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/weirstream/weir/client"
)

func TestUserMetricsAreShown(t *testing.T) {
	n := int64(7)
	subtask := client.Subtask{Metrics: client.Metrics{User: []client.UserMetric{
		{Operator: "dedup", Name: "cache.hits", Counter: &n},
		{Operator: "dedup", Name: "size", Gauge: &client.Gauge{Min: 1.5, Max: math.Inf(1), Sum: 2}},
		{Operator: "dedup", Name: "took", Histogram: &client.Histogram{}},
	}}}
	v := client.Vertex{Subtasks: []client.Subtask{subtask, {}}}
	const table = `    METRIC            TYPE       VALUE
    dedup.cache.hits  counter    7
    dedup.size        gauge      min 1.5, max +Inf, sum 2
    dedup.took        histogram  count 0, min 0, p50 0, p99 0, max 0
`
	if got := describeUserMetrics(v); got != table {
		t.Errorf("the table is\n%s, want\n%s", got, table)
	}
	data, err := json.Marshal(userMetricsToJSON(v))
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"id":"dedup.cache.hits","type":"counter","sum":7},` +
		`{"id":"dedup.size","type":"gauge","sum":2,"min":1.5,"max":"+Inf"},` +
		`{"id":"dedup.took","type":"histogram","count":0,"min":0,"max":0,"p50":0,"p99":0}]`
	if string(data) != want {
		t.Errorf("the JSON is\n%s, want\n%s", data, want)
	}
	if got := describeUserMetrics(client.Vertex{Subtasks: []client.Subtask{{}}}); got != "" {
		t.Errorf("a vertex without metrics shows %q", got)
	}
}
