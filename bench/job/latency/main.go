// Latency is the benchmark of how long a record takes through a pipeline that
// has little to do: source → keyBy → sink, at a steady rate.
//
//	latency [-n records] [-rate n] [-warmup n] [-work duration]
//
// Every record carries when it was due at the source. The sink reads the clock
// when it gets the record, so whatever held the record up counts, a source that
// was late included. With -work a map between keyBy and sink keeps the processor
// busy for that long for each record. The first -warmup records are not counted.
//
// Each subtask of the sink prints two histograms as a line of JSON: of the
// records that came from a source in another process, and of the others.
//
// Both clocks are the machine's wall clock, so all processes must be on one
// machine, on which nobody sets the clock meanwhile.
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
	"github.com/weirstream/weir/connector/generator"
)

func main() { weir.Main("latency", func(env *weir.Env) { build(env, os.Stdout) }) }

// options are the job's arguments.
type options struct {
	workload.Pace
	work time.Duration
}

func parse(args []string, usage io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("latency", flag.ContinueOnError)
	flags.SetOutput(usage)
	o.Flags(flags)
	flags.DurationVar(&o.work, "work", 0, "how long a map keeps the processor busy for each record; 0 is no map")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return o, o.Check()
}

// record is what travels.
type record struct {
	Key uint64
	// Number counts the records of all splits.
	Number int64
	// Due is when the source should have sent it, in ns since the epoch.
	Due int64
	// Process is the id of the process of the source.
	Process int64
}

// build builds the job, whose sinks print to out.
func build(env *weir.Env, out io.Writer) {
	o, err := parse(env.Args(), os.Stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(os.Stderr, "latency: %v\n", err)
		}
		os.Exit(2)
	}
	process := int64(os.Getpid())
	records := weir.From(env, "records", generator.Paced(o.Records, o.Rate, func(i int64, due time.Time) record {
		return record{Key: uint64(i) * 0x9e3779b97f4a7c15, Number: i, Due: due.UnixNano(), Process: process}
	}))
	arrived := records.
		KeyBy(func(r record) uint64 { return r.Key % keys }).
		Reduce(func(_, last record) record { return last }).ID("last")
	if o.work > 0 {
		arrived = arrived.Map(func(r record) record {
			for start := time.Now(); time.Since(start) < o.work; {
				continue
			}
			return r
		}).Name("busy")
	}
	arrived.To("latency", sink{out: out, warmUp: o.WarmUp, process: process})
}

// keys is how many keys there are: enough for both subtasks to have the same
// number of records.
const keys = 1 << 14
