package jobmanager

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/checkpoint"
	"github.com/weirstream/weir/checkpoint/metadata"
	"github.com/weirstream/weir/checkpoint/storage"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/scheduler"
)

// checkpoints are those of one job: the machines that decide, and what carries out
// what they say. The lock of the core guards it; only work runs outside.
type checkpoints struct {
	core    *core
	job     ids.JobID
	name    string
	graph   *dataflow.JobGraph
	config  checkpoint.Config
	keep    config.CheckpointRetention
	storage storage.Storage
	work    *workQueue

	coordinator *checkpoint.Coordinator
	retention   *checkpoint.Retention

	// attempt is the one whose tasks were started last, on workers.
	attempt ids.Attempt
	workers []scheduler.Target
	// starting are its tasks that do not run yet.
	starting map[ids.Subtask]bool
	ended    []ids.Subtask
	running  bool

	// waiting says that the scheduler waits to hear what the next attempt begins
	// from. restored is what that is, nil if it begins anew, until its tasks run.
	waiting  bool
	restored *metadata.Metadata
	// captured are the splits that were not dealt when a checkpoint was triggered.
	captured map[checkpoint.ID]map[int][]scheduler.Split
	// seen is for users.
	seen seen
}

// checkStorage finds out whether the checkpoints of a job can be stored, as far as this
// JobManager sees it.
func checkStorage(ctx context.Context, job ids.JobID, settings *config.Config) error {
	if !config.CheckpointInterval.IsSet(settings) || !config.CheckpointDirectory.IsSet(settings) {
		return nil
	}
	location, key := config.CheckpointDirectory.Get(settings), config.CheckpointDirectory.Key()
	if !strings.Contains(location, ":") && !filepath.IsAbs(location) {
		return fmt.Errorf("%s: %q is relative, and each process has a working directory of its own: give an absolute path, or file:///…", key, location)
	}
	s, err := storage.Open(location, job)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	ctx, cancel := context.WithTimeout(ctx, workTimeout)
	defer cancel()
	if err := s.Check(ctx); err != nil {
		return fmt.Errorf("%s: checkpoints cannot be stored: %w", key, err)
	}
	return nil
}

// newCheckpoints returns nil for a job that takes no checkpoints.
func (c *core) newCheckpoints(p plannedJob, settings *config.Config) (*checkpoints, error) {
	if !config.CheckpointInterval.IsSet(settings) {
		return nil, nil
	}
	if !config.CheckpointDirectory.IsSet(settings) {
		return nil, fmt.Errorf("%s is set, and %s is not: say where checkpoints are stored, in a directory that all TaskManagers and the JobManager see",
			config.CheckpointInterval.Key(), config.CheckpointDirectory.Key())
	}
	s, err := storage.Open(config.CheckpointDirectory.Get(settings), p.job.id)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.CheckpointDirectory.Key(), err)
	}
	k := &checkpoints{
		core: c, job: p.job.id, name: p.event.Name, graph: p.event.Graph, storage: s,
		keep: config.ExternalizedRetention.Get(settings),
		config: checkpoint.Config{
			Interval: config.CheckpointInterval.Get(settings), MinPause: config.CheckpointMinPause.Get(settings),
			Timeout: config.CheckpointTimeout.Get(settings), MaxConcurrent: config.MaxConcurrentCheckpoints.Get(settings),
			TolerableFailed: config.TolerableFailedCheckpoints.Get(settings),
		},
		captured: map[checkpoint.ID]map[int][]scheduler.Split{}, work: newWorkQueue(),
	}
	if config.CheckpointingMode.Get(settings) == config.AtLeastOnce {
		k.config.Mode = checkpoint.AtLeastOnce
	}
	k.coordinator = checkpoint.NewCoordinator(k.config, checkpoint.Recovered{})
	k.retention = checkpoint.NewRetention(config.RetainedCheckpoints.Get(settings), nil)
	return k, nil
}

// step tells the coordinator what happened and carries out what follows.
func (k *checkpoints) step(e checkpoint.Event) {
	for _, action := range k.coordinator.Step(time.Now(), e) {
		if r, ok := action.(checkpoint.RetentionEvent); ok {
			k.retain(r)
		}
		k.perform(action)
	}
	k.answer()
	k.core.rearm()
}

// retain tells the retention what happened and carries out what follows.
func (k *checkpoints) retain(e checkpoint.RetentionEvent) {
	for _, action := range k.retention.Step(time.Now(), e) {
		switch a := action.(type) {
		case checkpoint.RemovePointer:
			k.removePointer(a.ID)
		case checkpoint.DeleteFiles:
			k.deleteFiles(a.Names)
		case checkpoint.Damaged:
			k.step(a)
		case checkpoint.FilesKept:
			k.core.log.Warn("files in the checkpoint directory are left alone", "job", k.job, "files", a.Names, "reason", a.Reason)
		}
	}
	k.core.rearm()
}

// deadline returns when a Tick is due; zero is never.
func (k *checkpoints) deadline() (t time.Time) {
	for _, of := range []func() (time.Time, bool){k.coordinator.Deadline, k.retention.Deadline} {
		if d, ok := of(); ok && (t.IsZero() || d.Before(t)) {
			t = d
		}
	}
	return t
}

// tick tells the machines whose deadlines have passed.
func (k *checkpoints) tick(now time.Time) {
	if d, ok := k.coordinator.Deadline(); ok && !d.After(now) {
		k.step(checkpoint.Tick{})
	}
	if d, ok := k.retention.Deadline(); ok && !d.After(now) {
		k.retain(checkpoint.Tick{})
	}
}

// perform carries out one action of the coordinator.
func (k *checkpoints) perform(action checkpoint.Action) {
	log := k.core.log.With("job", k.job)
	switch a := action.(type) {
	case checkpoint.AllocateID:
		k.allocate(a)
	case checkpoint.TriggerTasks:
		log.Debug("checkpoint triggered", "checkpoint", a.ID, "attempt", a.Attempt, "final", a.Final)
		k.captured[a.ID] = k.core.mu.scheduler.Undealt(k.job)
		k.tell(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_TriggerCheckpoint{TriggerCheckpoint: &workerv1.TriggerCheckpoint{
			Checkpoint: uint64(a.ID), TimestampMs: a.Timestamp.UnixMilli(),
		}}})
	case checkpoint.AbortTasks:
		k.tell(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_AbortCheckpoint{AbortCheckpoint: &workerv1.AbortCheckpoint{
			Checkpoint: uint64(a.ID), Earlier: a.Earlier,
		}}})
	case checkpoint.WriteMetadata:
		k.writeMetadata(a)
	case checkpoint.RecordCompletion:
		k.record(a.Checkpoint)
	case checkpoint.ReadRecord:
		k.readRecord(a.ID)
	case checkpoint.NotifyComplete:
		k.tell(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_CompleteCheckpoint{CompleteCheckpoint: &workerv1.CompleteCheckpoint{
			Checkpoint: uint64(a.ID),
		}}})
	case checkpoint.FinishTasks:
		k.tell(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_FinishTasks{FinishTasks: &workerv1.FinishTasks{}}})
	case checkpoint.FailJob:
		k.core.stepLocked(scheduler.AttemptFailed{Job: k.job, Attempt: a.Attempt, Failure: scheduler.Failure{Message: a.Reason, Time: time.Now()}})
	case checkpoint.Completed:
		delete(k.captured, a.Checkpoint.ID)
		log.Info("checkpoint completed", "checkpoint", a.Checkpoint.ID, "attempt", a.Checkpoint.Attempt,
			"size", a.Checkpoint.StateSize, "duration", time.Since(a.Checkpoint.Triggered).Round(time.Millisecond))
		k.changed()
	case checkpoint.Aborted:
		delete(k.captured, a.ID)
		log.Warn("checkpoint aborted", "checkpoint", a.ID, "reason", a.Reason)
		k.seen.aborted(k.coordinator.View())
		k.changed()
	case checkpoint.MessageDropped:
		log.Debug("message dropped", "message", a.Message, "attempt", a.Attempt, "checkpoint", a.ID, "reason", a.Reason)
	case checkpoint.AnswerRequest, checkpoint.Started, checkpoint.FilesStored, checkpoint.FilesUnneeded:
		// Nobody has asked; the others are the retention's.
	default:
		panic(fmt.Sprintf("jobmanager: unknown action %T", action))
	}
}

// changed has those who watch the job look again.
func (k *checkpoints) changed() {
	if j := k.core.mu.jobs[k.job]; j != nil {
		j.measured++
		j.notify()
	}
}

// tell sends a message to every worker of the attempt.
func (k *checkpoints) tell(m *workerv1.SessionResponse) {
	for _, w := range k.workers {
		k.core.send(w.Session, command(w, m))
	}
}

// nextAttempt answers the scheduler, as soon as it is certain which checkpoint is the
// newest.
func (k *checkpoints) nextAttempt() {
	k.waiting = true
	k.answer()
}

func (k *checkpoints) answer() {
	if !k.waiting {
		return
	}
	latest, settled := k.coordinator.RestorePoint()
	if !settled {
		return
	}
	k.waiting, k.restored = false, nil
	if latest == nil {
		k.core.stepLocked(scheduler.AttemptReady{Job: k.job})
		return
	}
	k.retain(checkpoint.RestoreStarted{ID: latest.ID})
	k.restore(*latest)
}

// restoreRead takes in the metadata of the checkpoint to begin from.
func (k *checkpoints) restoreRead(id checkpoint.ID, m *metadata.Metadata, err error) {
	if err == nil {
		err = k.fits(m)
	}
	if err != nil {
		k.retain(checkpoint.RestoreEnded{ID: id})
		k.core.stepLocked(scheduler.AttemptReady{Job: k.job, Failure: &scheduler.Failure{
			Message: fmt.Sprintf("restore checkpoint %d: %v", id, err), Time: time.Now(),
		}})
		return
	}
	k.restored = m
	k.seen.began(id, time.Now())
	r := &scheduler.Restore{Checkpoint: uint64(id), Sources: map[int][]scheduler.Split{}}
	for v := range m.Vertices {
		if source := m.Vertices[v].Source; source != nil {
			r.Sources[v] = []scheduler.Split{}
			for _, s := range source.Splits {
				r.Sources[v] = append(r.Sources[v], scheduler.Split{ID: s.ID, Data: s.Data})
			}
		}
	}
	k.core.log.Info("restoring a checkpoint", "job", k.job, "checkpoint", id)
	k.core.stepLocked(scheduler.AttemptReady{Job: k.job, Restore: r})
}

// fits checks that a checkpoint is one of the job's graph.
func (k *checkpoints) fits(m *metadata.Metadata) error {
	vertices := k.graph.Plan.Vertices
	if len(m.Vertices) != len(vertices) {
		return fmt.Errorf("it has the state of %d tasks' chains, and the job has %d", len(m.Vertices), len(vertices))
	}
	for v := range vertices {
		if !slices.Equal(m.Vertices[v].Operators, operatorIDs(&vertices[v])) {
			return fmt.Errorf("the state of vertex %d is of operators %v, and the job has %v", v, m.Vertices[v].Operators, operatorIDs(&vertices[v]))
		}
	}
	return nil
}

func operatorIDs(v *dataflow.Vertex) (list []string) {
	for _, o := range v.Operators {
		list = append(list, o.ID)
	}
	return list
}

// startTasks notes that the tasks of a worker are started, and adds what they begin
// with.
func (k *checkpoints) startTasks(a scheduler.StartTasks, m *workerv1.StartTasks) {
	if a.Attempt != k.attempt {
		k.attempt, k.workers, k.starting, k.ended, k.running = a.Attempt, nil, map[ids.Subtask]bool{}, nil, false
		for v, p := range k.graph.Parallelism {
			for i := range p {
				k.starting[ids.Subtask{Vertex: v, Index: i}] = true
			}
		}
	}
	k.workers = append(k.workers, a.Target)
	if k.restored == nil {
		return
	}
	m.RestoredCheckpoint = a.Restore
	here := map[int]bool{}
	for _, t := range a.Tasks {
		here[t.Vertex] = true
	}
	for v := range k.restored.Vertices {
		if !here[v] {
			continue
		}
		tasks := k.restored.Vertices[v].Tasks
		for i := range tasks {
			s := &tasks[i].Snapshot
			m.Restored = append(m.Restored, &workerv1.RestoredSnapshot{
				Vertex: uint32(v), Subtask: uint32(i), Parallelism: uint32(len(tasks)),
				File: &workerv1.SnapshotFile{Name: s.Name, Size: uint64(s.Size), Digest: s.Digest[:], Inline: s.Inline},
			})
		}
	}
}

// hear takes in what a worker of the attempt says, and reports whether that was all
// that is to be done with it.
func (k *checkpoints) hear(o scheduler.Origin, m *workerv1.SessionRequest) (done bool) {
	if o.Attempt != k.attempt || !k.core.mu.scheduler.Runs(o) {
		return false // The scheduler says why, or nobody cares.
	}
	task := func(m interface {
		GetVertex() uint32
		GetSubtask() uint32
	},
	) ids.Subtask {
		return ids.Subtask{Vertex: int(m.GetVertex()), Index: int(m.GetSubtask())}
	}
	switch m := m.GetMessage().(type) {
	case *workerv1.SessionRequest_TaskState: // It is the scheduler's as well.
		switch m.TaskState.GetState() {
		case workerv1.TaskState_TASK_STATE_RUNNING:
			k.taskRuns(task(m.TaskState))
		case workerv1.TaskState_TASK_STATE_FINISHED:
			k.step(checkpoint.TaskFinished{Attempt: o.Attempt, Task: task(m.TaskState)})
		default: // nothing to decide
		}
		return false
	case *workerv1.SessionRequest_TaskEnded:
		k.taskEnded(task(m.TaskEnded))
		return false
	case *workerv1.SessionRequest_Snapshot:
		k.acknowledged(o, task(m.Snapshot), m.Snapshot)
	case *workerv1.SessionRequest_Committed:
		k.step(checkpoint.SinksCommitted{Attempt: o.Attempt, ID: checkpoint.ID(m.Committed.GetCheckpoint()), Task: task(m.Committed)})
	default:
		return false
	}
	return true
}

func (k *checkpoints) taskRuns(t ids.Subtask) {
	delete(k.starting, t)
	if len(k.starting) > 0 || k.running {
		return
	}
	k.running = true
	k.endRestore()
	var tasks []ids.Subtask
	for v, p := range k.graph.Parallelism {
		for i := range p {
			tasks = append(tasks, ids.Subtask{Vertex: v, Index: i})
		}
	}
	k.step(checkpoint.AttemptRunning{Attempt: k.attempt, Tasks: tasks, Ended: k.ended})
}

// endRestore says that nobody reads the restored checkpoint any more.
func (k *checkpoints) endRestore() {
	if k.restored != nil {
		id := k.restored.ID
		k.restored = nil
		k.retain(checkpoint.RestoreEnded{ID: id})
	}
}

func (k *checkpoints) taskEnded(t ids.Subtask) {
	if !k.running {
		k.ended = append(k.ended, t)
		return
	}
	k.step(checkpoint.TaskEnded{Attempt: k.attempt, Task: t})
}

func (k *checkpoints) acknowledged(o scheduler.Origin, t ids.Subtask, m *workerv1.SnapshotTaken) {
	id := checkpoint.ID(m.GetCheckpoint())
	if f := m.GetFailure(); f != nil {
		k.step(checkpoint.TaskDeclined{Attempt: o.Attempt, ID: id, Task: t, Reason: text(f.GetMessage())})
		return
	}
	handle, err := proto.Marshal(m.GetFile())
	if err != nil {
		k.step(checkpoint.TaskDeclined{Attempt: o.Attempt, ID: id, Task: t, Reason: err.Error()})
		return
	}
	micros := func(n uint64) time.Duration { return time.Duration(n) * time.Microsecond }
	ack := checkpoint.Acknowledgement{Task: t, Handle: handle, Figures: checkpoint.Figures{
		StateSize: int64(m.GetFile().GetSize()), StoredSize: int64(m.GetFile().GetSize()),
		StartDelay: micros(m.GetStartDelayUs()), Alignment: micros(m.GetAlignmentUs()),
		Sync: micros(m.GetSynchronousUs()), Async: micros(m.GetAsynchronousUs()),
	}}
	if name := m.GetFile().GetName(); name != "" {
		ack.Files = []checkpoint.File{{Name: name, Writer: id}}
	}
	k.step(checkpoint.TaskAcknowledged{Attempt: o.Attempt, ID: id, Acknowledgement: ack})
}

// transitioned takes in the job's new state.
func (k *checkpoints) transitioned(to scheduler.JobState, reason string) {
	if to != scheduler.Running && k.attempt > 0 {
		k.endRestore()
		if k.running {
			k.running = false
			k.step(checkpoint.AttemptOver{Attempt: k.attempt, Reason: "the job is " + to.String() + ": " + reason})
		}
	}
	if !to.Terminal() {
		return
	}
	k.waiting = false
	keep := to == scheduler.Failed && k.keep != config.NoExternalized || to == scheduler.Canceled && k.keep == config.RetainOnCancellation
	k.retain(checkpoint.JobEnded{Delete: !keep})
}

// metadataOf describes a checkpoint that every task has acknowledged.
func (k *checkpoints) metadataOf(a checkpoint.WriteMetadata) (*metadata.Metadata, error) {
	m := &metadata.Metadata{
		Kind: metadata.Checkpoint, Mode: k.config.Mode, Job: k.job, JobName: k.name, ID: a.ID, Attempt: a.Attempt,
		Triggered: a.Timestamp, Acknowledged: time.Now(), Final: a.Final, Fingerprint: k.graph.Plan.Fingerprint,
		Vertices: make([]metadata.Vertex, len(k.graph.Parallelism)),
	}
	for v := range m.Vertices {
		m.Vertices[v] = metadata.Vertex{Operators: operatorIDs(&k.graph.Plan.Vertices[v]), Tasks: make([]metadata.Task, k.graph.Parallelism[v])}
		if splits, ok := k.captured[a.ID][v]; ok {
			m.Vertices[v].Source = &metadata.Source{}
			for _, s := range splits {
				m.Vertices[v].Source.Splits = append(m.Vertices[v].Source.Splits, metadata.Split{ID: s.ID, Data: s.Data})
			}
		}
	}
	for _, ack := range a.Tasks {
		var f workerv1.SnapshotFile
		if err := proto.Unmarshal(ack.Handle, &f); err != nil {
			return nil, fmt.Errorf("the handle of %s: %w", ack.Task, err)
		}
		s := metadata.Snapshot{Name: f.GetName(), Size: int64(f.GetSize()), Inline: f.GetInline()}
		if copy(s.Digest[:], f.GetDigest()) != len(s.Digest) {
			return nil, fmt.Errorf("the handle of %s: a digest of %d bytes", ack.Task, len(f.GetDigest()))
		}
		m.Vertices[ack.Task.Vertex].Tasks[ack.Task.Index] = metadata.Task{Snapshot: s, Figures: ack.Figures}
	}
	return m, nil
}

// forget lets go of a job that is no longer known, and of what is written of it unless
// checkpoints of it are kept.
func (k *checkpoints) forget() {
	if len(k.retention.Checkpoints()) == 0 {
		k.work.add(func(ctx context.Context) {
			if err := k.core.books.forget(ctx, k.job); err != nil {
				k.core.log.Warn("could not remove what the metadata store has of a job", "job", k.job, "error", err)
			}
		})
	}
	k.work.close()
}
