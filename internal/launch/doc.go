// Package launch states how a TaskManager and the executable of a job meet:
// the environment variables that tell the executable in which mode it runs,
// the files that it inherits, and the version of the protocol that the two
// speak afterwards. Daemon and job are built apart, so nothing here changes
// its meaning; what is new gets a new name and a new protocol version.
//
// # Its room
//
// The taskmanager package starts processes by it; the worker package is the
// other side. It has constants only.
//
// # Plan mode
//
// [Mode] is [PlanMode]. main builds the graph and writes it, as the protobuf
// message weir.plan.v1.Plan, to the file descriptor that [PlanFile] names;
// then it exits with 0. Anything may be printed.
//
// # Worker mode
//
// [Mode] is [WorkerMode]. main builds the graph, then opens the session of
// weir.worker.v1 over the connected unix socket that [SessionFile] names. The
// network memory of each slot is a file whose descriptor Welcome tells. When
// the session breaks, the process exits.
//
// # Both modes
//
// [InputFile] names a descriptor to read a weir.plan.v1.BuildInput from. All
// variables begin with [Prefix]; an executable removes them from its
// environment once it has read them, so that its own children are not mistaken
// for workers, and marks the descriptors close-on-exec. Apart from them the
// environment has TZ, LANG, TMPDIR and the settings of the Go runtime: neither
// variables nor credentials of the daemon are inherited.
package launch
