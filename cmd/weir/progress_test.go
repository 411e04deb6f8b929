package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/client"
)

// reading is a job with two source subtasks and a consumer.
func reading(state client.JobState, records, done, total uint64) *client.Job {
	half := func(n uint64) client.Subtask {
		return client.Subtask{Metrics: client.Metrics{RecordsOut: records / 2, ProgressDone: done / 2, ProgressTotal: n}}
	}
	return &client.Job{
		JobSummary: client.JobSummary{State: state},
		Vertices: []client.Vertex{
			{Source: true, Bounded: total > 0, Subtasks: []client.Subtask{half(total / 2), half(total - total/2)}},
			{Subtasks: []client.Subtask{{Metrics: client.Metrics{RecordsIn: 999, RecordsOut: 999}}}},
		},
	}
}

func TestProgressOnATerminal(t *testing.T) {
	var p progress
	start := time.Unix(1000, 0)
	for _, step := range []struct {
		after time.Duration
		job   *client.Job
		want  string
	}{
		{0, reading(client.Created, 0, 0, 0), "Job is CREATED"},
		{time.Second, reading(client.Running, 0, 0, 1000), "Job is RUNNING, 0% read"},
		{3 * time.Second, reading(client.Running, 5_000_000, 100, 1000), "Job is RUNNING, 10% read, 2.5 M records/s, about 18s left"},
		// A description without new figures does not change the rate.
		{3*time.Second + 10*time.Millisecond, reading(client.Running, 5_000_000, 100, 1000), "Job is RUNNING, 10% read, 2.5 M records/s, about 18s left"},
		{5 * time.Second, reading(client.Running, 6_000_000, 600, 1000), "Job is RUNNING, 60% read, 500 k records/s, about 3s left"},
		{6 * time.Second, reading(client.Finished, 8_000_000, 1000, 1000), ""},
	} {
		if got := p.update(start.Add(step.after), step.job, true); got != step.want {
			t.Errorf("after %v: %q, want %q", step.after, got, step.want)
		}
	}
}

func TestProgressElsewhere(t *testing.T) {
	var p progress
	start := time.Unix(1000, 0)
	waits := reading(client.Created, 0, 0, 0)
	waits.StatusMessage = "it needs 4 slots,\nand there are 2"
	for _, step := range []struct {
		after time.Duration
		job   *client.Job
		want  string
	}{
		{0, reading(client.Created, 0, 0, 0), "Job is CREATED"},
		{time.Second, waits, "Job is CREATED, it needs 4 slots, and there are 2"},
		{2 * time.Second, waits, ""},
		{3 * time.Second, reading(client.Running, 0, 0, 0), "Job is RUNNING"},
		{4 * time.Second, reading(client.Running, 100, 0, 0), ""},
		{12 * time.Second, reading(client.Running, 900, 0, 0), ""},
		{13 * time.Second, reading(client.Running, 1900, 0, 0), "Job is RUNNING, 1 k records/s"},
	} {
		if got := p.update(start.Add(step.after), step.job, false); got != step.want {
			t.Errorf("after %v: %q, want %q", step.after, got, step.want)
		}
	}
}

// A job that starts anew has read less than before.
func TestProgressAfterARestart(t *testing.T) {
	var p progress
	start := time.Unix(1000, 0)
	p.update(start, reading(client.Running, 0, 0, 1000), true)
	p.update(start.Add(10*time.Second), reading(client.Running, 1000, 500, 1000), true)
	if got, want := p.update(start.Add(11*time.Second), reading(client.Running, 10, 10, 1000), true), "Job is RUNNING, 1% read"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := p.update(start.Add(12*time.Second), reading(client.Running, 110, 110, 1000), true), "Job is RUNNING, 11% read, 100 records/s, about 9s left"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[float64]string{0.4: "0", 950: "950", 1000: "1 k", 12345: "12.3 k", 999_499: "999 k", 999_900: "1 M", 25_600_000: "25.6 M", 1.5e9: "1.5 G"} {
		if got := thousands(n); got != want {
			t.Errorf("%v: got %q, want %q", n, got, want)
		}
	}
}

func TestConsoleKeepsItsStatusBelowTheOutput(t *testing.T) {
	var screen bytes.Buffer
	c := &console{stdout: &screen, stderr: &screen, terminal: true, shared: true, columns: 20}
	c.status("10% read")
	c.output(false, []byte("row 1\n"))
	c.status("20% read, and this is too long for the line")
	c.output(false, []byte("half a "))
	c.status("30% read") // Would erase what the job has printed.
	c.output(false, []byte("row\n"))
	c.status("40% read")
	c.note("careful")
	c.output(true, []byte("on error\n"))
	c.output(false, []byte("no end"))
	c.say("done\n")
	c.clear()
	const e = "\r\x1b[K"
	want := e + "10% read" + e + "row 1\n" + e + "20% read, and this " + e + "half a row\n" +
		e + "40% read" + e + "careful\non error\nno end\ndone\n"
	if got := screen.String(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestConsoleWithoutATerminal(t *testing.T) {
	var stdout, stderr bytes.Buffer
	c := newConsole(&stdout, &stderr)
	c.status("10% read")
	c.uploaded(1, 2)
	c.output(false, []byte("row\n"))
	c.clear()
	if stdout.String() != "row\n" || stderr.String() != "10% read\n" || strings.Contains(stderr.String(), "\x1b") {
		t.Errorf("got %q and %q", &stdout, &stderr)
	}
}
