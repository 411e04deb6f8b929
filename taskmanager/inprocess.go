package taskmanager

import (
	"context"
	"errors"
	"net"
	"os"

	"github.com/weirstream/weir/internal/goroutine"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
)

// InProcess runs workers as goroutines of this process, for the embedded mode:
// a job's program starts a JobManager, a TaskManager and the worker by itself.
// A worker cannot be killed here, only told to end; nothing of it is captured,
// and it takes network memory of its own.
type InProcess struct {
	// Plan builds the job's graph as plan mode would. A nil Plan means that
	// jobs are submitted with a plan only.
	Plan func(ctx context.Context, input *planv1.BuildInput) (*planv1.Plan, error)
	// Worker serves the session on conn until it ends or ctx is done. The
	// error is reported as the worker's.
	Worker func(ctx context.Context, conn net.Conn) error
}

func (l *InProcess) open(launcherOptions) error {
	if l.Worker == nil {
		return errors.New("the embedded TaskManager has no Worker function to run")
	}
	return nil
}

func (l *InProcess) close() error { return nil }

func (l *InProcess) plan(ctx context.Context, r planRequest) planResult {
	if l.Plan == nil {
		return planResult{err: "an embedded TaskManager does not plan: the job is submitted with its plan", exitCode: -1}
	}
	if r.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.timeout)
		defer cancel()
	}
	plan, err := l.Plan(ctx, &planv1.BuildInput{Recorded: r.recorded, Configuration: r.configuration})
	if err != nil {
		return planResult{err: err.Error(), exitCode: 1}
	}
	return planResult{plan: plan}
}

//nolint:unparam // It implements Launcher, and this one cannot fail.
func (l *InProcess) launch(ctx context.Context, _ workerRequest) (workerProcess, error) {
	ours, theirs := net.Pipe()
	w := &inProcessWorker{ours: ours, group: goroutine.New(context.WithoutCancel(ctx))}
	w.group.Go(func(ctx context.Context) error {
		defer theirs.Close()
		return l.Worker(ctx, theirs)
	})
	return w, nil
}

type inProcessWorker struct {
	ours  net.Conn
	group *goroutine.Group
}

func (w *inProcessWorker) conn() net.Conn     { return w.ours }
func (w *inProcessWorker) memoryFile(int) int { return -1 }
func (w *inProcessWorker) pid() int           { return os.Getpid() }

func (w *inProcessWorker) kill() {
	w.group.Stop()
	w.ours.Close()
}

func (w *inProcessWorker) wait() workerExit {
	if err := w.group.Wait(); err != nil {
		return workerExit{code: 1, err: err.Error()}
	}
	return workerExit{}
}
