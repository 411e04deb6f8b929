package dataflow_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/memory"
)

// job is a graph under construction.
type job struct{ *dataflow.Graph }

func newJob() job { return job{dataflow.NewGraph("job")} }

func (j job) source(name string) *dataflow.Node {
	return j.Add(&dataflow.Node{Kind: "source", Name: name, OutputType: "int", Source: true, Bounded: true, Position: "p/" + name})
}

func (j job) then(from *dataflow.Node, kind string, p dataflow.Partitioning) *dataflow.Node {
	n := &dataflow.Node{Kind: kind, Name: kind, OutputType: "int", Position: "p/" + kind}
	if kind == "sink" {
		n.OutputType = ""
	}
	n.Inputs = []*dataflow.Input{{From: from, Partitioning: p, RecordType: "int"}}
	if p == dataflow.Hash {
		n.Inputs[0].KeyType, n.Stateful = "string", true
	}
	return j.Add(n)
}

// simple is a job with a chain, a keyed operator and a sink. change may change
// it.
func simple(change func(source, mapped, keyed, sink *dataflow.Node, g *dataflow.Graph)) *dataflow.Graph {
	j := newJob()
	source := j.source("numbers")
	mapped := j.then(source, "map", dataflow.Forward)
	keyed := j.then(mapped, "reduce", dataflow.Hash)
	keyed.ID = "sum"
	sink := j.then(keyed, "sink", dataflow.Forward)
	if change != nil {
		change(source, mapped, keyed, sink, j.Graph)
	}
	return j.Graph
}

func names(p *dataflow.Plan) (names []string) {
	for _, v := range p.Vertices {
		names = append(names, v.Name)
	}
	return names
}

func TestChaining(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(source, mapped, keyed, sink *dataflow.Node, g *dataflow.Graph)
		want   []string
	}{
		{"as it is", nil, []string{"Source: numbers -> map", "reduce -> Sink: sink"}},
		{"no chaining at all", func(_, _, _, _ *dataflow.Node, g *dataflow.Graph) { g.NoChaining = true }, []string{"Source: numbers", "map", "reduce", "Sink: sink"}},
		{"a new chain", func(_, m, _, _ *dataflow.Node, _ *dataflow.Graph) { m.StartChain = true }, []string{"Source: numbers", "map", "reduce -> Sink: sink"}},
		{"alone, in the middle", func(_, _, k, _ *dataflow.Node, _ *dataflow.Graph) { k.NoChain = true }, []string{"Source: numbers -> map", "reduce", "Sink: sink"}},
		{"alone, at the head", func(s, _, _, _ *dataflow.Node, _ *dataflow.Graph) { s.NoChain = true }, []string{"Source: numbers", "map", "reduce -> Sink: sink"}},
		{"rebalanced", func(_, m, _, _ *dataflow.Node, _ *dataflow.Graph) { m.Inputs[0].Partitioning = dataflow.Rebalance }, []string{"Source: numbers", "map", "reduce -> Sink: sink"}},
		{"another parallelism", func(_, _, _, s *dataflow.Node, _ *dataflow.Graph) { s.Parallelism = 1 }, []string{"Source: numbers -> map", "reduce", "Sink: sink"}},
		{"equal parallelism", func(_, _, k, s *dataflow.Node, _ *dataflow.Graph) { k.Parallelism, s.Parallelism = 3, 3 }, []string{"Source: numbers -> map", "reduce -> Sink: sink"}},
		{"another slot sharing group", func(_, _, _, s *dataflow.Node, _ *dataflow.Graph) { s.SlotSharingGroup = "slow" }, []string{"Source: numbers -> map", "reduce", "Sink: sink"}},
	} {
		p := simple(c.change).Layout().Plan
		if got := names(p); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if len(p.Mistakes) > 0 {
			t.Errorf("%s: %v", c.name, p.Mistakes)
		}
	}
}

// TestLayoutsOfAnyGraph builds random trees and restates what a layout is.
func TestLayoutsOfAnyGraph(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := newJob()
		j.NoChaining = rapid.IntRange(0, 9).Draw(t, "no chaining") == 0
		for i := range rapid.IntRange(1, 12).Draw(t, "nodes") {
			var n *dataflow.Node
			if nodes := j.Nodes(); i == 0 || rapid.IntRange(0, 5).Draw(t, "source") == 0 {
				n = j.source(fmt.Sprint("source ", i))
			} else {
				from := nodes[rapid.IntRange(0, len(nodes)-1).Draw(t, "from")]
				n = j.then(from, "map", rapid.SampledFrom([]dataflow.Partitioning{dataflow.Forward, dataflow.Forward, dataflow.Hash, dataflow.Rebalance}).Draw(t, "partitioning"))
			}
			n.Parallelism = rapid.IntRange(0, 2).Draw(t, "parallelism")
			n.StartChain = rapid.IntRange(0, 5).Draw(t, "start") == 0
			n.NoChain = rapid.IntRange(0, 5).Draw(t, "alone") == 0
		}
		checkLayout(t, j.Graph, j.Layout())
	})
}

func checkLayout(t *rapid.T, g *dataflow.Graph, l *dataflow.Layout) {
	t.Helper()
	seen := map[*dataflow.Node]int{}
	for v, c := range l.Chains {
		if c.Vertex != v || c.Nodes[0] != c.Head || len(c.Nodes) != len(l.Plan.Vertices[v].Operators) {
			t.Fatalf("chain %d is %+v", v, c)
		}
		for _, n := range c.Nodes {
			seen[n]++
			if l.VertexOf[n.Index] != v {
				t.Fatalf("node %d is in chain %d and said to be in %d", n.Index, v, l.VertexOf[n.Index])
			}
		}
	}
	exchanges := 0
	for _, n := range g.Nodes() {
		if seen[n] != 1 {
			t.Fatalf("node %d is in %d chains", n.Index, seen[n])
		}
		if len(n.Inputs) == 0 {
			continue
		}
		from := n.Inputs[0].From
		together := l.VertexOf[from.Index] == l.VertexOf[n.Index]
		allowed := !g.NoChaining && n.Inputs[0].Partitioning == dataflow.Forward && n.Parallelism == from.Parallelism &&
			!n.StartChain && !n.NoChain && !from.NoChain
		if together != allowed {
			t.Fatalf("node %d is chained to %d: %v, want %v", n.Index, from.Index, together, allowed)
		}
		if together {
			continue
		}
		x := slices.Index(l.Edges, n.Inputs[0])
		if x < 0 || l.Into[x] != n {
			t.Fatalf("the edge into node %d is no exchange", n.Index)
		}
		e := l.Plan.Exchanges[x]
		if e.From != l.VertexOf[from.Index] || e.To != l.VertexOf[n.Index] || e.From >= e.To || e.Partitioning != n.Inputs[0].Partitioning {
			t.Fatalf("the exchange into node %d is %+v (D2)", n.Index, e)
		}
		exchanges++
	}
	if exchanges != len(l.Plan.Exchanges) || exchanges != len(l.Edges) {
		t.Fatalf("%d exchanges, %d edges, want %d", len(l.Plan.Exchanges), len(l.Edges), exchanges)
	}
	ids := map[string]bool{}
	for _, v := range l.Plan.Vertices {
		for _, o := range v.Operators {
			if ids[o.ID] || o.ID == "" {
				t.Fatalf("the id %q of %s is not its own", o.ID, o.Name)
			}
			ids[o.ID] = true
		}
	}
}

// TestFingerprint: what must be equal wherever main runs is in it, and what a
// job may be started with differently is not (D1).
func TestFingerprint(t *testing.T) {
	original := simple(nil).Layout().Plan.Fingerprint
	if again := simple(nil).Layout().Plan.Fingerprint; again != original {
		t.Fatal("the same graph has two fingerprints")
	}
	type change func(source, mapped, keyed, sink *dataflow.Node, g *dataflow.Graph)
	for name, c := range map[string]change{
		"job name":      func(_, _, _, _ *dataflow.Node, g *dataflow.Graph) { g.JobName = "other" },
		"operator name": func(_, m, _, _ *dataflow.Node, _ *dataflow.Graph) { m.Name = "other" },
		"kind":          func(_, m, _, _ *dataflow.Node, _ *dataflow.Graph) { m.Kind = "filter" },
		"id":            func(_, _, k, _ *dataflow.Node, _ *dataflow.Graph) { k.ID = "other" },
		"output type":   func(_, m, _, _ *dataflow.Node, _ *dataflow.Graph) { m.OutputType = "string" },
		"record type":   func(_, _, k, _ *dataflow.Node, _ *dataflow.Graph) { k.Inputs[0].RecordType = "string" },
		"key type":      func(_, _, k, _ *dataflow.Node, _ *dataflow.Graph) { k.Inputs[0].KeyType = "int" },
		"state":         func(_, m, _, _ *dataflow.Node, _ *dataflow.Graph) { m.Stateful = true },
		"bounded":       func(s, _, _, _ *dataflow.Node, _ *dataflow.Graph) { s.Bounded = false },
		"partitioning":  func(_, _, k, _ *dataflow.Node, _ *dataflow.Graph) { k.Inputs[0].Partitioning = dataflow.Rebalance },
		"pre-aggregate": func(_, _, k, _ *dataflow.Node, _ *dataflow.Graph) { k.Inputs[0].PreAggregated = true },
		"chaining":      func(_, _, _, _ *dataflow.Node, g *dataflow.Graph) { g.NoChaining = true },
		"sharing group": func(_, _, k, s *dataflow.Node, _ *dataflow.Graph) { k.SlotSharingGroup, s.SlotSharingGroup = "g", "g" },
		"an operator more": func(_, m, _, _ *dataflow.Node, g *dataflow.Graph) {
			job{g}.then(m, "sink", dataflow.Forward)
		},
	} {
		if simple(c).Layout().Plan.Fingerprint == original {
			t.Errorf("%s is not in the fingerprint", name)
		}
	}
	timeout := dataflow.NoTimeout
	for name, c := range map[string]change{
		"parallelism": func(s, m, k, o *dataflow.Node, _ *dataflow.Graph) {
			s.Parallelism, m.Parallelism, k.Parallelism, o.Parallelism = 2, 2, 3, 3
		},
		"settings":        func(_, _, _, _ *dataflow.Node, g *dataflow.Graph) { g.Settings["parallelism.default"] = "7" },
		"position":        func(_, m, _, _ *dataflow.Node, _ *dataflow.Graph) { m.Position = "elsewhere:1" },
		"buffer timeout":  func(_, m, _, _ *dataflow.Node, _ *dataflow.Graph) { m.BufferTimeout = &timeout },
		"recorded values": func(_, _, _, _ *dataflow.Node, g *dataflow.Graph) { g.Recorded["x"] = []byte{1} },
	} {
		if simple(c).Layout().Plan.Fingerprint != original {
			t.Errorf("%s is in the fingerprint", name)
		}
	}
}

// TestFingerprintTellsListsApart: parts that join to the same text differ.
func TestFingerprintTellsListsApart(t *testing.T) {
	one := simple(func(_, m, _, _ *dataflow.Node, _ *dataflow.Graph) { m.Kind, m.OutputType = "ab", "c" })
	other := simple(func(_, m, _, _ *dataflow.Node, _ *dataflow.Graph) { m.Kind, m.OutputType = "a", "bc" })
	one.Nodes()[1].ID, other.Nodes()[1].ID = "x", "x"
	if one.Layout().Plan.Fingerprint == other.Layout().Plan.Fingerprint {
		t.Error("they have the same fingerprint")
	}
}

func operatorIDs(p *dataflow.Plan) map[string]string {
	ids := map[string]string{}
	for _, v := range p.Vertices {
		for _, o := range v.Operators {
			ids[o.Name] = o.ID
		}
	}
	return ids
}

// TestDerivedIDs: an operator without an id of its own keeps the derived one
// when something else in the job changes, also before it and beside it.
func TestDerivedIDs(t *testing.T) {
	want := operatorIDs(simple(nil).Layout().Plan)
	j := newJob()
	other := j.source("other")
	j.then(other, "filter", dataflow.Forward)
	source := j.source("numbers")
	side := j.then(source, "filter", dataflow.Forward)
	side.Name = "beside"
	mapped := j.then(source, "map", dataflow.Forward)
	mapped.Parallelism = 7
	keyed := j.then(mapped, "reduce", dataflow.Hash)
	keyed.ID = "sum"
	j.then(keyed, "sink", dataflow.Forward)
	got := operatorIDs(j.Layout().Plan)
	for name, id := range want {
		if got[name] != id {
			t.Errorf("the id of %q was %s and is %s", name, id, got[name])
		}
	}
	if want["sum"] != "" || want["reduce"] != "sum" {
		t.Errorf("the id that was given is %q", want["reduce"])
	}

	// What comes another way is another operator.
	renamed := operatorIDs(simple(func(s, _, _, _ *dataflow.Node, _ *dataflow.Graph) { s.Name = "renamed" }).Layout().Plan)
	if renamed["map"] == want["map"] {
		t.Error("an operator behind another source has the same id")
	}
	rebalanced := operatorIDs(simple(func(_, m, _, _ *dataflow.Node, _ *dataflow.Graph) { m.Inputs[0].Partitioning = dataflow.Rebalance }).Layout().Plan)
	if rebalanced["map"] == want["map"] {
		t.Error("an operator behind another partitioning has the same id")
	}
}

// TestEqualOperatorsHaveTheirOwnIDs: two operators of one name behind one stream
// are told apart by their order.
func TestEqualOperatorsHaveTheirOwnIDs(t *testing.T) {
	ids := func(extra bool) (ids []string) {
		j := newJob()
		source := j.source("numbers")
		first, second := j.then(source, "map", dataflow.Rebalance), j.then(source, "map", dataflow.Rebalance)
		if extra {
			j.then(source, "map", dataflow.Rebalance)
		}
		l := j.Layout()
		for _, n := range []*dataflow.Node{first, second} {
			ids = append(ids, l.Plan.Vertices[l.VertexOf[n.Index]].ID)
		}
		return ids
	}
	got := ids(false)
	if got[0] == got[1] {
		t.Error("both have the same id")
	}
	if more := ids(true); !slices.Equal(more, got) {
		t.Errorf("a third changed the ids of the others from %q to %q", got, more)
	}
}

// TestMissingIDsAreWarnedOf: only where there is state to lose.
func TestMissingIDsAreWarnedOf(t *testing.T) {
	p := simple(func(_, _, k, _ *dataflow.Node, _ *dataflow.Graph) { k.ID = "" }).Layout().Plan
	want := []string{`p/reduce: reduce "reduce" has state but no stable id; give it one with ID(…), or its state is lost when it is renamed or moved`}
	if !slices.Equal(p.Warnings, want) {
		t.Errorf("warnings %q, want %q", p.Warnings, want)
	}
	if p := simple(nil).Layout().Plan; len(p.Warnings) > 0 {
		t.Errorf("warnings %q", p.Warnings)
	}
}

func TestGraphMistakes(t *testing.T) {
	for _, c := range []struct {
		name string
		g    *dataflow.Graph
		want []string
	}{
		{"nothing", newJob().Graph, []string{"the job has no operators: main must add at least a source and a sink"}},
		{"no sink", func() *dataflow.Graph {
			j := newJob()
			j.then(j.source("numbers"), "map", dataflow.Forward)
			j.source("idle")
			return j.Graph
		}(), []string{
			`p/map: nothing consumes map "map": end the stream with To(…)`,
			`p/idle: nothing consumes source "idle": end the stream with To(…)`,
		}},
		{"parallelism", simple(func(_, m, _, s *dataflow.Node, _ *dataflow.Graph) {
			m.Parallelism, s.Parallelism = -1, dataflow.MaxParallelism+1
		}), []string{
			`p/map: parallelism -1 of map "map": it must be between 1 and 65536`,
			`p/sink: parallelism 65537 of sink "sink": it must be between 1 and 65536`,
		}},
		{"an id for two", simple(func(s, _, _, o *dataflow.Node, g *dataflow.Graph) {
			s.ID, o.ID = "x", "x"
			g.Mistake("p/early", "%d things", 2)
		}), []string{
			`p/early: 2 things`,
			`p/sink: sink "sink" has the id "x", which source "numbers" (p/numbers) has, too; ids must be unique in a job`,
		}},
	} {
		first := c.g.Layout().Plan
		if !slices.Equal(first.Mistakes, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, strings.Join(first.Mistakes, "\n"), strings.Join(c.want, "\n"))
		}
		if again := c.g.Layout().Plan; !reflect.DeepEqual(again, first) {
			t.Errorf("%s: a second layout differs: %+v", c.name, again)
		}
	}
}

func TestResolve(t *testing.T) {
	p := simple(func(_, _, k, s *dataflow.Node, _ *dataflow.Graph) {
		k.Parallelism, s.Parallelism = 3, 3
		k.SlotSharingGroup, s.SlotSharingGroup = "heavy", "heavy"
	}).Layout().Plan
	j, err := p.Resolve(2)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(j.Parallelism, []int{2, 3}) || j.Slots() != 5 {
		t.Errorf("parallelism %v in %d slots, want [2 3] in 5", j.Parallelism, j.Slots())
	}
	if got := j.TaskName(1, 2); got != "reduce -> Sink: sink (3/3)" {
		t.Errorf("the task is called %q", got)
	}
	p.Vertices[1].SlotSharingGroup = ""
	if j.Slots() != 3 {
		t.Errorf("%d slots for vertices that share them, want 3", j.Slots())
	}
	for _, bad := range []int{0, -1, dataflow.MaxParallelism + 1} {
		if _, err := p.Resolve(bad); err == nil || !strings.Contains(err.Error(), fmt.Sprintf(`parallelism %d of "Source: numbers -> map": it must be between 1 and 65536`, bad)) {
			t.Errorf("default parallelism %d: %v", bad, err)
		}
	}
	if _, err := p.Resolve(dataflow.MaxParallelism); err != nil {
		t.Error(err)
	}
}

// TestExchangesOfAJob: where an edge becomes pointwise depends on the
// parallelism that is decided, not on the shape of the graph.
func TestExchangesOfAJob(t *testing.T) {
	j := newJob()
	source := j.source("numbers")
	mapped := j.then(source, "map", dataflow.Forward)
	mapped.Parallelism = 2
	both := j.then(source, "filter", dataflow.Rebalance)
	j.then(mapped, "sink", dataflow.Hash)
	j.then(both, "sink", dataflow.Forward).StartChain = true
	p := j.Layout().Plan
	type ends struct {
		from, to  string
		pointwise bool
	}
	for parallelism, pointwise := range map[int]bool{1: false, 2: true, 3: false} {
		g, err := p.Resolve(parallelism)
		if err != nil {
			t.Fatal(err)
		}
		want := map[ends]int{
			{"Source: numbers", "map", pointwise}: 1,
			{"Source: numbers", "filter", false}:  1,
			{"map", "Sink: sink", false}:          1,
			{"filter", "Sink: sink", true}:        1,
		}
		got := map[ends]int{}
		for x, e := range p.Exchanges {
			got[ends{p.Vertices[e.From].Name, p.Vertices[e.To].Name, g.Pattern(x) == memory.Pointwise}]++
			if !slices.Contains(g.Outputs(e.From), x) || !slices.Contains(g.Inputs(e.To), x) {
				t.Errorf("exchange %d is not among those of its ends", x)
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("parallelism %d: %v, want %v", parallelism, got, want)
		}
		if got := len(g.Outputs(0)); got != 2 {
			t.Errorf("%d exchanges leave the source, want 2", got)
		}
		checkNetwork(t, g)
	}
}

// checkNetwork counts channels one by one and compares with what the formula for
// the buffers is told.
func checkNetwork(t *testing.T, g *dataflow.JobGraph) {
	t.Helper()
	n := g.Network()
	if err := n.Validate(); err != nil {
		t.Fatal(err)
	}
	if n.Slots() != slices.Max(g.Parallelism) {
		t.Errorf("%d slots, want %d", n.Slots(), slices.Max(g.Parallelism))
	}
	for x, e := range g.Plan.Exchanges {
		for from := range g.Parallelism[e.From] {
			for to := range g.Parallelism[e.To] {
				connected := g.Pattern(x) != memory.Pointwise || from == to
				span := n.Exchanges[x].Pattern.ConsumersOf(from, g.Parallelism[e.From], g.Parallelism[e.To])
				if counted := span.First <= to && to < span.End; counted != connected {
					t.Errorf("exchange %d, %d to %d: counted %v, connected %v", x, from, to, counted, connected)
				}
			}
		}
	}
}
