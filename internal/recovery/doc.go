// Package recovery has tests of jobs that take checkpoints, fail, and go on from
// them, in which the tasks, their network and their snapshots are real, and only what
// the daemons do is played by the test.
//
// # Its room
//
// The jobs are written with the public API. A [cluster] runs the attempts of one on
// task hosts, triggers checkpoints, and restarts it from the last that is complete,
// with other hosts and at another parallelism if it likes. What sinks have committed
// is compared with a model that knows nothing of the engine.
//
// # Testing
//
// The seed is printed when something differs; run it again with -seed.
package recovery
