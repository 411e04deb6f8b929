package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/goroutine"
)

// Daemon is the main of a daemon.
type Daemon struct {
	// Name is the command's name, and Short and Long describe it in its help.
	Name, Short, Long string
	// Run serves until its context is done, and then returns nil. It is called
	// once, in the goroutine that called Main.
	Run func(ctx context.Context, e Environment) error
}

// Environment is what a daemon is given.
type Environment struct {
	Config *config.Config
	Log    *slog.Logger
	Build  Build
	// Ready says in the log that the daemon serves at address, "host:port". Call
	// it once; [ReadyAddress] reads it.
	Ready func(address string)
}

// Main runs the daemon with the given arguments and returns its exit code: 0
// after it was told to stop, 1 after an error, which is on stderr, 2 after
// arguments that make no sense.
func (d Daemon) Main(args []string, stdout, stderr io.Writer) int {
	code := 0
	command := d.command(stderr, &code)
	command.SetArgs(args)
	command.SetOut(stdout)
	command.SetErr(stderr)
	if err := command.Execute(); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\nUse %s --help to see its options.\n", d.Name, err, d.Name)
		return 2
	}
	return code
}

// command parses the arguments; what fails later is in code.
func (d Daemon) command(stderr io.Writer, code *int) *cobra.Command {
	var file string
	var overrides []string
	level := slog.LevelInfo
	command := &cobra.Command{
		Use:                   d.Name + " [--config weir.yaml] [-D key=value ...]",
		Short:                 d.Short,
		Long:                  d.Long,
		Args:                  cobra.NoArgs,
		Version:               ReadBuild().String(),
		SilenceErrors:         true,
		SilenceUsage:          true,
		DisableFlagsInUseLine: true,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := d.start(command.Context(), file, overrides, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))); err != nil {
				_, _ = fmt.Fprintf(stderr, "%s: %v\n", d.Name, err)
				*code = 1
			}
			return nil
		},
	}
	command.SetContext(context.Background())
	command.SetVersionTemplate("{{.Version}}\n")
	command.CompletionOptions.DisableDefaultCmd = true
	flags := command.Flags()
	flags.SortFlags = false
	flags.StringVarP(&file, "config", "c", "", "the configuration `file`; without it $"+ConfDir+"/"+configFileName+", else ./"+configFileName+" if it is there")
	flags.StringArrayVarP(&overrides, "define", "D", nil, "a setting, `key=value`, above file and environment; may be repeated")
	flags.TextVar(&level, "log-level", level, "the least `level` that is logged: debug, info, warn or error")
	return command
}

func (d Daemon) start(ctx context.Context, file string, overrides []string, log *slog.Logger) error {
	path, err := ConfigFile(file)
	if err != nil {
		return err
	}
	c, warnings, err := Inputs(path, overrides).Load()
	for _, w := range warnings {
		log.Warn(w.String())
	}
	if err != nil {
		return err
	}
	build := ReadBuild()
	log.Info("starting", "daemon", d.Name, "version", build.Version, "commit", build.Commit, "pid", os.Getpid())
	for _, e := range c.Entries() {
		if e.IsSet {
			log.Info("setting", "key", e.Key, "value", e.Shown(), "source", e.Source.String())
		}
	}

	ctx, restore := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer restore()
	signals := goroutine.New(ctx)
	signals.Go(func(stopping context.Context) error {
		<-stopping.Done()
		if ctx.Err() != nil {
			log.Info("stopping; a second signal ends the process at once")
		}
		restore() // The next signal has its usual effect.
		return nil
	})
	err = d.Run(ctx, Environment{Config: c, Log: log, Build: build, Ready: func(address string) {
		log.Info(readyMessage, "address", address)
	}})
	_ = signals.Close() // It returns no error.
	if err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	if err == nil {
		log.Info("stopped")
	}
	return err
}

const readyMessage = "ready"

// ReadyAddress returns the address of a line of a daemon's log, if it is the one
// that says that the daemon is ready.
func ReadyAddress(line string) (address string, ok bool) {
	_, rest, ok := strings.Cut(line, " level=INFO msg="+readyMessage+" address=")
	if !ok {
		return "", false
	}
	return strings.Trim(rest, "\"\n"), true
}
