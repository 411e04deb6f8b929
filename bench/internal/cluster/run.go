package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/weirstream/weir/client"
)

// Job is a job to run.
type Job struct {
	client.Submission
	// Parallelism is that of every operator without its own.
	Parallelism int
	// Stderr, if set, gets what the job writes to standard error.
	Stderr io.Writer
	// Seen, if set, is called with each description of the job while it runs. The
	// job is cancelled once it returns true, and the run is then no error.
	Seen func(*client.Job) (enough bool)
}

// Outcome is how a job ended.
type Outcome struct {
	// Job is its last description.
	Job *client.Job
	// Stdout has the lines that it printed, of all workers.
	Stdout [][]byte
}

// RemoteRecords returns how many records the job's tasks have received over TCP.
func (o *Outcome) RemoteRecords() (n int64) {
	for _, v := range o.Job.Vertices {
		for _, s := range v.Subtasks {
			n += int64(s.Metrics.RecordsInRemote)
		}
	}
	return n
}

// LongestFiring returns for how long results of windows have held a task at most.
func (o *Outcome) LongestFiring() (longest time.Duration) {
	for _, v := range o.Job.Vertices {
		for _, s := range v.Subtasks {
			longest = max(longest, s.Metrics.LongestFiring)
		}
	}
	return longest
}

// Run runs a job to its end. When ctx is done it cancels the job.
func (c *Cluster) Run(ctx context.Context, job Job) (*Outcome, error) {
	submission := job.Submission
	submission.Configuration = map[string]string{"parallelism.default": fmt.Sprint(job.Parallelism)}
	for key, value := range job.Configuration {
		submission.Configuration[key] = value
	}
	if job.Stderr != nil {
		submission.PlanOutput = func(_ bool, data []byte) { _, _ = job.Stderr.Write(data) }
	}
	submitted, err := c.client.Submit(ctx, submission)
	if err != nil {
		return nil, fmt.Errorf("submit %s: %w", job.Executable, err)
	}
	w := watched{cluster: c, id: submitted.ID, job: job, stdout: map[string]*bytes.Buffer{}}
	err = w.watch(ctx)
	if err != nil {
		// The job is not to disturb the next one. It may have ended already.
		cancelErr := c.client.Cancel(context.WithoutCancel(ctx), submitted.ID)
		if !errors.Is(cancelErr, client.ErrState) {
			err = errors.Join(err, cancelErr)
		}
		return nil, err
	}
	return w.outcome()
}

// watched is a job that is being watched.
type watched struct {
	cluster  *Cluster
	id       string
	job      Job
	last     *client.Job
	enough   bool
	stdout   map[string]*bytes.Buffer // by TaskManager
	managers []string                 // in the order in which they were heard of
}

func (w *watched) watch(ctx context.Context) error {
	for event, err := range w.cluster.client.Watch(ctx, w.id, true) {
		if err != nil {
			return fmt.Errorf("watch the job: %w", err)
		}
		if event.Output != nil {
			if err := w.print(event.Output); err != nil {
				return err
			}
		}
		if event.Job == nil {
			continue
		}
		w.last = event.Job
		if !w.enough && !w.last.State.Terminal() && w.job.Seen != nil && w.job.Seen(w.last) {
			w.enough = true
			if err := w.cluster.client.Cancel(ctx, w.id); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *watched) print(o *client.Output) error {
	switch {
	case o.Dropped > 0:
		return fmt.Errorf("%d bytes of what the job has printed are lost", o.Dropped)
	case !o.StandardError:
		if w.stdout[o.TaskManager] == nil {
			w.stdout[o.TaskManager] = new(bytes.Buffer)
			w.managers = append(w.managers, o.TaskManager)
		}
		w.stdout[o.TaskManager].Write(o.Data)
	case w.job.Stderr != nil:
		_, _ = w.job.Stderr.Write(o.Data)
	}
	return nil
}

// outcome returns how the job ended, or an error if it should not have so.
func (w *watched) outcome() (*Outcome, error) {
	want := client.Finished
	if w.enough {
		want = client.Canceled
	}
	if w.last == nil || w.last.State != want {
		return nil, w.failure()
	}
	o := &Outcome{Job: w.last}
	for _, tm := range w.managers {
		for line := range bytes.Lines(w.stdout[tm].Bytes()) {
			o.Stdout = append(o.Stdout, bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	return o, nil
}

func (w *watched) failure() error {
	if w.last == nil {
		return errors.New("nothing was heard of the job")
	}
	f := w.last.Failure
	if f == nil {
		return fmt.Errorf("the job %q ended as %s: %s", w.last.Name, w.last.State, w.last.StatusMessage)
	}
	text := fmt.Sprintf("the job %q failed: %s", w.last.Name, f.Message)
	if f.Task != "" {
		text += fmt.Sprintf("\ntask %s on TaskManager %s", f.Task, f.TaskManager)
	}
	if f.Stack != "" {
		text += "\n" + f.Stack
	}
	return errors.New(text)
}
