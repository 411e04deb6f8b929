package client

import (
	"math"
	"slices"
	"time"
)

// JobState is where a job is in its life. The names are Flink's.
type JobState string

// The states of a job.
const (
	Initializing JobState = "INITIALIZING" // being planned
	Created      JobState = "CREATED"      // waiting for slots, or for its tasks to be deployed
	Running      JobState = "RUNNING"
	Restarting   JobState = "RESTARTING" // between an attempt that failed and the next one
	Failing      JobState = "FAILING"
	Failed       JobState = "FAILED"
	Cancelling   JobState = "CANCELLING"
	Canceled     JobState = "CANCELED"
	Finished     JobState = "FINISHED"
)

// Terminal reports whether a job in this state has ended.
func (s JobState) Terminal() bool { return s == Failed || s == Canceled || s == Finished }

// JobSummary is what a list shows of a job.
type JobSummary struct {
	ID    string
	Name  string
	State JobState
	Start time.Time
	// End is zero while the job runs.
	End time.Time
	// StatusMessage is why the job waits, is restarted, fails or has failed.
	StatusMessage string
	// Restarts is how often the job was restarted after a failure.
	Restarts int
	// NextRestart is when the next attempt may begin at the earliest; zero unless
	// the job is RESTARTING.
	NextRestart time.Time
	// Tasks counts the subtasks by their state.
	Tasks map[string]int
}

// Job is one job in full.
type Job struct {
	JobSummary
	Vertices []Vertex
	// Failure is the first failure that did not follow from another; nil if
	// nothing has failed.
	Failure *Failure
	// Failures are the last ones of all attempts, at most 16, the newest first.
	Failures           []Failure
	Attempt            int
	DefaultParallelism int
}

// Vertex is a chain of operators that run in one task.
type Vertex struct {
	Name        string
	Parallelism int
	// Source tells whether its head is a source, and Bounded whether the source
	// ends by itself.
	Source, Bounded bool
	Operators       []Operator
	Inputs          []Input
	Subtasks        []Subtask
}

// Operator is one step of the user's program.
type Operator struct {
	// ID is the stable id that its state is found by.
	ID   string
	Name string
	Kind string
	// Position is where it was written, "file.go:42".
	Position string
}

// Input is an edge of the graph, seen from where it ends.
type Input struct {
	// Vertex is the index of the vertex that it comes from.
	Vertex int
	// Partitioning is how records are dealt out: "FORWARD", "HASH", "REBALANCE".
	Partitioning string
}

// Subtask is one parallel instance of a vertex.
type Subtask struct {
	Index int
	// State has Flink's names: CREATED, DEPLOYING, INITIALIZING, RUNNING,
	// FINISHED, CANCELING, CANCELED, FAILED.
	State string
	// TaskManager is where it runs; empty while it has no slot.
	TaskManager string
	// InputEnded tells whether it has read all of its input; it may be RUNNING
	// until the job's final checkpoint has completed.
	InputEnded bool
	Metrics    Metrics
}

// NoWatermark is the watermark of a task that has none yet.
const NoWatermark = math.MinInt64

// Metrics are one subtask's figures. Counts are since its start.
type Metrics struct {
	RecordsIn, RecordsOut uint64
	BytesIn, BytesOut     uint64
	// RecordsInRemote are those of RecordsIn that came over TCP.
	RecordsInRemote uint64
	// How the last second was spent, in ms of 1000.
	BusyMillis, IdleMillis, BackpressuredMillis uint32
	// Watermark is in ms since the epoch, or [NoWatermark].
	Watermark int64
	// AlignmentDrift is how far a source's watermark is beyond what its alignment group
	// allows, in ms: negative below that, 0 without a limit.
	AlignmentDrift int64
	// How much of a bounded input is read, in the source's own unit; the total
	// is 0 if it is not known.
	ProgressDone, ProgressTotal uint64
	LateRecordsDropped          uint64
	// LongestFiring is the longest time that one watermark held the task with the
	// results that it fired, before the end of its input: so long may a record have
	// waited.
	LongestFiring time.Duration
	// User are those of the job's functions.
	User []UserMetric
}

// Failure is why an attempt of a job failed.
type Failure struct {
	Message string
	// Task is the task that failed, if it was one: "Source: flights -> Filter (2/4)".
	Task        string
	TaskManager string
	// Stack is a goroutine's stack if the task panicked.
	Stack string
	Time  time.Time
	// LogFile is the job's log file on the TaskManager's host.
	LogFile string
}

// Event is one thing that happened to a watched job: one of the two is set.
type Event struct {
	Job    *Job
	Output *Output
}

// Output is what a job has printed.
type Output struct {
	StandardError bool
	Data          []byte
	TaskManager   string
	// Dropped are the bytes before these that the JobManager no longer had.
	Dropped uint64
}

// Cluster is what a JobManager has to work with.
type Cluster struct {
	TaskManagers []TaskManager
	Version      string
}

// TaskManager is a registered TaskManager.
type TaskManager struct {
	ID, Host  string
	Slots     int
	FreeSlots int
	Version   string
	// NetworkMemoryPerSlot is in bytes.
	NetworkMemoryPerSlot uint64
	// Platform is what executables must be built for: "linux/amd64".
	Platform string
}

// Platforms returns the platforms of the cluster's TaskManagers, each once, in order.
func (c *Cluster) Platforms() []string {
	var platforms []string
	for _, tm := range c.TaskManagers {
		platforms = append(platforms, tm.Platform)
	}
	slices.Sort(platforms)
	return slices.Compact(platforms)
}
