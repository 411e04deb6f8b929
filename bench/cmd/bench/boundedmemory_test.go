package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/bench/internal/cluster"
	"github.com/weirstream/weir/client"
)

func TestMemoryOf(t *testing.T) {
	const mib = 1 << 20
	rising := make([]int64, 90) // 100 KiB in each second
	for i := range rising {
		rising[i] = 20*mib + int64(i)*100<<10
	}
	for name, test := range map[string]struct {
		samples []int64
		flat    bool
	}{
		"one":                  {[]int64{5}, true},
		"the same":             {[]int64{50 * mib, 50 * mib, 50 * mib, 50 * mib}, true},
		"a little more":        {[]int64{50 * mib, 50 * mib, 53 * mib, 53 * mib}, true},
		"falling":              {[]int64{90 * mib, 50 * mib, 20 * mib}, true},
		"a peak at the end":    {[]int64{50 * mib, 50 * mib, 50 * mib, 50 * mib, 50 * mib, 50 * mib, 50 * mib, 50 * mib, 500 * mib}, true},
		"more and more":        {rising, false},
		"a step":               {[]int64{50 * mib, 50 * mib, 50 * mib, 70 * mib, 70 * mib, 70 * mib}, false},
		"a large one, a bit":   {[]int64{1000 * mib, 1000 * mib, 1050 * mib}, true},
		"a large one, clearly": {[]int64{1000 * mib, 1000 * mib, 1060 * mib}, false},
	} {
		if got := memoryOf(name, test.samples); got.Flat != test.flat || got.Samples != len(test.samples) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	got := memoryOf("p", []int64{3, 9, 1, 5, 4, 6})
	if want := (memoryLine{Bench: "bounded-memory", Process: "p", Samples: 6, First: 3, Last: 6, Max: 9, Growth: -1, Flat: true}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// described is a job of three tasks with a subtask each, of which one may not
// run yet.
func described(state string, sinkBusy, beforeBackpressured uint32) *client.Job {
	job := &client.Job{JobSummary: client.JobSummary{State: client.Running}}
	for _, v := range []struct {
		name string
		m    client.Metrics
	}{
		{"source", client.Metrics{RecordsIn: 30, IdleMillis: 1, BackpressuredMillis: 999}},
		{"between", client.Metrics{RecordsIn: 20, IdleMillis: 1000 - beforeBackpressured, BackpressuredMillis: beforeBackpressured}},
		{"sink", client.Metrics{RecordsIn: 10, BusyMillis: sinkBusy, IdleMillis: 1000 - sinkBusy}},
	} {
		job.Vertices = append(job.Vertices, client.Vertex{Name: v.name, Subtasks: []client.Subtask{{State: state, Metrics: v.m}}})
	}
	return job
}

// sampled has a sampler see a job once a second until it has enough, with the
// memory of one process, which grows by step.
func sampled(t *testing.T, job *client.Job, step int64) *sampler {
	t.Helper()
	now, memory := time.Unix(0, 0), int64(50<<20)
	s := &sampler{
		processes: func() ([]cluster.Process, error) { return []cluster.Process{{Name: "worker", PID: 7}}, nil },
		resident: func(pid int) (int64, error) {
			if pid != 7 {
				t.Errorf("asked for process %d", pid)
			}
			memory += step
			return memory, nil
		},
		now:      func() time.Time { return now },
		duration: 40 * time.Second,
	}
	if s.seen(described("DEPLOYING", 1, 1)) || s.seen(&client.Job{JobSummary: client.JobSummary{State: client.Created}, Vertices: job.Vertices}) {
		t.Fatal("it has seen enough before the job runs")
	}
	now = now.Add(time.Hour) // Nothing counts before all tasks run.
	seconds := 0
	for ; !s.seen(job); seconds++ {
		now = now.Add(time.Second)
	}
	if seconds != 40 {
		t.Fatalf("it has seen enough after %d s, want 40", seconds)
	}
	return s
}

func TestJudge(t *testing.T) {
	for name, test := range map[string]struct {
		job  *client.Job
		step int64
		want string
	}{
		"as it must be":   {described("RUNNING", 990, 995), 0, ""},
		"memory grows":    {described("RUNNING", 990, 995), 1 << 20, "the memory of worker grows"},
		"an idle sink":    {described("RUNNING", 300, 995), 0, `"sink"`},
		"no backpressure": {described("RUNNING", 990, 10), 0, `"between"`},
	} {
		var out bytes.Buffer
		h := &harness{stdout: &out, stderr: io.Discard}
		err := h.judge(sampled(t, test.job, test.step))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if lines := strings.Count(out.String(), "\n"); lines != 4 {
			t.Errorf("%s: %d lines, want one for the process and three for the tasks:\n%s", name, lines, &out)
		}
		if test.want == "" && (!strings.Contains(out.String(), `"samples":31,`) ||
			!strings.Contains(out.String(), `{"bench":"bounded-memory","task":"sink","busy_ms_per_second":990,"idle_ms_per_second":10,"backpressured_ms_per_second":0,"records_in":10}`)) {
			t.Errorf("it prints\n%s", &out)
		}
	}
	if err := (&harness{}).judge(&sampler{}); err == nil {
		t.Error("no sample is enough")
	}
}

func TestSamplerFails(t *testing.T) {
	gone := errors.New("gone")
	s := &sampler{
		processes: func() ([]cluster.Process, error) { return []cluster.Process{{Name: "jobmanager", PID: 1}}, nil },
		resident:  func(int) (int64, error) { return 0, gone },
		now:       time.Now,
	}
	if !s.seen(described("RUNNING", 1, 1)) || !errors.Is(s.err, gone) || !strings.Contains(s.err.Error(), "jobmanager") {
		t.Errorf("a process that is gone: %v", s.err)
	}
}
