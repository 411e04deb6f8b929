package dataflow

import (
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/memory"
)

// PlanFormat is the version of the plan that this package writes and reads.
const PlanFormat = 1

// Partitioning says how a record finds its channel in an exchange.
type Partitioning uint8

const (
	// Forward sends from subtask i to subtask i where both sides have the same
	// parallelism, and deals records out in turn where they have not.
	Forward Partitioning = iota + 1
	// Hash sends by the key group of the record's key.
	Hash
	// Rebalance deals records out to all channels in turn.
	Rebalance
	// Rescale deals them out in turn to the channels of a part of the other side,
	// so that each subtask is joined to few others.
	Rescale
	// Shuffle sends each to a channel at random.
	Shuffle
	// Broadcast sends each to every channel.
	Broadcast
	// Global sends all to the first subtask.
	Global
	// Custom sends where a function of the user's says.
	Custom
)

// partitioningNames are the names that Flink's plans have.
var partitioningNames = map[Partitioning]string{
	Forward: "FORWARD", Hash: "HASH", Rebalance: "REBALANCE", Rescale: "RESCALE",
	Shuffle: "SHUFFLE", Broadcast: "BROADCAST", Global: "GLOBAL", Custom: "CUSTOM",
}

// String returns the partitioning's name as Flink's plans have it.
func (p Partitioning) String() string {
	if name, ok := partitioningNames[p]; ok {
		return name
	}
	return fmt.Sprintf("Partitioning(%d)", uint8(p))
}

// Plan is a job's graph without its code: what the daemons know of a job.
type Plan struct {
	JobName   string
	Vertices  []Vertex
	Exchanges []Exchange
	// Settings made in code, by configuration key.
	Settings    map[string]string
	Fingerprint [32]byte
	// Recorded are the values of weir.Once, by name.
	Recorded map[string][]byte
	Warnings []string
	// Mistakes are everything that is wrong with the graph, each with its place.
	Mistakes []string
}

// Vertex is a chain of operators that run in one task.
type Vertex struct {
	// ID is the stable id of the chain's head.
	ID   string
	Name string
	// Parallelism as given in code; 0 is the job's default.
	Parallelism int
	Operators   []Operator
	Source      bool
	Bounded     bool
	// SlotSharingGroup is empty for "default".
	SlotSharingGroup string
}

// Operator is one step of the user's program.
type Operator struct {
	ID         string
	Name       string
	Kind       string
	OutputType string
	// Position is where it was written, "file.go:42".
	Position string
	Stateful bool
	// Predecessor is the place in the chain of the operator that it takes its input
	// from, and Side the name of that one's side output; the head has none.
	Predecessor int
	Side        string
}

// Exchange is a shuffle between two vertices. Its index in [Plan.Exchanges]
// names its channels on the wire.
type Exchange struct {
	From, To int
	// FromOperator is the place of the producing operator in the chain of From, and
	// Side the name of its side output; empty for the main one.
	FromOperator int
	Side         string
	// Ordinal is the input of the consuming operator: 1 for the second of two.
	Ordinal      int
	Partitioning Partitioning
	// Strict tells that the program asks for Forward: both sides must have the same
	// parallelism.
	Strict     bool
	RecordType string
	KeyType    string
	// BufferTimeout as given in code; nil is the job's default, [NoTimeout]
	// sends full buffers only.
	BufferTimeout *time.Duration
	PreAggregated bool
}

// NoTimeout as a buffer timeout means that only full buffers are sent.
const NoTimeout = time.Duration(-1)

// MaxParallelism is the largest parallelism of a vertex: one subtask for each
// key group.
const MaxParallelism = 1 << 16

// JobGraph is a plan with every parallelism decided.
type JobGraph struct {
	Plan *Plan
	// Parallelism of each vertex, by its index.
	Parallelism []int
}

// Resolve decides each vertex's parallelism: its own if it has one, otherwise
// defaultParallelism. It returns an error if one is not within 1 to
// [MaxParallelism], and if those of two sides differ that must not.
func (p *Plan) Resolve(defaultParallelism int) (*JobGraph, error) {
	g := &JobGraph{Plan: p, Parallelism: make([]int, len(p.Vertices))}
	for i, v := range p.Vertices {
		n := v.Parallelism
		if n == 0 {
			n = defaultParallelism
		}
		if n < 1 || n > MaxParallelism {
			return nil, fmt.Errorf("parallelism %d of %q: it must be between 1 and %d", n, v.Name, MaxParallelism)
		}
		g.Parallelism[i] = n
	}
	for _, e := range p.Exchanges {
		if from, to := g.Parallelism[e.From], g.Parallelism[e.To]; e.Strict && from != to {
			return nil, fmt.Errorf("forward from %q with parallelism %d to %q with parallelism %d: both must be equal; use Rebalance or Rescale, or leave Forward out",
				p.vertexName(e.From), from, p.vertexName(e.To), to)
		}
	}
	return g, nil
}

// Slots returns how many slots the job needs: per slot sharing group the
// largest parallelism of its vertices, summed over the groups.
func (g *JobGraph) Slots() int {
	groups := map[string]int{}
	for i, v := range g.Plan.Vertices {
		groups[v.SlotSharingGroup] = max(groups[v.SlotSharingGroup], g.Parallelism[i])
	}
	n := 0
	for _, p := range groups {
		n += p
	}
	return n
}

// Pattern returns how exchange x joins subtasks. Forward joins one with one where
// both sides have the same parallelism, and all with all where they have not.
func (g *JobGraph) Pattern(x int) memory.Pattern {
	e := &g.Plan.Exchanges[x]
	if e.Partitioning == Rescale || e.Partitioning == Forward && g.Parallelism[e.From] == g.Parallelism[e.To] {
		return memory.Pointwise
	}
	return memory.AllToAll
}

// Producers returns the subtasks from which exchange x leads to a subtask.
func (g *JobGraph) Producers(x, subtask int) memory.Span {
	e := &g.Plan.Exchanges[x]
	return g.Pattern(x).ProducersOf(subtask, g.Parallelism[e.From], g.Parallelism[e.To])
}

// Consumers returns the subtasks to which exchange x leads from a subtask.
func (g *JobGraph) Consumers(x, subtask int) memory.Span {
	e := &g.Plan.Exchanges[x]
	return g.Pattern(x).ConsumersOf(subtask, g.Parallelism[e.From], g.Parallelism[e.To])
}

// Inputs returns the indices of the exchanges that end in vertex v, in order:
// the position in this list is the gate's number in the task.
func (g *JobGraph) Inputs(v int) (exchanges []int) {
	for i := range g.Plan.Exchanges {
		if g.Plan.Exchanges[i].To == v {
			exchanges = append(exchanges, i)
		}
	}
	return exchanges
}

// Outputs returns the indices of the exchanges that begin in vertex v, in order.
func (g *JobGraph) Outputs(v int) (exchanges []int) {
	for i := range g.Plan.Exchanges {
		if g.Plan.Exchanges[i].From == v {
			exchanges = append(exchanges, i)
		}
	}
	return exchanges
}

// TaskName returns what users see: "Source: flights -> Filter (2/4)".
func (g *JobGraph) TaskName(vertex, subtask int) string {
	return fmt.Sprintf("%s (%d/%d)", g.Plan.Vertices[vertex].Name, subtask+1, g.Parallelism[vertex])
}
