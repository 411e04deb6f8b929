package memory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Subtask names one subtask of a job by the index of its vertex and its own.
type Subtask struct{ Vertex, Index int }

// PoolKind says which end of an exchange a pool of buffers serves.
type PoolKind uint8

const (
	// Gate is the pool of an input gate.
	Gate PoolKind = iota
	// Partition is the pool of a result partition.
	Partition
)

// String returns "gate" or "partition".
func (k PoolKind) String() string {
	if k == Partition {
		return "partition"
	}
	return "gate"
}

// Pool is the demand of one gate or partition of one subtask.
type Pool struct {
	Subtask Subtask
	// Exchange is the index of the exchange in [Job.Exchanges].
	Exchange int
	Kind     PoolKind
	// Channels is the number of channels of the subtask in this exchange. Local
	// and remote ones count alike (M3).
	Channels int
	// Range is the pool's least and most buffers.
	Range Range
}

// Demand is what a set of subtasks that share a slot needs, pool by pool.
type Demand struct {
	// Slot numbers the slot within the job, from 0, for messages.
	Slot int
	// Pools are ordered by vertex, subtask, kind (gates first) and exchange.
	Pools []Pool

	job      Job
	settings Settings
}

// Demand returns what slot number slot of the job needs when all vertices share
// slots: it holds subtask slot of every vertex whose parallelism is larger than
// that.
func (j Job) Demand(slot int, s Settings) Demand {
	var subtasks []Subtask
	for v, vertex := range j.Vertices {
		if vertex.Parallelism > slot {
			subtasks = append(subtasks, Subtask{Vertex: v, Index: slot})
		}
	}
	return j.DemandOf(slot, subtasks, s)
}

// DemandOf returns what the given subtasks need together in one slot; slot is
// its number for messages. The order of the subtasks does not matter.
func (j Job) DemandOf(slot int, subtasks []Subtask, s Settings) Demand {
	d := Demand{Slot: slot, job: j, settings: s}
	ordered := slices.SortedFunc(slices.Values(subtasks), func(a, b Subtask) int {
		return cmp.Or(cmp.Compare(a.Vertex, b.Vertex), cmp.Compare(a.Index, b.Index))
	})
	for _, subtask := range ordered {
		d.Pools = append(d.Pools, j.pools(subtask, s)...)
	}
	return d
}

// pools returns the gates of a subtask, then its partitions, each in the order
// of the exchanges.
func (j Job) pools(subtask Subtask, s Settings) []Pool {
	var gates, partitions []Pool
	for i, e := range j.Exchanges {
		producers, consumers := j.Vertices[e.Producer].Parallelism, j.Vertices[e.Consumer].Parallelism
		if e.Consumer == subtask.Vertex {
			channels := e.Pattern.ProducersOf(subtask.Index, producers, consumers).Len()
			gates = append(gates, Pool{Subtask: subtask, Exchange: i, Kind: Gate, Channels: channels, Range: GateBuffers(channels, s)})
		}
		if e.Producer == subtask.Vertex {
			channels := e.Pattern.ConsumersOf(subtask.Index, producers, consumers).Len()
			partitions = append(partitions, Pool{Subtask: subtask, Exchange: i, Kind: Partition, Channels: channels, Range: PartitionBuffers(channels, s)})
		}
	}
	return append(gates, partitions...)
}

// Min returns the least number of buffers with which the slot works.
func (d Demand) Min() int {
	sum := 0
	for _, p := range d.Pools {
		sum += p.Range.Min
	}
	return sum
}

// Max returns the number of buffers beyond which the slot has no use for more.
func (d Demand) Max() int {
	sum := 0
	for _, p := range d.Pools {
		sum += p.Range.Max
	}
	return sum
}

// Check says whether a slot with so many buffers is enough. If not the error is
// an [*InsufficientBuffersError]. The scheduler applies it to every slot of a
// job before it starts anything.
func (d Demand) Check(available int) error {
	needed := d.Min()
	if needed <= available {
		return nil
	}
	return &InsufficientBuffersError{
		Job: d.job.Name, Slot: d.Slot, Needed: needed, Available: available,
		SegmentSize: d.settings.SegmentSize, Tasks: d.tasks(),
	}
}

// Grant deals the buffers of a slot to its pools: grant i belongs to Pools[i].
// It fails exactly when [Demand.Check] does, and with the same error.
func (d Demand) Grant(available int) ([]int, error) {
	if err := d.Check(available); err != nil {
		return nil, err
	}
	ranges := make([]Range, len(d.Pools))
	for i, p := range d.Pools {
		ranges[i] = p.Range
	}
	return Share(available, ranges)
}

// tasks sums the minima by subtask.
func (d Demand) tasks() []TaskBuffers {
	var tasks []TaskBuffers
	for i, p := range d.Pools {
		if i == 0 || p.Subtask != d.Pools[i-1].Subtask {
			vertex := d.job.Vertices[p.Subtask.Vertex]
			tasks = append(tasks, TaskBuffers{Task: vertex.Name, Index: p.Subtask.Index, Parallelism: vertex.Parallelism})
		}
		tasks[len(tasks)-1].Buffers += p.Range.Min
	}
	return tasks
}

// TaskBuffers is the least number of buffers of one subtask.
type TaskBuffers struct {
	Task               string
	Index, Parallelism int
	Buffers            int
}

// String prints like Flink's task names with their number: `"map (1/4)" 20`.
func (t TaskBuffers) String() string {
	return fmt.Sprintf("%q %d", fmt.Sprintf("%s (%d/%d)", t.Task, t.Index+1, t.Parallelism), t.Buffers)
}

// InsufficientBuffersError says that a slot has fewer network buffers than the
// subtasks of a job need in it.
type InsufficientBuffersError struct {
	Job               string
	Slot              int
	Needed, Available int
	SegmentSize       Size
	// Tasks is what makes up Needed, in the order of the job's vertices.
	Tasks []TaskBuffers
}

// Error names the numbers, the tasks that need most, and what to change.
func (e *InsufficientBuffersError) Error() string {
	const shown = 5
	largest := slices.SortedStableFunc(slices.Values(e.Tasks), func(a, b TaskBuffers) int { return b.Buffers - a.Buffers })
	var tasks []string
	for _, t := range largest[:min(shown, len(largest))] {
		tasks = append(tasks, t.String())
	}
	if more := len(largest) - len(tasks); more > 0 {
		buffers := 0
		for _, t := range largest[shown:] {
			buffers += t.Buffers
		}
		tasks = append(tasks, fmt.Sprintf("%d more tasks %d", more, buffers))
	}
	return fmt.Sprintf("Insufficient number of network buffers: job %q needs %d in slot %d (task %s), but a slot has only %d of %s. "+
		"A slot would need %s of network memory: raise taskmanager.memory.network.min or taskmanager.memory.network.fraction, "+
		"or lower the parallelism.",
		e.Job, e.Needed, e.Slot, strings.Join(tasks, ", "), e.Available, e.SegmentSize, Size(e.Needed)*e.SegmentSize)
}
