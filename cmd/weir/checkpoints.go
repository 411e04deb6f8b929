package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/client"
)

func (a *app) checkpointsCommand() *cobra.Command {
	s := &settings{}
	verbose := false
	command := &cobra.Command{
		Use:   "checkpoints [OPTIONS] <Job ID>",
		Short: "Show the checkpoints of a job",
		Long: "Checkpoints shows how many checkpoints a job has taken and how, the last ones that completed,\n" +
			"failed and were restored, which ones are retained, and the history. With --verbose it also shows\n" +
			"what part each task has in those that are in progress and in the last ones that completed and failed.",
		Args:                  exactly("Missing JobID. Specify a JobID to show its checkpoints."),
		DisableFlagsInUseLine: true,
		RunE: func(command *cobra.Command, args []string) error {
			id, err := parseJobID(args[0])
			if err != nil {
				return err
			}
			return a.checkpoints(command.Context(), s, id, verbose)
		},
	}
	s.register(command)
	command.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the part of each task")
	a.outputFlag(command)
	command.ValidArgsFunction = a.completeJobs(s)
	return command
}

func (a *app) checkpoints(ctx context.Context, s *settings, id string, verbose bool) error {
	c, err := s.load(a)
	if err != nil {
		return err
	}
	jobManager, err := s.connect(c)
	if err != nil {
		return err
	}
	defer func() { _ = jobManager.Close() }()
	checkpoints, err := request(ctx, c, func(ctx context.Context) (*client.Checkpoints, error) {
		return jobManager.Checkpoints(ctx, id, verbose)
	})
	if err != nil {
		return &failure{action: fmt.Sprintf("Could not retrieve the checkpoints of job %s.", id), cause: err}
	}
	if a.json() {
		return a.printJSON(checkpointsToJSON(id, checkpoints))
	}
	a.print(checkpointsText(id, checkpoints))
	return nil
}
