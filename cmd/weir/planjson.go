package main

import (
	"bytes"
	"encoding/json"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/dataflow"
)

// The JSON of a plan has the shape of Flink's: a node for each operator, also
// where several are chained into one task.
type (
	planJSON struct {
		Nodes []nodeJSON `json:"nodes"`
	}
	nodeJSON struct {
		ID           int               `json:"id"`
		Type         string            `json:"type"`
		Pact         string            `json:"pact"`
		Contents     string            `json:"contents"`
		Parallelism  int               `json:"parallelism"`
		UID          string            `json:"uid"`
		Predecessors []predecessorJSON `json:"predecessors,omitempty"`
	}
	predecessorJSON struct {
		ID           int    `json:"id"`
		ShipStrategy string `json:"ship_strategy"`
	}
)

// encodePlan returns a plan as flink info prints it. Vertices that say nothing
// of their parallelism have the default.
func encodePlan(p *dataflow.Plan, defaultParallelism int) (string, error) {
	graph, err := p.Resolve(defaultParallelism)
	if err != nil {
		return "", err
	}
	out := planJSON{Nodes: []nodeJSON{}}
	first := make([]int, len(p.Vertices)) // The node that each vertex begins with.
	for v := range p.Vertices {
		vertex := &p.Vertices[v]
		for i, o := range vertex.Operators {
			n := nodeJSON{
				ID: len(out.Nodes) + 1, Type: o.Name, Pact: "Operator", Contents: o.Name,
				Parallelism: graph.Parallelism[v], UID: o.ID,
			}
			switch {
			case o.Kind == "source":
				n.Pact, n.Type = "Data Source", "Source: "+o.Name
			case o.Kind == "sink":
				n.Pact, n.Type = "Data Sink", "Sink: "+o.Name
			}
			n.Contents = n.Type
			if i > 0 {
				n.Predecessors = []predecessorJSON{{ID: first[v] + o.Predecessor, ShipStrategy: dataflow.Forward.String()}}
			} else {
				first[v] = n.ID
				for _, x := range graph.Inputs(v) {
					e := &p.Exchanges[x]
					n.Predecessors = append(n.Predecessors, predecessorJSON{ID: first[e.From] + e.FromOperator, ShipStrategy: e.Partitioning.String()})
				}
			}
			out.Nodes = append(out.Nodes, n)
		}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err = encoder.Encode(out)
	return b.String(), err
}

// planParallelism is the default parallelism of a plan: what the program sets
// in code wins over options and file.
func planParallelism(p *dataflow.Plan, c *config.Config) (int, error) {
	withCode, _, err := c.With("the job's code", p.Settings)
	if err != nil {
		return 0, err
	}
	return config.DefaultParallelism.Get(withCode), nil
}
