package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/bench/internal/workload"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// output is what the sinks of a job print to.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

// run runs the job with two subtasks and returns what they printed.
func run(t *testing.T, preAggregate string, args ...string) []workload.SubtaskResult {
	t.Helper()
	var out output
	err := weir.Run(t.Context(), "keyed window", func(env *weir.Env) { build(env, &out) }, weir.Args(args...),
		weir.Setting("parallelism.default", "2"), weir.Setting("pipeline.pre-aggregation.enabled", preAggregate))
	if err != nil {
		t.Fatal(err)
	}
	var results []workload.SubtaskResult
	for line := range strings.Lines(out.all.String()) {
		var r workload.SubtaskResult
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		results = append(results, r)
	}
	slices.SortFunc(results, func(a, b workload.SubtaskResult) int { return a.Subtask - b.Subtask })
	if len(results) != 2 || results[0].Subtask != 0 || results[1].Subtask != 1 || results[0].Opened == 0 {
		t.Fatalf("the subtasks have printed %+v", results)
	}
	return results
}

func TestAnswers(t *testing.T) {
	p := workload.Params{Events: 10_000, Keys: 500, Window: 100, Rate: 100_000}
	want := p.Answer(2)
	for _, variant := range []string{"", "-field", "-strings", "-strings -field"} {
		for _, preAggregate := range []string{"false", "true"} {
			var got workload.Result
			for _, r := range run(t, preAggregate, append(p.Arguments(), strings.Fields(variant)...)...) {
				if r.Rows == 0 {
					t.Errorf("%q, pre-aggregation %s: subtask %d has no keys", variant, preAggregate, r.Subtask)
				}
				got.Add(r.Result)
			}
			if got != want {
				t.Errorf("%q, pre-aggregation %s: %+v, want %+v", variant, preAggregate, got, want)
			}
		}
	}
}

// TestSlidingAnswers also compares the answer with sums that are made window by
// window.
func TestSlidingAnswers(t *testing.T) {
	p := workload.Params{Events: 10_000, Keys: 500, Window: 20, Rate: 100_000}
	for _, variant := range []string{"-panes 3", "-panes 3 -subtract", "-panes 20", "-panes 20 -subtract"} {
		panes := int64(3)
		if strings.Contains(variant, "20") {
			panes = 20
		}
		want := plainAnswer(p, panes)
		if answer := p.SlidingAnswer(2, panes); answer != want {
			t.Errorf("the answer for %d panes is %+v, want %+v", panes, answer, want)
		}
		for _, preAggregate := range []string{"false", "true"} {
			var got workload.Result
			for _, r := range run(t, preAggregate, append(p.Arguments(), strings.Fields(variant)...)...) {
				got.Add(r.Result)
			}
			if got != want {
				t.Errorf("%q, pre-aggregation %s: %+v, want %+v", variant, preAggregate, got, want)
			}
		}
	}
}

// plainAnswer adds every event of two splits to each of its windows.
func plainAnswer(p workload.Params, panes int64) (all workload.Result) {
	type window struct {
		key   uint64
		start int64
	}
	windows := map[window]*countSum{}
	for split := range 2 {
		events := make([]workload.Event, p.Events)
		p.Split(split).Fill(events)
		for _, e := range events {
			for i := range panes {
				w := window{e.Key, (e.Time/p.Window - i) * p.Window}
				if windows[w] == nil {
					windows[w] = &countSum{}
				}
				count{}.Add(windows[w], e)
			}
		}
	}
	for w, a := range windows {
		all.Row(w.key, w.start, a.Count, a.Sum)
	}
	return all
}

func TestCPUProfile(t *testing.T) {
	dir := t.TempDir()
	run(t, "false", "-n", "1000", "-cpuprofile", dir)
	files, err := filepath.Glob(filepath.Join(dir, "worker-[01].pprof"))
	if err != nil || len(files) != 1 { // Both subtasks are in this process.
		t.Fatalf("%v, %v", files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil || !bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
		t.Errorf("%s holds % .10x, %v: want gzip, which a finished profile is", files[0], content, err)
	}
	err = weir.Run(t.Context(), "keyed window", func(env *weir.Env) { build(env, io.Discard) },
		weir.Args("-cpuprofile", filepath.Join(dir, "none")), weir.Logger(slog.New(slog.DiscardHandler)))
	if err == nil || !strings.Contains(err.Error(), "CPU profile") {
		t.Errorf("into a directory that does not exist: %v", err)
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-n", "5", "-keys", "6", "-window", "7", "-evrate", "8", "-field", "-strings", "-cpuprofile", "d"}, io.Discard)
	if want := (options{Params: workload.Params{Events: 5, Keys: 6, Window: 7, Rate: 8}, panes: 1, field: true, strings: true, cpuProfile: "d"}); o != want || err != nil {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{"-n 0", "-panes 0", "-subtract -strings", "-keys x", "extra", "-bogus"} {
		if _, err := parse(strings.Fields(bad), io.Discard); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	var usage strings.Builder
	if _, err := parse([]string{"-help"}, &usage); !errors.Is(err, flag.ErrHelp) || !strings.Contains(usage.String(), "-evrate") {
		t.Errorf("-help: %v, %s", err, &usage)
	}
}
