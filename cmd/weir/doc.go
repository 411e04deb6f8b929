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
//   - settings.go: what configuration and which cluster the options name.
//   - output.go: -o json, and how errors are printed in both forms.
//   - list.go, cancel.go, info.go, run.go, local.go, config.go, completion.go,
//     checkpoints.go: a verb each. checkpointstext.go and checkpointsjson.go have
//     what the last one prints; completion.bash is a part of the script for bash.
//   - executable.go: from a Go package, or a file, to an executable.
//   - plan.go, planjson.go and plantext.go: a job's plan, Flink's JSON of it, and
//     a text for people.
//   - watch.go, progress.go, console.go and events.go: an attached job. progress
//     is a pure core: it is given descriptions and the time, and makes lines.
//
// # Standard output and error
//
// Standard output has what flink prints there, and the job's own standard
// output. Everything else, such as progress and warnings, is on standard error;
// argument errors are on standard output, as flink's are. Escape sequences are
// written to a terminal only.
//
// With -o json standard output has JSON and nothing else: one document, and for
// run one on each line. Standard error then has a document on each line, for
// each warning and each error. The fields are documented in
// docs/command-line.md, and json_test.go keeps their names.
//
// # Exit codes
//
// 0 is success, 1 an error, 31 a defect of this command, and 130 an interrupt,
// all as in Flink.
package main
