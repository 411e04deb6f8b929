package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/process"
)

// localCluster says what weir local starts.
type localCluster struct {
	settings
	taskManagers int
	slots        int
}

func (a *app) localCommand() *cobra.Command {
	l := &localCluster{}
	command := &cobra.Command{
		Use:   "local [OPTIONS]",
		Short: "Start a cluster on this machine, until Ctrl-C",
		Long: "Local starts a JobManager and TaskManagers of this installation as processes that listen on\n" +
			"loopback only. It stays in the foreground and stops them all when it is stopped.",
		Args:                  exactly(""),
		ValidArgsFunction:     cobra.NoFileCompletions,
		DisableFlagsInUseLine: true,
		RunE:                  func(command *cobra.Command, _ []string) error { return a.local(command.Context(), l) },
	}
	flags := command.Flags()
	flags.SortFlags = false
	flags.IntVar(&l.taskManagers, "taskmanagers", 2, "the `number` of TaskManagers")
	flags.IntVar(&l.slots, "slots", 0, "the `number` of slots of each; without it the configured one, or else as many as make one slot per core")
	for _, number := range []string{"taskmanagers", "slots"} {
		_ = command.RegisterFlagCompletionFunc(number, cobra.NoFileCompletions)
	}
	l.registerConfiguration(command)
	a.outputFlag(command)
	return command
}

func (a *app) local(ctx context.Context, l *localCluster) error {
	if l.taskManagers < 1 {
		return usagef("The number of TaskManagers must be positive: %d", l.taskManagers)
	}
	if l.slots < 0 {
		return usagef("The number of slots must be positive: %d", l.slots)
	}
	c, err := l.load(a)
	if err != nil {
		return err
	}
	binaries, err := installation()
	if err != nil {
		return err
	}
	dir, temporary, err := workingDirectory(c)
	if err != nil {
		return err
	}
	d := newDaemons(ctx, binaries, filepath.Join(dir, "log"))
	err = a.runLocal(ctx, l, c, d, dir)
	if stopErr := d.stop(a.signals); err == nil {
		err = stopErr
	}
	if err == nil && temporary {
		err = os.RemoveAll(dir)
	}
	return err
}

// runLocal starts the daemons and waits until one ends or a signal arrives.
func (a *app) runLocal(ctx context.Context, l *localCluster, c *config.Config, d *daemons, dir string) error {
	starting, stop := a.untilSignal(ctx)
	address, err := l.start(starting, c, d, dir)
	stop()
	if errors.Is(err, errInterrupted) {
		return nil
	}
	if err != nil {
		return err
	}
	if a.json() {
		err = writeJSON(a.stdout, localJSON{JobManager: address, TaskManagers: l.taskManagers, Slots: l.taskManagers * l.slotsEach(c), LogDir: d.logDir}, "")
		if err != nil {
			return err
		}
	} else {
		a.print(l.greeting(c, address, d.logDir))
	}
	select {
	case <-a.signals:
		if !a.json() {
			a.warn("\nStopping the cluster.\n")
		}
		return nil
	case failed := <-d.ended:
		return failed.failure()
	}
}

// localJSON says how to use the cluster, once it is ready.
type localJSON struct {
	JobManager   string `json:"jobmanager"` // host:port, for -m
	TaskManagers int    `json:"taskmanagers"`
	Slots        int    `json:"slots-total"`
	LogDir       string `json:"log-dir"`
}

// start starts the JobManager and then the TaskManagers, and returns the
// JobManager's address once all are ready.
func (l *localCluster) start(ctx context.Context, c *config.Config, d *daemons, dir string) (address string, err error) {
	file, err := process.ConfigFile(l.file)
	if err != nil {
		return "", err
	}
	var common []string
	if file != "" {
		common = append(common, "--config", file)
	}
	for _, setting := range l.dynamic {
		common = append(common, "-D", setting)
	}
	common = append(common,
		"-D", config.WorkingDir.Key()+"="+dir,
		"-D", config.JobManagerAddress.Key()+"=localhost", "-D", config.JobManagerBindHost.Key()+"=localhost",
		"-D", config.TaskManagerHost.Key()+"=localhost", "-D", config.TaskManagerBindHost.Key()+"=localhost")
	jobManager, err := d.start("jobmanager", "jobmanager", append(common[:len(common):len(common)],
		"-D", config.JobManagerPort.Key()+"="+strconv.Itoa(freePort(ctx, config.JobManagerPort.Get(c)))))
	if err != nil {
		return "", err
	}
	address, err = jobManager.awaitReady(ctx)
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("the JobManager says that its address is %q: %w", address, err)
	}
	var taskManagers []*daemon
	for i := range l.taskManagers {
		name := "taskmanager-" + strconv.Itoa(i+1)
		tm, err := d.start(name, "taskmanager", append(common[:len(common):len(common)],
			"-D", config.JobManagerPort.Key()+"="+port,
			"-D", config.TaskManagerResourceID.Key()+"="+name,
			"-D", config.NumberOfTaskSlots.Key()+"="+strconv.Itoa(l.slotsEach(c))))
		if err != nil {
			return "", err
		}
		taskManagers = append(taskManagers, tm)
	}
	return address, l.awaitRegistered(ctx, c, address, taskManagers)
}

// registrationPoll is how often the JobManager is asked who has registered.
const registrationPoll = 50 * time.Millisecond

// awaitRegistered returns once the JobManager knows all TaskManagers, or with
// an error once one of them is gone.
func (l *localCluster) awaitRegistered(ctx context.Context, c *config.Config, address string, taskManagers []*daemon) error {
	jobManager, err := (&settings{jobManager: address}).connect(c)
	if err != nil {
		return err
	}
	defer func() { _ = jobManager.Close() }()
	poll := time.NewTicker(registrationPoll)
	defer poll.Stop()
	for {
		cluster, err := request(ctx, c, jobManager.Cluster)
		if err != nil {
			return err
		}
		if len(cluster.TaskManagers) >= len(taskManagers) {
			return nil
		}
		for _, tm := range taskManagers {
			select {
			case <-tm.gone:
				return tm.failure()
			default:
			}
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *localCluster) slotsEach(c *config.Config) int {
	switch {
	case l.slots > 0:
		return l.slots
	case config.NumberOfTaskSlots.IsSet(c):
		return config.NumberOfTaskSlots.Get(c)
	}
	return max(1, runtime.NumCPU()/l.taskManagers)
}

// greeting says how to use the cluster.
func (l *localCluster) greeting(c *config.Config, address, logDir string) string {
	option := ""
	if _, port, _ := net.SplitHostPort(address); port != strconv.Itoa(config.JobManagerPort.Get(c)) || config.JobManagerAddress.Get(c) != "localhost" {
		option = " -m " + address
	}
	slots := l.slotsEach(c)
	var b strings.Builder
	fmt.Fprintf(&b, "A cluster runs on this machine: a JobManager at %s, and %s with %s in all.\n\n",
		address, count(l.taskManagers, "TaskManager"), count(l.taskManagers*slots, "slot"))
	fmt.Fprintf(&b, "Run a job:     weir run%s [-p %d] <package or executable>\n", option, l.taskManagers*slots)
	fmt.Fprintf(&b, "See what runs: weir list%s [--verbose]\n", option)
	fmt.Fprintf(&b, "Daemons' logs: %s\n\n", logDir)
	b.WriteString("Ctrl-C stops the cluster.\n")
	return b.String()
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// installation returns the directory of the daemons' binaries: this one's.
func installation() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return "", err
	}
	dir := filepath.Dir(self)
	for _, name := range []string{"jobmanager", "taskmanager"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("weir local starts the daemons that are installed beside weir: %w", err)
		}
	}
	return dir, nil
}

// workingDirectory returns where the daemons keep their files: the configured
// directory, or a new one that goes when the cluster does.
func workingDirectory(c *config.Config) (dir string, temporary bool, err error) {
	if config.WorkingDir.IsSet(c) {
		return config.WorkingDir.Get(c), false, nil
	}
	dir, err = os.MkdirTemp("", "weir-local-")
	return dir, true, err
}

// freePort returns the wanted port if it is free, and otherwise 0, which is any.
func freePort(ctx context.Context, wanted int) int {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("localhost", strconv.Itoa(wanted)))
	if err != nil {
		return 0
	}
	_ = listener.Close()
	return wanted
}
