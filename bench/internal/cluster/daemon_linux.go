package cluster

import "syscall"

// endsWithThisProcess starts a process that Ctrl-C in the terminal does not
// reach, so that the harness stops the daemons in order, and that is told to
// stop when the harness dies.
func endsWithThisProcess() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
