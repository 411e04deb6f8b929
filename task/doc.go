// Package task is the inside of a worker: it puts the operators of a chain
// together, feeds them from sources or from the network, and drives each chain
// in a goroutine of its own.
//
// # Its room
//
// The public package weir fills a graph with the operators of this package
// ([Map], [TumblingAggregate], [HashExchange], …); the worker package creates a
// [Host] from that graph, tells it which subtasks to run, and passes on what
// happens to them. Below lie shuffle, which moves buffers, and state/memory,
// which keeps tables. This package knows no gRPC, no scheduler and no
// connector.
//
// # The main types
//
//   - [Receiver] is how records go through a chain: batches of a type, one
//     virtual call each.
//   - [Operator] and [Exchange] build the typed instances of what the graph
//     holds; types are erased there and nowhere on the way of a record.
//   - task is the loop: a chunk of about a millisecond of work, then mailbox,
//     flushes, backpressure and cancellation.
//   - head is where records come from: sourceHead or inputHead.
//   - lanes write records into network buffers: rawLanes as memory images,
//     codecLanes encoded.
//   - [Timestamps] makes event times and watermarks, for each split where it stands
//     behind a source; parts and valve combine them.
//   - [Host] is all subtasks of one job in one worker.
//
// # Life cycle
//
// [NewHost] listens; [Host.Start] makes pools, gates and partitions and starts
// a goroutine per subtask, which builds its operators, runs until the end of
// its input, an error, a panic or [Host.Cancel], and closes them. [Host.Close]
// waits for all of it.
//
// # Concurrency
//
// Everything in a chain belongs to its task's goroutine; operators never lock.
// Others reach a task through its mailbox, its context and its [Figures].
//
// # Invariants
//
//   - T1: a slice given to Push is neither kept nor changed by the receiver, and
//     belongs to the caller again when Push returns.
//   - T2: a watermark goes on behind every result that it made, and before any
//     record that came after it.
//   - T3: while an operator has results postponed, nothing else enters the chain.
//   - T4: the watermark in a buffer's header holds after the buffer's records;
//     an exchange has at most one open buffer per channel. Behind a strategy that
//     places watermarks between records, no buffer has records of both sides.
//   - T5: a task looks at its mailbox and its timers at least once per chunk, so
//     they wait for about a millisecond of work or one call of user code.
//
// # Errors
//
// [ErrCanceled] is the end of a task that was asked to stop; [*PanicError] has
// the stack of a panic in user code. A failure that only follows from the loss
// of another worker is marked as a consequence in its [Event].
package task
