package main

import (
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/weirstream/weir/client"
)

// describe returns what list --verbose shows below a job: why it waits or has
// failed, and a table of the subtasks of each vertex.
func describe(job *client.Job) string {
	var b strings.Builder
	if job.StatusMessage != "" {
		b.WriteString("  " + strings.ReplaceAll(strings.TrimRight(job.StatusMessage, "\n"), "\n", "\n  ") + "\n")
	}
	b.WriteString(describeRestarts(job))
	for _, v := range job.Vertices {
		b.WriteString("  " + v.Name + "\n")
		// Subtasks are numbered as in the names of tasks, from 1.
		table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		_, _ = fmt.Fprintln(table, "    SUBTASK\tSTATE\tTASKMANAGER\tBUSY\tIDLE\tBACKPRESSURED\tLEVEL\tRECORDS IN\tRECORDS OUT\tWATERMARK")
		for _, s := range v.Subtasks {
			m := s.Metrics
			_, _ = fmt.Fprintf(table, "    %d/%d\t%s\t%s\t%d ms/s\t%d ms/s\t%d ms/s\t%s\t%d\t%d\t%s\n",
				s.Index+1, v.Parallelism, s.State, orDash(s.TaskManager), m.BusyMillis, m.IdleMillis, m.BackpressuredMillis,
				backpressureLevel(m), m.RecordsIn, m.RecordsOut, watermark(m.Watermark))
		}
		_ = table.Flush() // A strings.Builder takes everything.
		b.WriteString(describeUserMetrics(v))
	}
	return b.String()
}

// describeRestarts returns how often a job was restarted, when it will be, and
// why: the last failures, the newest first, in one line each.
func describeRestarts(job *client.Job) string {
	if job.Restarts == 0 && job.NextRestart.IsZero() {
		return ""
	}
	times := "times"
	if job.Restarts == 1 {
		times = "time"
	}
	text := fmt.Sprintf("  Attempt %d, restarted %d %s", job.Attempt, job.Restarts, times)
	if !job.NextRestart.IsZero() {
		text += ", next restart " + job.NextRestart.Local().Format("02.01.2006 15:04:05")
	}
	text += "\n"
	for _, f := range job.Failures {
		message, _, _ := strings.Cut(strings.TrimRight(f.Message, "\n"), "\n")
		text += "    " + f.Time.Local().Format("02.01.2006 15:04:05") + " : "
		if f.Task != "" {
			text += f.Task + ": "
		}
		text += message
		if f.TaskManager != "" && !strings.Contains(message, f.TaskManager) {
			text += " (on TaskManager " + f.TaskManager + ")"
		}
		text += "\n"
	}
	return text
}

// backpressureLevel is Flink's: the share of time that a task waits for its
// output is ok up to a tenth, low up to a half, and high above.
func backpressureLevel(m client.Metrics) string {
	switch {
	case m.BackpressuredMillis <= 100:
		return "ok"
	case m.BackpressuredMillis <= 500:
		return "low"
	}
	return "high"
}

// watermark prints a time in UTC. The largest one means that no record will
// follow.
func watermark(ms int64) string {
	switch ms {
	case client.NoWatermark:
		return "-"
	case math.MaxInt64:
		return "end of input"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
