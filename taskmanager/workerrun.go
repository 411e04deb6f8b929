package taskmanager

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/goroutine"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
)

// exitTimeout is how long a process may take to exit after it has ended its
// session.
const exitTimeout = 5 * time.Second

// workerRun is the worker of one attempt, from the command to start it until
// its exit is reported.
type workerRun struct {
	request    workerRequest
	supervisor *supervisor
	// snapshots is nil if the job takes no checkpoints.
	snapshots *snapshots
	// reserve gives the worker an address to listen on; nil if it has no peers.
	reserve func(context.Context, attempt) (string, *portReservation, error)
	// ctx ends when the worker is to be killed; its cause says why.
	ctx  context.Context
	kill context.CancelCauseFunc
}

// execute runs the worker and returns how it ended. Its slots are free then.
func (r *workerRun) execute(launcher Launcher, startTimeout time.Duration) *tmv1.WorkerExited {
	exited := &tmv1.WorkerExited{JobId: r.request.attempt.job[:], Attempt: uint32(r.request.attempt.number), ExitCode: -1}
	process, err := r.launch(launcher)
	if err != nil {
		exited.Error = strings.ToValidUTF8(orCause(r.ctx, err).Error(), "\uFFFD")
		return exited
	}
	exit := r.supervise(process, startTimeout)
	exited.ExitCode = int32(exit.code)
	exited.Signal = exit.signal
	// A message with other bytes could not be sent.
	exited.Error = strings.ToValidUTF8(r.explain(exit), "\uFFFD")
	exited.StderrTail = exit.stderrTail
	exited.LogFile = exit.logFile
	return exited
}

// launch starts the process, with an address for the worker to listen on.
func (r *workerRun) launch(launcher Launcher) (workerProcess, error) {
	if r.reserve == nil {
		return launcher.launch(r.ctx, r.request)
	}
	address, reservation, err := r.reserve(r.ctx, r.request.attempt)
	if err != nil {
		return nil, err
	}
	r.supervisor.welcome.DataBindAddress = address
	r.supervisor.beforeWelcome = reservation.close
	process, err := launcher.launch(r.ctx, r.request)
	if err != nil {
		reservation.close()
	}
	return process, err
}

// supervise serves the worker's session until the process is gone.
func (r *workerRun) supervise(process workerProcess, startTimeout time.Duration) workerExit {
	stop := context.AfterFunc(r.ctx, process.kill)
	defer stop()
	for i, slot := range r.supervisor.welcome.GetSlots() {
		slot.MemoryFd = int32(process.memoryFile(i))
	}
	server := newSupervisorServer(r.supervisor)
	group := goroutine.New(context.WithoutCancel(r.ctx))
	group.Go(func(context.Context) error { return server.Serve(listenOne(process.conn())) })
	group.Go(func(ctx context.Context) error { return r.watch(ctx, startTimeout) })

	exit := process.wait()
	// What it said at last may still be on its way through the session.
	timer := time.NewTimer(lingerTimeout)
	defer timer.Stop()
	if r.supervisor.opened.Load() {
		select {
		case <-r.supervisor.ended:
		case <-timer.C:
		}
	}
	server.Stop()
	r.supervisor.beforeWelcome() // If it never came to that.
	if err := group.Close(); err != nil && exit.err == "" {
		exit.err = fmt.Sprintf("the worker's session could not be served: %v", err)
	}
	return exit
}

// watch kills a worker that does not open its session, or that does not exit
// when it has ended it.
func (r *workerRun) watch(ctx context.Context, startTimeout time.Duration) error {
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case <-r.supervisor.hello:
	case <-timer.C:
		r.kill(fmt.Errorf("the worker did not open its session within %v: "+
			"main must reach weir.Main by then, and build the graph without waiting for anything", startTimeout))
		return nil
	case <-ctx.Done():
		return nil
	}
	select {
	case <-r.supervisor.ended:
	case <-ctx.Done():
		return nil
	}
	timer.Reset(exitTimeout)
	select {
	case <-timer.C:
		r.kill(fmt.Errorf("the worker ended its session, but its process did not exit within %v", exitTimeout))
	case <-ctx.Done():
	}
	return nil
}

// explain says what is known about how a worker ended beside code and signal:
// why it was refused or has failed, why it was killed, or what it did not do.
func (r *workerRun) explain(exit workerExit) string {
	if why := r.supervisor.unusable(); why != "" {
		return why
	}
	if why := context.Cause(r.ctx); why != nil {
		return why.Error()
	}
	how := fmt.Sprintf("exited with code %d", exit.code)
	if exit.signal != "" {
		how = "was ended by signal: " + exit.signal
	}
	broke := r.supervisor.broke()
	switch {
	case exit.err != "":
		return exit.err
	case !r.supervisor.opened.Load() && exit.code == 0:
		return "main returned without calling weir.Main; it " + printed(exit.stderrTail)
	case !r.supervisor.opened.Load():
		return fmt.Sprintf("main %s before it opened its session; it %s", how, printed(exit.stderrTail))
	case exit.signal == unix.SIGKILL.String():
		return "the worker was killed, and not by its TaskManager: by an operator, or by the kernel because memory ran out (see the kernel's log)"
	case exit.code == 0 && broke != nil && status.Code(broke) != codes.Canceled: // That a process that is gone is not there is no news.
		return fmt.Sprintf("the worker's session broke: %v", broke)
	}
	return ""
}

// command passes a command on to the worker.
func (r *workerRun) command(m *tmv1.WorkerCommand) {
	if m.GetCommand().GetMessage() == nil {
		r.kill(errors.New("the JobManager sent a command that this TaskManager does not know: the cluster's daemons must be of one version"))
		return
	}
	if start := m.GetCommand().GetStartTasks(); start != nil && r.snapshots != nil {
		if err := r.snapshots.locate(start); err != nil {
			r.kill(err)
			return
		}
	}
	if !r.supervisor.commands.put(m.GetCommand()) {
		r.kill(fmt.Errorf("the worker does not read its commands: %d are waiting", maxCommands))
	}
}
