// Package batching is the base of sinks that send records in batches to a
// service, such as a database or an HTTP interface, while the job goes on. A
// connector supplies a [Sender]: how a batch is sent, and what failed of it. The
// rest is here: when a batch is complete, how many requests are under way, what is
// sent again and when, and how a slow destination holds back the job.
//
//	func Rows(url string) batching.Sink[Row] {
//		return batching.New(func(ctx context.Context, subtask weir.Subtask) (batching.Sender[Row], error) {
//			return connect(ctx, url)
//		}).BatchSize(1000).Attempts(20)
//	}
//
// A job uses such a sink like any other, and may change its settings:
//
//	rows.To("rows", Rows(url).InFlight(8).Linger(time.Second))
//
// [Convert] puts a function before it that makes of a record what is sent. Package
// batchingtest has a destination for tests, which fails in every way.
//
// # Its room
//
// A job's main builds the sink; the engine opens a writer per subtask, inside a
// worker. The package uses the public API and, to own the goroutines that send,
// internal/goroutine. It knows no destination.
//
// # Batches
//
// A subtask's records are put into batches in the order in which they were
// written. A batch is sent when it has [Sink.BatchSize] records, or when the next
// record would make it larger than [Sink.BatchBytes], or when its first record
// has waited for [Sink.Linger]; but never while [Sink.InFlight] requests are under
// way. Up to [Sink.Buffer] records wait meanwhile; then Write blocks, which holds
// back the job. While it blocks, and once the input has ended, nothing lingers.
//
// # Answers
//
// What a request did not bring to the destination is sent again, and only that:
// after an error of Send all of its records, after a list of [Failure]s those.
// It waits for [Sink.Backoff], twice as long each time, and for what [RetryAfter]
// says. After [Sink.Attempts], or at a failure that is [Fatal], the sink fails: it
// sends nothing more, and the next Write, Flush, Finish or Close returns an
// [*Error] that says how many records are concerned and wraps the cause.
//
// Every error is worth another attempt, unless it says otherwise: timeouts, lost
// connections, refusals. Fatal are those that have a method Fatal() bool
// that returns true, as [Fatal] gives them; a panic of Send; and an answer that
// makes no sense, such as the failure of a record that the batch does not have.
//
// When [Sink.Timeout] has passed, the context of Send is done. What Send returns
// then counts as ever: nil means that the records have arrived.
//
// # What a destination sees
//
// A request that failed may have arrived nevertheless, and a job that goes on
// from an earlier point after a failure sends again what came behind it: records
// arrive at least once. A destination that must not see the effect twice
// needs keys, or another way to recognise a record.
//
// With InFlight(1), the default, records arrive in the order of their subtask: none
// is sent before all that were written earlier are acknowledged, but for those of
// its own request. With more, requests overtake each other, so two records of the
// same key may change places: raise it where the order does not matter.
//
// # Flush, and the end
//
// [weir.Writer.Flush] is called many times a second, whenever input rests.
// If it sent what is there, and waited, no batch would ever become full; so here
// it returns a failure if there is one, and leaves the time to Linger.
//
// When its input has ended, the engine calls Finish: writers are
// [weir.Finisher]s. It sends without lingering and returns when everything is
// acknowledged, so a job that has finished has all of its records acknowledged.
// A writer that wraps one of these passes Finish on. Close alone ends the task of
// a job that fails or is canceled: nothing is sent any more, what is under way is
// told to end, and what waits to be sent again is dropped, so a destination that
// is down does not hold up a failure.
//
// # Life cycle and concurrency
//
// A [Sink] is immutable and may be used concurrently. The function that opens
// senders, and that which measures records, are called by the goroutine of each
// task. A writer has one goroutine that keeps time and one for each request under
// way; they call Send concurrently, up to [Sink.InFlight] at a time. Close returns when
// they have ended, and the sender is closed then. The context of Send is done when
// the task is canceled, and in Close. A Send that does not heed it holds up the end
// of the task; on a cluster its worker is killed after task.cancellation.timeout.
//
// What is to be sent, and when, is decided by a core without goroutines and
// clocks, which is told what happened and at what time.
//
// # Invariants
//
//   - B1: a record that Write took is acknowledged once, or the sink fails. It is
//     never sent again after it was acknowledged.
//   - B2: no more requests are under way, or wait to be repeated, than
//     [Sink.InFlight]; no more records wait for their first than [Sink.Buffer].
//   - B3: a record waits no longer than [Sink.Linger] for the batch to become full
//     while a request may be sent.
//   - B4: a batch has its records in the order of writing; batches are sent for the
//     first time in that order; with InFlight(1) a batch is acknowledged before the
//     next is sent.
//   - B5: after a failure nothing is sent.
//   - B6: when Close has returned, no goroutine of the writer runs and the sender
//     is closed.
//   - B7: when Finish has returned nil, all that was written is acknowledged. Close
//     sends nothing.
//
// # Errors
//
// Wrong settings are reported when the job is built. A failure while the job
// runs is an [*Error]. It is noticed at the next call of the engine: Write, Flush,
// Finish or Close.
//
// # Testing
//
// The core is compared with a model over random walks; writers are tested on
// testing/synctest's clock.
package batching
