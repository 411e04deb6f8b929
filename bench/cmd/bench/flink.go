package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/weirstream/weir/bench/internal/cluster"
	"github.com/weirstream/weir/bench/internal/report"
	"github.com/weirstream/weir/bench/internal/workload"
)

const (
	// flinkSeconds is about how long a run of Flink takes.
	flinkSeconds = 8
	// warmUpGain is how much faster than the first run the others are expected.
	warmUpGain = 1.3
)

// flinkTryEvents is the number of events, in all, of Flink's first run, which does
// not count: the virtual machine warms up in it. Sliding windows are far slower, as
// each event is added up in all of its windows.
func flinkTryEvents(panes int64) int64 {
	if panes > 0 {
		return 1_000_000
	}
	return 5_000_000
}

// besideFlink has the engine and a real Flink take turns at keyed-window and
// sliding-window.
func (h *harness) besideFlink(ctx context.Context) (err error) {
	f, err := newFlink(ctx, h)
	if err != nil {
		return err
	}
	if err := h.build(ctx); err != nil {
		return err
	}
	h.say("starting Flink; the first time it is built, which takes minutes")
	if _, err := f.call(ctx, "start", f.directory); err != nil {
		return errors.Join(err, f.stop(ctx))
	}
	defer func() { err = errors.Join(err, f.stop(ctx)) }()
	return h.withCluster(ctx, func(c *cluster.Cluster) error {
		for _, keys := range h.keys {
			if err := h.besideFlinkAt(ctx, c, f, keys); err != nil {
				return fmt.Errorf("beside Flink: %w", err)
			}
		}
		return nil
	})
}

// besideFlinkAt compares the windows that are wanted.
func (h *harness) besideFlinkAt(ctx context.Context, c *cluster.Cluster, f *flink, keys uint64) error {
	w, err := h.workFor(ctx, keys, h.seconds)
	if err != nil {
		return err
	}
	if h.name != "sliding-window" {
		if err := h.pairsWithFlink(ctx, c, f, slidingVariant{variant{bench: "keyed-window"}, w}); err != nil {
			return err
		}
	}
	if h.name == "keyed-window" {
		return nil
	}
	for _, v := range h.slidingVariants(w) {
		if err := h.pairsWithFlink(ctx, c, f, v); err != nil {
			return err
		}
	}
	return nil
}

// pairsWithFlink has the engine and Flink take turns at windows of one kind.
func (h *harness) pairsWithFlink(ctx context.Context, c *cluster.Cluster, f *flink, v slidingVariant) error {
	if s := v.sliding.Subtract; s != nil && *s {
		return nil // Flink's aggregates cannot subtract
	}
	h.say("%s, %d keys: the first run of each, which does not count", v.bench, v.work.Keys)
	quiet := *h
	quiet.stdout = h.stderr
	if _, err := quiet.runWeir(ctx, c, v.work, v.variant); err != nil {
		return err
	}
	first, err := f.run(ctx, v, flinkTryEvents(v.sliding.Panes))
	if err != nil {
		return err
	}
	events := splits * eventsFor(warmUpGain*first.EventsPerSecond, flinkSeconds)
	var ratios report.Ratios
	var held float64
	pairs := min(h.pairs, fewPairs)
	for i := range pairs {
		h.say("%s, %d keys, beside Flink: pair %d of %d", v.bench, v.work.Keys, i+1, pairs)
		weir, err := h.runWeir(ctx, c, v.work, v.variant)
		if err != nil {
			return err
		}
		other, err := f.run(ctx, v, events)
		if err != nil {
			return err
		}
		if err := h.print(other); err != nil {
			return err
		}
		ratios.Add(weir, other)
		held = max(held, weir.HeldMS)
	}
	return h.compare(ratios, report.Comparison{Bench: v.bench, Ratio: "weir/flink", Keys: v.work.Keys, Sliding: v.sliding, HeldMS: held})
}

// flink is a Flink cluster that a script starts.
type flink struct {
	harness   *harness
	script    string
	directory string
	// environment tells the script which ports are free.
	environment []string
}

func newFlink(ctx context.Context, h *harness) (*flink, error) {
	script, err := filepath.Abs(filepath.Join(h.flinkDir, "flink"))
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(script); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("there is no Flink to compare with: %s is not there; name the directory of the script flink with -flink-dir", script)
	}
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("what Flink is started with, Java 17 and Maven, is missing: %w", err)
		}
	}
	f := &flink{harness: h, script: script, directory: filepath.Join(h.temp, "flink"), environment: os.Environ()}
	for _, variable := range []string{"FLINK_REST_PORT", "FLINK_RPC_PORT"} {
		port, err := freePort(ctx)
		if err != nil {
			return nil, err
		}
		f.environment = append(f.environment, variable+"="+strconv.Itoa(port))
	}
	return f, nil
}

// freePort returns a port of loopback that nobody listens on at the moment.
func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// call calls the script and returns what it prints.
func (f *flink) call(ctx context.Context, args ...string) ([]byte, error) {
	var stdout bytes.Buffer
	command := exec.CommandContext(ctx, f.script, args...)
	command.Env, command.Stdout, command.Stderr = f.environment, &stdout, f.harness.stderr
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s %v: %w\n%s", f.script, args, err, &stdout)
	}
	return stdout.Bytes(), nil
}

func (f *flink) stop(ctx context.Context) error {
	_, err := f.call(context.WithoutCancel(ctx), "stop", f.directory)
	return err
}

// run runs the work with a number of events in all. What Flink finds is not
// checked: its job has a sink that keeps nothing.
func (f *flink) run(ctx context.Context, v slidingVariant, events int64) (report.Figure, error) {
	p := v.work.Params
	out, err := f.call(ctx, "bench", f.directory, "KeyedWindow", "--n", fmt.Sprint(events), "--keys", fmt.Sprint(p.Keys),
		"--size", fmt.Sprint(p.Window*max(1, v.sliding.Panes)), "--slide", fmt.Sprint(p.Window), "--evrate", fmt.Sprint(p.Rate))
	if err != nil {
		return report.Figure{}, err
	}
	figure, err := flinkFigure(out, p, events)
	figure.Bench, figure.Sliding = v.bench, v.sliding
	return figure, err
}

// flinkFigure reads the line that the job prints, among those of the command.
func flinkFigure(stdout []byte, p workload.Params, events int64) (report.Figure, error) {
	for line := range bytes.Lines(stdout) {
		if !bytes.HasPrefix(line, []byte(`{"bench":"keyed-window"`)) {
			continue
		}
		var found struct {
			Events          int64   `json:"events"`
			Keys            uint64  `json:"keys"`
			Parallelism     int     `json:"parallelism"`
			EventsPerSecond float64 `json:"events_per_second"`
		}
		if err := json.Unmarshal(line, &found); err != nil {
			return report.Figure{}, fmt.Errorf("what Flink's job printed, %q: %w", line, err)
		}
		if found.Events != events || found.Keys != p.Keys || found.Parallelism != splits || !(found.EventsPerSecond > 0) {
			return report.Figure{}, fmt.Errorf("the job of Flink has done other work than it was told to: %s", line)
		}
		return report.Figure{
			Bench: "keyed-window", System: report.Flink, Keys: p.Keys, Events: events, EventsPerSecond: found.EventsPerSecond,
		}, nil
	}
	return report.Figure{}, fmt.Errorf("the job of Flink has printed no figure:\n%s", stdout)
}
