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
}

func (w *rowWriter) Write(rows []row) error {
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
