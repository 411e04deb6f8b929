package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Process is a process of the cluster.
type Process struct {
	// Name is "jobmanager", "taskmanager-1", or "worker of taskmanager-1".
	Name string
	PID  int
}

// Processes returns the cluster's processes: the daemons, and the workers that
// the TaskManagers have at the moment. It needs Linux's /proc.
func (c *Cluster) Processes() ([]Process, error) {
	all := []Process{{c.jobManager.name, c.jobManager.command.Process.Pid}}
	children, err := childrenIn("/proc")
	if err != nil {
		return nil, fmt.Errorf("find the workers' processes: %w", err)
	}
	for _, tm := range c.taskManagers {
		pid := tm.command.Process.Pid
		all = append(all, Process{tm.name, pid})
		for _, child := range children[pid] {
			all = append(all, Process{"worker of " + tm.name, child})
		}
	}
	return all, nil
}

// childrenIn returns the children of each process that has some.
func childrenIn(proc string) (map[int][]int, error) {
	entries, err := os.ReadDir(proc)
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // It is no process.
		}
		content, err := os.ReadFile(filepath.Join(proc, entry.Name(), "stat"))
		if err != nil {
			continue // The process is gone.
		}
		parent, err := parentOf(content)
		if err != nil {
			return nil, fmt.Errorf("process %d: %w", pid, err)
		}
		children[parent] = append(children[parent], pid)
	}
	return children, nil
}

// parentOf reads the parent's id out of /proc/PID/stat: "7 (a name) S 1 …". The
// name may have spaces and parentheses of its own.
func parentOf(stat []byte) (int, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0, fmt.Errorf("what /proc says of it has too few fields: %q", stat)
	}
	return strconv.Atoi(string(fields[1]))
}

// ErrProcessGone says that there is no such process any more.
var ErrProcessGone = errors.New("the process is gone")

// ResidentMemory returns how many bytes of a process are in memory, those that it
// shares included. The error is [ErrProcessGone] if it has ended.
func ResidentMemory(pid int) (int64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH):
		return 0, fmt.Errorf("process %d: %w", pid, ErrProcessGone)
	case err != nil:
		return 0, err
	}
	return residentOf(string(status), pid)
}

func residentOf(status string, pid int) (int64, error) {
	for line := range strings.Lines(status) {
		rest, ok := strings.CutPrefix(line, "VmRSS:")
		if !ok {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("process %d: resident memory: %w", pid, err)
		}
		return kib << 10, nil
	}
	// A process that has ended and was not waited for has no memory.
	return 0, fmt.Errorf("process %d: %w", pid, ErrProcessGone)
}
