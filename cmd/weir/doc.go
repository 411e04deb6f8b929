// The weir command submits jobs to a cluster, lists, inspects and cancels them,
// and starts a cluster on this machine. It takes the options of the flink
// command and prints what that prints for the same verb, so scripts carry over.
//
// # Its room
//
// It is the client's side alone: it talks to the JobManager through the client
// package, builds Go packages with the go command, runs a job's executable in
// plan mode for info, and starts the daemons for local. It runs no job itself.
//
//   - main.go and arguments.go: how the command line is read, what errors look
//     like, and exit codes.
//   - list.go, cancel.go, info.go, run.go, local.go: a verb each.
//   - executable.go: from a Go package, or a file, to an executable.
//   - plan.go and planjson.go: a job's plan, and Flink's JSON of it.
//   - watch.go, progress.go and console.go: an attached job.
//
// # Standard output and error
//
// Standard output has what flink prints there, and the job's own standard
// output. Everything else, such as progress and warnings, is on standard error.
//
// # Exit codes
//
// 0 is success, 1 an error, 31 a defect of this command, and 130 an interrupt,
// all as in Flink.
package main
