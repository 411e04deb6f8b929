package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/launch"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
)

const (
	// The descriptors of an executable beside the standard ones, in the order
	// of exec.Cmd's ExtraFiles.
	planDescriptor  = 3
	inputDescriptor = 4

	// outputGrace is how long a main that has exited may keep its files open,
	// through a process that it has started.
	outputGrace = 2 * time.Second
)

// planLocally runs an executable in plan mode on this machine and returns the
// plan that its main writes. What main prints goes to standard error.
func (a *app) planLocally(ctx context.Context, c *config.Config, executable, name string, arguments []string) (*dataflow.Plan, error) {
	// A path, since a bare name would be looked for in $PATH.
	executable, err := filepath.Abs(executable)
	if err != nil {
		return nil, err
	}
	settings, _ := c.JobSettings()
	input, err := inputFile(settings)
	if err != nil {
		return nil, err
	}
	defer func() { _ = input.Close() }()
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = read.Close() }()
	defer func() { _ = write.Close() }()

	command := exec.CommandContext(ctx, executable, arguments...)
	command.Args[0] = name
	command.Env = append(inherited(),
		launch.Mode+"="+launch.PlanMode,
		launch.PlanRun+"=1",
		launch.PlanFile+"="+strconv.Itoa(planDescriptor),
		launch.InputFile+"="+strconv.Itoa(inputDescriptor))
	command.ExtraFiles = []*os.File{write, input}
	command.Stdout, command.Stderr = a.stderr, a.stderr
	command.WaitDelay = outputGrace
	if err := command.Start(); err != nil {
		return nil, startError(executable, err)
	}
	_ = write.Close() // The process has its own.

	var encoded []byte
	reading := goroutine.New(ctx)
	reading.Go(func(context.Context) (err error) {
		encoded, err = io.ReadAll(io.LimitReader(read, launch.MaxPlanSize+1))
		if len(encoded) > launch.MaxPlanSize {
			_ = read.Close() // So that main does not wait for a reader.
		}
		return err
	})
	exited := command.Wait()
	_ = read.SetReadDeadline(time.Now().Add(outputGrace))
	unread := reading.Wait()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("planning %s: %w", name, context.Cause(ctx))
	}
	return decodePlan(name, encoded, exited, unread)
}

// inherited is the environment of a job's main: what a TaskManager gives it, so
// that info shows the graph that run builds.
func inherited() []string {
	return []string{"TZ=UTC", "LANG=C.UTF-8", "TMPDIR=" + os.TempDir()}
}

// inputFile returns what main may use while it builds the graph, as a file
// without a name.
func inputFile(settings map[string]string) (*os.File, error) {
	encoded, err := proto.Marshal(&planv1.BuildInput{Configuration: settings})
	if err != nil {
		return nil, err
	}
	file, err := os.CreateTemp("", "weir-input-")
	if err != nil {
		return nil, err
	}
	_, err = file.Write(encoded)
	_, seekErr := file.Seek(0, io.SeekStart)
	if err := errors.Join(err, seekErr, os.Remove(file.Name())); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

func startError(executable string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%s is not an executable for this machine: %w", executable, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s is not executable: %w; make it so with: chmod +x %s", executable, err, executable)
	}
	return err
}

// decodePlan reads what main has written, and says why there is no plan if
// there is none. Mistakes of the program are an error with all of them.
func decodePlan(name string, encoded []byte, exited, unread error) (*dataflow.Plan, error) {
	switch {
	case exited != nil:
		return nil, fmt.Errorf("main of %s failed while it was planned: %w; what it printed is above", name, exited)
	case len(encoded) > launch.MaxPlanSize:
		return nil, fmt.Errorf("the plan of %s is larger than %d bytes", name, launch.MaxPlanSize)
	case unread != nil:
		return nil, fmt.Errorf("read the plan of %s: %w", name, unread)
	case len(encoded) == 0:
		return nil, fmt.Errorf("main of %s ended without a plan: does it call weir.Main?", name)
	}
	message := &planv1.Plan{}
	if err := proto.Unmarshal(encoded, message); err != nil {
		return nil, fmt.Errorf("what %s wrote is no plan: %w", name, err)
	}
	plan, err := dataflow.FromProto(message)
	if err != nil {
		return nil, fmt.Errorf("what %s wrote: %w", name, err)
	}
	if n := len(plan.Mistakes); n > 0 {
		return nil, mistakesError(name, plan.Mistakes)
	}
	return plan, nil
}

func mistakesError(name string, mistakes []string) error {
	has := fmt.Sprintf("%d mistakes", len(mistakes))
	if len(mistakes) == 1 {
		has = "a mistake"
	}
	return fmt.Errorf("%s has %s:%s", name, has, dataflow.MistakeLines(mistakes))
}
