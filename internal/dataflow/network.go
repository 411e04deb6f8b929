package dataflow

import "github.com/weirstream/weir/internal/memory"

// Network returns as much of the graph as decides how many network buffers its
// subtasks need. The JobManager and the workers compute with the same.
func (g *JobGraph) Network() memory.Job {
	j := memory.Job{Name: g.Plan.JobName}
	for i, v := range g.Plan.Vertices {
		j.Vertices = append(j.Vertices, memory.Vertex{Name: v.Name, Parallelism: g.Parallelism[i]})
	}
	for x, e := range g.Plan.Exchanges {
		j.Exchanges = append(j.Exchanges, memory.Exchange{Producer: e.From, Consumer: e.To, Pattern: g.Pattern(x)})
	}
	return j
}
