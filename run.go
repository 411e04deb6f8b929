package weir

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/embedded"
)

// Run runs a job in this process, with the same engine as a cluster, and
// returns when it has ended: nil if it finished, or why it did not. When ctx is
// done the job is canceled. Several jobs may run at the same time.
//
// The parallelism is the number of CPUs unless the job or an option says
// otherwise, and there are as many slots as the job needs.
func Run(ctx context.Context, name string, build func(env *Env), options ...RunOption) error {
	r := runOptions{settings: map[string]string{}, log: slog.New(slog.DiscardHandler)}
	for _, o := range options {
		o(&r)
	}
	input := dataflow.BuildInput{Configuration: r.settings}
	return embedded.Run(ctx, embedded.Job{
		Graph: buildGraph(name, build, r.args, input), FileName: filepath.Base(os.Args[0]), Arguments: r.args,
		Settings: r.settings, EngineVersion: engineVersion(), Log: r.log, Warn: r.warn,
	})
}

// RunOption is an option of [Run].
type RunOption func(*runOptions)

type runOptions struct {
	args     []string
	settings map[string]string
	log      *slog.Logger
	quiet    bool
}

func (r *runOptions) warn(text string) {
	if !r.quiet {
		fmt.Fprintln(os.Stderr, "warning:", text)
	}
}

// Args gives the job its arguments; see [Env.Args].
func Args(args ...string) RunOption { return func(r *runOptions) { r.args = args } }

// Setting sets a configuration key, as -D does for a cluster:
// "parallelism.default", "execution.buffer-timeout.interval". Settings made in
// the job's code win over it.
func Setting(key, value string) RunOption {
	return func(r *runOptions) { r.settings[key] = value }
}

// Logger sends what the engine logs to l; without it, nothing is logged, since
// Run returns what went wrong.
func Logger(l *slog.Logger) RunOption { return func(r *runOptions) { r.log = l } }

// WithoutWarnings keeps Run from writing what it warns of to standard error.
func WithoutWarnings() RunOption { return func(r *runOptions) { r.quiet = true } }
