package taskmanager

import (
	"context"
	"log/slog"
	"net"
	"time"

	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
)

// Launcher runs the code of jobs. It is either a [Processes] or an [InProcess].
type Launcher interface {
	// open prepares for workers with that many slots between them. The launcher
	// may be used until close, which is called when nothing runs any more.
	open(o launcherOptions) error
	close() error

	// plan runs a job's main in plan mode until ctx is done.
	plan(ctx context.Context, r planRequest) planResult

	// launch starts a worker. ctx is for the start only.
	launch(ctx context.Context, r workerRequest) (workerProcess, error)
}

type launcherOptions struct {
	slots int
	// memory is the size of the network memory of one slot, in bytes.
	memory int64
	logger *slog.Logger
}

// program is what both modes run.
type program struct {
	digest   digest
	fileName string
	// arguments are os.Args[1:].
	arguments []string
	// recorded and configuration are the input of the graph's construction.
	recorded      map[string][]byte
	configuration map[string]string
	fetch         fetcher
}

// argv returns the program's os.Args.
func (p *program) argv() []string {
	name := p.fileName
	if name == "" {
		name = "job"
	}
	return append([]string{name}, p.arguments...)
}

type planRequest struct {
	program
	run     int
	timeout time.Duration
}

// planResult has a plan or an error, and what main printed.
type planResult struct {
	plan           *planv1.Plan
	err            string
	stdout, stderr []byte
	// exitCode is -1 if the process was ended by a signal or not started.
	exitCode int
}

type workerRequest struct {
	program
	attempt attempt
	// slots are the TaskManager's slots that the worker holds.
	slots []int
	// output gets what the worker prints: see childSpec.
	output func(standardError bool, data []byte)
}

// workerProcess is a started worker.
type workerProcess interface {
	// conn is the TaskManager's end of the session.
	conn() net.Conn
	// memoryFile is the worker's descriptor of the memory of its i-th slot; -1 if
	// the worker takes memory of its own.
	memoryFile(i int) int
	pid() int
	// kill ends it now. It may be called at any time.
	kill()
	// wait returns when it is gone, its output is handed on, and its slots can
	// be given to others. It is called once.
	wait() workerExit
}

// workerExit is how a worker ended.
type workerExit struct {
	// code is -1 if it was ended by a signal.
	code int
	// signal is its name; empty if it exited.
	signal string
	// err is what the launcher knows beside that.
	err        string
	stderrTail []byte
	logFile    string
}
