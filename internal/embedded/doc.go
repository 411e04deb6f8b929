// Package embedded runs a job in the process of its own program: it starts a
// JobManager, a TaskManager and the worker there, which are the same code as
// in a cluster, joined by pipes in place of sockets and processes.
//
// # Its room
//
// The public package weir calls [Run] for a program that was started by hand
// or by a test. This is the only package that knows the daemons' packages
// beside each other.
//
// # Life cycle
//
// [Run] starts everything, submits the job with its plan, waits until the job
// has ended, and stops everything again; nothing outlives it.
//
// # Errors
//
// [*JobError] says that the job ran and failed; other errors say that it could
// not run. A job that was stopped because its context was done returns the
// context's cause.
package embedded
