package memory

import "fmt"

// Pattern is how the subtasks of the two ends of an exchange are joined.
type Pattern uint8

const (
	// AllToAll joins every producer with every consumer: keyBy, rebalance,
	// broadcast.
	AllToAll Pattern = iota
	// Pointwise joins each subtask with its neighbours only: one with one where
	// both ends have the same parallelism (forward), otherwise each of the
	// fewer with its even part of the more (rescale).
	Pointwise
)

// String returns the pattern's name as Flink prints it.
func (p Pattern) String() string {
	if p == Pointwise {
		return "POINTWISE"
	}
	return "ALL_TO_ALL"
}

// Span is the half-open interval [First, End) of subtask indices.
type Span struct{ First, End int }

// Len returns the number of indices in the span.
func (s Span) Len() int { return s.End - s.First }

// ConsumersOf returns which of the consumers a producer has a channel to, where
// a pattern joins so many producers and consumers. It is the counterpart of
// [Pattern.ProducersOf]: c is in ConsumersOf(p) exactly when p is in
// ProducersOf(c). Source: Flink's pointwise distribution pattern.
func (p Pattern) ConsumersOf(producer, producers, consumers int) Span {
	if p == AllToAll {
		return Span{0, consumers}
	}
	if producers >= consumers {
		// The one consumer c with c×P÷C <= producer < (c+1)×P÷C, both rounded down.
		consumer := ((producer+1)*consumers - 1) / producers
		return Span{consumer, consumer + 1}
	}
	return Span{ceilDiv(producer*consumers, producers), ceilDiv((producer+1)*consumers, producers)}
}

// ProducersOf returns which of the producers a consumer has a channel from.
// See [Pattern.ConsumersOf].
func (p Pattern) ProducersOf(consumer, producers, consumers int) Span {
	if p == AllToAll {
		return Span{0, producers}
	}
	if producers >= consumers {
		return Span{consumer * producers / consumers, (consumer + 1) * producers / consumers}
	}
	producer := consumer * producers / consumers
	return Span{producer, producer + 1}
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// Vertex is a task of a job's graph: a chain of operators, run by Parallelism
// subtasks.
type Vertex struct {
	Name        string
	Parallelism int
}

// Exchange is an edge between two vertices, named by their indices in
// [Job.Vertices], over network channels. Every subtask of Producer has one
// result partition for it and every subtask of Consumer one input gate.
type Exchange struct {
	Producer, Consumer int
	Pattern            Pattern
}

// Job is what decides about the buffers of a job.
type Job struct {
	Name      string
	Vertices  []Vertex
	Exchanges []Exchange
}

// Validate says whether the job is one: every parallelism is at least 1 and
// every exchange joins two of its vertices. The other methods take that for
// granted.
func (j Job) Validate() error {
	for i, v := range j.Vertices {
		if v.Parallelism < 1 {
			return fmt.Errorf("job %q: task %q (vertex %d) has parallelism %d: want at least 1", j.Name, v.Name, i, v.Parallelism)
		}
	}
	for i, e := range j.Exchanges {
		for _, end := range []int{e.Producer, e.Consumer} {
			if end < 0 || end >= len(j.Vertices) {
				return fmt.Errorf("job %q: exchange %d refers to vertex %d, but there are %d vertices", j.Name, i, end, len(j.Vertices))
			}
		}
		if e.Pattern > Pointwise {
			return fmt.Errorf("job %q: exchange %d has the unknown pattern %d", j.Name, i, e.Pattern)
		}
	}
	return nil
}

// Slots returns how many slots the job needs when all of its vertices share
// slots: its largest parallelism.
func (j Job) Slots() int {
	slots := 0
	for _, v := range j.Vertices {
		slots = max(slots, v.Parallelism)
	}
	return slots
}
