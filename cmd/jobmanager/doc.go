// The jobmanager command runs a JobManager: it accepts jobs, schedules them
// into the slots of TaskManagers and watches them.
//
//	jobmanager [--config weir.yaml] [-D key=value ...]
//
// # Its room
//
// It reads the configuration into a jobmanager.Config, opens the listener and
// serves; the package jobmanager has everything else, and internal/process what
// all daemons share.
package main
