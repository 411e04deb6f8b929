package taskmanager

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// childAttributes puts a child into a process group of its own, so that a
// signal reaches what it started, too, and makes the kernel kill it when the
// thread that started it ends, which includes every death of this process.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// workerOOMScore is what the kernel adds to a process's score, in thousandths of
// the machine's memory, when it chooses whom to kill because memory ran out.
const workerOOMScore = 500

// sacrifice has the kernel kill a child before the daemons when memory runs out:
// its job fails then, and no other does. A child would otherwise inherit what
// protects the TaskManager. Where the score cannot be written, or is higher, it
// stays.
func sacrifice(pid int) {
	content, err := os.ReadFile("/proc/self/oom_score_adj")
	if own, bad := strconv.Atoi(strings.TrimSpace(string(content))); err != nil || bad != nil || own >= workerOOMScore {
		return
	}
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(strconv.Itoa(workerOOMScore)), 0)
}

// awaitExit returns when the child has exited, and leaves it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return // Any other error would say that it is reaped, and only wait does that.
		}
	}
}

// outOfMemoryKills returns how many processes the kernel of this host has
// killed because memory ran out; -1 if it does not say.
func outOfMemoryKills() int {
	content, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(content)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			if n, err := strconv.Atoi(value); err == nil {
				return n
			}
		}
	}
	return -1
}
