package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/weirstream/weir/client"
)

// checkpointTime is how the times of checkpoints are printed, of which there may be
// many in a second.
const checkpointTime = "02.01.2006 15:04:05.000"

// checkpointsText returns what there is to see of a job's checkpoints: the numbers,
// the settings, the last ones of each kind, the history and, as far as the tasks were
// asked for, tables of them.
func checkpointsText(id string, c *client.Checkpoints) string {
	var b strings.Builder
	b.WriteString("Checkpoints of job " + id + "\n")
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, value string) { _, _ = fmt.Fprintf(table, "  %s\t%s\n", name, value) }
	row("Counts", fmt.Sprintf("%d triggered, %d in progress, %d completed, %d failed, %d restored",
		c.Triggered, c.InProgress, c.Completed, c.Failed, c.Restored))
	row("Configuration", fmt.Sprintf("%s, interval %s, timeout %s, min pause %s, max concurrent %d, tolerable failed %d",
		c.Config.Mode, c.Config.Interval, c.Config.Timeout, c.Config.MinPause, c.Config.MaxConcurrent, c.Config.TolerableFailed))
	row("Retention", fmt.Sprintf("num retained %d, %s", c.Config.Retained, c.Config.ExternalizedRetention))
	row("Directory", c.Config.Directory)
	row("Retained", retainedText(c.Retained))
	row("Last completed", lastCompletedText(c.LatestCompleted))
	row("Last failed", lastFailedText(c.LatestFailed))
	row("Last restored", lastRestoredText(c.LatestRestored))
	_ = table.Flush() // A strings.Builder takes everything.
	b.WriteString(historyText(c.History))
	for i := range c.History {
		if c.History[i].Status == client.CheckpointInProgress {
			b.WriteString(checkpointTasksText(&c.History[i]))
		}
	}
	for _, last := range []*client.Checkpoint{c.LatestCompleted, c.LatestFailed} {
		if last != nil {
			b.WriteString(checkpointTasksText(last))
		}
	}
	return b.String()
}

func retainedText(retained []client.RetainedCheckpoint) string {
	var all []string
	for _, r := range retained {
		all = append(all, strconv.FormatUint(r.ID, 10))
	}
	return orDash(strings.Join(all, ", "))
}

func lastCompletedText(c *client.Checkpoint) string {
	if c == nil {
		return "-"
	}
	return fmt.Sprintf("%d, triggered %s, took %s, %s", c.ID, c.Trigger.Local().Format(checkpointTime), shortDuration(c.Duration), checkpointPath(c))
}

func lastFailedText(c *client.Checkpoint) string {
	if c == nil {
		return "-"
	}
	return fmt.Sprintf("%d, triggered %s, after %s: %s", c.ID, c.Trigger.Local().Format(checkpointTime), shortDuration(c.Duration), oneLine(c.Failure))
}

func lastRestoredText(r *client.RestoredCheckpoint) string {
	if r == nil {
		return "-"
	}
	return fmt.Sprintf("%d, at %s, %s", r.ID, r.Time.Local().Format(checkpointTime), r.ExternalPath)
}

// checkpointPath is where a checkpoint is, if it still is there.
func checkpointPath(c *client.Checkpoint) string {
	if c.Discarded {
		return "(deleted)"
	}
	return orDash(c.ExternalPath)
}

func historyText(history []client.Checkpoint) string {
	if len(history) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n")
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "  ID\tSTATUS\tTRIGGERED\tDURATION\tSIZE\tSTART DELAY\tALIGNMENT\tACKNOWLEDGED\tPATH")
	for i := range history {
		c := &history[i]
		status := string(c.Status)
		if c.Final {
			status += " (final)"
		}
		_, _ = fmt.Fprintf(table, "  %d\t%s\t%s\t%s\t%s\t%s\t%s\t%d/%d\t%s\n", c.ID, status, c.Trigger.Local().Format(checkpointTime),
			shortDuration(c.Duration), byteSize(c.StateSize), shortDuration(c.StartDelay), shortDuration(c.Alignment),
			c.Acknowledged, c.Subtasks, checkpointPath(c))
	}
	_ = table.Flush() // A strings.Builder takes everything.
	return b.String()
}

// checkpointTasksText returns the table of the tasks of a checkpoint, nothing if they
// were not asked for.
func checkpointTasksText(c *client.Checkpoint) string {
	if len(c.Tasks) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(fmt.Sprintf("\nCheckpoint %d (%s)\n", c.ID, c.Status))
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "  TASK\tSUBTASK\tSIZE\tSTART DELAY\tALIGNMENT\tSYNC\tASYNC")
	for _, v := range c.Tasks {
		for _, s := range v.Subtasks {
			figures := "-\t-\t-\t-\t-"
			if s.Acknowledged {
				figures = strings.Join([]string{
					byteSize(s.StateSize), shortDuration(s.StartDelay), shortDuration(s.Alignment), shortDuration(s.Sync), shortDuration(s.Async),
				}, "\t")
			}
			_, _ = fmt.Fprintf(table, "  %s\t%d/%d\t%s\n", v.Name, s.Index+1, v.Parallelism, figures)
		}
	}
	_ = table.Flush() // A strings.Builder takes everything.
	return b.String()
}

// shortDuration rounds a duration to about three digits.
func shortDuration(d time.Duration) string {
	unit := time.Second
	for d < 100*unit && unit > time.Microsecond {
		unit /= 10
	}
	return d.Round(unit).String()
}

// byteSize writes a number of bytes with about three digits.
func byteSize(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1023.95 { // It would be rounded to the next unit.
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[unit])
}
