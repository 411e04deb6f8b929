// Package dataflow has the two graphs of a job: the [Graph] that the user's
// program builds, whose nodes carry typed code, and the [Plan] that is left of
// it without the code, which the daemons schedule from.
//
// # Its room
//
// The public package weir builds a Graph, node by node. [Graph.Plan] checks it,
// joins operators into chains and computes the fingerprint; the task package
// runs the nodes of a chain. The JobManager sees only the Plan, from which
// [Plan.Resolve] makes the [JobGraph] with every parallelism decided. This
// package performs no I/O and knows no connector, no network and no daemon;
// ToProto and FromProto are its only contact with generated code.
//
// # Invariants
//
//   - D1: chaining and fingerprint do not depend on the default parallelism, so
//     a job keeps its shape when it is rescaled.
//   - D2: vertices are in topological order: an exchange leads from a lower to a
//     higher index.
//   - D3: every mistake of a program is reported, with the file and line of the
//     call that made it, not only the first.
package dataflow
