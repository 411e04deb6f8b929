package main

import (
	"fmt"
	"strings"

	"github.com/weirstream/weir/internal/dataflow"
)

// planText returns a plan for people: each task with its operators, and where
// their records come from. Operators are numbered task.operator.
func planText(p *dataflow.Plan, defaultParallelism int) (string, error) {
	graph, err := p.Resolve(defaultParallelism)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Job %q: %s in %s, %s\n", p.JobName, count(len(p.Vertices), "task"), count(subtasks(graph), "subtask"), count(graph.Slots(), "slot"))
	for v := range p.Vertices {
		vertex := &p.Vertices[v]
		fmt.Fprintf(&b, "\n%d  %s\n", v+1, vertex.Name)
		fmt.Fprintf(&b, "   parallelism %d", graph.Parallelism[v])
		if vertex.SlotSharingGroup != "" {
			fmt.Fprintf(&b, ", slot sharing group %q", vertex.SlotSharingGroup)
		}
		if vertex.Source && !vertex.Bounded {
			b.WriteString(", without end")
		}
		b.WriteByte('\n')
		for _, x := range graph.Inputs(v) {
			fmt.Fprintf(&b, "   <- %s\n", exchangeText(graph, x))
		}
		for i := range vertex.Operators {
			fmt.Fprintf(&b, "   %s\n", operatorText(vertex, v, i))
		}
	}
	return b.String(), nil
}

func subtasks(g *dataflow.JobGraph) (n int) {
	for _, p := range g.Parallelism {
		n += p
	}
	return n
}

// exchangeText says how records come into a task, and from which operator.
func exchangeText(g *dataflow.JobGraph, x int) string {
	e := &g.Plan.Exchanges[x]
	text := fmt.Sprintf("%d.%d  %s of %s", e.From+1, e.FromOperator+1, e.Partitioning, e.RecordType)
	if e.KeyType != "" {
		text += " by " + e.KeyType
	}
	var notes []string
	if e.Side != "" {
		notes = append(notes, fmt.Sprintf("side output %q", e.Side))
	}
	if e.Ordinal > 0 {
		notes = append(notes, "second input")
	}
	if e.PreAggregated {
		notes = append(notes, "pre-aggregated")
	}
	switch t := e.BufferTimeout; {
	case t == nil:
	case *t < 0:
		notes = append(notes, "full buffers only")
	default:
		notes = append(notes, fmt.Sprintf("buffer timeout %v", *t))
	}
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text
}

// operatorText describes operator i of a task.
func operatorText(vertex *dataflow.Vertex, v, i int) string {
	o := &vertex.Operators[i]
	text := fmt.Sprintf("%d.%d  %s", v+1, i+1, o.Kind)
	if o.Name != o.Kind {
		text += fmt.Sprintf(" %q", o.Name)
	}
	if i > 0 {
		text += fmt.Sprintf(" <- %d.%d", v+1, o.Predecessor+1)
	}
	if o.Side != "" {
		text += fmt.Sprintf(" side output %q", o.Side)
	}
	if o.OutputType != "" {
		text += ": " + o.OutputType
	}
	if o.Stateful {
		text += ", state id " + o.ID
	}
	if o.Position != "" {
		text += "  " + o.Position
	}
	return text
}
