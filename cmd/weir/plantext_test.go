package main

import (
	"testing"
	"time"

	"github.com/weirstream/weir/internal/dataflow"
)

func TestPlanText(t *testing.T) {
	timeout := 5 * time.Millisecond
	p := &dataflow.Plan{
		JobName: "late departures",
		Vertices: []dataflow.Vertex{
			{ID: "flights", Name: "Source: flights -> departed", Source: true, Operators: []dataflow.Operator{
				{ID: "flights", Name: "flights", Kind: "source", OutputType: "main.Flight", Position: "late/main.go:12"},
				{ID: "departed", Name: "departed", Kind: "process", OutputType: "main.Flight", Position: "late/main.go:13"},
				{ID: "log", Name: "log", Kind: "sink", Position: "late/main.go:14", Predecessor: 1, Side: "bad"},
			}},
			{ID: "delays", Name: "join", Parallelism: 4, SlotSharingGroup: "heavy", Operators: []dataflow.Operator{
				{ID: "delays", Name: "join", Kind: "co-process", Stateful: true},
			}},
		},
		Exchanges: []dataflow.Exchange{
			{From: 0, FromOperator: 1, To: 1, Partitioning: dataflow.Hash, RecordType: "main.Flight", KeyType: "string", PreAggregated: true},
			{From: 0, FromOperator: 1, Side: "late", To: 1, Ordinal: 1, Partitioning: dataflow.Broadcast, RecordType: "int", BufferTimeout: &timeout},
		},
	}
	got, err := planText(p, 3)
	if err != nil {
		t.Fatal(err)
	}
	const want = `Job "late departures": 2 tasks in 7 subtasks, 7 slots

1  Source: flights -> departed
   parallelism 3, without end
   1.1  source "flights": main.Flight  late/main.go:12
   1.2  process "departed" <- 1.1: main.Flight  late/main.go:13
   1.3  sink "log" <- 1.2 side output "bad"  late/main.go:14

2  join
   parallelism 4, slot sharing group "heavy"
   <- 1.2  HASH of main.Flight by string (pre-aggregated)
   <- 1.2  BROADCAST of int (side output "late", second input, buffer timeout 5ms)
   2.1  co-process "join", state id delays
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
