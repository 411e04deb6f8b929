// The taskmanager command runs a TaskManager: it offers slots to a JobManager
// and runs the workers of jobs in them.
//
//	taskmanager [--config weir.yaml] [-D key=value ...]
//
// # Its room
//
// It reads the configuration into a taskmanager.Config and runs that; the
// package taskmanager has everything else, and internal/process what all
// daemons share.
package main
