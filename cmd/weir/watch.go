package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/client"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/goroutine"
)

// watch stays with a job until it has ended.
type watch struct {
	app        *app
	jobManager *client.Client
	config     *config.Config
	console    *console
	id         string
	// cancelOnSignal is -sae: the first signal cancels the job instead of
	// leaving it.
	cancelOnSignal bool

	progress progress
	last     *client.Job
}

// run shows what the job prints and how far it is, and returns nil once it has
// finished. A job that failed or was cancelled is an error.
func (w *watch) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	signals := goroutine.New(ctx)
	signals.Go(func(ctx context.Context) error {
		w.onSignals(ctx, cancel)
		return nil
	})
	err := w.follow(ctx)
	_ = signals.Close() // It returns no error.
	w.console.clear()
	switch {
	case errors.Is(err, errInterrupted):
		if !w.cancelOnSignal {
			w.console.note(fmt.Sprintf("Job %s keeps running. Cancel it with: weir cancel %s", w.id, w.id))
		}
		return err
	case errors.Is(err, client.ErrUnavailable):
		return fmt.Errorf("lost sight of job %s, which may still be running: %w", w.id, err)
	case err != nil:
		return err
	}
	return w.end()
}

// onSignals leaves the job at a signal or, with -sae, cancels it at the first
// and leaves it at the second.
func (w *watch) onSignals(ctx context.Context, leave context.CancelCauseFunc) {
	for cancelled := !w.cancelOnSignal; ; cancelled = true {
		select {
		case <-ctx.Done():
			return
		case <-w.app.signals:
		}
		if cancelled {
			leave(errInterrupted)
			return
		}
		w.console.note(fmt.Sprintf("Cancelling job %s.", w.id))
		_, err := request(ctx, w.config, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, w.jobManager.Cancel(ctx, w.id)
		})
		if err != nil && ctx.Err() == nil && !errors.Is(err, client.ErrState) {
			w.console.note(fmt.Sprintf("Could not cancel job %s: %v", w.id, err))
		}
	}
}

// follow handles the job's events until there are no more.
func (w *watch) follow(ctx context.Context) error {
	printed := lines{}
	defer printed.rest(w.console.output)
	for event, err := range w.jobManager.Watch(ctx, w.id, true) {
		switch {
		case err != nil:
			return err
		case event.Job != nil:
			w.last = event.Job
			w.observe(time.Now())
		case event.Output != nil:
			if event.Output.Dropped > 0 {
				w.console.note(fmt.Sprintf("(%d bytes of the job's output are left out here; its log file on the TaskManager has them)", event.Output.Dropped))
			}
			from := lineSource{event.Output.TaskManager, event.Output.StandardError}
			w.console.output(from, printed.add(from, event.Output.Data))
		}
	}
	return nil
}

// observe shows how far the job is, if that is to be shown now.
func (w *watch) observe(now time.Time) {
	before := w.progress
	w.progress.observe(now, w.last)
	switch {
	case w.last.State.Terminal():
	case w.console.json:
		w.console.event(w.progress.event(now, w.id))
	case w.console.terminal:
		w.console.status(w.progress.bar(now, w.console.width()))
	default:
		if line := w.progress.plain(now, before); line != "" {
			w.console.status(line)
		}
	}
}

// end reports how the job has ended.
func (w *watch) end() error {
	job := w.last
	switch {
	case job == nil:
		return fmt.Errorf("the JobManager told nothing about job %s", w.id)
	case !job.State.Terminal():
		return fmt.Errorf("the JobManager stopped reporting on job %s while it was %s", w.id, job.State)
	case w.console.json:
		w.console.event(endEvent(job))
	case job.State == client.Finished:
		w.console.note(summary(job))
		w.console.say(fmt.Sprintf("Program execution finished\nJob with JobID %s has finished.\nJob Runtime: %d ms\n",
			w.id, job.End.Sub(job.Start).Milliseconds()))
	}
	if job.State == client.Canceled {
		return fmt.Errorf("Job was cancelled (JobID: %s)", w.id) //nolint:staticcheck // It is flink's text, and stands alone.
	}
	if job.State == client.Failed {
		return jobFailed(job)
	}
	return nil
}

// failureOf is what is known about why a job failed.
func failureOf(job *client.Job) *client.Failure {
	if job.Failure != nil {
		return job.Failure
	}
	return &client.Failure{Message: job.StatusMessage}
}

// jobFailed is the error that a job's failure is.
func jobFailed(job *client.Job) error {
	f := failureOf(job)
	var b strings.Builder
	b.WriteString(strings.TrimRight(f.Message, "\n"))
	if f.Task != "" {
		b.WriteString("\nTask: " + f.Task)
	}
	if f.TaskManager != "" {
		b.WriteString("\nTaskManager: " + f.TaskManager)
	}
	if f.LogFile != "" {
		b.WriteString("\nLog file: " + f.LogFile + " (on the TaskManager's host)")
	}
	if f.Stack != "" {
		b.WriteString("\n\n" + strings.TrimRight(f.Stack, "\n"))
	}
	return &failure{action: fmt.Sprintf("Job failed (JobID: %s)", job.ID), cause: errors.New(b.String())}
}
