package main

import (
	"bytes"
	"context"
	_ "embed"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/process"
)

// completionTimeout is how long the shell may wait for the names of jobs. Who
// presses the tab key waits for it.
const completionTimeout = time.Second

// bashWords is what the script for bash needs of the package bash-completion,
// for shells that do not have that.
//
//go:embed completion.bash
var bashWords string

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print a script that completes commands in a shell",
		Long: `Completion prints a script by which a shell completes actions, options, keys of the
configuration, and the IDs of jobs, for which it asks the cluster.

In this shell:
  bash  source <(weir completion bash)
  zsh   source <(weir completion zsh)
  fish  weir completion fish | source

In every new shell, add the line to ~/.bashrc or ~/.zshrc (after compinit), or for fish:
  weir completion fish > ~/.config/fish/completions/weir.fish`,
		ValidArgs:             []cobra.Completion{"bash", "zsh", "fish"},
		DisableFlagsInUseLine: true,
		Args: func(command *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usagef("Missing shell. Specify bash, zsh or fish.")
			case len(args) > 1:
				return usagef("Unexpected argument: %s", args[1])
			case !slices.Contains(command.ValidArgs, args[0]):
				return usagef("Unknown shell: %s. It must be bash, zsh or fish.", args[0])
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			script, err := completionScript(command.Root(), args[0])
			a.print(script)
			return err
		},
	}
}

func completionScript(root *cobra.Command, shell string) (string, error) {
	var b bytes.Buffer
	generate := map[string]func(io.Writer) error{
		"bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
		"zsh":  root.GenZshCompletion,
		"fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
	}[shell]
	if shell == "bash" {
		b.WriteString(bashWords)
	}
	err := generate(&b)
	return b.String(), err
}

// completeKeys proposes the keys of the configuration.
func completeKeys(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var keys []cobra.Completion
	for _, k := range config.Keys() {
		keys = append(keys, cobra.CompletionWithDesc(k.Name, k.Doc))
	}
	return keys, cobra.ShellCompDirectiveNoFileComp
}

// completeSettings proposes what may follow -D: a key up to its value, which is
// the user's.
func completeSettings(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if strings.Contains(begun, "=") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var settings []cobra.Completion
	for _, k := range config.Keys() {
		settings = append(settings, cobra.CompletionWithDesc(k.Name+"=", k.Doc))
	}
	return settings, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeJobs proposes the jobs that have not ended. It waits no longer than
// completionTimeout, and what goes wrong is nothing to say while somebody types.
func (a *app) completeJobs(s *settings) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(command.Root().Context(), completionTimeout)
		defer cancel()
		var jobs []cobra.Completion
		for _, job := range s.jobs(ctx) {
			if !job.State.Terminal() {
				jobs = append(jobs, cobra.CompletionWithDesc(job.ID, oneLine(job.Name)+" ("+string(job.State)+")"))
			}
		}
		return jobs, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// jobs returns the jobs of the cluster, or none if they cannot be had.
func (s *settings) jobs(ctx context.Context) []client.JobSummary {
	path, err := process.ConfigFile(s.file)
	if err != nil {
		return nil
	}
	c, _, err := process.Inputs(path, s.dynamic).Load()
	if err != nil {
		return nil
	}
	jobManager, err := s.connect(c)
	if err != nil {
		return nil
	}
	defer func() { _ = jobManager.Close() }()
	jobs, err := jobManager.List(ctx)
	if err != nil {
		return nil
	}
	return jobs
}
