package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/memory"
	"github.com/weirstream/weir/internal/process"
	"github.com/weirstream/weir/internal/security"
	"github.com/weirstream/weir/taskmanager"
)

func main() {
	daemon := process.Daemon{
		Name:  "taskmanager",
		Short: "Run a TaskManager of a Weir cluster",
		Long: "Run a TaskManager: it registers with the JobManager, offers its slots, and runs the\n" +
			"workers of jobs in them, a process for each job. It stops at SIGTERM or Ctrl-C, and\n" +
			"everything that it runs stops with it.",
		Run: run,
	}
	os.Exit(daemon.Main(os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, e process.Environment) error {
	settings, launcher, err := settingsOf(e)
	if err != nil {
		return err
	}
	tm, err := taskmanager.New(settings)
	if err != nil {
		return err
	}
	directory, forget, err := workingDirectory(e.Config, tm.ID())
	if err != nil {
		return err
	}
	launcher.WorkingDirectory = directory
	launcher.LogDirectory = logDirectory(e.Config, directory)
	return errors.Join(tm.Run(ctx), forget(launcher.LogDirectory))
}

// settingsOf translates the configuration. The launcher's directories are left
// out: their names have the TaskManager's.
func settingsOf(e process.Environment) (taskmanager.Config, *taskmanager.Processes, error) {
	c := e.Config
	credential, err := security.LoadOrCreateCredential(config.CredentialFile.Get(c))
	if err != nil {
		return taskmanager.Config{}, nil, err
	}
	encryption, err := security.TLSFilesOf(c).Client()
	if err != nil {
		return taskmanager.Config{}, nil, err
	}
	bindHost := config.TaskManagerBindHost.Get(c)
	if err := security.CheckListen(config.TaskManagerBindHost.Key(), bindHost, encryption != nil, credential); err != nil {
		return taskmanager.Config{}, nil, err
	}
	jobManager := config.JobManagerEndpoint(c)
	dialOptions, err := security.DialOptions(jobManager, credential, encryption)
	if err != nil {
		return taskmanager.Config{}, nil, err
	}
	divided, err := memory.Divide(config.TaskManagerMemory(c))
	if err != nil {
		return taskmanager.Config{}, nil, fmt.Errorf("memory of the TaskManager: %w", err)
	}
	e.Log.Info("memory", "division", divided.String(), "credential", credential)
	warnOfUnreachableHost(e.Log, c)
	slot := divided.Slot()
	launcher := &taskmanager.Processes{
		WorkerMemoryPerSlot: int64(slot.GoMemLimit),
		KeptJobLogs:         config.JobLogsMaxCapacity.Get(c),
		JobLogAge:           config.JobLogsExpirationTime.Get(c),
	}
	return taskmanager.Config{
		ID:                   ids.TaskManagerID(config.TaskManagerResourceID.Get(c)),
		Host:                 config.TaskManagerHost.Get(c),
		DataBindHost:         bindHost,
		DataPorts:            config.TaskManagerDataPort.Get(c),
		JobManager:           jobManager,
		DialOptions:          dialOptions,
		Slots:                config.NumberOfTaskSlots.Get(c),
		NetworkMemoryPerSlot: int64(slot.Network),
		SegmentSize:          int(slot.SegmentSize),
		Registration: taskmanager.RegistrationConfig{
			InitialTimeout: config.RegistrationInitialTimeout.Get(c),
			MaxTimeout:     config.RegistrationMaxTimeout.Get(c),
			ErrorDelay:     config.RegistrationErrorDelay.Get(c),
			RefusedDelay:   config.RegistrationRefusedDelay.Get(c),
			Timeout:        config.TaskManagerRegistrationTimeout.Get(c),
		},
		Launcher: launcher,
		Version:  e.Build.Version,
		Logger:   e.Log,
	}, launcher, nil
}

// warnOfUnreachableHost tells of a cluster that spans hosts while this
// TaskManager tells the others to look for it on their own.
func warnOfUnreachableHost(log *slog.Logger, c *config.Config) {
	if security.IsLoopback(config.TaskManagerHost.Get(c)) && !security.IsLoopback(config.JobManagerAddress.Get(c)) {
		log.Warn("workers on other hosts cannot reach those of this TaskManager", "set", config.TaskManagerHost.Key(),
			"to", "the name of this host", "is", config.TaskManagerHost.Get(c))
	}
}

// logDirectory is where the logs of jobs go. A configured directory may be
// shared by several TaskManagers of a host, of which each logs the same job, so
// there it is one below.
func logDirectory(c *config.Config, workingDirectory string) string {
	dir := config.LogDirectory(c, workingDirectory)
	if config.LogDir.IsSet(c) {
		dir = filepath.Join(dir, filepath.Base(workingDirectory))
	}
	return dir
}

// workingDirectory makes the directory of the TaskManager with this name. One
// whose name was made up for this run is of no use afterwards: forget removes
// it, but for the logs in it.
func workingDirectory(c *config.Config, id ids.TaskManagerID) (path string, forget func(logs string) error, err error) {
	path, err = filepath.Abs(filepath.Join(config.TaskManagerWorkingDirectory(c), "tm_"+url.PathEscape(string(id))))
	if err != nil {
		return "", nil, err
	}
	if err := security.PrivateDirectory(path); err != nil {
		return "", nil, fmt.Errorf("%s: %w", config.TaskManagerWorkingDir.Key(), err)
	}
	if config.TaskManagerResourceID.IsSet(c) {
		return path, func(string) error { return nil }, nil
	}
	return path, func(logs string) error { return removeExcept(path, logs) }, nil
}

// removeExcept removes what is in a directory except for one entry with files,
// and the directory itself if nothing is left.
func removeExcept(path, kept string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	var failed []error
	left := false
	for _, entry := range entries {
		name := filepath.Join(path, entry.Name())
		if name != kept {
			failed = append(failed, os.RemoveAll(name))
			continue
		}
		if err := os.Remove(name); err != nil { // It is not empty.
			left = true
		}
	}
	if !left {
		failed = append(failed, os.Remove(path))
	}
	return errors.Join(failed...)
}
