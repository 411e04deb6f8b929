// Package process has what Weir's commands share while they start and stop:
// where the configuration file is, what version this is, and for daemons the
// flags, the log, the signals and the line that says they are ready.
//
// # Its room
//
// Only the mains below cmd/ import it. It knows nothing of what a daemon does:
// [Daemon.Run] is handed to it.
//
//   - [Daemon] is a daemon's main.
//   - [ConfigFile] finds the configuration file, and [Inputs] has what is read
//     beside it.
//   - [ReadBuild] tells the version.
//   - [ReadyAddress] recognises the line by which a daemon says that it is ready,
//     for those who start one.
//
// # Life cycle of a daemon
//
// Flags, environment and file are read, the log is opened, Run is called. The first SIGTERM
// or SIGINT ends Run's context; the second has its usual effect, so it ends
// the process at once.
package process
