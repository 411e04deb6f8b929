package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/client"
)

// reading is a job with two source subtasks and a consumer. Its input is
// unbounded if total is 0.
func reading(state client.JobState, records, done, total uint64) *client.Job {
	part := func(records, done, total uint64) client.Subtask {
		return client.Subtask{State: "RUNNING", Metrics: client.Metrics{RecordsIn: records, RecordsOut: 3 * records, ProgressDone: done, ProgressTotal: total}}
	}
	return &client.Job{
		JobSummary: client.JobSummary{State: state},
		Vertices: []client.Vertex{
			{Source: true, Bounded: total > 0, Subtasks: []client.Subtask{
				part(records/2, done/2, total/2), part(records-records/2, done-done/2, total-total/2),
			}},
			{Subtasks: []client.Subtask{{Metrics: client.Metrics{RecordsIn: 999, RecordsOut: 999}}}},
		},
	}
}

var begin = time.Unix(1000, 0)

func TestProgressOnATerminal(t *testing.T) {
	var p progress
	for _, step := range []struct {
		after time.Duration
		job   *client.Job
		want  string
	}{
		{0, reading(client.Created, 0, 0, 0), "Job is CREATED"},
		{10 * time.Second, reading(client.Running, 0, 0, 1000), "Job is RUNNING   0% [>                                       ]"},
		{12 * time.Second, reading(client.Running, 5_000_000, 100, 1000), "Job is RUNNING  10% [====>                                   ] 2.5 M records/s, about 18s left"},
		// A description without new figures does not change them.
		{12*time.Second + 10*time.Millisecond, reading(client.Running, 5_000_000, 100, 1000), "Job is RUNNING  10% [====>                                   ] 2.5 M records/s, about 18s left"},
		{20 * time.Second, reading(client.Running, 25_000_000, 500, 1000), "Job is RUNNING  50% [====================>                   ] 2.5 M records/s, about 10s left"},
		{29 * time.Second, reading(client.Running, 47_500_000, 950, 1000), "Job is RUNNING  95% [======================================> ] 2.5 M records/s, about 1s left"},
		{30 * time.Second, reading(client.Running, 50_000_000, 1000, 1000), "Job is RUNNING 100% [========================================] 2.5 M records/s"},
	} {
		now := begin.Add(step.after)
		p.observe(now, step.job)
		if got := p.bar(now, 120); got != step.want {
			t.Errorf("after %v: %q, want %q", step.after, got, step.want)
		}
	}
}

func TestTheBarFitsTheTerminal(t *testing.T) {
	var p progress
	p.observe(begin, reading(client.Running, 0, 0, 1000))
	p.observe(begin.Add(2*time.Second), reading(client.Running, 5_000_000, 100, 1000))
	for columns, want := range map[int]string{
		80: "Job is RUNNING  10% [==>                  ] 2.5 M records/s, about 18s left",
		65: "Job is RUNNING  10% [=>        ] 2.5 M records/s, about 18s left",
		64: "Job is RUNNING, 10% read, 2.5 M records/s, about 18s left",
	} {
		if got := p.bar(begin.Add(2*time.Second), columns); got != want {
			t.Errorf("%d columns: %q (%d), want %q (%d)", columns, got, len(got), want, len(want))
		}
	}
}

// A line that fills the terminal's last column would begin a new one, which the
// next would not erase.
func TestNoLineIsAsWideAsTheTerminal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p progress
		now, columns := begin, rapid.IntRange(2, 200).Draw(t, "columns")
		total := rapid.Uint64Range(0, 1_000_000).Draw(t, "total")
		done, records := uint64(0), uint64(0)
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
			done = min(total, done+rapid.Uint64Range(0, 300_000).Draw(t, "done"))
			records += rapid.Uint64Range(0, 1<<40).Draw(t, "records")
			job := reading(client.Running, records, done, total)
			job.StatusMessage = rapid.SampledFrom([]string{"", "", "restarting after 不足 slots\n\x1b[1m"}).Draw(t, "message")
			p.observe(now, job)
			line := p.bar(now, columns)
			shown := fitted(line, columns)
			width := 0
			for _, r := range shown {
				width += columnsOf(r)
			}
			if width >= columns || strings.ContainsAny(shown, "\n\x1b") {
				t.Fatalf("%q in %d columns", shown, columns)
			}
			if strings.Contains(line, "[=") && strings.Contains(line, "]") && job.StatusMessage == "" && line != shown {
				t.Fatalf("the bar is cut: %q of %q", shown, line)
			}
		}
	})
}

func TestProgressElsewhere(t *testing.T) {
	var p progress
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
		{13 * time.Second, reading(client.Running, 1000, 0, 0), "Job is RUNNING, 100 records/s"},
		{14 * time.Second, reading(client.Running, 1100, 0, 0), ""},
	} {
		now, before := begin.Add(step.after), p
		p.observe(now, step.job)
		if got := p.plain(now, before); got != step.want {
			t.Errorf("after %v: %q, want %q", step.after, got, step.want)
		}
	}
}

// A job that starts anew has read less than before.
func TestProgressAfterARestart(t *testing.T) {
	var p progress
	for _, step := range []struct {
		after                int
		records, done, total uint64
		want                 string
	}{
		{0, 0, 0, 1000, "Job is RUNNING, 0% read"},
		{10, 1000, 500, 1000, "Job is RUNNING, 50% read, 100 records/s, about 10s left"},
		{11, 10, 10, 1000, "Job is RUNNING, 1% read"},
		{13, 210, 210, 1000, "Job is RUNNING, 21% read, 100 records/s, about 8s left"},
		{14, 310, 200, 1000, "Job is RUNNING, 20% read"}, // Only one of its sources has.
	} {
		now := begin.Add(time.Duration(step.after) * time.Second)
		p.observe(now, reading(client.Running, step.records, step.done, step.total))
		if got := p.line(now); got != step.want {
			t.Errorf("after %d s: %q, want %q", step.after, got, step.want)
		}
	}
}

// A total that grows, since a subtask was given a further split, tells that it
// is not known how much is left: only the rate is.
func TestProgressOfAnInputThatGrows(t *testing.T) {
	var p progress
	for _, step := range []struct {
		after                int
		records, done, total uint64
		want                 string
	}{
		{0, 0, 0, 1000, "Job is RUNNING, 0% read"},
		{5, 500, 500, 1000, "Job is RUNNING, 50% read, 100 records/s, about 5s left"},
		{6, 600, 600, 1500, "Job is RUNNING, 100 records/s"},
		{7, 700, 700, 1500, "Job is RUNNING, 100 records/s"},
		{8, 0, 0, 1500, "Job is RUNNING, 0% read"}, // It has started anew.
	} {
		now := begin.Add(time.Duration(step.after) * time.Second)
		p.observe(now, reading(client.Running, step.records, step.done, step.total))
		if got := p.line(now); got != step.want {
			t.Errorf("after %d s: %q, want %q", step.after, got, step.want)
		}
	}
	// While the subtasks begin one after the other, nothing has grown.
	p = progress{}
	one := reading(client.Running, 0, 0, 1000)
	one.Vertices[0].Subtasks[1].Metrics.ProgressTotal = 0
	p.observe(begin, one)
	p.observe(begin.Add(time.Second), reading(client.Running, 0, 0, 1000))
	if got, want := p.line(begin.Add(time.Second)), "Job is RUNNING, 0% read, 0 records/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What is known of the input decides what is said of it.
func TestShareOfTheInput(t *testing.T) {
	source := func(bounded bool, subtasks ...client.Subtask) client.Vertex {
		return client.Vertex{Source: true, Bounded: bounded, Subtasks: subtasks}
	}
	at := func(state string, done, total uint64) client.Subtask {
		return client.Subtask{State: state, Metrics: client.Metrics{ProgressDone: done, ProgressTotal: total}}
	}
	for name, test := range map[string]struct {
		vertices []client.Vertex
		share    float64
		known    bool
	}{
		"no source":                        {nil, 0, false},
		"half":                             {[]client.Vertex{source(true, at("RUNNING", 1, 4), at("RUNNING", 3, 4))}, 0.5, true},
		"unbounded":                        {[]client.Vertex{source(false, at("RUNNING", 1, 4))}, 0, false},
		"a subtask that has said nothing":  {[]client.Vertex{source(true, at("RUNNING", 1, 4), at("RUNNING", 0, 0))}, 0, false},
		"a subtask with nothing to read":   {[]client.Vertex{source(true, at("RUNNING", 1, 4), at("FINISHED", 0, 0))}, 0.25, true},
		"an empty input":                   {[]client.Vertex{source(true, at("FINISHED", 0, 0))}, 1, true},
		"two sources of different units":   {[]client.Vertex{source(true, at("RUNNING", 500, 1000)), source(true, at("RUNNING", 1, 1))}, 0.75, true},
		"a bounded and an unbounded one":   {[]client.Vertex{source(true, at("RUNNING", 500, 1000)), source(false, at("RUNNING", 0, 0))}, 0, false},
		"more than all of a growing input": {[]client.Vertex{source(true, at("RUNNING", 1100, 1000))}, 1, true},
	} {
		share, known := inputOf(&client.Job{Vertices: test.vertices}).share()
		if known != test.known || share != test.share {
			t.Errorf("%s: %v, %v, want %v, %v", name, share, known, test.share, test.known)
		}
	}
}

// TestAConstantPaceIsForetoldExactly: however irregularly the figures come.
func TestAConstantPaceIsForetoldExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		perSecond, units := rapid.Uint64Range(1, 1_000_000).Draw(t, "rate"), rapid.Uint64Range(1, 1_000_000).Draw(t, "speed")
		seconds := rapid.Uint64Range(10, 100_000).Draw(t, "length")
		var p progress
		elapsed := uint64(0)
		p.observe(begin, reading(client.Running, 0, 0, units*seconds))
		for {
			elapsed += rapid.Uint64Range(1, seconds).Draw(t, "after")
			if elapsed >= seconds {
				return
			}
			now := begin.Add(time.Duration(elapsed) * time.Second)
			p.observe(now, reading(client.Running, perSecond*elapsed, units*elapsed, units*seconds))
			if rate, ok := p.perSecond(); !ok || math.Abs(rate/float64(perSecond)-1) > 1e-9 {
				t.Fatalf("the rate is %v, %v, want %d", rate, ok, perSecond)
			}
			left, ok := p.left(now)
			if want := time.Duration(seconds-elapsed) * time.Second; ok != (elapsed >= 2) || ok && (left-want).Abs() > time.Millisecond {
				t.Fatalf("%v, %v left after %d s, want %v", left, ok, elapsed, want)
			}
		}
	})
}

// TestMeter compares the rate with its definition, and it lies between the
// slowest and the fastest that was seen.
func TestMeter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := meter{window: rateWindow}
		var at, gains, times []float64
		now, least, most := 0.0, math.Inf(1), 0.0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			gain, took := rapid.Float64Range(0, 1e9).Draw(t, "gain"), float64(rapid.IntRange(900, 60_000).Draw(t, "ms"))/1000
			now += took
			at, gains, times = append(at, now), append(gains, gain), append(times, took)
			least, most = min(least, gain/took), max(most, gain/took)
			m.add(gain, time.Duration(took*float64(time.Second)))
			sumGain, sumTime := 0.0, 0.0
			for i := range at {
				weight := math.Exp((at[i] - now) / 5)
				sumGain, sumTime = sumGain+weight*gains[i], sumTime+weight*times[i]
			}
			got := m.rate()
			if math.Abs(got-sumGain/sumTime) > 1e-6*(1+got) {
				t.Fatalf("the rate is %v, want %v", got, sumGain/sumTime)
			}
			if got < least-1e-6*(1+least) || got > most*(1+1e-6) {
				t.Fatalf("the rate is %v, and none was outside of %v to %v", got, least, most)
			}
		}
	})
}

// TestTheForecastDoesNotJump: whatever the figures are, the end that is shown
// moves towards the one that they foretell and not past it, by no more than the
// part of the way that the time since the last ones allows.
func TestTheForecastDoesNotJump(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const total = 1_000_000
		var p progress
		now, done := begin, uint64(0)
		p.observe(now, reading(client.Running, 0, 0, total))
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			took := time.Duration(rapid.IntRange(900, 3000).Draw(t, "ms")) * time.Millisecond
			now = now.Add(took)
			done = min(total, done+rapid.Uint64Range(0, 60_000).Draw(t, "done"))
			before, had := p.left(now)
			p.observe(now, reading(client.Running, done, done, total))
			after, has := p.left(now)
			foretold, ok := p.secondsLeft()
			if has != (ok && done < total) || after < 0 {
				t.Fatalf("%v, %v is left, foretold %v, %v", after, has, foretold, ok)
			}
			if !had || !has || before == 0 {
				continue
			}
			way, moved := foretold-before.Seconds(), after.Seconds()-before.Seconds()
			if part := 1 - math.Exp(-took.Seconds()/5); moved*way < -1e-6 || math.Abs(moved) > part*math.Abs(way)+1e-6 {
				t.Fatalf("%v left became %v, foretold was %v s", before, after, foretold)
			}
		}
	})
}

// The job ends with its slowest source, in whatever order and units they are.
func TestTheSlowestSourceDecides(t *testing.T) {
	slow, fast := uint64(100), uint64(1_000_000) // each in 100 s and in 10 s
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		var p progress
		for _, second := range []uint64{0, 5} {
			job := &client.Job{JobSummary: client.JobSummary{State: client.Running}}
			sources := []client.Metrics{
				{RecordsIn: second, ProgressDone: slow * second / 100, ProgressTotal: slow},
				{RecordsIn: 9 * second, ProgressDone: fast * second / 10, ProgressTotal: fast},
			}
			for _, i := range order {
				job.Vertices = append(job.Vertices, client.Vertex{Source: true, Bounded: true, Subtasks: []client.Subtask{{State: "RUNNING", Metrics: sources[i]}}})
			}
			p.observe(begin.Add(time.Duration(second)*time.Second), job)
		}
		if got, want := p.line(begin.Add(5*time.Second)), "Job is RUNNING, 27% read, 10 records/s, about 1m40s left"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// When a job becomes half as fast, its end moves without a jump and is right
// after a while.
func TestTheForecastFollowsASlowerPace(t *testing.T) {
	const total = 200_000
	var p progress
	done, last := uint64(0), time.Duration(0)
	for second := range 140 {
		now := begin.Add(time.Duration(second) * time.Second)
		p.observe(now, reading(client.Running, done, done, total))
		left, ok := p.left(now)
		if change := left - last; second > 3 && (!ok || change.Abs() > 7*time.Second) {
			t.Errorf("after %d s %v, %v are left, a second before %v", second, left, ok, last)
		}
		last = left
		if truth := time.Duration(total-done) * time.Millisecond; second > 110 && math.Abs(float64(left-truth)/float64(truth)) > 0.1 {
			t.Errorf("after %d s %v are left, want about %v", second, left, truth)
		}
		if done += 2000; second >= 50 {
			done -= 1000
		}
	}
}

func TestBar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(1, 200).Draw(t, "columns")
		a, b := rapid.Float64Range(0, 1).Draw(t, "a"), rapid.Float64Range(0, 1).Draw(t, "b")
		filled := func(share float64) int {
			drawn := bar(share, columns)
			if len(drawn) != columns+2 || strings.Contains(drawn, ">") == (share == 1) || (percent(share) == 100) != (share == 1) {
				t.Fatalf("the bar of %v in %d columns is %q, %d%%", share, columns, drawn, percent(share))
			}
			n := strings.Count(drawn, "=")
			if math.Abs(float64(n)-share*float64(columns)) > 1 {
				t.Fatalf("the bar of %v in %d columns is %q", share, columns, drawn)
			}
			return n
		}
		if filled(min(a, b)) > filled(max(a, b)) {
			t.Fatalf("the bar shrinks between %v and %v", min(a, b), max(a, b))
		}
	})
	for share, want := range map[float64]string{0: "[>   ]", 0.5: "[==> ]", math.Nextafter(1, 0): "[===>]", 1: "[====]"} {
		if got := bar(share, 4); got != want {
			t.Errorf("the bar of %v is %q, want %q", share, got, want)
		}
	}
}

func TestTimeLeft(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "1s", 400 * time.Millisecond: "1s", 9400 * time.Millisecond: "9s", 9600 * time.Millisecond: "10s", 19_400 * time.Millisecond: "19s", 32 * time.Second: "30s",
		58 * time.Second: "1m00s", 62 * time.Second: "1m00s", 95 * time.Second: "1m40s", 599 * time.Second: "10m", 754 * time.Second: "13m",
		3599 * time.Second: "1h00m", 3900 * time.Second: "1h05m", 86399 * time.Second: "1d00h", 52 * time.Hour: "2d04h", 876_000 * time.Hour: "36500d00h",
	} {
		if got := timeLeft(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(23*time.Hour)).Draw(t, "d"))
		got, err := time.ParseDuration(timeLeft(d))
		if err != nil || (got-d).Abs() > max(time.Second, d/8) {
			t.Fatalf("%v is printed as %s (%v)", d, timeLeft(d), err)
		}
	})
}

func TestThousands(t *testing.T) {
	for n, want := range map[float64]string{
		0: "0", 0.04: "0", 0.4: "0.4", 7: "7", 9.94: "9.9", 9.96: "10", 950: "950", 1000: "1 k", 12345: "12.3 k", 999_499: "999 k",
		999_900: "1 M", 25_600_000: "25.6 M", 1.5e9: "1.5 G",
	} {
		if got := thousands(n); got != want {
			t.Errorf("%v: got %q, want %q", n, got, want)
		}
	}
}

func TestFitted(t *testing.T) {
	for text, want := range map[string]string{"": "", "abc": "abc", "abcd": "abc", "日本語": "日", "a日本": "a日", "e\u0301e\u0301e\u0301e\u0301": "e\u0301e\u0301e\u0301", "a\tb\n": "a b"} {
		if got := fitted(text, 4); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := fitted("as long as it is", 0); got != "as long as it is" {
		t.Errorf("where the width is not known: %q", got)
	}
}

func TestConsoleKeepsItsStatusBelowTheOutput(t *testing.T) {
	var screen bytes.Buffer
	c := &console{stdout: &screen, stderr: &screen, terminal: true, shared: true, columns: 20}
	c.status("10% read")
	c.output(lineSource{}, []byte("row 1\n"))
	c.status("20% read, and this is too long for the line")
	c.output(lineSource{}, []byte("half a "))
	c.status("30% read") // Would erase what the job has printed.
	c.output(lineSource{}, []byte("row\n"))
	c.status("40% read")
	c.note("careful")
	c.output(lineSource{standardError: true}, []byte("on error\n"))
	c.output(lineSource{}, []byte("no end"))
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
	c := newConsole(&stdout, &stderr, textFormat)
	c.status("10% read")
	c.uploaded(1, 2)
	c.output(lineSource{}, []byte("row\n"))
	c.clear()
	if stdout.String() != "row\n" || stderr.String() != "10% read\n" || strings.Contains(stderr.String(), "\x1b") {
		t.Errorf("got %q and %q", &stdout, &stderr)
	}
}
