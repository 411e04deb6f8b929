package main

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/weirstream/weir/bench/internal/report"
	"github.com/weirstream/weir/bench/internal/workload"
)

// printed are the lines that subtasks print.
func printed(t *testing.T, results ...any) (lines [][]byte) {
	t.Helper()
	for _, r := range results {
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestCheckAnswer(t *testing.T) {
	var a, b, all workload.Result
	a.Row(1, 0, 5, 50)
	b.Row(2, 0, 6, 60)
	all.Add(a)
	all.Add(b)
	first := workload.SubtaskResult{Subtask: 0, Opened: 200, Result: a}
	second := workload.SubtaskResult{Subtask: 1, Opened: 100, Result: b}
	if opened, err := checkAnswer(printed(t, second, first), all); opened != 100 || err != nil {
		t.Errorf("opened at %d, %v, want 100", opened, err)
	}

	fewer, other := second, second
	fewer.Events--
	other.Checksum++
	for name, lines := range map[string][][]byte{
		"nothing":               nil,
		"a subtask is missing":  printed(t, first),
		"a subtask twice":       printed(t, first, first),
		"an event is missing":   printed(t, first, fewer),
		"a row is another":      printed(t, first, other),
		"three for two":         printed(t, first, second, workload.SubtaskResult{Subtask: 2}),
		"a subtask has no rows": printed(t, first, workload.SubtaskResult{Subtask: 1}),
	} {
		if _, err := checkAnswer(lines, all); !errors.Is(err, errWrong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := checkAnswer([][]byte{[]byte("panic: no")}, all); err == nil {
		t.Error("a line that is no result is accepted")
	}
}

func TestHalf(t *testing.T) {
	for _, test := range []struct {
		records, events int64
		ok              bool
	}{
		{500_000, 1_000_000, true},
		{549_000, 1_000_000, true},
		{451_000, 1_000_000, true},
		{0, 1_000_000, false},
		{1_000_000, 1_000_000, false},
		{560_000, 1_000_000, false},
		{440_000, 1_000_000, false},
		{0, 100, false},
		{60, 100, true},
		{70, 100, false},
		{5, 0, false},
	} {
		if err := half(test.records, test.events); (err == nil) != test.ok {
			t.Errorf("%d of %d: %v", test.records, test.events, err)
		}
	}
}

func TestEventsFor(t *testing.T) {
	for _, test := range []struct {
		perSecond, seconds float64
		want               int64
	}{
		{60_000_000, 3, 90_000_000}, {60_000_001, 3, 91_000_000}, {10, 1, 1_000_000}, {4_000_000, 0.5, 1_000_000},
	} {
		if got := eventsFor(test.perSecond, test.seconds); got != test.want {
			t.Errorf("%v/s for %v s: %d, want %d", test.perSecond, test.seconds, got, test.want)
		}
	}
}

func TestFlinkFigure(t *testing.T) {
	p := workload.Params{Keys: 1000}
	const line = `{"bench":"keyed-window","system":"flink","events":20000000,"keys":1000,"size_ms":1000,"slide_ms":1000,"parallelism":2,"seconds":5.000,"wall_seconds":6.100,"events_per_second":4000000}` + "\n"
	got, err := flinkFigure([]byte("Job has been submitted with JobID 7\n"+line+"Program execution finished\n"), p, 20_000_000)
	want := report.Figure{Bench: "keyed-window", System: "flink", Keys: 1000, Events: 20_000_000, EventsPerSecond: 4_000_000}
	if got != want || err != nil {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for name, test := range map[string]struct {
		stdout string
		keys   uint64
		events int64
	}{
		"no line":      {"Job has been submitted\n", 1000, 20_000_000},
		"cut":          {line[:60], 1000, 20_000_000},
		"other keys":   {line, 100_000, 20_000_000},
		"other events": {line, 1000, 1},
	} {
		if got, err := flinkFigure([]byte(test.stdout), workload.Params{Keys: test.keys}, test.events); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
