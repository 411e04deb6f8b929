package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/weirstream/weir/client"
)

const (
	// plainInterval is the time between two lines of progress where they cannot
	// replace each other.
	plainInterval = 10 * time.Second

	// figuresInterval is the least time between two figures that are compared.
	// They arrive once a second, and descriptions without new ones in between.
	figuresInterval = 900 * time.Millisecond

	// rateWindow and speedWindow are the time after which a figure counts for 1/e
	// in the rate that is shown and in the speed by which the end is foretold. The
	// first should follow what happens, the second should not.
	rateWindow  = 5 * time.Second
	speedWindow = 15 * time.Second

	// endWindow is the time in which the end that is shown goes 1-1/e of the way
	// to a new forecast, and forecastAfter how long a source is observed before
	// the first.
	endWindow     = 5 * time.Second
	forecastAfter = 2 * time.Second
)

// meter is a rate in which recent gains count most. The weights of gains and of
// the time that they took are the same, so a constant rate is shown exactly,
// from the first figure on and however irregularly they come.
type meter struct {
	window        time.Duration
	gain, seconds float64
}

func (m *meter) add(gain float64, elapsed time.Duration) {
	keep := math.Exp(-elapsed.Seconds() / m.window.Seconds())
	m.gain = m.gain*keep + gain
	m.seconds = m.seconds*keep + elapsed.Seconds()
}

// rate is in units per second, 0 before the first figure.
func (m *meter) rate() float64 {
	if m.seconds == 0 {
		return 0
	}
	return m.gain / m.seconds
}

// progress says how far a job is. It is given descriptions and the time, and
// makes lines.
type progress struct {
	// state and message are those of the last description.
	state   client.JobState
	message string
	// printed is when the last plain line was made.
	printed time.Time

	// input is what the last figures said, at measured; before the first it is
	// zero. begun is when the job began to read.
	input    input
	measured time.Time
	begun    time.Time
	rate     meter
	// speeds has how fast each source gets on, in its own unit.
	speeds []meter
	// end is when the job will have read everything, zero while that is unknown.
	end time.Time
}

// input is what a description says about the sources of a job.
type input struct {
	records uint64
	sources []sourceInput
}

// sourceInput is how far a source is, in its own unit. known is whether that is
// said by all of its subtasks. They know the size of a split from when they are
// given it, so a total that has grown was not all of the input, and nor need the
// new one be.
type sourceInput struct {
	done, total  uint64
	known, grown bool
}

func inputOf(job *client.Job) input {
	var in input
	for _, v := range job.Vertices {
		if !v.Source {
			continue
		}
		s := sourceInput{known: v.Bounded}
		for _, subtask := range v.Subtasks {
			m := subtask.Metrics
			in.records += m.RecordsIn
			s.done += min(m.ProgressDone, m.ProgressTotal)
			s.total += m.ProgressTotal
			// A subtask that has ended without a total was given nothing to read.
			s.known = s.known && (m.ProgressTotal > 0 || subtask.State == "FINISHED")
		}
		in.sources = append(in.sources, s)
	}
	return in
}

// share is the part of the input that is read, as the mean over the sources,
// whose units may differ; false where the size of the input is not known.
func (in input) share() (float64, bool) {
	sum := 0.0
	for _, s := range in.sources {
		switch {
		case !s.known || s.grown:
			return 0, false
		case s.total == 0:
			sum++
		default:
			sum += float64(s.done) / float64(s.total)
		}
	}
	if len(in.sources) == 0 {
		return 0, false
	}
	return min(1, sum/float64(len(in.sources))), true
}

// startedAnew reports whether in is from after a restart of the job that
// before is from.
func (in input) startedAnew(before input) bool {
	if in.records < before.records || len(in.sources) != len(before.sources) {
		return true
	}
	for i := range in.sources {
		if in.sources[i].done < before.sources[i].done {
			return true
		}
	}
	return false
}

// doubt takes the sources for unknown whose totals have grown, now or before.
func (in input) doubt(before input) {
	for i, s := range before.sources {
		in.sources[i].grown = s.grown || s.known && in.sources[i].total > s.total
	}
}

// observe takes in a description that was received at a time. The times must
// not decrease.
func (p *progress) observe(now time.Time, job *client.Job) {
	p.state, p.message = job.State, job.StatusMessage
	in := inputOf(job)
	switch {
	case p.measured.IsZero() || p.begun.IsZero() || in.startedAnew(p.input):
		p.input, p.measured, p.begun, p.end = in, now, time.Time{}, time.Time{}
		p.rate = meter{window: rateWindow}
		p.speeds = make([]meter, len(in.sources))
		for i := range p.speeds {
			p.speeds[i].window = speedWindow
		}
		if job.State == client.Running || in.records > 0 {
			p.begun = now
		}
	case now.Sub(p.measured) >= figuresInterval:
		in.doubt(p.input)
		elapsed := now.Sub(p.measured)
		p.rate.add(float64(in.records-p.input.records), elapsed)
		for i := range in.sources {
			p.speeds[i].add(float64(in.sources[i].done-p.input.sources[i].done), elapsed)
		}
		p.input, p.measured = in, now
		p.forecast(elapsed)
	}
}

// forecast moves the end that is shown towards the one that the latest figures
// tell, so that it does not jump with each of them.
func (p *progress) forecast(elapsed time.Duration) {
	seconds, ok := p.secondsLeft()
	if !ok {
		p.end = time.Time{}
		return
	}
	foretold := p.measured.Add(time.Duration(seconds * float64(time.Second)))
	if p.end.IsZero() {
		p.end = foretold
		return
	}
	way := 1 - math.Exp(-elapsed.Seconds()/endWindow.Seconds())
	p.end = p.end.Add(time.Duration(float64(foretold.Sub(p.end)) * way))
}

// secondsLeft is the time that the slowest source needs at its speed.
func (p *progress) secondsLeft() (float64, bool) {
	const longest = 100 * 365 * 24 * 3600
	if _, known := p.input.share(); !known || p.measured.Sub(p.begun) < forecastAfter {
		return 0, false
	}
	most := 0.0
	for i, s := range p.input.sources {
		if s.done >= s.total {
			continue
		}
		seconds := float64(s.total-s.done) / p.speeds[i].rate()
		if seconds > longest { // Also where the speed is 0.
			return 0, false
		}
		most = max(most, seconds)
	}
	return most, true
}

// left is how long it will take to read the rest of the input.
func (p *progress) left(now time.Time) (time.Duration, bool) {
	if share, known := p.input.share(); p.end.IsZero() || !known || share == 1 {
		return 0, false
	}
	return max(0, p.end.Sub(now)), true
}

// perSecond is how many records are read per second; false before that is known.
func (p *progress) perSecond() (float64, bool) { return p.rate.rate(), p.rate.seconds > 0 }

// bar returns the state as a line of fewer than so many columns, for a
// terminal. It has a bar where the size of the input is known and there is room.
func (p *progress) bar(now time.Time, columns int) string {
	share, known := p.input.share()
	if !known || p.message != "" || p.state != client.Running {
		return p.line(now)
	}
	// figuresWidth is kept free for the figures, so that the bar does not change
	// its width with them.
	const widest, narrowest, figuresWidth = 40, 10, len(" 99.9 k records/s, about 23h59m left")
	head, tail := "Job is "+string(p.state)+fmt.Sprintf(" %3d%% ", percent(share)), ""
	if figures := p.figures(now); len(figures) > 0 {
		tail = " " + strings.Join(figures, ", ")
	}
	free := columns - 1 - len(head) - len("[]")
	room := min(widest, free-len(tail))
	if room < narrowest {
		return p.line(now)
	}
	return head + bar(share, min(room, max(narrowest, free-figuresWidth))) + tail
}

// bar draws a share with brackets around so many columns.
func bar(share float64, columns int) string {
	filled := int(share * float64(columns))
	if share < 1 {
		filled = min(filled, columns-1)
		return "[" + strings.Repeat("=", filled) + ">" + strings.Repeat(" ", columns-1-filled) + "]"
	}
	return "[" + strings.Repeat("=", columns) + "]"
}

// percent is a share in whole percent. Only all of it is 100.
func percent(share float64) int {
	if share < 1 {
		return min(99, int(100*share))
	}
	return 100
}

// plain returns a line for where lines cannot replace each other, empty while
// there is none to print: there is one when the state changes, and after an
// interval. before is the progress before the last description.
func (p *progress) plain(now time.Time, before progress) string {
	changed := p.state != before.state || p.message != before.message
	if !changed && now.Sub(p.printed) < plainInterval {
		return ""
	}
	p.printed = now
	return p.line(now)
}

func (p *progress) line(now time.Time) string {
	parts := []string{"Job is " + string(p.state)}
	if p.message != "" {
		parts = append(parts, strings.ReplaceAll(p.message, "\n", " "))
	}
	if share, known := p.input.share(); known {
		parts = append(parts, fmt.Sprintf("%d%% read", percent(share)))
	}
	return strings.Join(append(parts, p.figures(now)...), ", ")
}

// figures are the rate and the time left, as far as they are known.
func (p *progress) figures(now time.Time) (figures []string) {
	if rate, ok := p.perSecond(); ok {
		figures = append(figures, thousands(rate)+" records/s")
	}
	if left, ok := p.left(now); ok {
		figures = append(figures, "about "+timeLeft(left)+" left")
	}
	return figures
}

// summary says what a job has done that has finished.
func summary(job *client.Job) string {
	records := inputOf(job).records
	took := job.End.Sub(job.Start)
	text := fmt.Sprintf("Job is %s: %d records read in %v", job.State, records, took.Round(time.Millisecond))
	if took > 0 {
		text += fmt.Sprintf(", %s records/s", thousands(float64(records)/took.Seconds()))
	}
	return text
}

// timeLeft prints a forecast no more precisely than it is: to a second below
// twenty, to five below a minute, and so on. The least is a second.
func timeLeft(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 20*time.Second:
		d = max(time.Second, d.Round(time.Second))
	case d < time.Minute:
		d = d.Round(5 * time.Second)
	case d < 10*time.Minute:
		d = d.Round(10 * time.Second)
	case d < day:
		d = d.Round(time.Minute)
	default:
		d = d.Round(time.Hour)
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 10*time.Minute:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < day:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/day, d%day/time.Hour)
}

// thousands prints a number with three digits: 950, 12.3 k, 4.56 M, and one
// that is less than ten with one decimal.
func thousands(n float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, " G"}, {1e6, " M"}, {1e3, " k"}} {
		if n >= 0.9995*unit.size { // What three digits round up to it, too.
			return fmt.Sprintf("%.3g%s", n/unit.size, unit.name)
		}
	}
	if n < 9.95 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", n), ".0")
	}
	return fmt.Sprintf("%.0f", n)
}
