package jobmanager

import (
	"context"
	"time"

	"github.com/weirstream/weir/internal/ids"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/scheduler"
)

// endedOutputs is of how many jobs that have ended the output is kept. With
// that of those that run it is all output that the JobManager keeps.
const endedOutputs = 64

// job is what the JobManager knows of a job beyond what the scheduler decides.
// The lock of the core guards it.
type job struct {
	id ids.JobID
	submission
	// stored says that the job holds its artefact.
	stored bool
	// giveUp ends the planning.
	giveUp context.CancelCauseFunc

	// What follows is set when the job is planned. plan is the message as it was
	// received, with fields that this build may not know; workers get it.
	plan               *planv1.Plan
	shown              *planv1.Plan // without what weir.Once recorded
	configuration      map[string]string
	defaultParallelism int

	// checkpoints is nil for a job that takes none.
	checkpoints *checkpoints

	secret []byte
	// certificate and key are set if data connections use TLS.
	certificate, key []byte

	// figures are the last metrics of each task; nil where there are none.
	figures [][]*workerv1.TaskMetrics
	output  output

	// states and measured count the changes of what a description shows; changed
	// is closed, and made anew, with each of them and with each output.
	states, measured uint64
	changed          chan struct{}
}

// submission is what a client says of a job.
type submission struct {
	digest    digest
	fileName  string
	arguments []string
}

func newJob(s submission, giveUp context.CancelCauseFunc) *job {
	return &job{id: ids.NewJobID(), submission: s, giveUp: giveUp, secret: newSecret(), changed: make(chan struct{})}
}

// notify tells all who watch the job.
func (j *job) notify() {
	close(j.changed)
	j.changed = make(chan struct{})
}

// startWorker makes the command that starts a worker. Data connections are
// encrypted unless all workers are on this machine's loopback.
func (j *job) startWorker(a scheduler.StartWorker) *tmv1.ConnectResponse {
	m := &tmv1.StartWorker{
		JobId: j.id[:], Attempt: uint32(a.Attempt), JobName: j.shown.GetJobName(), Sha256: j.digest[:], Arguments: j.arguments,
		FileName: j.fileName, Worker: uint32(a.Worker), Secret: j.secret, Plan: j.plan,
		Configuration: withSegmentSize(j.configuration, a.SegmentSize), DefaultParallelism: uint32(j.defaultParallelism),
		DataListener: a.Workers > 1, DataCertificate: j.certificate, DataKey: j.key,
	}
	for _, slot := range a.Slots {
		m.Slots = append(m.Slots, uint32(slot))
	}
	return &tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_StartWorker{StartWorker: m}}
}

// measure takes in the figures of a worker's tasks, as far as there are such
// tasks.
func (j *job) measure(report *workerv1.MetricsReport) {
	for _, m := range report.GetTasks() {
		if v := int(m.GetVertex()); v >= 0 && v < len(j.figures) {
			if i := int(m.GetSubtask()); i >= 0 && i < len(j.figures[v]) {
				j.figures[v][i] = m
			}
		}
	}
	j.measured++
	j.notify()
}

// forgetFigures lets go of the figures of the tasks of an attempt that is over.
func (j *job) forgetFigures() {
	for _, tasks := range j.figures {
		clear(tasks)
	}
}

// describe returns what clients see of a job. The caller holds the lock.
func (c *core) describe(j *job) *clientv1.JobDescription {
	view, ok := c.mu.scheduler.Job(j.id)
	if !ok {
		return nil
	}
	d := &clientv1.JobDescription{
		Summary: summaryToProto(view.JobSummary), Plan: j.shown, Failure: failureToProto(view.Failure),
		Attempt: uint32(view.Attempt), DefaultParallelism: uint32(j.defaultParallelism),
	}
	for i := range view.Failures {
		d.Failures = append(d.Failures, failureToProto(&view.Failures[i]))
	}
	for v, tasks := range view.Subtasks {
		vertex := &clientv1.VertexDescription{
			Index: uint32(v), Name: view.Graph.Plan.Vertices[v].Name, Parallelism: uint32(len(tasks)),
			Subtasks: make([]*clientv1.SubtaskDescription, len(tasks)),
		}
		for i, t := range tasks {
			vertex.Subtasks[i] = &clientv1.SubtaskDescription{
				Index: uint32(i), State: taskStateToProto[t.State], TaskManager: string(t.TaskManager), Metrics: j.figures[v][i],
				InputEnded: t.Ended,
			}
		}
		d.Vertices = append(d.Vertices, vertex)
	}
	return d
}

// ended lets go of what only a job that runs needs, and of the output of jobs
// that ended long ago.
func (c *core) ended(j *job) {
	if j.stored {
		j.stored = false
		c.release(j.digest)
	}
	j.plan, j.secret, j.certificate, j.key = nil, nil, nil, nil
	c.mu.ended = append(c.mu.ended, j.id)
	if len(c.mu.ended) > endedOutputs {
		if old := c.mu.jobs[c.mu.ended[0]]; old != nil {
			old.output.clear()
		}
		c.mu.ended = c.mu.ended[1:]
	}
}

// look is what somebody who watches a job gets to see next.
type look struct {
	output      []printed
	dropped     uint64
	description *clientv1.JobDescription
	// last says that the job has ended and this is all.
	last bool
	// changed is closed when there is something new, and again is when to look
	// again in any case; zero is never.
	changed <-chan struct{}
	again   time.Time
}

const (
	// statePace and figurePace are the least times between two descriptions that
	// a watcher is sent, because of states and because of figures alone.
	statePace  = 100 * time.Millisecond
	figurePace = time.Second
	// lookOutput bounds the output of one look.
	lookOutput = 256 << 10
)

// watcher is how much of a job somebody has seen.
type watcher struct {
	position         uint64
	states, measured uint64
	begun            bool
	described        time.Time
}

// look returns what is new for a watcher: first a description, later what was
// printed and then, if it is time for it, a description. The last description
// comes after everything that was printed. It returns false if the job is not
// known.
func (c *core) look(id ids.JobID, w *watcher, now time.Time) (look, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := c.mu.jobs[id]
	if j == nil {
		return look{}, false
	}
	l := look{changed: j.changed}
	state, _ := c.mu.scheduler.State(id)
	if w.begun {
		l.output, l.dropped = w.read(&j.output)
	}
	more := w.position != j.output.end
	if due, ok := w.due(j, state.Terminal()); ok && !due.After(now) && (!w.begun || !more || !state.Terminal()) {
		l.description = c.describe(j)
		w.begun, w.described, w.states, w.measured = true, now, j.states, j.measured
	}
	due, pending := w.due(j, state.Terminal())
	switch {
	case more:
		l.again = now
	case pending:
		l.again = due
	}
	l.last = state.Terminal() && !more && w.states == j.states
	return l, true
}

// read returns the output that is new for the watcher, up to a bound.
func (w *watcher) read(o *output) (chunks []printed, dropped uint64) {
	for size := 0; size < lookOutput; {
		chunk, lost, next, ok := o.read(w.position)
		dropped += lost
		w.position = next
		if !ok {
			break
		}
		chunks = append(chunks, chunk)
		size += len(chunk.data)
	}
	return chunks, dropped
}

// due returns when the next description is due, and false if there is nothing
// new to describe.
func (w *watcher) due(j *job, terminal bool) (time.Time, bool) {
	switch {
	case !w.begun, w.states != j.states && terminal:
		return time.Time{}, true
	case w.states != j.states:
		return w.described.Add(statePace), true
	case w.measured != j.measured:
		return w.described.Add(figurePace), true
	}
	return time.Time{}, false
}
