package main

import "syscall"

// detachedFromTerminal starts a process that the terminal sends no signals to,
// and that is told to stop if this process dies.
func detachedFromTerminal() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
