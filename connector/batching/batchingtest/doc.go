// Package batchingtest has a destination in memory that a test can have answer
// in every way in which a real one goes wrong: it is slow, refuses some records
// or all, never answers, answers too late, panics.
//
//	destination := batchingtest.New[Row](
//		batchingtest.Refuse(errBusy, 0, 3), // the first request: two of its records
//		batchingtest.Hang,                  // the second, until its timeout
//	) // and then it takes everything
//	rows.To("rows", batching.New(destination.Open).Timeout(time.Second))
//
// # Its room
//
// Tests of jobs and of connectors that are built on package batching use it. It
// uses the public API alone.
//
// # Concurrency
//
// A [Destination] may be used concurrently, by any number of subtasks and jobs. An
// [Answer] is called by as many requests at a time as are under way.
//
// # Invariants
//
//   - D1: a record is in [Destination.Acknowledged] as often as a request that had
//     it ended without a failure of the record.
//   - D2: what a sink may not do, such as sending after it closed the sender, is in
//     [Destination.Misuse].
//
// # Testing
//
// Delays are timers, so testing/synctest's clock moves them.
package batchingtest
