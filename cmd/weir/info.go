package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/config"
)

// jobOptions are the options of the verbs that take a job.
type jobOptions struct {
	settings
	parallelism string
}

func (o *jobOptions) register(command *cobra.Command) {
	o.settings.register(command)
	command.Flags().StringVarP(&o.parallelism, "parallelism", "p", "", "the `parallelism` of operators for which the job says none")
	_ = command.RegisterFlagCompletionFunc("parallelism", cobra.NoFileCompletions)
	command.Flags().SetInterspersed(false)
	command.Annotations = map[string]string{stopAtJob: "true"}
}

// load reads the configuration with -p above it.
func (o *jobOptions) load(a *app) (*config.Config, error) {
	if o.parallelism == "" {
		return o.settings.load(a)
	}
	switch n, err := strconv.Atoi(o.parallelism); {
	case errors.Is(err, strconv.ErrRange) && n > 0, n > config.MaxParallelism:
		return nil, usagef("The parallelism must be at most %d: %s", config.MaxParallelism, o.parallelism)
	case err != nil, n < 1:
		return nil, usagef("The parallelism must be a positive number: %s", o.parallelism)
	}
	return o.settings.load(a, config.DefaultParallelism.Key()+"="+o.parallelism)
}

// needsJob checks that there is a job among the arguments.
func needsJob(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("Missing job. Specify a Go package or an executable.")
	}
	return nil
}

func (a *app) infoCommand() *cobra.Command {
	o := &jobOptions{}
	command := &cobra.Command{
		Use:   "info [OPTIONS] <package or executable> [<arguments>]",
		Short: "Show the execution plan of a job, without a cluster",
		Long: "Info runs the job's main on this machine, up to the point where the dataflow graph is\n" +
			"built, and prints the graph: as flink does, in JSON between two lines, and then as text for people.\n" +
			"With -o json only the JSON is printed. A Go package is built first.",
		Args:                  needsJob,
		DisableFlagsInUseLine: true,
		RunE: func(command *cobra.Command, args []string) error {
			return a.info(command.Context(), o, args[0], args[1:])
		},
	}
	o.register(command)
	ignoreVerbose(command)
	a.outputFlag(command)
	return command
}

func (a *app) info(ctx context.Context, o *jobOptions, job string, arguments []string) error {
	ctx, stop := a.untilSignal(ctx)
	defer stop()
	c, err := o.load(a)
	if err != nil {
		return err
	}
	t, err := findTarget(job)
	if err != nil {
		return err
	}
	executable, name := job, job
	if t.pkg != "" {
		dir, err := os.MkdirTemp("", "weir-build-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if executable, err = a.build(ctx, t, "", dir); err != nil {
			return err
		}
	}
	limit := config.ClientTimeout.Get(c)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s (%v) has passed", config.ClientTimeout.Key(), limit))
	defer cancel()
	plan, err := a.planLocally(ctx, c, executable, name, arguments)
	if err != nil {
		return err
	}
	for _, w := range plan.Warnings {
		a.warning(w)
	}
	parallelism, err := planParallelism(plan, c)
	if err != nil {
		return err
	}
	encoded, err := encodePlan(plan, parallelism)
	if err != nil {
		return err
	}
	if a.json() {
		a.print(encoded)
		return nil
	}
	description, err := planText(plan, parallelism)
	if err != nil {
		return err
	}
	a.print("----------------------- Execution Plan -----------------------\n" + encoded + blockEnd + "\n\n" + description)
	return nil
}
