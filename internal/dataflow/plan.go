package dataflow

import (
	"fmt"
	"time"
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
)

// String returns the partitioning's name as Flink's plans have it.
func (p Partitioning) String() string {
	switch p {
	case Forward:
		return "FORWARD"
	case Hash:
		return "HASH"
	case Rebalance:
		return "REBALANCE"
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
}

// Exchange is a shuffle between two vertices. Its index in [Plan.Exchanges]
// names its channels on the wire.
type Exchange struct {
	From, To     int
	Partitioning Partitioning
	RecordType   string
	KeyType      string
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
// [MaxParallelism].
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

// Pointwise reports whether exchange x connects subtask i only with subtask i.
// Every other exchange connects all subtasks with all.
func (g *JobGraph) Pointwise(x int) bool {
	e := &g.Plan.Exchanges[x]
	return e.Partitioning == Forward && g.Parallelism[e.From] == g.Parallelism[e.To]
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
