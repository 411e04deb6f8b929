package task

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/memory"
	"github.com/weirstream/weir/shuffle"
)

// builder puts the subtasks of a worker together: pools, gates and partitions
// first, so that the shuffle can begin; the operators on the task's own
// goroutine, since opening a sink or a source may take its time.
type builder struct {
	host     *Host
	refs     []Ref
	restored []Restored
	workers  map[ids.Subtask]int // where each subtask of the job runs
	peers    []shuffle.Peer
	subtasks []built
	pools    map[poolKey]*shuffle.Pool
}

type built struct {
	id    ids.Subtask
	start func() error
}

type poolKey struct {
	subtask  memory.Subtask
	exchange int
	kind     memory.PoolKind
}

func newBuilder(h *Host, refs []Ref, peers []Peer, restored []Restored) *builder {
	b := &builder{host: h, refs: refs, restored: restored, workers: map[ids.Subtask]int{}, pools: map[poolKey]*shuffle.Pool{}}
	for _, p := range peers {
		for _, t := range p.Tasks {
			b.workers[ids.Subtask{Vertex: t.Vertex, Index: t.Subtask}] = p.Worker
		}
		h.taskManagers[p.Worker] = p.TaskManager
		if p.Worker != h.cfg.Worker {
			b.peers = append(b.peers, shuffle.Peer{Worker: p.Worker, Address: p.Address})
		}
	}
	for _, t := range refs {
		b.workers[ids.Subtask{Vertex: t.Vertex, Index: t.Subtask}] = h.cfg.Worker
	}
	return b
}

func (b *builder) build() error {
	if err := b.dealPools(); err != nil {
		return err
	}
	for _, ref := range b.refs {
		if ref.Vertex < 0 || ref.Vertex >= len(b.host.layout.Chains) || ref.Subtask < 0 || ref.Subtask >= b.host.graph.Parallelism[ref.Vertex] {
			return fmt.Errorf("vertex %d subtask %d: the job has no such subtask", ref.Vertex, ref.Subtask)
		}
		if err := b.task(ref); err != nil {
			return fmt.Errorf("%s: %w", b.host.graph.TaskName(ref.Vertex, ref.Subtask), err)
		}
	}
	return nil
}

// dealPools divides each slot's buffers between the gates and partitions of its
// subtasks, by the formula that the JobManager checked.
func (b *builder) dealPools() error {
	bySlot := map[int][]memory.Subtask{}
	for _, r := range b.refs {
		bySlot[r.Slot] = append(bySlot[r.Slot], memory.Subtask{Vertex: r.Vertex, Index: r.Subtask})
	}
	job := b.host.graph.Network()
	for _, slot := range slices.Sorted(maps.Keys(bySlot)) {
		subtasks := bySlot[slot]
		arena, ok := b.host.arenas[slot]
		if !ok {
			return fmt.Errorf("slot %d does not belong to this worker", slot)
		}
		demand := job.DemandOf(slot, subtasks, b.host.cfg.Settings.Network)
		grants, err := demand.Grant(arena.Segments())
		if err != nil {
			return err
		}
		for i, p := range demand.Pools {
			name := fmt.Sprintf("%s %s %d", b.host.graph.TaskName(p.Subtask.Vertex, p.Subtask.Index), p.Kind, p.Exchange)
			pool, err := arena.NewPool(name, grants[i])
			if err != nil {
				return err
			}
			b.host.closers = append(b.host.closers, pool.Close)
			b.pools[poolKey{p.Subtask, p.Exchange, p.Kind}] = pool
		}
	}
	return nil
}

// task makes the subtask ref, whose operators start builds later.
func (b *builder) task(ref Ref) error {
	h := b.host
	done, cancel := context.WithCancel(context.Background())
	ctx := &Context{
		Done: done, Name: h.graph.TaskName(ref.Vertex, ref.Subtask), Subtask: ref.Subtask, Parallelism: h.graph.Parallelism[ref.Vertex],
		Log: h.cfg.Log, PreAggregation: h.cfg.Settings.PreAggregation, WatermarkInterval: h.cfg.Settings.WatermarkInterval,
		FlushInterval: h.cfg.Settings.BufferTimeout, Attempt: int(h.cfg.Attempt), figures: newFigures(), wall: wallClock,
	}
	if ctx.FlushInterval < 0 {
		ctx.FlushInterval = h.cfg.Settings.WatermarkInterval
	}
	id := ids.Subtask{Vertex: ref.Vertex, Index: ref.Subtask}
	ctx.clock.start = time.Now()
	ctx.report = func(r AlignmentReport) {
		h.cfg.Events(Event{Vertex: ref.Vertex, Subtask: ref.Subtask, State: Running, Alignment: &r})
	}
	t := newTask(ctx, cancel)
	h.tasks[id] = t
	if h.cfg.Checkpointing.Enabled {
		ctx.checkpoints = &checkpoints{Checkpointing: h.cfg.Checkpointing, take: t.take}
		t.write = func(s *taken) { h.write(id, t, s) }
		t.committed = func(checkpoint uint64) {
			h.cfg.Events(Event{Vertex: ref.Vertex, Subtask: ref.Subtask, State: Running, Committed: checkpoint})
		}
		t.ended = func() { h.cfg.Events(Event{Vertex: ref.Vertex, Subtask: ref.Subtask, State: Running, Ended: true}) }
	}

	chain := &h.layout.Chains[ref.Vertex]
	inbox := shuffle.NewInbox()
	gates, err := b.gates(ctx, ref, inbox)
	if err != nil {
		return err
	}
	outlets, err := b.outlets(ctx, ref)
	if err != nil {
		return err
	}
	c := &chainBuilder{layout: h.layout, chain: chain, ctx: ctx, outlets: outlets}
	b.subtasks = append(b.subtasks, built{id: id, start: func() (err error) {
		if err := ctx.openRestored(ref.Vertex, b.restored); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, ctx.closeRestored()) }()
		if chain.Head.Source {
			out, err := c.outputs(chain.Head)
			if err != nil {
				return err
			}
			ctx.building(h.layout, chain.Head)
			t.head, err = chain.Head.Code.(sourceCode).head(ctx, out, func() {
				h.cfg.Events(Event{Vertex: ref.Vertex, Subtask: ref.Subtask, State: Running, WantsSplit: true})
			})
			return err
		}
		t.head, err = c.input(inbox, gates)
		return err
	}})
	return nil
}

// gate is one input of a task before its reader exists.
type gate struct {
	exchange int
	remote   []bool
}

func (b *builder) gates(ctx *Context, ref Ref, inbox *shuffle.Inbox) ([]gate, error) {
	var gates []gate
	for i, x := range b.host.graph.Inputs(ref.Vertex) {
		g := gate{exchange: x}
		cfg := shuffle.GateConfig{
			Edge: uint32(x), To: uint32(ref.Subtask), Index: i, Inbox: inbox,
			Exclusive: b.host.cfg.Settings.Network.BuffersPerChannel, Pool: b.pool(ref, x, memory.Gate),
		}
		span := b.host.graph.Producers(x, ref.Subtask)
		for _, s := range b.opposite(b.host.graph.Plan.Exchanges[x].From, span) {
			worker := b.workers[s]
			cfg.Channels = append(cfg.Channels, shuffle.Source{Subtask: uint32(s.Index), Worker: worker})
			g.remote = append(g.remote, worker != b.host.cfg.Worker)
		}
		opened, err := b.host.endpoint.NewGate(cfg)
		if err != nil {
			return nil, err
		}
		b.host.closers = append(b.host.closers, opened.Close)
		ctx.OnClose(func() error { opened.Close(); return nil })
		gates = append(gates, g)
	}
	return gates, nil
}

func (b *builder) outlets(ctx *Context, ref Ref) (map[int]*outlet, error) {
	outlets := map[int]*outlet{}
	for _, x := range b.host.graph.Outputs(ref.Vertex) {
		cfg := shuffle.PartitionConfig{Edge: uint32(x), From: uint32(ref.Subtask), Pool: b.pool(ref, x, memory.Partition)}
		span := b.host.graph.Consumers(x, ref.Subtask)
		for _, s := range b.opposite(b.host.graph.Plan.Exchanges[x].To, span) {
			cfg.Channels = append(cfg.Channels, shuffle.Target{Subtask: uint32(s.Index), Worker: b.workers[s]})
		}
		p, err := b.host.endpoint.NewPartition(cfg)
		if err != nil {
			return nil, err
		}
		b.host.closers = append(b.host.closers, p.Close)
		ctx.OnClose(func() error { p.Close(); return nil })
		timeout := b.host.cfg.Settings.BufferTimeout
		if t := b.host.graph.Plan.Exchanges[x].BufferTimeout; t != nil {
			timeout = *t
		}
		payload := int(b.host.cfg.Settings.Network.SegmentSize) - shuffle.HeaderSize - shuffle.SlackSize
		outlets[x] = newOutlet(ctx, p, len(cfg.Channels), payload, timeout)
	}
	return outlets, nil
}

func (b *builder) pool(ref Ref, exchange int, kind memory.PoolKind) *shuffle.Pool {
	return b.pools[poolKey{memory.Subtask{Vertex: ref.Vertex, Index: ref.Subtask}, exchange, kind}]
}

// opposite returns the subtasks of a vertex that an exchange connects a subtask with.
func (b *builder) opposite(vertex int, span memory.Span) (subtasks []ids.Subtask) {
	for i := span.First; i < span.End; i++ {
		subtasks = append(subtasks, ids.Subtask{Vertex: vertex, Index: i})
	}
	return subtasks
}

// chainBuilder builds the operators of a chain from its end to its head.
type chainBuilder struct {
	layout  *dataflow.Layout
	chain   *dataflow.Chain
	ctx     *Context
	outlets map[int]*outlet
}

// operator builds node n and what follows it in the chain.
func (c *chainBuilder) operator(n *dataflow.Node) (Inputs, error) {
	out, err := c.outputs(n)
	if err != nil {
		return nil, err
	}
	c.ctx.building(c.layout, n)
	in, err := n.Code.(Operator).Build(c.ctx, out)
	if err != nil {
		return nil, fmt.Errorf("%s %q: %w", n.Kind, n.Name, err)
	}
	return in, nil
}

// outputs builds everything that takes the output of n.
func (c *chainBuilder) outputs(n *dataflow.Node) (Outputs, error) {
	return outputsOf(n, func(port int) ([]any, error) { return c.consumers(n, port) })
}

// consumers builds what takes one output of n: operators of the chain, and
// exchanges that leave it.
func (c *chainBuilder) consumers(n *dataflow.Node, port int) (receivers []any, err error) {
	for _, m := range c.chain.Nodes[1:] {
		if in := m.Inputs[0]; in.From != n || in.Port != port {
			continue
		}
		r, err := c.operator(m)
		if err != nil {
			return nil, err
		}
		receivers = append(receivers, r[0])
	}
	for x, edge := range c.layout.Edges {
		if edge.From != n || edge.Port != port {
			continue
		}
		c.outlets[x].perRecord = perRecord(n, map[*dataflow.Node]bool{})
		w, err := edge.Code.(Exchange).Writer(c.ctx, c.outlets[x])
		if err != nil {
			return nil, err
		}
		receivers = append(receivers, w)
	}
	return receivers, nil
}

// perRecord reports whether the watermark in the output of n has its exact place
// between records. seen are the nodes that were looked at.
func perRecord(n *dataflow.Node, seen map[*dataflow.Node]bool) bool {
	if seen[n] {
		return false
	}
	seen[n] = true
	if w, ok := n.Code.(interface{ placesWatermarks() bool }); ok {
		return w.placesWatermarks()
	}
	return slices.ContainsFunc(n.Inputs, func(in *dataflow.Input) bool { return perRecord(in.From, seen) })
}

// input builds the whole chain behind the gates.
func (c *chainBuilder) input(inbox *shuffle.Inbox, gates []gate) (head, error) {
	c.ctx.network = true
	operator, err := c.operator(c.chain.Head)
	if err != nil {
		return nil, err
	}
	var inputs []inputGate
	for _, g := range gates {
		edge := c.layout.Edges[g.exchange]
		r, err := edge.Code.(Exchange).Reader(c.ctx, operator[edge.Ordinal])
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, inputGate{reader: r, remote: g.remote})
	}
	h := newInputHead(c.ctx, inbox, inputs, operator[0].(signals))
	return h, h.register()
}

// wallClock is the processing time outside of tests.
func wallClock() int64 { return time.Now().UnixMilli() }
