package workload

import (
	"flag"
	"fmt"

	"github.com/weirstream/weir/bench/internal/histogram"
)

// Pace are the parameters of a stream of records at a steady rate.
type Pace struct {
	// Records is the number of records, and WarmUp that of the first ones, which
	// are not counted.
	Records, WarmUp int64
	// Rate is the number of records per second.
	Rate float64
}

// Flags defines the flags -n, -rate and -warmup, with their defaults.
func (p *Pace) Flags(flags *flag.FlagSet) {
	flags.Int64Var(&p.Records, "n", 100_000, "the `number` of records")
	flags.Float64Var(&p.Rate, "rate", 10_000, "the `number` of records per second")
	flags.Int64Var(&p.WarmUp, "warmup", 0, "the `number` of records at the beginning that are not counted")
}

// Arguments are the arguments that [Pace.Flags] reads p from.
func (p Pace) Arguments() []string {
	return []string{"-n", fmt.Sprint(p.Records), "-rate", fmt.Sprint(p.Rate), "-warmup", fmt.Sprint(p.WarmUp)}
}

// Check returns an error if nothing would be counted.
func (p Pace) Check() error {
	if p.WarmUp < 0 || p.WarmUp >= p.Records {
		return fmt.Errorf("-n %d, of which the first %d are not counted: there must be some that are", p.Records, p.WarmUp)
	}
	return nil
}

// Latencies are what a subtask of a sink has measured: from when a record was
// due at its source to when the sink got it.
type Latencies struct {
	Subtask int `json:"subtask"`
	// Remote has the records that came from another process, Local the others.
	Remote *histogram.Histogram `json:"remote"`
	Local  *histogram.Histogram `json:"local"`
}
