package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/client"
)

// listing says which jobs to list, and how.
type listing struct {
	settings
	running, scheduled, all bool
	verbose                 bool
}

func (a *app) listCommand() *cobra.Command {
	l := &listing{}
	command := &cobra.Command{
		Use:   "list [OPTIONS]",
		Short: "List running and scheduled jobs",
		Long: "List shows running and scheduled jobs, or those that the options ask for; with --verbose also what each of their subtasks does:\n" +
			"how much of the last second it was busy, idle or held up by backpressure, and what it has read and written.",
		Args:                  exactly(""),
		ValidArgsFunction:     cobra.NoFileCompletions,
		DisableFlagsInUseLine: true,
		RunE:                  func(command *cobra.Command, _ []string) error { return a.list(command.Context(), l) },
	}
	l.register(command)
	flags := command.Flags()
	flags.BoolVarP(&l.running, "running", "r", false, "show only running jobs")
	flags.BoolVarP(&l.scheduled, "scheduled", "s", false, "show only scheduled jobs")
	flags.BoolVarP(&l.all, "all", "a", false, "show all jobs, also those that have ended")
	flags.BoolVarP(&l.verbose, "verbose", "v", false, "show the subtasks of each job")
	a.outputFlag(command)
	return command
}

func (a *app) list(ctx context.Context, l *listing) error {
	c, err := l.load(a)
	if err != nil {
		return err
	}
	jobManager, err := l.connect(c)
	if err != nil {
		return err
	}
	defer func() { _ = jobManager.Close() }()
	if !a.json() {
		a.print("Waiting for response...\n")
	}
	jobs, err := request(ctx, c, func(ctx context.Context) ([]*client.Job, error) { return l.fetch(ctx, jobManager) })
	if err != nil {
		return &failure{action: "Failed to retrieve job list.", cause: err}
	}
	if a.json() {
		return a.printJobsJSON(jobs, l.verbose)
	}
	a.printJobs(jobs, l)
	return nil
}

// fetch returns the jobs that are to be shown, in the order they started.
func (l *listing) fetch(ctx context.Context, jobManager *client.Client) ([]*client.Job, error) {
	summaries, err := jobManager.List(ctx)
	if err != nil {
		return nil, err
	}
	var jobs []*client.Job
	for _, summary := range summaries {
		if !l.shows(blockOf(summary.State)) {
			continue
		}
		job := &client.Job{JobSummary: summary}
		if l.verbose {
			described, err := jobManager.Describe(ctx, summary.ID)
			if errors.Is(err, client.ErrNotFound) {
				continue // It was forgotten just now.
			}
			if err != nil {
				return nil, err
			}
			described.JobSummary = summary // Which was chosen by its state.
			job = described
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// block is a part of flink's list.
type block struct {
	header string
	// none is what stands for a block without jobs; empty for nothing.
	none string
}

var (
	runningBlock    = &block{"------------------ Running/Restarting Jobs -------------------", "No running jobs."}
	scheduledBlock  = &block{"----------------------- Scheduled Jobs -----------------------", "No scheduled jobs."}
	terminatedBlock = &block{"---------------------- Terminated Jobs -----------------------", ""}
)

const blockEnd = "--------------------------------------------------------------"

func blockOf(state client.JobState) *block {
	switch {
	case state.Terminal():
		return terminatedBlock
	case state == client.Created || state == client.Initializing:
		return scheduledBlock
	}
	return runningBlock
}

func (l *listing) shows(b *block) bool {
	neither := !l.running && !l.scheduled
	switch b {
	case runningBlock:
		return l.running || l.all || neither
	case scheduledBlock:
		return l.scheduled || l.all || neither
	}
	return l.all
}

func (a *app) printJobs(jobs []*client.Job, l *listing) {
	for _, b := range []*block{runningBlock, scheduledBlock, terminatedBlock} {
		if !l.shows(b) {
			continue
		}
		var lines strings.Builder
		for _, job := range jobs {
			if blockOf(job.State) != b {
				continue
			}
			lines.WriteString(job.Start.Local().Format("02.01.2006 15:04:05") + " : " + job.ID + " : " + job.Name + " (" + string(job.State) + ")\n")
			if l.verbose {
				lines.WriteString(describe(job))
			}
		}
		switch {
		case lines.Len() > 0:
			a.print(b.header + "\n" + lines.String() + blockEnd + "\n")
		case b.none != "":
			a.print(b.none + "\n")
		}
	}
}

// The JSON of a list is that of Flink's GET /jobs/overview, and with --verbose
// each job has the vertices beside it.
type (
	jobJSON struct {
		JID           string         `json:"jid"`
		Name          string         `json:"name"`
		State         string         `json:"state"`
		StartTime     int64          `json:"start-time"`
		EndTime       int64          `json:"end-time"`
		Duration      int64          `json:"duration"`
		Tasks         map[string]int `json:"tasks"`
		StatusMessage string         `json:"status-message,omitempty"`
		Restarts      int            `json:"restarts"`
		// NextRestart is absent unless the job is RESTARTING.
		NextRestart int64 `json:"next-restart,omitempty"`
		// Exceptions are the last failures of all attempts, the newest first.
		Exceptions []exceptionJSON `json:"exceptions,omitempty"`
		Vertices   []vertexJSON    `json:"vertices,omitempty"`
	}
	exceptionJSON struct {
		Timestamp int64 `json:"timestamp"`
		jobFailureEvent
	}
	vertexJSON struct {
		Name        string        `json:"name"`
		Parallelism int           `json:"parallelism"`
		Subtasks    []subtaskJSON `json:"subtasks"`
		// UserMetrics are those of the job's functions, over all subtasks.
		UserMetrics []userMetricJSON `json:"user-metrics,omitempty"`
	}
	subtaskJSON struct {
		Subtask       int    `json:"subtask"`
		Status        string `json:"status"`
		TaskManagerID string `json:"taskmanager-id"`
		ReadRecords   uint64 `json:"read-records"`
		WriteRecords  uint64 `json:"write-records"`
		ReadBytes     uint64 `json:"read-bytes"`
		WriteBytes    uint64 `json:"write-bytes"`
		RemoteRecords uint64 `json:"read-records-remote"`
		Busy          uint32 `json:"busyTimeMsPerSecond"`
		Idle          uint32 `json:"idleTimeMsPerSecond"`
		Backpressured uint32 `json:"backPressuredTimeMsPerSecond"`
		Level         string `json:"backpressureLevel"`
		// Watermark is absent while there is none.
		Watermark *int64 `json:"currentInputWatermark,omitempty"`
	}
)

func (a *app) printJobsJSON(jobs []*client.Job, verbose bool) error {
	list := make([]jobJSON, 0, len(jobs))
	for _, job := range jobs {
		list = append(list, jobToJSON(job, verbose))
	}
	return a.printJSON(map[string]any{"jobs": list})
}

func jobToJSON(job *client.Job, verbose bool) jobJSON {
	j := jobJSON{
		JID: job.ID, Name: job.Name, State: string(job.State), StatusMessage: job.StatusMessage,
		StartTime: job.Start.UnixMilli(), EndTime: -1, Tasks: map[string]int{"total": 0}, Restarts: job.Restarts,
	}
	if !job.NextRestart.IsZero() {
		j.NextRestart = job.NextRestart.UnixMilli()
	}
	end := time.Now()
	if !job.End.IsZero() {
		end = job.End
		j.EndTime = end.UnixMilli()
	}
	j.Duration = end.Sub(job.Start).Milliseconds()
	for state, n := range job.Tasks {
		j.Tasks[strings.ToLower(state)] = n
		j.Tasks["total"] += n
	}
	if !verbose {
		return j
	}
	for i := range job.Failures {
		j.Exceptions = append(j.Exceptions, exceptionJSON{job.Failures[i].Time.UnixMilli(), failureEvent(&job.Failures[i])})
	}
	for _, v := range job.Vertices {
		vertex := vertexJSON{Name: v.Name, Parallelism: v.Parallelism, Subtasks: make([]subtaskJSON, 0, len(v.Subtasks))}
		for _, s := range v.Subtasks {
			vertex.Subtasks = append(vertex.Subtasks, subtaskToJSON(s))
		}
		vertex.UserMetrics = userMetricsToJSON(v)
		j.Vertices = append(j.Vertices, vertex)
	}
	return j
}

func subtaskToJSON(s client.Subtask) subtaskJSON {
	m := s.Metrics
	j := subtaskJSON{
		Subtask: s.Index, Status: s.State, TaskManagerID: s.TaskManager,
		ReadRecords: m.RecordsIn, WriteRecords: m.RecordsOut, ReadBytes: m.BytesIn, WriteBytes: m.BytesOut, RemoteRecords: m.RecordsInRemote,
		Busy: m.BusyMillis, Idle: m.IdleMillis, Backpressured: m.BackpressuredMillis,
		Level: backpressureLevel(m),
	}
	if m.Watermark != client.NoWatermark {
		j.Watermark = &m.Watermark
	}
	return j
}
