// Keyedwindow is the benchmark of the record path: a count and a sum per key in
// windows of event time.
//
//	keyedwindow [-n events] [-keys n] [-window ms] [-evrate n] [-panes n] [-subtract] [-field] [-strings] [-cpuprofile DIR]
//
// Windows are tumbling ones, or with -panes sliding ones that are so many times as
// long as -window, with one that begins after each of these. With -subtract the
// aggregate can subtract.
//
// The events are those of the hand-written limit. Keys and event times come from
// plain closures, or with -field from fields that the engine reads by itself.
// With -strings each key is a string of 16 bytes instead of an integer. With
// -cpuprofile each worker writes a CPU profile into DIR, from when its first
// split is opened until its last sink is closed.
//
// Each subtask of the sink prints what it found as a line of JSON.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/bench/internal/workload"
)

func main() { weir.Main("keyed window", func(env *weir.Env) { build(env, os.Stdout) }) }

// options are the job's arguments.
type options struct {
	workload.Params
	panes                    int64
	subtract, field, strings bool
	cpuProfile               string
}

func parse(args []string, usage io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("keyedwindow", flag.ContinueOnError)
	flags.SetOutput(usage)
	o.Flags(flags)
	flags.Int64Var(&o.panes, "panes", 1, "the size of sliding windows, divided by their slide; 1 is for tumbling windows")
	flags.BoolVar(&o.subtract, "subtract", false, "let the aggregate of integer keys subtract")
	flags.BoolVar(&o.field, "field", false, "take keys and times from fields instead of closures")
	flags.BoolVar(&o.strings, "strings", false, "use strings of 16 bytes as keys")
	flags.StringVar(&o.cpuProfile, "cpuprofile", "", "write a CPU profile of each worker into this `directory`")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if o.panes < 1 || o.subtract && o.strings {
		return o, fmt.Errorf("-panes %d -subtract=%v -strings=%v: there is at least one pane, and only integer keys can be subtracted", o.panes, o.subtract, o.strings)
	}
	return o, o.Check()
}

// build builds the job, whose sinks print to out.
func build(env *weir.Env, out io.Writer) {
	o, err := parse(env.Args(), os.Stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(os.Stderr, "keyedwindow: %v\n", err)
		}
		os.Exit(2)
	}
	profile := newProfile(o.cpuProfile)
	sink := rowSink{out: out, profile: profile}
	if o.strings {
		events := weir.From(env, "events", source[named]{params: o.Params, profile: profile, split: newNamedSplit})
		aggregate(events, o, named.time, func(e *named) *int64 { return &e.Time }, named.key, func(e *named) *string { return &e.Key }, countNamed{}).
			To("rows", sink)
		return
	}
	events := weir.From(env, "events", source[workload.Event]{params: o.Params, profile: profile, split: newSplit})
	var counter weir.Aggregator[uint64, workload.Event, countSum, row] = count{}
	if o.subtract {
		counter = subtractingCount{}
	}
	aggregate(events, o,
		func(e workload.Event) int64 { return e.Time }, func(e *workload.Event) *int64 { return &e.Time },
		func(e workload.Event) uint64 { return e.Key }, func(e *workload.Event) *uint64 { return &e.Key }, counter).
		To("rows", sink)
}

// aggregate counts and sums the windows of events of either kind.
func aggregate[K comparable, T any](events weir.Stream[T], o options,
	time func(T) int64, timeField func(*T) *int64, key func(T) K, keyField func(*T) *K, counter weir.Aggregator[K, T, countSum, row],
) weir.Stream[row] {
	var keyed weir.KeyedStream[K, T]
	if o.field {
		keyed = events.WithWatermarksByField(weir.MonotonousTimestamps(), timeField).KeyByField(keyField)
	} else {
		keyed = events.WithWatermarks(weir.MonotonousTimestamps(), time).KeyBy(key)
	}
	windows := weir.Tumbling(o.window())
	if o.panes > 1 {
		windows = weir.Sliding(o.size(), o.window())
	}
	return keyed.Window(windows).Aggregate(counter).ID("count and sum")
}

// size is that of sliding windows.
func (o options) size() time.Duration { return time.Duration(o.panes) * o.window() }

func (o options) window() time.Duration { return time.Duration(o.Window) * time.Millisecond }
