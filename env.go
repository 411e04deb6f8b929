package weir

import (
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/dataflow"
)

// Env is what a job is built in: it collects the graph. It belongs to the
// goroutine that runs the build function.
type Env struct {
	graph    *dataflow.Graph
	args     []string
	recorded map[string][]byte
}

// Args returns the arguments of the job: what follows the executable in
// "weir run", or the program's own arguments when it runs by itself.
func (e *Env) Args() []string { return e.args }

// Parallelism sets the parallelism of every operator that has none of its own.
// It wins over -p and the configuration.
func (e *Env) Parallelism(n int) {
	if n < 1 || n > dataflow.MaxParallelism {
		e.graph.Mistake(dataflow.Caller(), "parallelism %d: it must be between 1 and %d", n, dataflow.MaxParallelism)
		return
	}
	e.Set("parallelism.default", fmt.Sprint(n))
}

// BufferTimeout sets how long a record may wait in a network buffer for others
// to join it, for every operator without a setting of its own. 0 sends after
// every small chunk of work, [FullBuffersOnly] only when a buffer is full.
func (e *Env) BufferTimeout(d time.Duration) {
	if d < 0 && d != FullBuffersOnly {
		e.graph.Mistake(dataflow.Caller(), "buffer timeout %v: it must not be negative, or weir.FullBuffersOnly", d)
		return
	}
	e.Set("execution.buffer-timeout.enabled", fmt.Sprint(d != FullBuffersOnly))
	if d != FullBuffersOnly {
		ms := d.Milliseconds()
		if d%time.Millisecond > 0 {
			ms++ // never down to 0, which means something else
		}
		e.Set("execution.buffer-timeout.interval", fmt.Sprintf("%d ms", ms))
	}
}

// FullBuffersOnly as a buffer timeout sends buffers only when they are full.
const FullBuffersOnly = dataflow.NoTimeout

// DisableChaining runs every operator in a task of its own.
func (e *Env) DisableChaining() { e.graph.NoChaining = true }

// Set sets a configuration key of the job, such as
// "pipeline.pre-aggregation.enabled". It wins over -D and the file. A key that
// does not exist, a bad value, and a key that is not read for a job but by the
// daemons are mistakes that are reported when the job is built.
func (e *Env) Set(key, value string) {
	c, _, err := config.Default().With("Env.Set", map[string]string{key: value})
	if err != nil {
		e.graph.Mistake(dataflow.Caller(), "%v", err)
		return
	}
	if settings, _ := c.JobSettings(); len(c.Map()) > len(settings) {
		e.graph.Mistake(dataflow.Caller(), "Env.Set: key %q is no setting of a job: set it in the configuration file", key)
		return
	}
	e.graph.Settings[key] = value
}

// Once evaluates f where the job is planned and gives its value to every
// worker: use it for what must be the same everywhere and differs between runs
// of main, such as the current time or a random seed. Names are unique in a
// job.
//
// A value is encoded as JSON, so only exported fields survive.
func Once[V any](env *Env, name string, f func() (V, error)) V {
	var v V
	at := dataflow.Caller()
	if _, ok := env.graph.Recorded[name]; ok {
		env.graph.Mistake(at, "weir.Once has the name %q a second time", name)
		return v
	}
	data, ok := env.recorded[name]
	var err error
	if ok {
		err = decodeOnce(data, &v)
	} else if v, err = f(); err == nil {
		data, err = encodeOnce(v)
		if err == nil {
			// The value takes the same way as in a worker, so a field that does not
			// survive it is missed here already.
			var same V
			err = decodeOnce(data, &same)
			v = same
		}
	}
	if err != nil {
		env.graph.Mistake(at, "weir.Once %q: %v", name, err)
		return v
	}
	env.graph.Recorded[name] = data
	return v
}
