//go:build !linux

package main

import "syscall"

// detachedFromTerminal starts a process that the terminal sends no signals to.
func detachedFromTerminal() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
