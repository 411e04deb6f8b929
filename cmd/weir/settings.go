package main

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/process"
	"github.com/weirstream/weir/internal/security"
)

// settings are the options that all verbs have which need the configuration.
type settings struct {
	file       string
	jobManager string
	dynamic    []string
	target     string
}

func (s *settings) register(command *cobra.Command) {
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVarP(&s.jobManager, "jobmanager", "m", "", "the JobManager's `host:port`, in place of the configured one")
	_ = command.RegisterFlagCompletionFunc("jobmanager", cobra.NoFileCompletions)
	s.registerConfiguration(command)
	// Scripts written for flink say "-t remote".
	flags.StringVarP(&s.target, "target", "t", "remote", "")
	_ = flags.MarkHidden("target")
}

// registerConfiguration defines the options that say what the configuration is.
func (s *settings) registerConfiguration(command *cobra.Command) {
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringArrayVarP(&s.dynamic, "define", "D", nil, "a setting, `key=value`, above file and environment; may be repeated")
	flags.StringVar(&s.file, "config", "", "the configuration `file`; without it $"+process.ConfDir+"/weir.yaml, else ./weir.yaml if it is there")
	_ = command.RegisterFlagCompletionFunc("define", completeSettings)
	s.target = "remote"
}

// load reads the configuration. extra are settings above those of -D.
func (s *settings) load(a *app, extra ...string) (*config.Config, error) {
	if s.target != "remote" {
		return nil, usagef("The target %q is not available: a job runs on the cluster that -m names (\"remote\").", s.target)
	}
	path, err := process.ConfigFile(s.file)
	if err != nil {
		return nil, err
	}
	overrides := append(s.dynamic[:len(s.dynamic):len(s.dynamic)], extra...)
	c, warnings, err := process.Inputs(path, overrides).Load()
	for _, w := range warnings {
		a.warning(w.String())
	}
	return c, err
}

// connect returns a client of the JobManager that options or configuration name.
func (s *settings) connect(c *config.Config) (*client.Client, error) {
	address := config.JobManagerEndpoint(c)
	if s.jobManager != "" {
		if _, _, err := net.SplitHostPort(s.jobManager); err != nil {
			return nil, usagef("The JobManager's address must be host:port: %s", s.jobManager)
		}
		address = s.jobManager
	}
	credential, err := security.LoadCredential(config.CredentialFile.Get(c))
	if err != nil {
		return nil, err
	}
	encryption, err := security.TLSFilesOf(c).Client()
	if err != nil {
		return nil, err
	}
	return client.Dial(client.Config{Address: address, Credential: credential.Secret(), TLS: encryption})
}

// request calls f with a context that ends after client.timeout.
func request[T any](ctx context.Context, c *config.Config, f func(ctx context.Context) (T, error)) (T, error) {
	limit := config.ClientTimeout.Get(c)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s (%v) has passed", config.ClientTimeout.Key(), limit))
	defer cancel()
	return f(ctx)
}

// exactly is an argument check with flink's messages: none is what it says if
// the argument is missing. Without none, there is no argument.
func exactly(none string) cobra.PositionalArgs {
	want := 1
	if none == "" {
		want = 0
	}
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < want:
			return usagef("%s", none)
		case len(args) > want:
			return usagef("Unexpected argument: %s", args[want])
		}
		return nil
	}
}
