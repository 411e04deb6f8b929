package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/goroutine"
)

// submission says how to run a job.
type submission struct {
	jobOptions
	detached     bool
	cancelOnExit bool
}

func (a *app) runCommand() *cobra.Command {
	s := &submission{}
	command := &cobra.Command{
		Use:   "run [OPTIONS] <package or executable> [<arguments>]",
		Short: "Submit a job, and stay until it has ended",
		Long: "Run sends a job's executable to the cluster and starts the job. A Go package is built\n" +
			"first, for the platform of the cluster. What follows the job are its arguments.\n\n" +
			"Without -d run stays and shows what the job prints. Ctrl-C then leaves the job running,\n" +
			"unless -sae was given. With -d, what the job prints is found in its log file on each\n" +
			"TaskManager: see env.log.dir in docs/configuration.md.",
		Args:                  needsJob,
		DisableFlagsInUseLine: true,
		RunE: func(command *cobra.Command, args []string) error {
			return a.runJob(command.Context(), s, args[0], args[1:])
		},
	}
	s.register(command)
	flags := command.Flags()
	flags.BoolVarP(&s.detached, "detached", "d", false, "return once the job is accepted")
	flags.BoolVar(&s.cancelOnExit, "shutdownOnAttachedExit", false, "cancel the job when this command is interrupted (-sae)")
	ignoreVerbose(command)
	a.outputFlag(command)
	return command
}

func (a *app) runJob(ctx context.Context, s *submission, job string, arguments []string) error {
	c, err := s.load(a)
	if err != nil {
		return err
	}
	jobManager, err := s.connect(c)
	if err != nil {
		return err
	}
	defer func() { _ = jobManager.Close() }()
	console := newConsole(a.stdout, a.stderr, a.format)
	submitting, stop := a.untilSignal(ctx)
	submitted, err := a.submit(submitting, c, jobManager, console, job, arguments)
	stop()
	if errors.Is(err, errInterrupted) {
		console.note("Interrupted while the job was being submitted. \"weir list\" tells whether it was.")
	}
	if err != nil {
		return err
	}
	if a.json() {
		console.event(submittedEvent{Event: "submitted", JID: submitted.ID, Name: submitted.Name})
	} else {
		console.say("Job has been submitted with JobID " + submitted.ID + "\n")
	}
	if s.detached || !config.Attached.Get(c) {
		return nil
	}
	w := &watch{app: a, jobManager: jobManager, config: c, console: console, id: submitted.ID, cancelOnSignal: s.cancelOnExit}
	return w.run(ctx)
}

// submit builds the job if it is a package, checks and sends it.
func (a *app) submit(ctx context.Context, c *config.Config, jobManager *client.Client, console *console, job string, arguments []string) (client.Submitted, error) {
	t, err := findTarget(job)
	if err != nil {
		return client.Submitted{}, err
	}
	cluster, err := request(ctx, c, jobManager.Cluster)
	if err != nil {
		return client.Submitted{}, err
	}
	executable := job
	if t.pkg != "" {
		dir, err := os.MkdirTemp("", "weir-build-")
		if err != nil {
			return client.Submitted{}, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		platform, err := buildPlatform(cluster)
		if err != nil {
			return client.Submitted{}, err
		}
		console.note(fmt.Sprintf("Building %s for %s.", job, platform))
		if executable, err = a.build(ctx, t, platform, dir); err != nil {
			return client.Submitted{}, err
		}
	} else if err := checkExecutable(executable, cluster.Platforms()); err != nil {
		return client.Submitted{}, err
	}
	settings, ignored := c.JobSettings()
	for _, e := range ignored {
		console.warning(fmt.Sprintf("-D %s has no effect for one job: it is a setting of the daemons.", e.Key))
	}
	printed := lines{}
	defer printed.rest(console.output)
	return jobManager.Submit(ctx, client.Submission{
		Executable: executable, FileName: filepath.Base(executable), Arguments: arguments, Configuration: settings,
		Progress: console.uploaded,
		PlanOutput: func(standardError bool, data []byte) {
			from := lineSource{standardError: standardError}
			console.output(from, printed.add(from, data))
		},
		Warning: console.warning,
	})
}

// buildPlatform is the platform to build for: that of the TaskManagers. While
// there are none, it is this machine's architecture.
func buildPlatform(cluster *client.Cluster) (string, error) {
	switch platforms := cluster.Platforms(); len(platforms) {
	case 0:
		return "linux/" + runtime.GOARCH, nil
	case 1:
		return platforms[0], nil
	default:
		return "", fmt.Errorf("the cluster has TaskManagers of several platforms (%s), and a job is one executable: "+
			"stop those of all platforms but one", strings.Join(platforms, ", "))
	}
}

// untilSignal returns a context that ends when the command is asked to stop,
// with errInterrupted as its cause. After stop has returned, signals are the
// caller's again.
func (a *app) untilSignal(ctx context.Context) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	listening := goroutine.New(ctx)
	listening.Go(func(ctx context.Context) error {
		select {
		case <-a.signals:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
		return nil
	})
	return ctx, func() {
		_ = listening.Close() // It returns no error.
		cancel(nil)
	}
}
