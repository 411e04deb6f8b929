package taskmanager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/launch"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
)

// Processes runs the executables of jobs as processes of this host. A worker's
// network memory belongs to the TaskManager, everything else of it ends with
// the process.
type Processes struct {
	// WorkingDirectory holds the artefact cache and the working directories of
	// the workers (process.taskmanager.working-dir). It must belong to this
	// TaskManager alone.
	WorkingDirectory string
	// LogDirectory holds a log file per job.
	LogDirectory string
	// WorkerMemoryPerSlot is the slot's share of heap and managed memory in
	// bytes: the ceiling of the worker's Go heap. 0 sets none.
	WorkerMemoryPerSlot int64
	// ArtefactCacheSize bounds, in bytes, the executables that are kept although
	// no job uses them, and the size of each executable. 0 means 2 GiB.
	ArtefactCacheSize int64
	// ArtefactIdle is how long such an executable is kept. 0 means an hour.
	ArtefactIdle time.Duration
	// LogFileSize bounds a job's log file in bytes, and OldLogFiles is how many
	// full ones are kept beside it. 0 mean 64 MiB and 3.
	LogFileSize int64
	OldLogFiles int
	// KeptJobLogs is of how many jobs logs are kept after their last worker is
	// gone (taskmanager.job-logs.max-capacity), and JobLogAge for how long
	// (taskmanager.job-logs.expiration-time). 0 mean 100 and a week.
	KeptJobLogs int
	JobLogAge   time.Duration

	options launcherOptions
	lock    *os.File
	cache   *artefacts
	logs    *jobLogs
	spawn   *spawner
	memory  *slotMemory
	group   *goroutine.Group
	// plans bounds how many plannings run at the same time.
	plans chan struct{}
}

// maxPlans is how many plannings run at the same time. They are short, and must
// not take the processor away from the workers.
const maxPlans = 4

func (l *Processes) open(o launcherOptions) (err error) {
	l.options = o
	l.ArtefactCacheSize = cmp.Or(l.ArtefactCacheSize, 2<<30)
	l.ArtefactIdle = cmp.Or(l.ArtefactIdle, time.Hour)
	l.LogFileSize = cmp.Or(l.LogFileSize, 64<<20)
	l.OldLogFiles = cmp.Or(l.OldLogFiles, 3)
	l.KeptJobLogs = cmp.Or(l.KeptJobLogs, 100)
	l.JobLogAge = cmp.Or(l.JobLogAge, 7*24*time.Hour)
	l.plans = make(chan struct{}, maxPlans)
	defer func() {
		if err != nil {
			err = errors.Join(err, l.release())
		}
	}()
	if err := l.openDirectories(); err != nil {
		return err
	}
	if l.cache, err = openArtefacts(filepath.Join(l.WorkingDirectory, "artefacts"), l.ArtefactCacheSize, l.ArtefactIdle, o.logger); err != nil {
		return err
	}
	if l.logs, err = openJobLogs(l.LogDirectory, l.LogFileSize, l.OldLogFiles, o.logger); err != nil {
		return err
	}
	l.sweepLogs(time.Now())
	if l.memory, err = newSlotMemories(o.slots, o.memory, o.logger); err != nil {
		return err
	}
	// close ends the group, not a context: the last workers need the spawner's
	// thread until they are gone.
	l.group = goroutine.New(context.Background())
	l.spawn = newSpawner(l.group)
	l.group.Go(l.sweep)
	return nil
}

// openDirectories takes the working directory for this process and removes what
// an earlier one has left there. Its workers are gone: they do not outlive it.
func (l *Processes) openDirectories() error {
	var err error
	if l.WorkingDirectory, err = filepath.Abs(l.WorkingDirectory); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	if l.LogDirectory, err = filepath.Abs(l.LogDirectory); err != nil {
		return fmt.Errorf("log directory: %w", err)
	}
	if err := os.MkdirAll(l.WorkingDirectory, 0o700); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	l.lock, err = os.OpenFile(filepath.Join(l.WorkingDirectory, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	if err := unix.Flock(int(l.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("working directory %s: another TaskManager uses it: "+
			"give each its own with process.taskmanager.working-dir (lock it: %w)", l.WorkingDirectory, err)
	}
	for _, name := range []string{"jobs", "plans"} {
		directory := filepath.Join(l.WorkingDirectory, name)
		if err := os.RemoveAll(directory); err != nil {
			l.options.logger.Warn("could not remove what an earlier TaskManager has left", "directory", directory, "error", err)
		}
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return fmt.Errorf("working directory: %w", err)
		}
	}
	return nil
}

// sweep keeps the artefact cache and the logs within their limits.
func (l *Processes) sweep(ctx context.Context) error {
	ticker := time.NewTicker(sealedIdle / 2)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			l.cache.sweep(now)
			l.sweepLogs(now)
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *Processes) sweepLogs(now time.Time) {
	l.logs.sweep(now, logRetention{jobs: l.KeptJobLogs, age: l.JobLogAge})
}

func (l *Processes) close() error {
	err := l.group.Close()
	return errors.Join(err, l.release())
}

func (l *Processes) release() error {
	if l.memory != nil {
		l.memory.close()
	}
	if l.cache != nil {
		l.cache.close()
	}
	if l.lock != nil {
		return l.lock.Close()
	}
	return nil
}

// The file descriptors that an executable inherits.
const (
	firstFD  = 3 // the session in worker mode, the plan in plan mode
	inputFD  = 4
	memoryFD = 5 // of the worker's first slot
)

func (l *Processes) launch(ctx context.Context, r workerRequest) (workerProcess, error) {
	program, err := l.cache.acquire(ctx, r.digest, r.fetch)
	if err != nil {
		return nil, err
	}
	// Once it is started, the process has the executable by itself.
	defer l.cache.release(r.digest)
	w := &processWorker{launcher: l, request: r, stderr: newTail(), kills: outOfMemoryKills()}
	if err := l.prepare(w); err != nil {
		return nil, err
	}
	if err := l.startWorker(w, program); err != nil {
		w.cleanUp()
		return nil, err
	}
	w.log.write(fmt.Appendf(nil, "%s attempt %d of the job starts as process %d\n",
		time.Now().Format(time.RFC3339), r.attempt.number, w.pid()))
	return w, nil
}

// prepare creates what the worker finds in place: its directory and its log.
func (l *Processes) prepare(w *processWorker) error {
	a := w.request.attempt
	w.directory = filepath.Join(l.WorkingDirectory, "jobs", fmt.Sprintf("%s-%d", a.job, a.number))
	if err := os.MkdirAll(filepath.Join(w.directory, "tmp"), 0o700); err != nil {
		return fmt.Errorf("working directory of %s: %w", a, err)
	}
	log, err := l.logs.open(a.job)
	if err != nil {
		return errors.Join(err, os.RemoveAll(w.directory))
	}
	w.log = log
	return nil
}

func (l *Processes) startWorker(w *processWorker, program *executable) error {
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	w.session = ours
	input, err := buildInput(w.request.recorded, w.request.configuration)
	if err != nil {
		return err
	}
	defer input.Close()
	files := []*os.File{theirs, input}
	for _, slot := range w.request.slots {
		memory, err := l.memory.get(slot)
		if err != nil {
			return err
		}
		files = append(files, memory)
	}
	w.child, err = startChild(l.spawn, childSpec{
		program: program, arguments: w.request.argv(), directory: w.directory, files: files,
		env: append(environment(w.directory),
			launch.Mode+"="+launch.WorkerMode,
			launch.SessionFile+"="+strconv.Itoa(firstFD),
			// As many threads run Go code as the worker holds slots.
			"GOMAXPROCS="+strconv.Itoa(len(w.request.slots)),
			// Small heaps would be collected all the time; the ceiling is the limit.
			"GOGC=400",
			"GOMEMLIMIT="+l.memoryLimit(len(w.request.slots)),
		),
		output: w.output,
	})
	return err
}

func (l *Processes) memoryLimit(slots int) string {
	if l.WorkerMemoryPerSlot <= 0 {
		return "off"
	}
	return strconv.FormatInt(l.WorkerMemoryPerSlot*int64(slots), 10)
}

// environment is what every executable finds: nothing of the daemon's own
// environment, and on every host the same time zone and language, so that a job
// computes the same wherever it runs.
func environment(directory string) []string {
	return []string{
		"TZ=UTC",
		"LANG=C.UTF-8",
		"TMPDIR=" + filepath.Join(directory, "tmp"),
		launch.InputFile + "=" + strconv.Itoa(inputFD),
	}
}

// buildInput returns a file to read the input of the graph's construction from.
func buildInput(recorded map[string][]byte, configuration map[string]string) (*os.File, error) {
	encoded, err := proto.Marshal(&planv1.BuildInput{Recorded: recorded, Configuration: configuration})
	if err != nil {
		return nil, fmt.Errorf("encode what main builds its graph with: %w", err)
	}
	if len(encoded) > launch.MaxInputSize {
		return nil, fmt.Errorf("what main builds its graph with (values of weir.Once and the configuration) has %d bytes: at most %d are possible",
			len(encoded), launch.MaxInputSize)
	}
	file, err := newInputFile()
	if err != nil {
		return nil, fmt.Errorf("hand main what it builds its graph with: %w", err)
	}
	if _, err := file.Write(encoded); err != nil {
		return nil, errors.Join(fmt.Errorf("hand main what it builds its graph with: %w", err), file.Close())
	}
	if _, err := file.Seek(0, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("hand main what it builds its graph with: %w", err), file.Close())
	}
	return file, nil
}

// processWorker is a worker's process.
type processWorker struct {
	launcher  *Processes
	request   workerRequest
	directory string
	session   net.Conn
	log       *jobLog
	child     *child
	stderr    *tail
	// kills is outOfMemoryKills before the start.
	kills int
}

func (w *processWorker) conn() net.Conn       { return w.session }
func (w *processWorker) memoryFile(i int) int { return memoryFD + i }
func (w *processWorker) pid() int             { return w.child.pid() }
func (w *processWorker) kill()                { w.child.kill() }

func (w *processWorker) output(standardError bool, data []byte) {
	w.log.write(data)
	if standardError {
		w.stderr.write(data)
	}
	w.request.output(standardError, data)
}

func (w *processWorker) wait() workerExit {
	state := w.child.wait()
	exit := workerExit{
		code: state.ExitCode(), signal: signalOf(state), stderrTail: w.stderr.content(), logFile: w.log.path,
	}
	if exit.signal == unix.SIGKILL.String() && w.kills >= 0 && outOfMemoryKills() > w.kills {
		exit.err = fmt.Sprintf("out of memory? It was killed, and meanwhile the kernel of %s has killed a process because memory ran out: "+
			"the kernel's log tells which", hostname())
	}
	w.cleanUp()
	return exit
}

// cleanUp removes what the worker leaves behind, so that nothing of it reaches
// the next one that holds its slots.
func (w *processWorker) cleanUp() {
	logger := w.launcher.options.logger
	for _, slot := range w.request.slots {
		w.launcher.memory.renew(slot)
	}
	if err := os.RemoveAll(w.directory); err != nil {
		logger.Warn("could not remove the working directory of a worker", "directory", w.directory, "error", err)
	}
	w.launcher.logs.release(w.request.attempt.job)
	if w.session != nil && w.child == nil {
		w.session.Close()
	}
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "this host (" + runtime.GOOS + ")"
	}
	return name
}
