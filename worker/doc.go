// Package worker is the shell of a worker: it speaks with the TaskManager that
// started it, and has a task.Host do what the JobManager asks for.
//
// # Its room
//
// The public package's Main calls [Serve] when a TaskManager has started the
// program; the embedded mode calls it in the process of everything else. It is
// a client of weir.worker.v1 over the one connection that it is given. What a
// task is and how records travel is known by packages task and shuffle; who
// decides is beyond the connection.
//
// # Main types
//
//   - [Config]: the graph that main built, and whether the process is shared.
//   - session: the loops of one worker.
//   - outbox: what is still to be said, in order.
//   - convert.go: messages to the task package's plain structs and back.
//
// # Life cycle
//
// Serve says Hello with the plan of the graph, gets Welcome, makes the host and
// says Ready, or Failed if it cannot. Then it obeys until Shutdown, after which it says Stopped once
// all tasks have ended, waits until that has arrived, and returns nil. When the
// session breaks before that, or the worker is refused, it returns the reason.
//
// # Concurrency
//
// One goroutine receives and obeys, one sends, and listing the splits of a
// source has one of its own, since user code may take its time for it. Events
// of the host come from its tasks and are only queued.
//
// # Invariants
//
//   - W1: what is said arrives in order, and Stopped is the last of it.
//   - W2: a task's last figures are said before its last state.
//   - W3: in a process of its own, Serve returns at once when the session
//     breaks, whatever user code does: the process is about to exit. In a shared
//     one it returns when nothing of the worker runs any more.
//
// # Testing
//
// Tests play the TaskManager over a pipe, and the host.
package worker
