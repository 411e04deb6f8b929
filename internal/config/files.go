package config

import (
	"math"
	"os"
	"path/filepath"
	"time"
)

var filesArea = &area{
	title: "Files",
	intro: "Where the daemons keep what they write.",
}

// TempDirs are the directories for files that need not survive. Use
// [TempDirectories].
var TempDirs = filesArea.defineUnset("io.tmp.dirs", directories(), "(the system's directory)", JobManager|TaskManager,
	"The directories for temporary files.")

// WorkingDir is the parent of the daemons' working directories. Use
// [JobManagerWorkingDirectory] and [TaskManagerWorkingDirectory].
var WorkingDir = filesArea.defineUnset("process.working-dir", path(), "(the first of io.tmp.dirs)", JobManager|TaskManager,
	"The directory in which each daemon makes its working directory.")

// JobManagerWorkingDir is the working directory of the JobManager.
var JobManagerWorkingDir = filesArea.defineUnset("process.jobmanager.working-dir", path(), "(process.working-dir)", JobManager,
	"The same for the JobManager alone.")

// TaskManagerWorkingDir is the working directory of the TaskManager.
var TaskManagerWorkingDir = filesArea.defineUnset("process.taskmanager.working-dir", path(), "(process.working-dir)", TaskManager,
	"The same for TaskManagers alone.")

// LogDir is the directory of log files. Use [LogDirectory].
var LogDir = filesArea.defineUnset("env.log.dir", path(), "(`log` in the working directory)", JobManager|TaskManager,
	"The directory for log files, among them one for the output of each job.")

// JobLogsMaxCapacity is of how many ended jobs a TaskManager keeps the logs.
var JobLogsMaxCapacity = filesArea.define("taskmanager.job-logs.max-capacity", integer(1, math.MaxInt32), 100, TaskManager,
	"Of how many jobs that have ended a TaskManager keeps the log files. The oldest go first.",
	weirOnly)

// JobLogsExpirationTime is how long a TaskManager keeps the logs of a job that
// has ended.
var JobLogsExpirationTime = filesArea.define("taskmanager.job-logs.expiration-time", duration(time.Second), 7*24*time.Hour, TaskManager,
	"How long after its last line a TaskManager keeps the log files of a job that has ended.",
	weirOnly)

// TempDirectories returns the directories for temporary files, at least one.
func TempDirectories(c *Config) []string {
	if !TempDirs.IsSet(c) {
		return []string{os.TempDir()}
	}
	return TempDirs.Get(c)
}

// JobManagerWorkingDirectory returns the directory in which the JobManager
// makes its working directory.
func JobManagerWorkingDirectory(c *Config) string { return workingDirectory(c, JobManagerWorkingDir) }

// TaskManagerWorkingDirectory returns the directory in which a TaskManager
// makes its working directory.
func TaskManagerWorkingDirectory(c *Config) string { return workingDirectory(c, TaskManagerWorkingDir) }

func workingDirectory(c *Config, own Option[string]) string {
	switch {
	case own.IsSet(c):
		return own.Get(c)
	case WorkingDir.IsSet(c):
		return WorkingDir.Get(c)
	}
	return TempDirectories(c)[0]
}

// LogDirectory returns the directory for log files of a daemon that works in
// the given directory.
func LogDirectory(c *Config, workingDirectory string) string {
	if LogDir.IsSet(c) {
		return LogDir.Get(c)
	}
	return filepath.Join(workingDirectory, "log")
}
