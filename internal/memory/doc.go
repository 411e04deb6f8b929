// Package memory does the arithmetic of memory: what a memory size is and how
// it is written, how the memory of a TaskManager is divided, and how many
// network buffers the channels of a job need.
//
// # Its room
//
// internal/config reads [Size] values and fills [Inputs] and [Settings] from
// the configuration. A TaskManager calls [Divide] once, when it starts. The
// JobManager asks [Job.Demand] and [Demand.Check] before it starts anything,
// and a worker calls [Demand.Grant] for the slots it holds: both use the same
// formula with the same inputs, so a job that the JobManager accepts is never
// short of buffers in a worker. The package is pure: it allocates no memory
// for anybody, and it knows no file, no process, no clock and no network.
//
// # The main types
//
//   - [Size] is a number of bytes, read and written as Flink does: "64 mb".
//   - [Inputs], [TaskManagerMemory] and [SlotMemory] are what the operator
//     asked for, the division of it, and what one slot gets.
//   - [Job] with its [Vertex] and [Exchange] values is as much of a job's
//     graph as decides about buffers; [Exchange] also says which subtasks a
//     channel joins.
//   - [Demand] is the sum for one slot, pool by pool; [Range] is the least and
//     the most that a pool can use, and [Share] deals buffers out.
//
// # Concurrency
//
// All types are values or are not changed after they were built; everything
// here may be called concurrently.
//
// # Invariants
//
//   - M1: the parts of a [TaskManagerMemory] add up: Flink = Heap + Managed +
//     Network and Process = Flink + Overhead, to the byte.
//   - M2: a slot's share times the number of slots never exceeds what is there.
//   - M3: what a channel costs does not depend on where its two ends run. A
//     local channel is counted like a remote one, so a job that fits in one
//     placement fits in all of them, and moving a subtask can never fail for
//     want of buffers.
//   - M4: [Share] gives every pool at least its minimum and at most its maximum,
//     never more than there is in sum, and the same answer for the same input.
//   - M5: a slot with exactly the minimum is accepted, and one buffer less is
//     refused with an [InsufficientBuffersError].
//
// # Errors
//
// [InsufficientBuffersError] is the one a caller may want to tell apart
// (errors.As); trying again without changing the job or the configuration
// gives the same answer. All texts name the numbers and the keys to change.
package memory
