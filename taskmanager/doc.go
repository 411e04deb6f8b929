// Package taskmanager is the TaskManager daemon: it offers the slots of a host,
// starts one worker process for each job that holds some of them, and carries
// messages between the workers and the JobManager. It runs no user code itself.
//
// # Its room
//
// cmd/taskmanager makes one with [New] and runs it; so does the embedded mode,
// with workers inside its own process. It speaks with the JobManager by
// weir.taskmanager.v1 as a client, and with each worker by weir.worker.v1 as a
// server. What the two tell each other passes through unread, but for the first
// message of a worker. It knows neither operators nor the JobManager's
// decisions.
//
// # Main types
//
//   - [TaskManager] with [Config]: registers, again and again.
//   - [Launcher]: how code of jobs is run, as [Processes] or [InProcess].
//   - session: one registration and all that runs by its order.
//   - workerRun and supervisor: one worker, from the command to start it to the
//     report of its end, and the gRPC service that it sees.
//   - ledger, portLedger, fence and registration: who holds which slots and
//     ports, which messages count, and when to register again. These are values
//     without I/O.
//   - dataPorts: keeps a port for a worker until that listens on it.
//   - artefacts, child, jobLogs and slotMemory: the parts of Processes;
//     logRetention says which logs have to go.
//
// # Life cycle
//
// [TaskManager.Run] opens the launcher, then connects. Once the JobManager has
// answered, a session begins; when its stream breaks, or the JobManager is not
// heard for heartbeat.timeout, everything of it is killed, and when all of it is
// gone the TaskManager registers again. It gives up when it has had no session
// for taskmanager.registration.timeout.
//
// A worker is started in its own process group and directory, with an
// environment of its own, and inherits the session's socket, the input of the
// graph's construction, and a file of network memory for each slot. Its
// executable is copied, sealed and verified first. The worker's end is reported
// after everything that it said and printed.
//
// # Concurrency
//
// All goroutines of a session belong to its group: one receives and dispatches,
// one sends, one watches for silence, one for each worker and for each planning.
// Only the sender uses the stream's Send. Dispatching never waits: what it puts
// off goes to a worker's queue or into a goroutine of the group. One goroutine
// per launcher is bound to an OS thread and starts every process.
//
// # Invariants
//
//   - T1: no process of a session is alive when the next registration begins,
//     nor after Run has returned.
//   - T2: a worker does not outlive its TaskManager, however that ends: the
//     kernel kills it with the thread that started it (Linux), and it exits by
//     itself when its session's socket closes.
//   - T3: the bytes that are executed are those whose SHA-256 was compared, also
//     if the cached file is replaced at any moment.
//   - T4: a slot and a data port are free again before their worker's end is
//     reported, and the slot's memory has nothing of that worker.
//   - T5: the JobManager hears everything that a worker has said and printed
//     before it hears of its end.
//   - T6: a message of another session, leader epoch or attempt changes nothing.
//
// # Errors
//
// What is wrong with a job is reported to the JobManager in words for the user.
// Run returns an error only when the TaskManager cannot go on.
//
// # Testing
//
// Tests play the JobManager over loopback; the test binary is the artefact, and
// its first argument says how it behaves as a job (roles_test.go).
package taskmanager
