package task

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/memory"
	"github.com/weirstream/weir/shuffle"
)

// HostConfig says what part of a job a [Host] runs, and with what.
type HostConfig struct {
	Job     ids.JobID
	Attempt ids.Attempt
	// Worker is this worker's index among those of the attempt.
	Worker int
	// Secret is the job's; data connections prove that they know it.
	Secret []byte
	// Executable is the digest of the program, which peers must share.
	Executable [32]byte
	// DataBindAddress is where to listen, "host:port"; empty if there is no
	// other worker. DataHost is how others reach this host.
	DataBindAddress, DataHost string
	// TLS secures data connections; nil if they stay on the machine.
	TLS   *tls.Config
	Slots []Slot
	// Plan is the submitted plan.
	Plan *dataflow.Plan
	// DefaultParallelism is that of vertices without their own.
	DefaultParallelism int
	Settings           Settings
	Checkpointing      Checkpointing
	// TaskManager names the TaskManager, for messages.
	TaskManager string
	Log         *slog.Logger
	// Events is told what happens to the tasks. It is called by their
	// goroutines and must not block for long.
	Events func(Event)
}

// Settings are those values of the job's configuration that its tasks use.
type Settings struct {
	// BufferTimeout of exchanges without their own; dataflow.NoTimeout is never.
	BufferTimeout time.Duration
	// WatermarkInterval is how often a watermark travels without records.
	WatermarkInterval time.Duration
	// PreAggregation allows aggregates to be combined before a shuffle.
	PreAggregation bool
	Network        memory.Settings
}

// Slot is the network memory of a slot that this worker holds.
type Slot struct {
	// Index is the slot's number in the job.
	Index int
	// Memory is mapped; nil to allocate Size bytes instead.
	Memory *os.File
	Size   int64
}

// Ref names a subtask and the slot it uses.
type Ref struct {
	Vertex, Subtask, Slot int
}

// Peer is a worker of the same attempt, this one included or not.
type Peer struct {
	Worker      int
	Address     string
	TaskManager string
	Tasks       []Ref
}

// State is where a subtask is in its life.
type State int

// The states, in the order in which a subtask can be in them. The last three
// are ends.
const (
	Initializing State = iota + 1
	Running
	Canceling
	Finished
	Canceled
	Failed
)

// Event says that something happened to a task: its state changed, with WantsSplit
// its source has nothing left to read, with Alignment its source reports a
// watermark, with Ended its input has ended and it waits for [Host.Finish], with
// Snapshot it has taken part in a checkpoint, with Committed its sinks have committed.
type Event struct {
	Vertex, Subtask int
	State           State
	// Err is the reason of Failed. A [*PanicError] has the stack.
	Err error
	// Consequence tells that Err only follows from another failure, such as a
	// lost connection to a worker that died.
	Consequence bool
	WantsSplit  bool
	Alignment   *AlignmentReport
	Ended       bool
	Snapshot    *Snapshot
	// Committed is a checkpoint whose output the task's sinks have committed, with
	// that of all before it; 0 in other events.
	Committed uint64
}

// Host runs the subtasks of one job in one worker. Its methods may be called
// concurrently.
type Host struct {
	cfg      HostConfig
	layout   *dataflow.Layout
	graph    *dataflow.JobGraph
	endpoint *shuffle.Endpoint
	arenas   map[int]*shuffle.Arena
	// closers release what the tasks exchange records through: partitions and
	// gates, which their tasks close before, and pools.
	closers []func()
	tasks   map[ids.Subtask]*task
	// taskManagers are the names of the TaskManagers that the workers run on.
	taskManagers map[int]string
	group        *goroutine.Group

	mu struct {
		sync.Mutex
		started  bool
		canceled bool
		// writing are the snapshots that are being written.
		writing map[*taken]bool
	}
}

// NewHost takes the slots' memory and begins to listen. The graph is what main
// built here; it has the shape of cfg.Plan, whose fingerprint was compared.
func NewHost(graph *dataflow.Graph, cfg HostConfig) (*Host, error) {
	h := &Host{cfg: cfg, layout: graph.Layout(), arenas: map[int]*shuffle.Arena{}, tasks: map[ids.Subtask]*task{}, taskManagers: map[int]string{}, group: goroutine.New(context.Background())}
	var err error
	if h.graph, err = cfg.Plan.Resolve(cfg.DefaultParallelism); err != nil {
		return nil, err
	}
	segment := int(cfg.Settings.Network.SegmentSize)
	for _, s := range cfg.Slots {
		a, err := openArena(s, segment)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("network memory of slot %d: %w", s.Index, err), h.Close())
		}
		h.arenas[s.Index] = a
	}
	h.endpoint, err = shuffle.Listen(shuffle.EndpointConfig{
		Job: cfg.Job, Attempt: cfg.Attempt, Worker: cfg.Worker, Secret: cfg.Secret, Executable: cfg.Executable,
		Listen: cfg.DataBindAddress, TLS: cfg.TLS, SegmentSize: segment, Logger: cfg.Log,
	})
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

func openArena(s Slot, segment int) (*shuffle.Arena, error) {
	if s.Memory != nil {
		return shuffle.MapArena(s.Memory, segment)
	}
	return shuffle.NewArena(int(s.Size)/segment, segment)
}

// DataAddress is where other workers reach this one; empty if it does not
// listen.
func (h *Host) DataAddress() string {
	addr, ok := h.endpoint.Addr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	return net.JoinHostPort(h.cfg.DataHost, strconv.Itoa(addr.Port))
}

// Start starts subtasks. peers are all workers of the attempt with theirs; restored
// are the snapshots that the tasks' state begins with, of all subtasks of their
// vertices.
func (h *Host) Start(refs []Ref, peers []Peer, restored ...Restored) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.mu.started:
		return errors.New("the tasks of this worker were started before")
	case h.mu.canceled:
		return ErrCanceled
	}
	h.mu.started = true
	b := newBuilder(h, refs, peers, restored)
	if err := b.build(); err != nil {
		return err
	}
	if err := h.endpoint.Connect(b.peers); err != nil {
		return err
	}
	for _, s := range b.subtasks {
		h.group.Go(func(context.Context) error {
			h.run(s.id, s.start)
			return nil
		})
	}
	return nil
}

// run is the life of one subtask.
func (h *Host) run(id ids.Subtask, start func() error) {
	t := h.tasks[id]
	h.cfg.Events(Event{Vertex: id.Vertex, Subtask: id.Index, State: Initializing})
	err := errGoexit
	defer func() { h.ended(id, err) }()
	err = t.runAfter(start, func() {
		h.cfg.Events(Event{Vertex: id.Vertex, Subtask: id.Index, State: Running})
	})
}

// ended says how a subtask has ended.
func (h *Host) ended(id ids.Subtask, err error) {
	e := Event{Vertex: id.Vertex, Subtask: id.Index, State: Finished, Err: err}
	switch {
	case errors.Is(err, ErrCanceled):
		e.State, e.Err = Canceled, nil
	case err != nil:
		e.State = Failed
		var lost *shuffle.ConnectionError
		if e.Consequence = errors.As(err, &lost); e.Consequence {
			e.Err = fmt.Errorf("worker on TaskManager %s: %w", h.taskManagers[lost.Worker], err)
		}
	}
	h.cfg.Events(e)
}

// Cancel asks every task to stop. Wait returns once they have.
func (h *Host) Cancel() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mu.canceled = true
	for _, t := range h.tasks {
		t.cancel()
	}
}

// EnumerateSplits lists the splits of a source, and whether they end.
func (h *Host) EnumerateSplits(ctx context.Context, vertex int) (splits []Split, bounded bool, err error) {
	if vertex < 0 || vertex >= len(h.layout.Chains) {
		return nil, false, fmt.Errorf("vertex %d: the job has %d", vertex, len(h.layout.Chains))
	}
	lister, ok := h.layout.Chains[vertex].Head.Code.(SplitLister)
	if !ok {
		return nil, false, fmt.Errorf("vertex %d %q is not a source", vertex, h.graph.Plan.Vertices[vertex].Name)
	}
	defer func() {
		if p := recover(); p != nil {
			err = newPanicError(p)
		}
	}()
	splits, bounded, err = lister.ListSplits(ctx, h.graph.Parallelism[vertex])
	if err != nil {
		err = fmt.Errorf("list the splits of %q: %w", h.graph.Plan.Vertices[vertex].Name, err)
	}
	return splits, bounded, err
}

// AssignSplits gives splits to a source's subtask; noMore says that these are
// the last.
func (h *Host) AssignSplits(vertex, subtask int, splits []Split, noMore bool) error {
	h.mu.Lock()
	t, ok := h.tasks[ids.Subtask{Vertex: vertex, Index: subtask}]
	h.mu.Unlock()
	if !ok {
		return fmt.Errorf("vertex %d subtask %d does not run on this worker", vertex, subtask)
	}
	if !h.layout.Chains[vertex].Head.Source {
		return fmt.Errorf("%s is not a source", t.ctx.Name)
	}
	// The task may still be opening its sinks; it reads letters after that.
	t.post(func() error { return t.head.(splitTaker).assign(splits, noMore) })
	return nil
}

// Align tells a source's subtask how far its alignment group lets it read: splits
// with a watermark above limit wait.
func (h *Host) Align(vertex, subtask int, group string, limit int64) error {
	h.mu.Lock()
	t, ok := h.tasks[ids.Subtask{Vertex: vertex, Index: subtask}]
	h.mu.Unlock()
	if !ok {
		return fmt.Errorf("vertex %d subtask %d does not run on this worker", vertex, subtask)
	}
	t.post(func() error {
		for _, f := range t.ctx.aligned {
			f(group, limit)
		}
		return nil
	})
	return nil
}

// Wait blocks until every task has ended.
func (h *Host) Wait() { _ = h.group.Wait() }

// Close cancels what runs, waits for it, and releases everything.
func (h *Host) Close() error {
	h.Cancel()
	err := h.group.Close()
	if h.endpoint != nil {
		err = errors.Join(err, h.endpoint.Close())
	}
	for _, f := range slices.Backward(h.closers) {
		f()
	}
	h.closers = nil
	for _, a := range h.arenas {
		err = errors.Join(err, a.Close())
	}
	return err
}
