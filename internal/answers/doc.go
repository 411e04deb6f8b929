// Package answers has jobs on real, out-of-order data whose answers were computed
// without any engine. Tests compare row by row.
//
// # Its room
//
// The tests of this package run the jobs embedded, those of cmd/weir on a cluster
// of processes, through the program in its testdata. The jobs are written as a
// user would write them, with the public API alone. The data and the answers are
// not part of the project; CONTRIBUTING.md says where they come from.
//
// # How it works
//
// [Jobs] are the jobs by name. [Job.Build] makes the build function of one from the
// folder with the data and a sink for its rows; one job computes several answers
// from one source. A row is the name of its answer, a space, and the row as it is
// in the answer's file.
//
// # Testing
//
// [Compare] reads what is expected and says how rows differ from it.
package answers
