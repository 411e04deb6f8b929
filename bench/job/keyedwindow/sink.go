package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/bench/internal/report"
	"github.com/weirstream/weir/bench/internal/workload"
)

// rowSink adds rows up and prints the result of each subtask.
type rowSink struct {
	out     io.Writer
	profile *profile
}

func (s rowSink) Open(_ context.Context, subtask weir.Subtask) (weir.Writer[row], error) {
	s.profile.open()
	return &rowWriter{rowSink: s, found: workload.SubtaskResult{Subtask: subtask.Index, Opened: time.Now().UnixMilli()}}, nil
}

type rowWriter struct {
	rowSink
	found workload.SubtaskResult
	// window is the one whose rows are coming, since first.
	window int64
	first  time.Time
}

func (w *rowWriter) Write(rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	now := time.Now()
	if w.first.IsZero() || rows[0].Start != w.window {
		w.first = now
	}
	if w.window = rows[len(rows)-1].Start; w.window == rows[0].Start {
		w.found.HeldMS = max(w.found.HeldMS, float64(now.Sub(w.first).Microseconds())/1000)
	} else {
		w.first = now // a batch may end in another window
	}
	for i := range rows {
		r := &rows[i]
		w.found.Row(r.Key, r.Start, r.Count, r.Sum)
	}
	return nil
}

func (w *rowWriter) Flush() error { return nil }

func (w *rowWriter) Close() error {
	return errors.Join(w.profile.close(), report.Print(w.out, w.found))
}
