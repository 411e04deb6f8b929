package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/process"
)

// The exit codes, which are Flink's.
const (
	exitError       = 1
	exitDefect      = 31
	exitInterrupted = 130
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	app := &app{stdout: os.Stdout, stderr: os.Stderr, signals: signals}
	os.Exit(app.run(os.Args[1:]))
}

// app is the command with its surroundings, which tests replace.
type app struct {
	stdout, stderr io.Writer
	// signals are those that ask the command to stop.
	signals <-chan os.Signal
	// format is what -o says.
	format format
}

// run does what the arguments say and returns the exit code.
func (a *app) run(args []string) (code int) {
	a.format = textFormat
	defer func() {
		if defect := recover(); defect != nil {
			code = exitDefect
			a.report(fmt.Errorf("this is a defect of weir, please report it: %v\n\n%s", defect, debug.Stack()), code)
		}
	}()
	root := a.rootCommand()
	args, err := normalise(root, args)
	if err == nil {
		a.format = formatOf(root, args)
		root.SetArgs(args)
		err = root.ExecuteContext(context.Background())
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted):
		code = exitInterrupted
	default:
		code = exitError
	}
	a.report(err, code)
	return code
}

// errInterrupted ends the command after a signal. What there was to say was said.
var errInterrupted = errors.New("interrupted")

// usageError is a command line that makes no sense.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error {
	return &usageError{message: fmt.Sprintf(format, args...)}
}

// failure is an error of an action: scripts look for its first line, which is
// Flink's.
type failure struct {
	action string
	cause  error
}

func (f *failure) Error() string { return f.action + "\nCaused by: " + f.cause.Error() }

func (f *failure) Unwrap() error { return f.cause }

// printFailure prints an error as flink does, without a stack trace.
func (a *app) printFailure(err error) {
	const line = "------------------------------------------------------------"
	a.warn("\n" + line + "\n The program finished with the following exception:\n\n" +
		strings.TrimRight(err.Error(), "\n") + "\n")
}

// print writes to standard output, and warn to standard error. An error of
// these has nowhere to be reported.
func (a *app) print(text string) { _, _ = io.WriteString(a.stdout, text) }
func (a *app) warn(text string)  { _, _ = io.WriteString(a.stderr, text) }

func (a *app) printf(format string, args ...any) { a.print(fmt.Sprintf(format, args...)) }

// The groups of verbs in the help.
const (
	jobVerbs     = "jobs"
	clusterVerbs = "cluster"
	otherVerbs   = "other"
)

// usageTemplate is cobra's without a second usage line, and with the words of
// flink.
const usageTemplate = `Usage:
  {{.UseLine}}{{range $group := .Groups}}

{{.Title}}{{range $.Commands}}{{if (and (eq .GroupID $group.ID) .IsAvailableCommand)}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Options:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}{{end}}{{if .HasAvailableSubCommands}}

Use "{{.CommandPath}} <ACTION> --help" for what an action does and its options.{{end}}
`

// rootCommand returns the command with its verbs.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:                   "weir <ACTION> [OPTIONS] [ARGUMENTS]",
		Short:                 "Submit jobs to a Weir cluster, inspect and cancel them",
		Version:               process.ReadBuild().String(),
		SilenceErrors:         true,
		SilenceUsage:          true,
		DisableFlagsInUseLine: true,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := command.Help(); err != nil {
				return err
			}
			return usagef("\nPlease specify an action.")
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetUsageTemplate(usageTemplate)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.DisableDefaultCmd = true
	add := func(group, title string, verbs ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: group, Title: title})
		for _, verb := range verbs {
			verb.GroupID = group
			root.AddCommand(verb)
		}
	}
	add(jobVerbs, "Jobs:", a.runCommand(), a.listCommand(), a.infoCommand(), a.checkpointsCommand(), a.cancelCommand())
	add(clusterVerbs, "Cluster:", a.localCommand(), a.configCommand())
	add(otherVerbs, "This command:", a.completionCommand(), a.versionCommand())
	root.SetHelpCommandGroupID(otherVerbs)
	root.InitDefaultHelpCmd()
	root.InitDefaultVersionFlag()
	return root
}

func (a *app) versionCommand() *cobra.Command {
	command := &cobra.Command{
		Use:                   "version [OPTIONS]",
		Short:                 "Print the version",
		Args:                  exactly(""),
		ValidArgsFunction:     cobra.NoFileCompletions,
		DisableFlagsInUseLine: true,
		RunE: func(*cobra.Command, []string) error {
			build := process.ReadBuild()
			if a.json() {
				return a.printJSON(versionJSON{Version: build.Version, CommitID: build.Commit})
			}
			a.print(build.String() + "\n")
			return nil
		},
	}
	a.outputFlag(command)
	return command
}

type versionJSON struct {
	Version  string `json:"version"`
	CommitID string `json:"commit-id"`
}

// invalidAction is what flink says to a verb that it does not have.
func invalidAction(root *cobra.Command, action string) error {
	var actions []string
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			actions = append(actions, `"`+c.Name()+`"`)
		}
	}
	slices.Sort(actions)
	last := len(actions) - 1
	return usagef("\"%s\" is not a valid action.\n\nValid actions are %s or %s.\n\nSpecify the version option (-v or --version) to print the version.",
		action, strings.Join(actions[:last], ", "), actions[last])
}
