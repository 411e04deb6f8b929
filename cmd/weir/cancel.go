package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/ids"
)

func (a *app) cancelCommand() *cobra.Command {
	s := &settings{}
	command := &cobra.Command{
		Use:   "cancel [OPTIONS] <Job ID>",
		Short: "Cancel a running job",
		Long: "Cancel asks a job to stop and does not wait until it has: weir list -a tells. Its tasks are\n" +
			"first asked and then, after task.cancellation.timeout, killed.",
		Args:                  exactly("Missing JobID. Specify a JobID to cancel a job."),
		DisableFlagsInUseLine: true,
		RunE: func(command *cobra.Command, args []string) error {
			id, err := parseJobID(args[0])
			if err != nil {
				return err
			}
			return a.cancel(command.Context(), s, id)
		},
	}
	s.register(command)
	ignoreVerbose(command)
	a.outputFlag(command)
	command.ValidArgsFunction = a.completeJobs(s)
	return command
}

func (a *app) cancel(ctx context.Context, s *settings, id string) error {
	c, err := s.load(a)
	if err != nil {
		return err
	}
	jobManager, err := s.connect(c)
	if err != nil {
		return err
	}
	defer func() { _ = jobManager.Close() }()
	if !a.json() {
		a.printf("Cancelling job %s.\n", id)
	}
	_, err = request(ctx, c, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, jobManager.Cancel(ctx, id)
	})
	if err != nil {
		return &failure{action: fmt.Sprintf("Could not cancel job %s.", id), cause: err}
	}
	if a.json() {
		return a.printJSON(cancelJSON{JID: id, Requested: true})
	}
	a.printf("Cancelled job %s.\n", id)
	return nil
}

// cancelJSON says that a job was asked to stop, which takes it a moment.
type cancelJSON struct {
	JID       string `json:"jid"`
	Requested bool   `json:"cancel-requested"`
}

// parseJobID returns the id as the cluster writes it.
func parseJobID(text string) (string, error) {
	id, err := ids.ParseJobID(text)
	if err != nil {
		return "", usagef("Cannot parse JobID from \"%s\". The expected format is [0-9a-fA-F]{32}, e.g. fd72014d4c864993a2e5a9287b4a9c5d.", text)
	}
	return id.String(), nil
}

// ignoreVerbose accepts -v, which in flink does nothing.
func ignoreVerbose(command *cobra.Command) {
	command.Flags().BoolP("verbose", "v", false, "accepted, as flink accepts it; does nothing here")
}
