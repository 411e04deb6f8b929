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

	hosts []*task.Host
	graph *dataflow.JobGraph

	mu       sync.Mutex
	splits   map[int]*splitQueue
	failures []error
	left     int
	done     chan struct{}
}

type splitQueue struct {
	list []task.Split
	next int
	err  error
}

func defaultSettings() task.Settings {
	return task.Settings{
		BufferTimeout: 100 * time.Millisecond, WatermarkInterval: 200 * time.Millisecond, PreAggregation: true,
		Network: memory.Settings{SegmentSize: 32 * memory.KiB, BuffersPerChannel: 2, FloatingPerGate: 32},
	}
}

// run builds and runs the job and returns the metrics of its tasks.
func (e *engine) run(ctx context.Context, build func(*weir.Env)) (metrics []task.Metrics, err error) {
	plan := weir.BuildGraph(build).Layout().Plan
	if len(plan.Mistakes) > 0 {
		return nil, fmt.Errorf("mistakes: %v", plan.Mistakes)
	}
	if e.graph, err = plan.Resolve(e.parallelism); err != nil {
		return nil, err
	}
	e.done = make(chan struct{})
	e.splits = map[int]*splitQueue{}
	slots := e.graph.Slots()
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
	defer func() {
		for _, h := range e.hosts {
			err = errors.Join(err, h.Close())
		}
	}()
	for w := range peers {
		cfg := task.HostConfig{
			Job: ids.JobID{1}, Attempt: 1, Worker: w, Secret: []byte("0123456789abcdef"), DataHost: "127.0.0.1",
			Plan: plan, DefaultParallelism: e.parallelism, Settings: e.settings, Log: slog.New(slog.DiscardHandler), Events: e.event,
		}
		if e.workers > 1 {
			cfg.DataBindAddress = "127.0.0.1:0"
		}
		for s := w; s < slots; s += e.workers {
			cfg.Slots = append(cfg.Slots, task.Slot{Index: s, Size: int64(e.slotBuffers(s)) * int64(e.settings.Network.SegmentSize)})
		}
		h, err := task.NewHost(weir.BuildGraph(build), cfg)
		if err != nil {
			return nil, err
		}
		e.hosts = append(e.hosts, h)
		peers[w].Address = h.DataAddress()
	}
	for w, h := range e.hosts {
		if err := h.Start(peers[w].Tasks, peers); err != nil {
			return nil, err
		}
	}
	select {
	case <-e.done:
	case <-ctx.Done():
		for _, h := range e.hosts {
			h.Cancel()
		}
		<-e.done
	}
	for _, h := range e.hosts {
		h.Wait()
		metrics = append(metrics, h.Metrics()...)
	}
	return metrics, errors.Join(e.failures...)
}

func (e *engine) slotBuffers(slot int) int {
	demand := e.graph.Network().Demand(slot, e.settings.Network)
	if e.least {
		return demand.Min() - e.fewer
	}
	return max(1, demand.Max())
}

// event is told what happens to the tasks. Like a JobManager, it cancels the
// job when a task fails.
func (e *engine) event(ev task.Event) {
	if ev.WantsSplit {
		e.assign(ev.Vertex, ev.Subtask)
		return
	}
	switch ev.State {
	case task.Finished, task.Canceled, task.Failed:
	default:
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if ev.State == task.Failed {
		e.failures = append(e.failures, ev.Err)
		for _, h := range e.hosts {
			h.Cancel()
		}
	}
	if e.left--; e.left == 0 {
		close(e.done)
	}
}

func (e *engine) assign(vertex, subtask int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	q := e.splits[vertex]
	if q == nil {
		q = &splitQueue{}
		q.list, _, q.err = e.hosts[0].EnumerateSplits(context.Background(), vertex)
		e.splits[vertex] = q
	}
	var given []task.Split
	if q.next < len(q.list) {
		given = q.list[q.next : q.next+1]
		q.next++
	}
	host := e.hosts[subtask%e.workers]
	if err := errors.Join(q.err, host.AssignSplits(vertex, subtask, given, len(given) == 0)); err != nil {
		e.failures = append(e.failures, err)
		for _, h := range e.hosts {
			h.Cancel()
		}
	}
}
