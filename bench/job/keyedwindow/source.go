package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/bench/internal/workload"
)

// source makes events, in one split for each subtask.
type source[T any] struct {
	params  workload.Params
	profile *profile
	// split returns what makes the events of a split.
	split func(workload.Params, int) filler[T]
}

// filler makes the events of a split. Fill returns 0 after the last.
type filler[T any] interface {
	Fill(events []T) int
	Progress() (done, total uint64)
}

// Bounded is false though every split ends, so that each subtask gets one at the
// start. Splits of a bounded source go to whichever subtask is free: one that has
// read a split before the other subtask runs gets the second, too, whose events are
// behind its watermark then, and late.
func (s source[T]) Bounded() bool { return false }

func (s source[T]) Splits(_ context.Context, parallelism int) ([]weir.Split, error) {
	splits := make([]weir.Split, parallelism)
	for i := range splits {
		splits[i].ID = strconv.Itoa(i)
	}
	return splits, nil
}

func (s source[T]) Open(_ context.Context, split weir.Split, position []byte) (weir.Reader[T], error) {
	i, err := strconv.Atoi(split.ID)
	if err != nil || position != nil {
		return nil, fmt.Errorf("split %q from % x: the benchmark reads its own splits from their beginning", split.ID, position)
	}
	if err := s.profile.start(split.ID); err != nil {
		return nil, err
	}
	return reader[T]{s.split(s.params, i)}, nil
}

// reader reads a split.
type reader[T any] struct{ filler[T] }

func (r reader[T]) Read(events []T) (int, error) {
	n := r.Fill(events)
	if n == 0 && len(events) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Position says how many events were made. No benchmark goes on from it.
func (r reader[T]) Position() ([]byte, error) {
	done, _ := r.Progress()
	return strconv.AppendUint(nil, done, 10), nil
}

func (r reader[T]) Close() error { return nil }

func newSplit(p workload.Params, split int) filler[workload.Event] { return p.Split(split) }

// namedSplit makes events with strings as keys, which are made once per key: it
// is the engine that is measured, not fmt.
type namedSplit struct {
	*workload.Generator
	names  []string
	events []workload.Event
}

func newNamedSplit(p workload.Params, split int) filler[named] {
	s := namedSplit{Generator: p.Split(split), names: make([]string, p.Keys)}
	for key := range s.names {
		s.names[key] = name(uint64(key))
	}
	return &s
}

func (s *namedSplit) Fill(events []named) int {
	if len(s.events) < len(events) {
		s.events = make([]workload.Event, len(events))
	}
	n := s.Generator.Fill(s.events[:len(events)])
	for i, e := range s.events[:n] {
		events[i] = named{Key: s.names[e.Key], Time: e.Time, Value: e.Value}
	}
	return n
}
