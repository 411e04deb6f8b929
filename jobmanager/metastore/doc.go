// Package metastore keeps what a JobManager must find again after its death:
// jobs, the pointers to their checkpoints, counters, revoked sessions.
package metastore
