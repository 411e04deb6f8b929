package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/weirstream/weir/bench/internal/cluster"
	"github.com/weirstream/weir/bench/internal/report"
	"github.com/weirstream/weir/bench/internal/workload"
	"github.com/weirstream/weir/client"
)

const (
	// splits is the number of splits, of subtasks and of processes.
	splits = 2
	// fewPairs is the number of pairs of what is shown beside a comparison.
	fewPairs = 3
	// tryEvents is how many events of each split are used to find out how fast
	// the machine is.
	tryEvents = 4_000_000
	// wholeEvents is what the number of events of a split is a multiple of.
	wholeEvents = 1_000_000
)

// errWrong is wrapped by the error of a run whose result is not what it must be.
var errWrong = errors.New("wrong result")

// keyedWindow compares the engine with the hand-written limit.
func (h *harness) keyedWindow(ctx context.Context) error {
	return h.withCluster(ctx, func(c *cluster.Cluster) error {
		for _, keys := range h.keys {
			if err := h.besideLimit(ctx, c, keys); err != nil {
				return err
			}
		}
		return nil
	})
}

// besideLimit has the engine and the limit take turns. In some of the rounds the
// engine runs a second time, with pre-aggregation.
func (h *harness) besideLimit(ctx context.Context, c *cluster.Cluster, keys uint64) error {
	w, err := h.workFor(ctx, keys, h.seconds)
	if err != nil {
		return err
	}
	var off, on report.Ratios
	for i := range h.pairs {
		h.say("keyed-window, %d keys: pair %d of %d", keys, i+1, h.pairs)
		weir, err := h.runWeir(ctx, c, w, variant{bench: "keyed-window"})
		if err != nil {
			return err
		}
		limit, err := h.runLimit(ctx, w)
		if err != nil {
			return err
		}
		off.Add(weir, limit)
		if i >= fewPairs {
			continue
		}
		combined, err := h.runWeir(ctx, c, w, variant{bench: "keyed-window", preAggregate: true})
		if err != nil {
			return err
		}
		on.Add(combined, limit)
	}
	named := report.Comparison{Bench: "keyed-window", Ratio: "weir/limit", Keys: keys}
	if err := h.compare(off, named); err != nil {
		return err
	}
	named.PreAggregate = true
	return errors.Join(h.compare(on, named), h.profile(ctx, c, w, variant{bench: "keyed-window"}))
}

// compare prints a comparison.
func (h *harness) compare(r report.Ratios, named report.Comparison) error {
	c, err := r.Compare(named)
	if err != nil {
		return err
	}
	return h.print(c)
}

// profile runs the work once more, apart from what is measured, if profiles are
// wanted.
func (h *harness) profile(ctx context.Context, c *cluster.Cluster, w work, v variant) error {
	if h.cpuProfile == "" {
		return nil
	}
	directory, err := filepath.Abs(filepath.Join(h.cpuProfile, fmt.Sprintf("%s-%d", v.bench, w.Keys)))
	if err == nil {
		err = os.MkdirAll(directory, 0o755)
	}
	if err != nil {
		return fmt.Errorf("CPU profiles: %w", err)
	}
	h.say("CPU profiles of both workers are in %s; the speed of this run is not comparable", directory)
	v.name = "profiled"
	v.arguments = append(v.arguments, "-cpuprofile", directory)
	_, err = h.runWeir(ctx, c, w, v)
	return err
}

// work is what is to be done, with what must come out.
type work struct {
	workload.Params
	answer workload.Result
}

// workFor returns work with which the hand-written limit is busy for about that
// long on this machine.
func (h *harness) workFor(ctx context.Context, keys uint64, seconds float64) (work, error) {
	p := workload.Params{Events: tryEvents, Keys: keys, Window: 1000, Rate: 1_000_000}
	h.say("finding out how many events with %d keys take %v s by hand", keys, seconds)
	line, err := h.limitLine(ctx, p)
	if err != nil {
		return work{}, err
	}
	p.Events = eventsFor(line.EventsPerSecond, seconds)
	h.say("%d events; computing what must come out", splits*p.Events)
	return work{p, p.Answer(splits)}, nil
}

// eventsFor returns how many events of each split take that long in all.
func eventsFor(perSecond, seconds float64) int64 {
	return wholeEvents * max(1, int64(math.Ceil(perSecond*seconds/splits/wholeEvents)))
}

// runLimit runs the hand-written limit and prints its figure.
func (h *harness) runLimit(ctx context.Context, w work) (report.Figure, error) {
	line, err := h.limitLine(ctx, w.Params)
	if err != nil {
		return report.Figure{}, err
	}
	if line.Result != w.answer {
		return report.Figure{}, fmt.Errorf("%w: the hand-written limit has found %+v, and it is %+v", errWrong, line.Result, w.answer)
	}
	return line.Figure, errors.Join(half(*line.TCPRecords, line.Events), h.print(line.Figure))
}

func (h *harness) limitLine(ctx context.Context, p workload.Params) (line report.LimitLine, err error) {
	var stdout bytes.Buffer
	command := exec.CommandContext(ctx, h.executable("limit"), p.Arguments()...)
	command.Stdout, command.Stderr = &stdout, h.stderr
	if err := command.Run(); err != nil {
		return line, fmt.Errorf("the hand-written limit: %w", err)
	}
	if err := json.Unmarshal(stdout.Bytes(), &line); err != nil {
		return line, fmt.Errorf("what the hand-written limit printed: %w", err)
	}
	return line, nil
}

// variant is how the engine does the work.
type variant struct {
	// bench and name are what the figure has.
	bench, name  string
	preAggregate bool
	sliding      report.Sliding
	// arguments are the job's, beside those of the work.
	arguments []string
}

// runWeir runs the work as a job, checks its answer and prints its figure.
func (h *harness) runWeir(ctx context.Context, c *cluster.Cluster, w work, v variant) (report.Figure, error) {
	outcome, err := c.Run(ctx, cluster.Job{
		Submission: client.Submission{
			Executable: h.executable("keyedwindow"), Arguments: append(w.Arguments(), v.arguments...),
			Configuration: map[string]string{"pipeline.pre-aggregation.enabled": strconv.FormatBool(v.preAggregate)},
		},
		Parallelism: splits, Stderr: h.stderr,
	})
	if err != nil {
		return report.Figure{}, err
	}
	opened, err := checkAnswer(outcome.Stdout, w.answer)
	if err != nil {
		return report.Figure{}, err
	}
	events, records := splits*w.Events, outcome.RemoteRecords()
	if !v.preAggregate {
		if err := half(records, events); err != nil {
			return report.Figure{}, err
		}
	}
	figure := report.Figure{
		Bench: v.bench, System: report.Weir, Variant: v.name, Keys: w.Keys, PreAggregate: v.preAggregate,
		Sliding: v.sliding, Events: events, TCPRecords: &records,
		EventsPerSecond: report.Rate(events, float64(outcome.Job.End.UnixMilli()-opened)/1000),
	}
	if v.sliding.Panes > 0 {
		figure.HeldMS = float64(outcome.LongestFiring().Microseconds()) / 1000
	}
	return figure, h.print(figure)
}

// checkAnswer adds up what the subtasks printed, compares it with what must come
// out, and returns when the first of them was opened, in ms since the epoch.
func checkAnswer(stdout [][]byte, want workload.Result) (opened int64, err error) {
	var got workload.Result
	seen := map[int]bool{}
	opened = math.MaxInt64
	for _, line := range stdout {
		var r workload.SubtaskResult
		if err := json.Unmarshal(line, &r); err != nil {
			return 0, fmt.Errorf("the job printed %q: %w", line, err)
		}
		if seen[r.Subtask] {
			return 0, fmt.Errorf("%w: subtask %d has printed twice", errWrong, r.Subtask)
		}
		seen[r.Subtask] = true
		got.Add(r.Result)
		opened = min(opened, r.Opened)
	}
	switch {
	case len(seen) != splits:
		return 0, fmt.Errorf("%w: %d of %d subtasks have printed what they found", errWrong, len(seen), splits)
	case got != want:
		return 0, fmt.Errorf("%w: the job has found %+v, and it is %+v", errWrong, got, want)
	}
	return opened, nil
}

// half returns an error unless about half of the events were received over TCP,
// as it must be where both processes have keys that belong to either. Few events
// may be divided less evenly: by two standard deviations, which are half of
// 1/√events each.
func half(records, events int64) error {
	share := float64(records) / float64(events)
	if events == 0 || math.Abs(share-0.5) > 0.05+1/math.Sqrt(float64(events)) {
		return fmt.Errorf("%w: %d of %d events were received over TCP (%.2f): about half must be", errWrong, records, events, share)
	}
	return nil
}
