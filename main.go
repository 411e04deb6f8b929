package weir

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/launch"
	"github.com/weirstream/weir/worker"
)

// Main is what the main function of a job's program calls. What it does
// depends on who started the program: a TaskManager has it plan the job or run
// a part of it; started by hand, the program runs the whole job in its own
// process and exits when the job has ended.
//
// build adds the job's operators to its Env. It runs once in every process and
// must build the same graph each time, so it must not depend on time,
// randomness, environment or working directory; see [Once] for values that do.
// Main does not return.
func Main(name string, build func(env *Env)) {
	mode := os.Getenv(launch.Mode)
	var err error
	switch mode {
	case launch.PlanMode:
		err = planMain(name, build)
	case launch.WorkerMode:
		err = workerMain(name, build)
	case "":
		err = embeddedMain(name, build)
	default:
		err = fmt.Errorf("%s is %q: want %q, %q or nothing", launch.Mode, mode, launch.PlanMode, launch.WorkerMode)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1) //nolint:forbidigo // Main is what a program's main consists of.
	}
	os.Exit(0) //nolint:forbidigo // Main is what a program's main consists of.
}

// embeddedMain runs the job in this process until it ends or is interrupted.
func embeddedMain(name string, build func(env *Env)) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// User code may not stop when it is asked to: a second signal ends the process.
	context.AfterFunc(ctx, stop)
	return Run(ctx, name, build, Args(os.Args[1:]...))
}

// planMain writes the plan to the inherited file.
func planMain(name string, build func(env *Env)) error {
	input, err := readInput()
	if err != nil {
		return err
	}
	out, err := inherited(launch.PlanFile, "plan")
	if err != nil {
		return err
	}
	defer out.Close()
	leaveLaunchMode()
	graph := buildGraph(name, build, os.Args[1:], input)
	encoded, err := dataflow.EncodePlan(graph.Layout().Plan)
	if err != nil {
		return err
	}
	if len(encoded) > launch.MaxPlanSize {
		return fmt.Errorf("the plan has %d bytes: at most %d are allowed", len(encoded), launch.MaxPlanSize)
	}
	if _, err := out.Write(encoded); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return out.Close()
}

// nameProcess has ps, top and the kernel's log call a worker as its executable
// is called. Linux calls it by the number of the descriptor that it was started
// from. Elsewhere there is no such file, and no such need.
func nameProcess() {
	_ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0)
}

// workerMain serves subtasks until the TaskManager ends the session.
func workerMain(name string, build func(env *Env)) error {
	nameProcess()
	input, err := readInput()
	if err != nil {
		return err
	}
	session, err := inherited(launch.SessionFile, "session")
	if err != nil {
		return err
	}
	conn, err := net.FileConn(session)
	if err != nil {
		return fmt.Errorf("the session's socket: %w", err)
	}
	if err := session.Close(); err != nil {
		return fmt.Errorf("the session's socket: %w", err)
	}
	leaveLaunchMode()
	graph := buildGraph(name, build, os.Args[1:], input)
	return worker.Serve(context.Background(), conn, worker.Config{Graph: graph, EngineVersion: engineVersion()})
}

// readInput reads what the graph is built with. A program that was started
// without any gets the empty one.
func readInput() (dataflow.BuildInput, error) {
	if os.Getenv(launch.InputFile) == "" {
		return dataflow.BuildInput{}, nil
	}
	f, err := inherited(launch.InputFile, "input")
	if err != nil {
		return dataflow.BuildInput{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, launch.MaxInputSize+1))
	if err != nil {
		return dataflow.BuildInput{}, fmt.Errorf("read the input of the build: %w", err)
	}
	if len(data) > launch.MaxInputSize {
		return dataflow.BuildInput{}, fmt.Errorf("the input of the build has more than %d bytes", launch.MaxInputSize)
	}
	return dataflow.DecodeBuildInput(data)
}

// inherited opens the file descriptor that an environment variable names, and
// keeps it from the processes that user code may start.
func inherited(variable, name string) (*os.File, error) {
	fd, err := strconv.Atoi(os.Getenv(variable))
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s is %q: want the number of an inherited file descriptor", variable, os.Getenv(variable))
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), name), nil
}

// leaveLaunchMode removes the variables that a TaskManager set, so that
// programs which user code starts are not mistaken for workers.
func leaveLaunchMode() {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, launch.Prefix) {
			_ = os.Unsetenv(name) // it cannot fail for a name that is there
		}
	}
}

func init() {
	dataflow.Build = func(name string, build any, arguments []string) *dataflow.Graph {
		return buildGraph(name, build.(func(*Env)), arguments, dataflow.BuildInput{})
	}
}

// buildGraph runs the user's build function.
func buildGraph(name string, build func(*Env), args []string, input dataflow.BuildInput) *dataflow.Graph {
	graph := dataflow.NewGraph(name)
	if name == "" {
		graph.Mistake(dataflow.Caller(), "the job's name is empty")
	}
	if build == nil {
		graph.Mistake(dataflow.Caller(), "there is no function that builds the job")
		return graph
	}
	build(&Env{graph: graph, args: args, recorded: input.Recorded})
	c := layered(input.Configuration, graph.Settings)
	graph.NoChaining = graph.NoChaining || !config.OperatorChaining.Get(c)
	if config.CheckpointInterval.IsSet(c) {
		checkState(graph)
	}
	return graph
}

// layered reads layers of settings, of which a later one wins: the shape of the graph
// depends on some, so they are read here and not only by the JobManager, who refuses
// what is wrong with a layer.
func layered(layers ...map[string]string) *config.Config {
	c := config.Default()
	for _, l := range layers {
		if above, _, err := c.Decode("the job", l); err == nil {
			c = above
		}
	}
	return c
}

// checkState reports operators whose state a checkpoint could not have.
func checkState(graph *dataflow.Graph) {
	for _, n := range graph.Nodes() {
		s, ok := n.Code.(interface{ StateError() error })
		if !ok {
			continue
		}
		if err := s.StateError(); err != nil {
			graph.Mistake(n.Position, "%s %q: the job takes checkpoints, which cannot have its state: %v", n.Kind, n.Name, err)
		}
	}
}

// engineVersion is the version of this module in the running program.
func engineVersion() string {
	info, _ := debug.ReadBuildInfo()
	return versionIn(info)
}

// versionIn returns the version of this module that a program was built with;
// "unknown" where the program does not say.
func versionIn(info *debug.BuildInfo) string {
	if info == nil {
		return "unknown"
	}
	for _, m := range append(slices.Clone(info.Deps), &info.Main) {
		if m.Path == "github.com/weirstream/weir" && m.Version != "" {
			return m.Version
		}
	}
	return "unknown"
}
