package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/client"
)

// plainInterval is the time between two lines of progress where they cannot
// replace each other.
const plainInterval = 10 * time.Second

// rateInterval is the least time over which a rate is taken. Figures arrive
// once a second, and descriptions without new figures in between.
const rateInterval = 900 * time.Millisecond

// progress makes lines that say how far a job is. It is given the time.
type progress struct {
	// state and message are those of the last line.
	state   client.JobState
	message string
	// printed is when the last line was made.
	printed time.Time

	// records and measured are the base of the next rate.
	records  uint64
	measured time.Time
	rate     float64

	// share of the input that is read, and when it was first known.
	share      float64
	shareKnown bool
	shareSince time.Time
	shareBase  float64
}

// update takes a description and returns the line to show, empty for none: on
// a terminal there is always one, elsewhere when the state changes, and after
// an interval.
func (p *progress) update(now time.Time, job *client.Job, terminal bool) string {
	p.measure(now, job)
	changed := job.State != p.state || job.StatusMessage != p.message
	p.state, p.message = job.State, job.StatusMessage
	if job.State.Terminal() {
		return ""
	}
	if !terminal && !changed && now.Sub(p.printed) < plainInterval {
		return ""
	}
	p.printed = now
	return p.line(now)
}

func (p *progress) measure(now time.Time, job *client.Job) {
	records, share, known := inputOf(job)
	switch {
	case p.measured.IsZero() || records < p.records: // Also after a restart of the job.
		p.records, p.measured, p.rate = records, now, 0
	case now.Sub(p.measured) >= rateInterval:
		p.rate = float64(records-p.records) / now.Sub(p.measured).Seconds()
		p.records, p.measured = records, now
	}
	if known && (!p.shareKnown || share < p.share) {
		p.shareSince, p.shareBase = now, share
	}
	p.share, p.shareKnown = share, known
}

// inputOf returns how many records the sources have read, and which share that
// is of the input, if all of it is bounded and its size known.
func inputOf(job *client.Job) (records uint64, share float64, known bool) {
	sources := 0
	known = true
	for _, v := range job.Vertices {
		if !v.Source {
			continue
		}
		sources++
		var done, total uint64
		for _, s := range v.Subtasks {
			records += max(s.Metrics.RecordsIn, s.Metrics.RecordsOut)
			done += s.Metrics.ProgressDone
			total += s.Metrics.ProgressTotal
		}
		known = known && v.Bounded && total > 0
		if total > 0 {
			share += min(1, float64(done)/float64(total))
		}
	}
	if sources == 0 || !known {
		return records, 0, false
	}
	return records, share / float64(sources), true
}

func (p *progress) line(now time.Time) string {
	parts := []string{"Job is " + string(p.state)}
	if p.message != "" {
		parts = append(parts, strings.ReplaceAll(p.message, "\n", " "))
	}
	if p.shareKnown {
		parts = append(parts, fmt.Sprintf("%.0f%% read", 100*p.share))
	}
	if p.rate > 0 {
		parts = append(parts, thousands(p.rate)+" records/s")
	}
	if left, ok := p.left(now); ok {
		parts = append(parts, "about "+left.String()+" left")
	}
	return strings.Join(parts, ", ")
}

// summary says what a job has done that has finished.
func summary(job *client.Job) string {
	records, _, _ := inputOf(job)
	took := job.End.Sub(job.Start)
	text := fmt.Sprintf("Job is %s: %d records read in %v", job.State, records, took.Round(time.Millisecond))
	if took > 0 {
		text += fmt.Sprintf(", %s records/s", thousands(float64(records)/took.Seconds()))
	}
	return text
}

// left is how long the rest will take if it goes on like this.
func (p *progress) left(now time.Time) (time.Duration, bool) {
	gained, elapsed := p.share-p.shareBase, now.Sub(p.shareSince)
	if !p.shareKnown || gained < 0.01 || elapsed < time.Second {
		return 0, false
	}
	left := time.Duration(float64(elapsed) * (1 - p.share) / gained)
	return left.Round(time.Second), true
}

// thousands prints a number with three digits: 950, 12.3 k, 4.56 M.
func thousands(n float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, " G"}, {1e6, " M"}, {1e3, " k"}} {
		if n >= 0.9995*unit.size { // What three digits round up to it, too.
			return fmt.Sprintf("%.3g%s", n/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%.0f", n)
}
