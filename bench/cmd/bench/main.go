// Bench runs Weir's benchmarks, on real processes on loopback, and prints what
// they measured as lines of JSON.
//
//	bench [-run name] [-flink [-flink-dir directory]] [-keys n,n] [-pairs n] [-seconds s] [-duration d] [-cpuprofile directory]
//
// It is what make bench and make bench-flink call. bench/README.md says what the
// benchmarks are and how to read their lines. What it is doing meanwhile is told
// on standard error. It exits with 1 if a run failed or its answer is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weirstream/weir/bench/internal/cluster"
	"github.com/weirstream/weir/bench/internal/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// benchmark is one of those that -run names.
type benchmark struct {
	name string
	run  func(*harness, context.Context) error
}

func benchmarks() []benchmark {
	return []benchmark{
		{"keyed-window", (*harness).keyedWindow},
		{"sliding-window", (*harness).slidingWindow},
		{"strings", (*harness).strings},
		{"latency", (*harness).latency},
		{"bounded-memory", (*harness).boundedMemory},
	}
}

// options are the command's.
type options struct {
	name     string
	flink    bool
	flinkDir string
	// keys are the numbers of keys that keyed windows are measured with.
	keys []uint64
	// pairs is the number of pairs of a comparison that counts; those that are
	// shown beside it have fewer.
	pairs int
	// seconds is how long a run of the hand-written limit takes; the engine does
	// the same work.
	seconds    float64
	duration   time.Duration // of the others; 0 is what each is meant to take
	cpuProfile string
}

func parse(args []string, usage io.Writer) (options, error) {
	o := options{keys: []uint64{1000, 100_000}}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&o.name, "run", "", "the `name` of the benchmark to run; without it, all")
	flags.BoolVar(&o.flink, "flink", false, "compare keyed-window and sliding-window with a real Flink; needs Java and Maven")
	flags.StringVar(&o.flinkDir, "flink-dir", "../shared/flink", "the `directory` of the script that starts Flink")
	flags.Func("keys", "the `numbers` of distinct keys that windows are measured with (default 1000,100000)", o.setKeys)
	flags.IntVar(&o.pairs, "pairs", 7, "the `number` of pairs of runs that are compared")
	flags.Float64Var(&o.seconds, "seconds", 3, "about how many `seconds` a run of keyed-window takes by hand")
	flags.DurationVar(&o.duration, "duration", 0, "how long latency and bounded-memory measure; 0 is 15s for each case and 2m")
	flags.StringVar(&o.cpuProfile, "cpuprofile", "", "run keyed-window and strings once more, with CPU profiles of the workers in this `directory`")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	return o, o.check(flags.Args())
}

func (o *options) setKeys(list string) error {
	o.keys = nil
	for part := range strings.SplitSeq(list, ",") {
		keys, err := strconv.ParseUint(part, 10, 32)
		if err != nil || keys == 0 {
			return fmt.Errorf("%q is not a number of keys", part)
		}
		o.keys = append(o.keys, keys)
	}
	return nil
}

func (o *options) check(rest []string) error {
	var names []string
	for _, b := range benchmarks() {
		names = append(names, b.name)
	}
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unexpected argument %q", rest[0])
	case o.name != "" && !slices.Contains(names, o.name):
		return fmt.Errorf("there is no benchmark %q: there are %s", o.name, strings.Join(names, ", "))
	case o.flink && o.name != "" && o.name != "keyed-window" && o.name != "sliding-window":
		return fmt.Errorf("-flink -run %s: only keyed-window and sliding-window are compared with Flink", o.name)
	case o.pairs < 1:
		return fmt.Errorf("-pairs %d: there must be at least one", o.pairs)
	case !(o.seconds > 0 && o.seconds <= 600):
		return fmt.Errorf("-seconds %v: it must be between 0 and 600", o.seconds)
	case o.duration < 0:
		return fmt.Errorf("-duration %v: it must not be negative", o.duration)
	}
	return nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	h := &harness{options: o, stdout: stdout, stderr: stderr}
	if h.temp, err = os.MkdirTemp("", "weir-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(h.temp)) }()
	if o.flink {
		return h.besideFlink(ctx)
	}
	if err := h.build(ctx); err != nil {
		return err
	}
	for _, b := range benchmarks() {
		if o.name != "" && o.name != b.name {
			continue
		}
		if err := b.run(h, ctx); err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
	}
	return nil
}

// harness is what the benchmarks have in common.
type harness struct {
	options
	stdout, stderr io.Writer
	temp           string
}

func (h *harness) build(ctx context.Context) error {
	root, err := cluster.ModuleRoot(ctx)
	if err != nil {
		return err
	}
	h.say("building")
	return cluster.Build(ctx, root, h.temp, "./cmd/jobmanager", "./cmd/taskmanager",
		"./bench/limit", "./bench/job/keyedwindow", "./bench/job/latency", "./bench/job/slowsink")
}

// executable returns the path of a program that was built.
func (h *harness) executable(name string) string { return filepath.Join(h.temp, name) }

// say tells what is going on.
func (h *harness) say(format string, args ...any) {
	fmt.Fprintf(h.stderr, "bench: "+format+"\n", args...)
}

// print prints a line of JSON.
func (h *harness) print(line any) error { return report.Print(h.stdout, line) }

// withCluster calls f with a new cluster of two TaskManagers with a slot each.
func (h *harness) withCluster(ctx context.Context, f func(*cluster.Cluster) error) (err error) {
	directory, err := os.MkdirTemp(h.temp, "cluster-")
	if err != nil {
		return err
	}
	c, err := cluster.Start(ctx, cluster.Config{Binaries: h.temp, Directory: directory, TaskManagers: splits, Slots: 1})
	if err != nil {
		return fmt.Errorf("start a cluster: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return f(c)
}
