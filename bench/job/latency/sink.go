package main

import (
	"context"
	"io"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/bench/internal/histogram"
	"github.com/weirstream/weir/bench/internal/report"
	"github.com/weirstream/weir/bench/internal/workload"
)

// sink measures how old records are, and prints it.
type sink struct {
	out     io.Writer
	warmUp  int64
	process int64
}

func (s sink) Open(_ context.Context, subtask weir.Subtask) (weir.Writer[record], error) {
	return &writer{sink: s, found: workload.Latencies{
		Subtask: subtask.Index, Remote: new(histogram.Histogram), Local: new(histogram.Histogram),
	}}, nil
}

type writer struct {
	sink
	found workload.Latencies
}

// Write reads the clock once for records that come together.
func (w *writer) Write(records []record) error {
	now := time.Now().UnixNano()
	for i := range records {
		r := &records[i]
		switch {
		case r.Number < w.warmUp:
		case r.Process == w.process:
			w.found.Local.Record(time.Duration(now - r.Due))
		default:
			w.found.Remote.Record(time.Duration(now - r.Due))
		}
	}
	return nil
}

func (w *writer) Flush() error { return nil }

func (w *writer) Close() error { return report.Print(w.out, w.found) }
