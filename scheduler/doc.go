// Package scheduler decides what a cluster does: which slots a job gets, when
// its workers and tasks start, which subtask reads which split, what a failure
// leads to, and when a job has ended.
//
// # Its room
//
// The jobmanager package turns what it hears from clients and TaskManagers into
// events, calls [Scheduler.Step] with the time, and carries out the actions
// that come back. The package has no goroutine, no clock and no I/O, and it
// knows no message of the wire: the same events at the same times give the same
// actions, so every life of a cluster can be written down as a script or drawn
// from a seed.
//
// # Main types
//
//   - [Scheduler] is the state of the whole cluster, [Config] its settings.
//   - [Event] is something that happened, [Action] something to do; event.go and
//     action.go list them.
//   - [JobState] and [TaskState] are the lives of jobs and tasks. One table has
//     the legal transitions of a job, one function performs them.
//   - [RestartStrategy] says whether and when a job is restarted, [Restore] what an
//     attempt begins from. Of checkpoints the package knows nothing but their ids
//     and the splits that belong to them: [Scheduler.Undealt] returns those, and
//     Restore brings them back.
//   - [JobView] and [TaskManagerView] are what to show to users.
//
// # Life of a job
//
//	JobSubmitted     → INITIALIZING     it is being planned, by the caller
//	JobPlanned       → CREATED          NextAttempt: what does it begin from?
//	AttemptReady                        it waits for slots, says how many it lacks
//	slots are free     StartWorker      one worker on each TaskManager that has some
//	WorkerReady (all) → RUNNING         StartTasks, EnumerateSplits
//	TaskStateChanged                    until all tasks have finished: Shutdown
//	WorkerExited (all) → FINISHED       its slots are free as each worker ends
//	time passes        ForgetJob        jobstore.expiration-time later
//
// A failure ends the attempt. If the job's [RestartStrategy] allows it, the job is
// RESTARTING until the last worker of the attempt is gone and the delay is over,
// and then CREATED again, for an attempt with new workers. Otherwise a failure
// leads over FAILING, as a cancellation does over CANCELLING. In all three the
// tasks are asked to stop, and what is left after task.cancellation.timeout is
// killed; an end state is reached when the last worker is gone.
//
// What fails while a restart is scheduled belongs to the same attempt and does not
// count. A failure that is not recoverable never leads to a restart. A job whose
// slots do not come within slot.request.timeout has failed once more.
//
// # Concurrency
//
// None: a Scheduler belongs to whoever holds the caller's lock. Events and
// actions are values that share slices with nobody who changes them.
//
// # Invariants
//
//   - J1: a slot belongs to at most one worker, from the StartWorker that names it
//     until that worker has exited or its session was lost.
//   - J2: a task is started at most once in an attempt.
//   - J3: a job in an end state holds no slots and no workers, and nothing but
//     ForgetJob is said about it any more.
//   - J4: a message of another session, an older attempt or an unknown job changes
//     nothing; it comes back as [MessageDropped].
//   - J5: every split of a source is assigned exactly once in an attempt, to a
//     worker that runs the subtask it is meant for.
//   - J6: a job fails with the first failure that did not follow from another
//     one, if there is one.
//   - J7: tasks start only when all workers of the attempt are ready, and only if
//     every slot has the network buffers that its tasks need.
//   - J8: if TaskManagers and the caller answer, every job ends, waits for input or
//     is restarted again: nothing is waited for without a deadline but tasks that
//     run and the answer to NextAttempt.
//   - J9: an attempt that restores a checkpoint deals the splits that came with it
//     and lists no source anew that is in it. What Undealt returns and what was
//     dealt are together all splits that are known, each once.
//   - J10: a job is restarted at most as often and as early as its strategy allows,
//     never with workers of two attempts, never after it was cancelled or has
//     failed in a way that is not recoverable.
//
// # Testing
//
// testdata has interaction scripts: events and the actions that must follow
// (go test ./scheduler -rewrite writes them anew). The simulator in
// simulation_test.go lives through random clusters and checks the invariants
// after every step; it prints its seed.
package scheduler
