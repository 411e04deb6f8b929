// Slowsink is the benchmark of bounded memory: a source that always has records,
// before a sink that takes one in a millisecond. Whatever is between them must
// not pile up.
//
//	slowsink [-delay duration]
//
// The pipeline has an exchange before and after a task that does nothing, so
// that the sink holds back a task that holds back another. It runs until it is
// cancelled.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/bench/internal/workload"
	"github.com/weirstream/weir/connector/generator"
)

func main() { weir.Main("slow sink", build) }

func parse(args []string, usage io.Writer) (delay time.Duration, err error) {
	flags := flag.NewFlagSet("slowsink", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.DurationVar(&delay, "delay", time.Millisecond, "how long the sink sleeps for each record")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	if flags.NArg() > 0 {
		return 0, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return delay, nil
}

func build(env *weir.Env) {
	delay, err := parse(env.Args(), os.Stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(os.Stderr, "slowsink: %v\n", err)
		}
		os.Exit(2)
	}
	weir.From(env, "records", generator.Of(-1, func(i int64) workload.Event {
		return workload.Event{Key: uint64(i), Time: i, Value: i, Rest: uint64(i)}
	})).
		Rebalance().
		Map(func(e workload.Event) workload.Event { return e }).Name("between").
		Rebalance().
		To("slow", sink(delay))
}

// sink sleeps for each record.
type sink time.Duration

func (s sink) Open(context.Context, weir.Subtask) (weir.Writer[workload.Event], error) {
	return writer(s), nil
}

type writer time.Duration

func (w writer) Write(events []workload.Event) error {
	for range events {
		time.Sleep(time.Duration(w)) //nolint:forbidigo // it stands for a system that is slow, whatever is written to it
	}
	return nil
}

func (w writer) Flush() error { return nil }
func (w writer) Close() error { return nil }
