// Package weirtest tests jobs and their parts: operators under a time that the test
// sets, and whole jobs in the test's process.
//
// # Operators
//
// [Start] takes the build function of a job, as [weir.Main] does, and runs its
// operators in the test's goroutine. Sources are not opened: the test gives their
// records through an [Input]. Sinks are not opened either: what comes to them is
// in an [Output]. So the function that is tested is the one of production.
//
//	run := weirtest.Start(t, build)
//	flights := weirtest.InputOf[Flight](run, "flights")
//	delays := weirtest.OutputOf[Delay](run, "delays")
//	flights.Push(Flight{Origin: "JFK", At: noon})
//	flights.End()
//	got := delays.Take()
//
// Every call has had all its effects when it returns; nothing has to be waited for.
// Processing time stands still but for [Run.Advance]. Each operator has one subtask,
// and operators hand records to each other without a network, whatever the job
// says about parallelism and chains.
//
// # Whole jobs
//
// [RunJob] runs a job in this process with the engine of production: tasks,
// network buffers, scheduler. [Values] is a source for it and [Collector] a sink.
// What does not depend on the order between subtasks can be asserted at any
// parallelism.
//
// # Concurrency
//
// A [Run] with its inputs and outputs belongs to the test's goroutine. A
// [Collector] may be read while its job runs.
//
// # Errors
//
// What goes wrong ends the test with Fatal, at the line of the test that called.
package weirtest
