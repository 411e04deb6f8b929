package main

import (
	"bytes"
	"strings"
	"time"

	"github.com/weirstream/weir/client"
)

// What weir run -o json prints on standard output is one of these on each line.
// "event" tells which.
type (
	submittedEvent struct {
		Event string `json:"event"` // "submitted"
		JID   string `json:"jid"`
		Name  string `json:"name"`
	}
	outputEvent struct {
		Event string `json:"event"` // "output"
		// TaskManager is absent for what main printed while the job was planned.
		TaskManager string `json:"taskmanager-id,omitempty"`
		Stream      string `json:"stream"` // "stdout" or "stderr"
		// Line is without its end. Bytes that are not UTF-8 are replaced.
		Line string `json:"line"`
	}
	progressEvent struct {
		Event         string `json:"event"` // "progress"
		JID           string `json:"jid"`
		State         string `json:"state"`
		StatusMessage string `json:"status-message,omitempty"`
		ReadRecords   uint64 `json:"read-records"`
		// Absent while they are not known: records per second, the share of the
		// input from 0 to 1, and the time left in ms.
		Rate     *float64 `json:"read-records-per-second,omitempty"`
		Share    *float64 `json:"read-share,omitempty"`
		TimeLeft *int64   `json:"time-left,omitempty"`
	}
	endedEvent struct {
		Event       string           `json:"event"` // "ended"
		JID         string           `json:"jid"`
		State       string           `json:"state"`
		Duration    int64            `json:"duration"`
		ReadRecords uint64           `json:"read-records"`
		Failure     *jobFailureEvent `json:"failure,omitempty"`
	}
	jobFailureEvent struct {
		Message     string `json:"message"`
		Task        string `json:"task,omitempty"`
		TaskManager string `json:"taskmanager-id,omitempty"`
		LogFile     string `json:"log-file,omitempty"`
		Stack       string `json:"stack,omitempty"`
	}
)

// outputEvents makes an event of each line of what was printed.
func outputEvents(taskManager string, standardError bool, data []byte) (events []any) {
	stream := "stdout"
	if standardError {
		stream = "stderr"
	}
	for line := range bytes.Lines(data) {
		text := strings.ToValidUTF8(string(bytes.TrimSuffix(line, []byte("\n"))), "\uFFFD")
		events = append(events, outputEvent{Event: "output", TaskManager: taskManager, Stream: stream, Line: text})
	}
	return events
}

// event is the progress as of now.
func (p *progress) event(now time.Time, id string) progressEvent {
	e := progressEvent{Event: "progress", JID: id, State: string(p.state), StatusMessage: p.message, ReadRecords: p.input.records}
	if rate, ok := p.perSecond(); ok {
		e.Rate = &rate
	}
	if share, ok := p.input.share(); ok {
		e.Share = &share
	}
	if left, ok := p.left(now); ok {
		ms := left.Milliseconds()
		e.TimeLeft = &ms
	}
	return e
}

func endEvent(job *client.Job) endedEvent {
	e := endedEvent{
		Event: "ended", JID: job.ID, State: string(job.State), Duration: job.End.Sub(job.Start).Milliseconds(),
		ReadRecords: inputOf(job).records,
	}
	if f := failureOf(job); job.State == client.Failed {
		failure := failureEvent(f)
		e.Failure = &failure
	}
	return e
}

func failureEvent(f *client.Failure) jobFailureEvent {
	return jobFailureEvent{Message: strings.TrimRight(f.Message, "\n"), Task: f.Task, TaskManager: f.TaskManager, LogFile: f.LogFile, Stack: f.Stack}
}
