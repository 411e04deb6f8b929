package recovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/memory"
	"github.com/weirstream/weir/task"
)

// cluster runs the attempts of a job.
type cluster struct {
	build     func(*weir.Env)
	directory string
	settings  task.Settings
	// crash is asked at each event of a checkpoint whether the attempt is to be
	// killed there.
	crash func(at string, checkpoint uint64) bool

	attempts  int
	completed *completed
	// triggered is the newest id.
	triggered uint64
}

// completed is a checkpoint to go on from.
type completed struct {
	id       uint64
	restored []task.Restored
	undealt  map[int][]task.Split
}

// attempt is one execution.
type attempt struct {
	*cluster
	parallelism, workers int
	graph                *dataflow.JobGraph
	hosts                []*task.Host

	mu struct {
		sync.Mutex
		queues   map[int][]task.Split
		ended    map[ids.Subtask]bool
		left     int
		finished int
		pending  *completed
		missing  map[ids.Subtask]bool
		// committing is what must still commit the checkpoint.
		committing map[ids.Subtask]bool
		last       bool
		errs       []error
		crashed    bool
	}
	over chan struct{}
	once sync.Once
}

var errCrashed = errors.New("the attempt was killed")

// run runs an attempt to its end: nil when the job has finished, errCrashed when it
// was killed.
func (c *cluster) run(ctx context.Context, parallelism, workers int) error {
	c.attempts++
	a := &attempt{cluster: c, parallelism: parallelism, workers: workers, over: make(chan struct{})}
	err := a.start()
	if err == nil {
		select {
		case <-a.over:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	for _, h := range a.hosts {
		err = errors.Join(err, h.Close())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mu.crashed {
		return errCrashed
	}
	return errors.Join(append(a.mu.errs, err)...)
}

func (a *attempt) start() error {
	graph := func() *dataflow.Graph { return dataflow.Build("recovery", a.build, nil) }
	plan := graph().Layout().Plan
	if len(plan.Mistakes) > 0 {
		return fmt.Errorf("mistakes: %v", plan.Mistakes)
	}
	var err error
	if a.graph, err = plan.Resolve(a.parallelism); err != nil {
		return err
	}
	a.mu.queues, a.mu.ended = map[int][]task.Split{}, map[ids.Subtask]bool{}
	peers := make([]task.Peer, a.workers)
	for w := range peers {
		peers[w] = task.Peer{Worker: w, TaskManager: fmt.Sprintf("taskmanager-%d", w)}
	}
	for v, p := range a.graph.Parallelism {
		for i := range p {
			w := i % a.workers
			peers[w].Tasks = append(peers[w].Tasks, task.Ref{Vertex: v, Subtask: i, Slot: i})
			a.mu.left++
		}
	}
	for w := range peers {
		h, err := task.NewHost(graph(), a.hostConfig(plan, w))
		if err != nil {
			return err
		}
		a.hosts = append(a.hosts, h)
		peers[w].Address = h.DataAddress()
	}
	var restored []task.Restored
	if a.completed != nil {
		restored = a.completed.restored
	}
	if err := a.queue(); err != nil {
		return err
	}
	for w, h := range a.hosts {
		if err := h.Start(peers[w].Tasks, peers, restored...); err != nil {
			return err
		}
	}
	if err := a.deal(); err != nil {
		return err
	}
	a.trigger()
	return nil
}

// deal deals all splits: a source of these jobs reads them from the start.
func (a *attempt) deal() error {
	for v, q := range a.mu.queues {
		p := a.graph.Parallelism[v]
		for i := range p {
			var given []task.Split
			for s := i; s < len(q); s += p {
				given = append(given, q[s])
			}
			if err := a.hosts[i%a.workers].AssignSplits(v, i, given, true); err != nil {
				return err
			}
		}
		a.mu.queues[v] = nil
	}
	return nil
}

// queue finds the splits that are to be dealt.
func (a *attempt) queue() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for v, vertex := range a.graph.Plan.Vertices {
		if !vertex.Source {
			continue
		}
		if a.completed != nil {
			a.mu.queues[v] = a.completed.undealt[v]
			continue
		}
		splits, _, err := a.hosts[0].EnumerateSplits(context.Background(), v)
		if err != nil {
			return err
		}
		a.mu.queues[v] = splits
	}
	return nil
}

func (a *attempt) hostConfig(plan *dataflow.Plan, worker int) task.HostConfig {
	cfg := task.HostConfig{
		Job: ids.JobID{1}, Attempt: ids.Attempt(a.attempts), Worker: worker, Secret: []byte("0123456789abcdef"), DataHost: "127.0.0.1",
		Plan: plan, DefaultParallelism: a.parallelism, Settings: a.settings, Log: slog.New(slog.DiscardHandler), Events: a.event,
		Checkpointing: task.Checkpointing{Enabled: true, ExactlyOnce: true, Directory: a.directory},
	}
	if a.workers > 1 {
		cfg.DataBindAddress = "127.0.0.1:0"
	}
	for s := worker; s < a.graph.Slots(); s += a.workers {
		buffers := max(1, a.graph.Network().Demand(s, a.settings.Network).Max())
		cfg.Slots = append(cfg.Slots, task.Slot{Index: s, Size: int64(buffers) * int64(a.settings.Network.SegmentSize)})
	}
	return cfg
}

// event plays the JobManager.
func (a *attempt) event(e task.Event) {
	id := ids.Subtask{Vertex: e.Vertex, Index: e.Subtask}
	switch {
	case e.Ended:
		a.mu.Lock()
		a.mu.ended[id] = true
		a.mu.Unlock()
	case e.Snapshot != nil:
		a.acknowledge(id, e.Snapshot)
	case e.Committed > 0:
		a.committed(id)
	case e.State == task.Failed:
		a.fail(e.Err)
	case e.State == task.Finished:
		a.mu.Lock()
		a.mu.finished++
		all := a.mu.finished == a.mu.left
		a.mu.Unlock()
		if all {
			a.end()
		}
	}
}

func (a *attempt) end() { a.once.Do(func() { close(a.over) }) }

func (a *attempt) fail(err error) {
	a.mu.Lock()
	a.mu.errs = append(a.mu.errs, err)
	a.mu.Unlock()
	a.end()
}

// killed kills the attempt if it is time for that.
func (a *attempt) killed(at string, checkpoint uint64) bool {
	if !a.crash(at, checkpoint) {
		return false
	}
	a.mu.Lock()
	a.mu.crashed = true
	a.mu.Unlock()
	a.end()
	return true
}

// trigger triggers the next checkpoint. The splits that are not dealt are taken in the
// same step.
func (a *attempt) trigger() {
	if a.killed("trigger", a.triggered+1) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.triggered++
	a.mu.pending = &completed{id: a.triggered, undealt: map[int][]task.Split{}}
	for v, q := range a.mu.queues {
		a.mu.pending.undealt[v] = q
	}
	a.mu.missing, a.mu.last = map[ids.Subtask]bool{}, true
	for v, p := range a.graph.Parallelism {
		for i := range p {
			id := ids.Subtask{Vertex: v, Index: i}
			a.mu.missing[id] = true
			a.mu.last = a.mu.last && a.mu.ended[id]
		}
	}
	for _, h := range a.hosts {
		h.Trigger(a.triggered, time.Now().UnixMilli())
	}
}

func (a *attempt) acknowledge(id ids.Subtask, s *task.Snapshot) {
	if s.Err != nil {
		a.mu.Lock()
		crashed := a.mu.crashed
		a.mu.Unlock()
		if !crashed {
			a.fail(s.Err)
		}
		return
	}
	if a.killed("acknowledge", s.Checkpoint) {
		return
	}
	a.mu.Lock()
	if s.Checkpoint != a.mu.pending.id || !a.mu.missing[id] {
		a.mu.errs = append(a.mu.errs, fmt.Errorf("%s acknowledges checkpoint %d, pending is %d", id, s.Checkpoint, a.mu.pending.id))
	}
	delete(a.mu.missing, id)
	a.mu.pending.restored = append(a.mu.pending.restored, task.Restored{
		Vertex: id.Vertex, Subtask: id.Index, Parallelism: a.graph.Parallelism[id.Vertex], Path: s.Path,
	})
	all := len(a.mu.missing) == 0
	a.mu.Unlock()
	if all {
		a.complete()
	}
}

// complete makes the pending checkpoint the one to go on from, and has it committed.
func (a *attempt) complete() {
	if a.killed("before completion", a.triggered) {
		return
	}
	a.mu.Lock()
	a.completed = a.mu.pending
	a.mu.committing = map[ids.Subtask]bool{}
	for _, r := range a.completed.restored {
		a.mu.committing[ids.Subtask{Vertex: r.Vertex, Index: r.Subtask}] = true
	}
	a.mu.Unlock()
	if a.killed("after completion", a.triggered) {
		return
	}
	for _, h := range a.hosts {
		h.Complete(a.completed.id)
	}
}

func (a *attempt) committed(id ids.Subtask) {
	if a.killed("commit", a.triggered) {
		return
	}
	a.mu.Lock()
	delete(a.mu.committing, id)
	all, last := len(a.mu.committing) == 0, a.mu.last
	a.mu.Unlock()
	switch {
	case !all:
	case last:
		for _, h := range a.hosts {
			h.Finish()
		}
	default:
		a.trigger()
	}
}

func settings() task.Settings {
	return task.Settings{
		BufferTimeout: 5 * time.Millisecond, WatermarkInterval: 20 * time.Millisecond, PreAggregation: true,
		Network: memory.Settings{SegmentSize: 4 * memory.KiB, BuffersPerChannel: 2, FloatingPerGate: 4},
	}
}

// locked lets the goroutines of several tasks ask.
func locked(f func(at string, checkpoint uint64) bool) func(string, uint64) bool {
	var mu sync.Mutex
	return func(at string, checkpoint uint64) bool {
		mu.Lock()
		defer mu.Unlock()
		return f(at, checkpoint)
	}
}
