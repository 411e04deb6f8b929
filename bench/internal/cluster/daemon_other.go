//go:build !linux

package cluster

import "syscall"

// endsWithThisProcess leaves the process in the harness's group, so that Ctrl-C
// in the terminal ends both.
func endsWithThisProcess() *syscall.SysProcAttr { return nil }
