package weir

import (
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// partitioning is how records find their way to the subtasks of what follows.
type partitioning[T any] struct {
	kind   dataflow.Partitioning
	strict bool
	// chooser is of the kinds in which a function chooses.
	chooser func() func(values []T, channels int, to []uint32) error
}

// exchange returns the code of an edge with this partitioning.
func (p partitioning[T]) exchange(records task.Records[T]) any {
	switch p.kind {
	case dataflow.Broadcast:
		return task.BroadcastExchange[T]{Records: records}
	case dataflow.Global:
		return task.GlobalExchange[T]{Records: records}
	case dataflow.Shuffle, dataflow.Custom:
		return task.ChoiceExchange[T]{Records: records, Chooser: p.chooser}
	default:
		return task.TurnExchange[T]{Records: records}
	}
}

// partitioned returns the stream with another partitioning, of all of its parts if
// it is a union.
func (s Stream[T]) partitioned(p partitioning[T]) Stream[T] {
	s.partitioning = p
	more := s.more
	s.more = nil
	for _, m := range more {
		s.more = append(s.more, m.partitioned(p))
	}
	return s
}

// Rebalance deals records out in turn to the subtasks of what follows, which
// evens out their load.
func (s Stream[T]) Rebalance() Stream[T] {
	return s.partitioned(partitioning[T]{kind: dataflow.Rebalance})
}

// Rescale deals records out in turn as Rebalance does, but only to a part of the
// subtasks of what follows: two subtasks send to four by each sending to two of
// them. Fewer channels are needed, and the load evens out only within the parts.
func (s Stream[T]) Rescale() Stream[T] {
	return s.partitioned(partitioning[T]{kind: dataflow.Rescale})
}

// Shuffle sends each record to a subtask of what follows that is chosen at random.
func (s Stream[T]) Shuffle() Stream[T] {
	return s.partitioned(partitioning[T]{kind: dataflow.Shuffle, chooser: task.AtRandom[T]})
}

// Broadcast sends every record to each subtask of what follows.
func (s Stream[T]) Broadcast() Stream[T] {
	return s.partitioned(partitioning[T]{kind: dataflow.Broadcast})
}

// Global sends all records to the first subtask of what follows.
func (s Stream[T]) Global() Stream[T] {
	return s.partitioned(partitioning[T]{kind: dataflow.Global})
}

// Forward sends the records of each subtask to the one with the same index of what
// follows, which must have the same parallelism: the job is refused if it has not.
// Without Forward, that is what happens where both are equal, and records are
// dealt out in turn where they are not.
func (s Stream[T]) Forward() Stream[T] {
	return s.partitioned(partitioning[T]{kind: dataflow.Forward, strict: true})
}

// PartitionCustom sends each record to the subtask of what follows whose index f
// returns: at least 0 and less than partitions, which is their number. Another
// index fails the job. Calls from one subtask come one at a time.
func (s Stream[T]) PartitionCustom(f func(value T, partitions int) int) Stream[T] {
	s.caller("function of the partitioner", f == nil)
	return s.partitioned(partitioning[T]{kind: dataflow.Custom, chooser: task.ByFunction(f)})
}
