// Package checkpoint decides about the checkpoints of a job: when one is
// triggered, when it is complete, what sinks may commit, what of checkpoint
// storage may be deleted, and which part of old state a new subtask reads.
//
// # Its room
//
// The JobManager has a [Coordinator] and a [Retention] for each job. It turns
// what it hears from workers, from the metadata store and from checkpoint storage
// into events, calls Step with the time, and carries out the actions that come
// back. A sink's subtask has [Commits]. The package has no goroutine, no clock
// and no I/O, and knows neither messages nor tasks: the same events at the same
// times give the same actions.
//
// # Main types
//
//   - [Coordinator] is the life of a job's checkpoints; event.go and action.go list
//     what it hears and says.
//   - [Retention] keeps the newest completed checkpoints and deletes what nobody
//     names any more.
//   - [Commits] are the books of one sink's subtask.
//   - [RedistributeKeys], [RedistributeList], [RedistributeUnion] and
//     [BroadcastSource] say what to read after a change of parallelism.
//   - rules.go has, on one page, the decisions that exactly-once rests on.
//
// # Life of a checkpoint
//
//	AllocateID → IDAllocated            the store gives an id
//	Started, TriggerTasks     every worker of the attempt is told
//	TaskAcknowledged (all tasks)        each after its snapshot is stored
//	WriteMetadata → MetadataWritten     to checkpoint storage
//	RecordCompletion → Recorded         the guarded write that completes it
//	Completed, NotifyComplete sinks commit, retention deletes
//	SinksCommitted (all tasks)          until then tasks are told again
//	FinishTasks                         if it was the final one
//
// Until the store is asked to record it, a checkpoint may be aborted: it expired,
// a task declined, its attempt is over, a newer one has completed. From then on
// only the store decides. When all tasks have ended their input, one more
// checkpoint is triggered at once, the final one, and tasks end after it.
//
// The actions of the coordinator that are a [RetentionEvent] go to the job's
// Retention, in order and before anything after them is carried out; its
// [Damaged] goes back to the coordinator in the same way.
//
// A JobManager that starts makes both from what the store has, says which
// checkpoint tasks are being restored from, lists storage once ([FilesFound]),
// and either adopts the attempt that runs ([AttemptRunning] with Adopted) or
// starts another one from [Coordinator.RestorePoint].
//
// # Files
//
// The name of a file in checkpoint storage has the id of the checkpoint that
// wrote it ([File]): since ids are never used twice, a deletion that is carried
// out late, by a JobManager that is gone, can never hit a file of somebody else.
// Checkpoints share a file by naming it again: a task may do that only with what
// the base of its trigger names.
//
// # Concurrency
//
// None: a value belongs to whoever holds the caller's lock. Events and actions
// are values that share slices with nobody who changes them.
//
// # Invariants
//
// Of the coordinator:
//
//   - C1: an id comes from the metadata store before anything else, and ids only
//     grow.
//   - C2: a checkpoint that completes has an acknowledgement of every task of one
//     attempt, and of no other attempt.
//   - C3: the store is told of a checkpoint only when its metadata is durable.
//   - C4: sinks are told of a checkpoint only when the store has it.
//   - C5: once the store was asked to record a checkpoint, only an answer that
//     leaves no doubt ends it. Doubt is resolved by reading and asking again, also
//     after the attempt is over, and nothing is discarded meanwhile.
//   - C6: checkpoints complete in the order of their ids; a completed one subsumes
//     the older ones that are pending.
//   - C7: at most MaxConcurrent checkpoints are pending, but for a final one; those
//     that were put off while there was no room are not made up for.
//   - C8: tasks finish only after a checkpoint has completed that was triggered
//     after all of them had ended their input, and after all sinks have committed.
//   - C9: tasks are told of the newest completed checkpoint until they answer.
//   - C10: a message of another attempt or about a checkpoint that is not pending
//     changes nothing; it comes back as [MessageDropped].
//
// Of retention:
//
//   - R1: no file is deleted that is named by a checkpoint which the store has,
//     which is under way, which one under way may build on, which tasks are being
//     restored from, which is unreadable and so may name it, or which is not the
//     job's.
//   - R2: files of a completed checkpoint are deleted only after its pointer is
//     gone from the store, its metadata first.
//   - R3: pointers go one at a time, the oldest first; the newest stay, and those
//     that cannot be read are not counted and stay as well.
//   - R4: every action may be carried out again, by another JobManager, too.
//
// Of commits:
//
//   - S1: only what was prepared for a completed checkpoint or an older one is
//     committed.
//   - S2: lost, repeated and reordered notifications change nothing in the end.
//   - S3: what a restored snapshot has outstanding is committed before anything
//     new.
//   - S4: what is prepared stays outstanding until it is committed, whichever
//     checkpoints are aborted.
//
// # Errors
//
// A machine has no errors: failures of others are events, and what it asks in
// return is an action with a reason. The redistributions refuse checkpoints whose
// subtasks do not have every key group once.
//
// # Testing
//
// simulation_test.go lives through whole lives of a job and compares what was
// committed, and the state in each completed checkpoint, with a model: random
// lives (go test ./checkpoint -seeds 10000, or make sim, for more of them, -seed to
// live one again), and a few in which one thing dies at each moment in turn.
// mutants_test.go breaks each rule of rules.go, and requires that the simulator
// finds it. The scripts beside them cite the rows of the catalogue of failures of
// other systems that they cover.
package checkpoint
