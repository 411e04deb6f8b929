// Package jobmanager is the JobManager daemon: it accepts jobs, keeps their
// executables, has them planned, and has TaskManagers run them. It runs no user
// code itself.
//
// # Its room
//
// cmd/jobmanager makes one with [New] and serves it; so does the embedded mode,
// on a listener in memory. Clients talk to it by weir.client.v1.JobManager,
// TaskManagers by weir.taskmanager.v1.TaskManagerGateway; both services share
// each listener. Every decision about slots, deployment, splits and failures is
// the scheduler package's, which this package tells what happens and which it
// obeys. It knows nothing of operators, user types or how a TaskManager works.
//
// # Main types
//
//   - [JobManager] with [Config]: the daemon.
//   - core: the scheduler, the sessions and the jobs under one lock; it turns
//     actions into messages (perform.go) and messages into events (session.go).
//   - service and gateway: the two gRPC services. planner has one job planned.
//   - session: one registration of a TaskManager, as long as its stream.
//   - artefactStore, directory, output, outbox: executables, the working
//     directory, what a job has printed, what waits to be sent.
//
// # Life cycle
//
// [New] opens and locks the working directory and begins a new leader's epoch,
// which is larger than every earlier one of this directory. [JobManager.Serve]
// serves until its context is done. Nothing of a job outlives the JobManager:
// its TaskManagers notice the closed stream and kill what ran for it.
//
// A submission passes through these steps, and is refused with a status and a
// text for the user where one fails: settings, upload and digest, executable
// and platform, two runs of main in plan mode with equal graphs, settings of
// the code, parallelism, number of tasks, network buffers. From the first plan
// on it is in the list of jobs; one that is refused then is there as FAILED.
//
// Settings have this precedence: those of the job's code, those that the client
// sends, those of the JobManager's file, defaults.
//
// # Concurrency
//
// One lock guards the core. It is never held while anything waits: messages go
// to an outbox for each TaskManager, and watchers are told that there is
// something new and take it when they can. Each stream of a TaskManager has
// three goroutines: the handler, which owns the session, one that receives and
// one that sends. The latter two end when the handler has returned, since
// nothing else interrupts a stream; the JobManager's group waits for them.
//
// Every queue has a bound: an outbox 256 MiB, beyond which the TaskManager
// counts as lost; the output of a job 1 MiB, of which the oldest is dropped and
// counted; submissions 64 at a time.
//
// # Invariants
//
//   - M1: a message of another session or leader epoch changes nothing and is
//     logged; one of an older attempt is dropped by the scheduler.
//   - M2: a file in the artefact store is named by the SHA-256 of its content, and
//     stays while a job that has not ended refers to it.
//   - M3: a TaskManager that was lost is told to the scheduler exactly once.
//   - M4: a watcher's last message is the description of the job in its end
//     state, after all output that was kept for it.
//   - M5: a call that panics ends with INTERNAL, and the daemon goes on.
//
// # Errors
//
// Calls end with gRPC statuses: INVALID_ARGUMENT, NOT_FOUND,
// FAILED_PRECONDITION and the others that the schema names, with texts for
// users. INTERNAL is logged with its details.
//
// # Testing
//
// The tests play clients and TaskManagers against a real server in memory, in a
// synctest bubble, so that heartbeats and timeouts are exact and take no time.
package jobmanager
