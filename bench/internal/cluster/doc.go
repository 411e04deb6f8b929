// Package cluster runs a Weir cluster of real processes on loopback for the
// benchmarks: one JobManager and some TaskManagers, with a credential and a
// directory of their own.
//
// # Its room
//
// The harness builds the binaries with [Build], starts a [Cluster] and runs jobs
// on it. The package talks to the daemons as a user's program does, through
// package client, and knows nothing of what is measured.
//
// # Life cycle
//
// [Start] returns once all TaskManagers are registered; [Cluster.Run] runs one
// job to its end, any number of times; [Cluster.Close] stops the processes,
// kills those that do not stop, and waits for them. On Linux they are told to
// stop when the harness dies.
//
// # Concurrency
//
// Close is called once, after all other calls have returned; those may be made
// concurrently. Each process has a goroutine that waits for its end.
//
// # Errors
//
// The error of a daemon that is gone has the end of its log. A job that does
// not end as FINISHED is an error with its task, message and stack.
package cluster
