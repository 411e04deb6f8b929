package weir_test

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

// engine runs a job on task hosts alone, without daemons: the smallest thing in
// which records go through everything that they meet in production. The hosts
// are connected by TCP on loopback, and share nothing but the test's process.
type engine struct {
	workers     int
	parallelism int
	settings    task.Settings
	// least gives each slot only as many buffers as the job needs, rather than as
	// many as it can use; fewer are left out of that.
	least bool
	fewer int
	// on is told of every event, by the tasks' goroutines; nil if nobody asks.
	on func(task.Event)

	hosts []*task.Host
	graph *dataflow.JobGraph

	mu       sync.Mutex
	splits   map[int]*splitQueue
	states   map[ids.Subtask]task.State
	failures []error
	failed   []task.Event
	left     int
	done     chan struct{}
}

type splitQueue struct {
	list    []task.Split
	next    int
	bounded bool
	err     error
}

func defaultSettings() task.Settings {
	return task.Settings{
		BufferTimeout: 100 * time.Millisecond, WatermarkInterval: 200 * time.Millisecond, PreAggregation: true,
		Network: memory.Settings{SegmentSize: 32 * memory.KiB, BuffersPerChannel: 2, FloatingPerGate: 8},
	}
}

func newEngine(workers, parallelism int) *engine {
	return &engine{workers: workers, parallelism: parallelism, settings: defaultSettings()}
}

// run builds and runs the job and returns the metrics of its tasks.
func (e *engine) run(ctx context.Context, build func(*weir.Env)) (metrics []task.Metrics, err error) {
	defer func() { err = errors.Join(err, e.close()) }()
	if err := e.start(build); err != nil {
		return nil, err
	}
	err = e.wait(ctx)
	return e.metrics(), err
}

// start builds the job and starts its tasks.
func (e *engine) start(build func(*weir.Env)) error {
	plan := weir.BuildGraph(build).Layout().Plan
	if len(plan.Mistakes) > 0 {
		return fmt.Errorf("mistakes: %v", plan.Mistakes)
	}
	var err error
	if e.graph, err = plan.Resolve(e.parallelism); err != nil {
		return err
	}
	e.done = make(chan struct{})
	e.splits, e.states = map[int]*splitQueue{}, map[ids.Subtask]task.State{}
	peers := make([]task.Peer, e.workers)
	for w := range peers {
		peers[w] = task.Peer{Worker: w, TaskManager: fmt.Sprintf("taskmanager-%d", w)}
	}
	for v, p := range e.graph.Parallelism {
		for i := range p {
			w := i % e.workers
			peers[w].Tasks = append(peers[w].Tasks, task.Ref{Vertex: v, Subtask: i, Slot: i})
			e.left++
		}
	}
	for w := range peers {
		h, err := task.NewHost(weir.BuildGraph(build), e.hostConfig(plan, w))
		if err != nil {
			return err
		}
		e.hosts = append(e.hosts, h)
		peers[w].Address = h.DataAddress()
	}
	for w, h := range e.hosts {
		if err := h.Start(peers[w].Tasks, peers); err != nil {
			return errors.Join(append(e.failures, err)...)
		}
	}
	return e.dealUnbounded()
}

func (e *engine) hostConfig(plan *dataflow.Plan, worker int) task.HostConfig {
	cfg := task.HostConfig{
		Job: ids.JobID{1}, Attempt: 1, Worker: worker, Secret: []byte("0123456789abcdef"), DataHost: "127.0.0.1",
		Plan: plan, DefaultParallelism: e.parallelism, Settings: e.settings, Log: slog.New(slog.DiscardHandler), Events: e.event,
	}
	if e.workers > 1 {
		cfg.DataBindAddress = "127.0.0.1:0"
	}
	for s := worker; s < e.graph.Slots(); s += e.workers {
		cfg.Slots = append(cfg.Slots, task.Slot{Index: s, Size: int64(e.slotBuffers(s)) * int64(e.settings.Network.SegmentSize)})
	}
	return cfg
}

func (e *engine) slotBuffers(slot int) int {
	demand := e.graph.Network().Demand(slot, e.settings.Network)
	if e.least {
		return demand.Min() - e.fewer
	}
	return max(1, demand.Max())
}

// wait blocks until all tasks have ended, and cancels them when ctx is done.
func (e *engine) wait(ctx context.Context) error {
	select {
	case <-e.done:
	case <-ctx.Done():
		e.cancel()
		<-e.done
	}
	for _, h := range e.hosts {
		h.Wait()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return errors.Join(e.failures...)
}

func (e *engine) cancel() {
	for _, h := range e.hosts {
		h.Cancel()
	}
}

func (e *engine) metrics() (all []task.Metrics) {
	for _, h := range e.hosts {
		all = append(all, h.Metrics()...)
	}
	return all
}

// close releases the hosts; nothing of them may be left then.
func (e *engine) close() (err error) {
	for _, h := range e.hosts {
		err = errors.Join(err, h.Close())
	}
	return err
}

// event is told what happens to the tasks. Like a JobManager, it cancels the
// job when a task fails.
func (e *engine) event(ev task.Event) {
	if e.on != nil {
		e.on(ev)
	}
	if ev.WantsSplit {
		e.assign(ev.Vertex, ev.Subtask)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.states[ids.Subtask{Vertex: ev.Vertex, Index: ev.Subtask}] = ev.State
	switch ev.State {
	case task.Finished, task.Canceled, task.Failed:
	default:
		return
	}
	if ev.State == task.Failed {
		e.failed = append(e.failed, ev)
		e.failLocked(ev.Err)
	}
	if e.left--; e.left == 0 {
		close(e.done)
	}
}

func (e *engine) failLocked(err error) {
	e.failures = append(e.failures, err)
	e.cancel()
}

// dealUnbounded gives every subtask of an unbounded source its splits, at once,
// as a JobManager does: before it asks, and maybe before it is ready.
func (e *engine) dealUnbounded() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for v, vertex := range e.graph.Plan.Vertices {
		if !vertex.Source || vertex.Bounded {
			continue
		}
		q := e.queueLocked(v)
		for i := range e.graph.Parallelism[v] {
			var given []task.Split
			for s := i; s < len(q.list); s += e.graph.Parallelism[v] {
				given = append(given, q.list[s])
			}
			if err := errors.Join(q.err, e.hosts[i%e.workers].AssignSplits(v, i, given, true)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *engine) queueLocked(vertex int) *splitQueue {
	q := e.splits[vertex]
	if q == nil {
		q = &splitQueue{}
		q.list, q.bounded, q.err = e.hosts[0].EnumerateSplits(context.Background(), vertex)
		e.splits[vertex] = q
	}
	return q
}

// assign answers a subtask that has nothing to read.
func (e *engine) assign(vertex, subtask int) {
	if !e.graph.Plan.Vertices[vertex].Bounded {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	q := e.queueLocked(vertex)
	var given []task.Split
	if q.next < len(q.list) {
		given = q.list[q.next : q.next+1]
		q.next++
	}
	host := e.hosts[subtask%e.workers]
	if err := errors.Join(q.err, host.AssignSplits(vertex, subtask, given, len(given) == 0)); err != nil {
		e.failLocked(err)
	}
}
