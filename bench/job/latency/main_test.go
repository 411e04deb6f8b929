package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/bench/internal/histogram"
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

func TestCountsEveryRecord(t *testing.T) {
	for _, work := range []time.Duration{0, 50 * time.Microsecond} {
		pace := workload.Pace{Records: 3000, WarmUp: 1000, Rate: 1e6}
		var out output
		err := weir.Run(t.Context(), "latency", func(env *weir.Env) { build(env, &out) },
			weir.Args(append(pace.Arguments(), "-work", work.String())...),
			weir.Setting("parallelism.default", "2"), weir.Setting("execution.buffer-timeout.interval", "0"))
		if err != nil {
			t.Fatal(err)
		}
		var all histogram.Histogram
		for line := range strings.Lines(out.all.String()) {
			var l workload.Latencies
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if l.Remote.Count() != 0 || l.Local.Count() < 500 {
				t.Errorf("subtask %d has %d records of this process and %d of others", l.Subtask, l.Local.Count(), l.Remote.Count())
			}
			all.Add(l.Local)
		}
		if want := uint64(pace.Records - pace.WarmUp); all.Count() != want {
			t.Errorf("%d records counted, want %d", all.Count(), want)
		}
		if all.Percentile(0) < work {
			t.Errorf("a record took %v, and the map alone takes %v", all.Percentile(0), work)
		}
	}
}

// TestTellsProcessesApart gives the sink records of another process.
func TestTellsProcessesApart(t *testing.T) {
	var out bytes.Buffer
	w, err := sink{out: &out, warmUp: 5, process: 1}.Open(t.Context(), weir.Subtask{Index: 3})
	if err != nil {
		t.Fatal(err)
	}
	due := time.Now().Add(-time.Hour).UnixNano()
	if err := w.Write([]record{{Number: 4, Process: 2, Due: due}, {Number: 5, Process: 2, Due: due}, {Number: 6, Process: 1, Due: due}, {Number: 7, Process: 2, Due: due}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var l workload.Latencies
	if err := json.Unmarshal(out.Bytes(), &l); err != nil {
		t.Fatal(err)
	}
	if l.Subtask != 3 || l.Remote.Count() != 2 || l.Local.Count() != 1 {
		t.Errorf("subtask %d: %d of others and %d of this process, want subtask 3: 2 and 1", l.Subtask, l.Remote.Count(), l.Local.Count())
	}
	if p := l.Remote.Percentile(50); p < time.Hour || p > 2*time.Hour {
		t.Errorf("a record that was due an hour ago took %v", p)
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-n", "5", "-rate", "6", "-warmup", "4", "-work", "1ms"}, io.Discard)
	if want := (options{workload.Pace{Records: 5, Rate: 6, WarmUp: 4}, time.Millisecond}); o != want || err != nil {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range []string{"-n 5 -warmup 5", "extra", "-bogus"} {
		if _, err := parse(strings.Fields(bad), io.Discard); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}
