// Package generator is the connector that computes its records: [Of] makes
// record i by a function of i, as fast as the job takes them or at a rate;
// [Paced] tells the function as well when each record was due.
//
//	weir.From(env, "clicks", generator.Of(-1, newClick).Rate(10_000))
//
// # Its room
//
// A job's main builds the source; the engine opens a reader per subtask, inside a
// worker. The package uses the public API and, to own the goroutine that waits
// for the clock, internal/goroutine.
//
// # Which subtask makes which record
//
// There is one split per subtask. Of p splits, split s makes the records s, s+p,
// s+2p and so on. So all subtasks are always near the same index, and event
// times that are computed from it rise everywhere alike: no subtask holds back
// or runs ahead of the watermark. A split keeps its p for the job's life, so the
// records are the same whatever parallelism the job is restarted with.
//
// # The rate
//
// A rate counts over all subtasks. The reader of split s counts time from when it
// was opened, at record i0 = s, or the one at its position: record i is due
// (i - i0 + s) ÷ rate later. Its splits' records are so spread evenly over time.
// A record is made once it is due. When the job was busy, all that are overdue
// are made at once, so the rate holds on average and a latency counted from the
// due time includes the delay. Time during which the job was down is not made up
// for.
//
// Readers wait for the next due time without blocking the task. On Linux they
// do so on a timerfd, elsewhere on a timer of the Go runtime, which is a
// millisecond coarse: at 10,000 records/s on an idle Linux machine, half of the
// records are made within 0.05 ms and 99 % within 0.1 ms of their due time, against
// 0.5 ms and 1.0 ms with the runtime's timer (BenchmarkLateness).
//
// # Concurrency
//
// A source is immutable and may be used concurrently; its function is called by
// all subtasks at once. A reader belongs to one goroutine. Waiting takes one
// goroutine more per reader on Linux, which ends before Close returns.
//
// # Invariants
//
//   - N1: every index below the count is made exactly once, in order within a
//     split, whatever the number of records per Read.
//   - N2: no record is made before it is due.
//   - N3: a reader opened at [weir.Reader.Position] goes on with the next index.
//
// # Errors
//
// A missing function and a rate out of bounds are reported when the job is built.
//
// # Testing
//
// The schedule is tested with a clock that the test drives.
package generator
