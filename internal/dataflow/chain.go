package dataflow

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
)

// Chain is the nodes of one vertex as a tree: the head, and for every node its
// consumers within the chain and the exchanges that leave it.
type Chain struct {
	Vertex int
	Head   *Node
	// Nodes in the order of construction.
	Nodes []*Node
}

// Layout is a graph cut into chains, with the plan that describes them.
type Layout struct {
	Plan   *Plan
	Chains []Chain
	// Edges[x] is the edge that exchange x of the plan stands for, and Into[x]
	// the node it leads to.
	Edges []*Input
	Into  []*Node
	// VertexOf is each node's vertex, by the node's index.
	VertexOf []int
	// OperatorIDs is each node's stable id, by the node's index.
	OperatorIDs []string
}

// Layout checks the graph, joins operators into chains and describes the
// result. Mistakes are in the plan, not an error: all of them are reported.
func (g *Graph) Layout() *Layout {
	l := &Layout{VertexOf: make([]int, len(g.nodes))}
	for _, n := range g.nodes {
		if g.chained(n) {
			v := l.VertexOf[n.Inputs[0].From.Index]
			l.VertexOf[n.Index] = v
			l.Chains[v].Nodes = append(l.Chains[v].Nodes, n)
			continue
		}
		l.VertexOf[n.Index] = len(l.Chains)
		l.Chains = append(l.Chains, Chain{Vertex: len(l.Chains), Head: n, Nodes: []*Node{n}})
	}
	l.Plan = g.describe(l)
	return l
}

// chained reports whether n runs in the task of its only input: nothing may
// depend on the default parallelism here (D1).
func (g *Graph) chained(n *Node) bool {
	if len(n.Inputs) != 1 {
		return false
	}
	from := n.Inputs[0].From
	return !g.NoChaining && n.Inputs[0].Partitioning == Forward &&
		!n.StartChain && !n.NoChain && !from.NoChain &&
		n.Parallelism == from.Parallelism && n.SlotSharingGroup == from.SlotSharingGroup
}

func (g *Graph) describe(l *Layout) *Plan {
	p := &Plan{JobName: g.JobName, Settings: g.Settings, Recorded: g.Recorded, Mistakes: slices.Clone(g.mistakes)}
	ids := g.operatorIDs(p)
	l.OperatorIDs = ids
	for _, c := range l.Chains {
		v := Vertex{
			ID: ids[c.Head.Index], Parallelism: c.Head.Parallelism, Source: c.Head.Source,
			Bounded: c.Head.Bounded, SlotSharingGroup: c.Head.SlotSharingGroup, Name: chainName(c),
		}
		for i, n := range c.Nodes {
			o := Operator{
				ID: ids[n.Index], Name: n.Name, Kind: n.Kind, OutputType: n.OutputType,
				Position: n.Position, Stateful: n.Stateful,
			}
			if i > 0 {
				o.Predecessor, o.Side = l.place(n.Inputs[0].From), n.Inputs[0].side()
			}
			v.Operators = append(v.Operators, o)
		}
		p.Vertices = append(p.Vertices, v)
	}
	for _, n := range g.nodes {
		if l.Chains[l.VertexOf[n.Index]].Head != n {
			continue
		}
		for _, in := range n.Inputs {
			p.Exchanges = append(p.Exchanges, Exchange{
				From: l.VertexOf[in.From.Index], To: l.VertexOf[n.Index],
				FromOperator: l.place(in.From), Side: in.side(), Ordinal: in.Ordinal,
				Partitioning: in.Partitioning, Strict: in.Strict, RecordType: in.RecordType, KeyType: in.KeyType,
				BufferTimeout: in.From.BufferTimeout, PreAggregated: in.PreAggregated,
			})
			l.Edges = append(l.Edges, in)
			l.Into = append(l.Into, n)
		}
	}
	g.check(p)
	p.Fingerprint = p.fingerprint()
	return p
}

// operatorIDs returns every node's stable id: the user's, or one derived from
// its name and its place, which a stateful operator gets with a warning.
func (g *Graph) operatorIDs(p *Plan) []string {
	ids := make([]string, len(g.nodes))
	taken := map[string]string{}
	equal := map[[32]byte]int{} // nodes so far, by their way from the source
	ways := make([][32]byte, len(g.nodes))
	for i, n := range g.nodes {
		ways[i] = wayTo(n, ways)
		ids[i] = n.ID
		if n.ID == "" {
			way := ways[i]
			ids[i] = derivedID(way, equal[way])
			equal[way]++
			if n.Stateful {
				p.Warnings = append(p.Warnings, fmt.Sprintf(
					"%s: %s %q has state but no stable id; give it one with ID(…), or its state is lost when it is renamed or moved",
					n.Position, n.Kind, n.Name))
			}
		}
		if other, ok := taken[ids[i]]; ok {
			p.Mistakes = append(p.Mistakes, fmt.Sprintf("%s: %s %q has the id %q, which %s has, too; ids must be unique in a job",
				n.Position, n.Kind, n.Name, ids[i], other))
		}
		taken[ids[i]] = fmt.Sprintf("%s %q (%s)", n.Kind, n.Name, n.Position)
	}
	return ids
}

// derivedID is the id of the node with so many others before it that came the
// same way. What else is in the job does not change it.
func derivedID(way [32]byte, place int) string {
	h := sha256.New()
	put(h, string(way[:]), strconv.Itoa(place))
	return fmt.Sprintf("%x", h.Sum(nil)[:16])
}

// wayTo hashes the ways from the sources to n: names, kinds and partitionings.
// ways has those to the nodes before it.
func wayTo(n *Node, ways [][32]byte) [32]byte {
	h := sha256.New()
	put(h, n.Kind, n.Name)
	for _, in := range n.Inputs {
		put(h, in.Partitioning.String(), in.side(), strconv.Itoa(in.Ordinal), string(ways[in.From.Index][:]))
	}
	return [32]byte(h.Sum(nil))
}

// side returns the name of the side output that an edge begins at, empty for the
// main output.
func (in *Input) side() string {
	if in.Port == 0 {
		return ""
	}
	return in.From.Sides[in.Port-1].Name
}

// place returns a node's place in its chain.
func (l *Layout) place(n *Node) int { return slices.Index(l.Chains[l.VertexOf[n.Index]].Nodes, n) }

func chainName(c Chain) string {
	names := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		names[i] = n.Name
		if n.Source {
			names[i] = "Source: " + n.Name
		}
		if n.OutputType == "" {
			names[i] = "Sink: " + n.Name
		}
	}
	return strings.Join(names, " -> ")
}

// check adds the mistakes that only the whole graph shows.
func (g *Graph) check(p *Plan) {
	if len(g.nodes) == 0 {
		p.Mistakes = append(p.Mistakes, "the job has no operators: main must add at least a source and a sink")
	}
	consumed := make([]bool, len(g.nodes))
	for _, n := range g.nodes {
		for _, in := range n.Inputs {
			consumed[in.From.Index] = true
		}
		if n.Parallelism < 0 || n.Parallelism > MaxParallelism {
			p.Mistakes = append(p.Mistakes, fmt.Sprintf("%s: parallelism %d of %s %q: it must be between 1 and %d",
				n.Position, n.Parallelism, n.Kind, n.Name, MaxParallelism))
		}
	}
	for i, n := range g.nodes {
		if !consumed[i] && n.OutputType != "" {
			p.Mistakes = append(p.Mistakes, fmt.Sprintf("%s: nothing consumes %s %q: end the stream with To(…)", n.Position, n.Kind, n.Name))
		}
	}
}

// fingerprint hashes what must be equal wherever the job's main runs.
func (p *Plan) fingerprint() [32]byte {
	h := sha256.New()
	put(h, "weir plan", strconv.Itoa(PlanFormat), p.JobName)
	for _, v := range p.Vertices {
		put(h, "vertex", v.ID, v.Name, strconv.FormatBool(v.Source), strconv.FormatBool(v.Bounded), v.SlotSharingGroup)
		for _, o := range v.Operators {
			put(h, "operator", o.ID, o.Name, o.Kind, o.OutputType, strconv.FormatBool(o.Stateful), strconv.Itoa(o.Predecessor), o.Side)
		}
	}
	for _, e := range p.Exchanges {
		put(h, "exchange", strconv.Itoa(e.From), strconv.Itoa(e.FromOperator), e.Side, strconv.Itoa(e.To), strconv.Itoa(e.Ordinal),
			e.Partitioning.String(), e.RecordType, e.KeyType, strconv.FormatBool(e.PreAggregated))
	}
	return [32]byte(h.Sum(nil))
}

// put hashes strings so that no two lists hash alike by joining differently.
func put(h hash.Hash, parts ...string) {
	var n [8]byte
	for _, s := range parts {
		binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
}
