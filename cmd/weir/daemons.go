package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/process"
)

// stopGrace is how long a daemon has to stop before it is killed.
const stopGrace = 10 * time.Second

// sameRequest is how long after the start of a stop a further signal is taken
// for the same request, which may arrive in several: timeout(1) signals its child
// and then the child's group, and some supervisors do the like.
const sameRequest = 300 * time.Millisecond

// daemons are the processes of a local cluster.
type daemons struct {
	binaries, logDir string
	group            *goroutine.Group
	// started are the daemons in the order in which they were started.
	started []*daemon
	// ended has each daemon once its process is gone.
	ended chan *daemon
}

// daemon is one of them.
type daemon struct {
	name    string
	command *exec.Cmd
	logFile string
	ready   chan string
	// gone is closed once the process is gone; err is how it ended, then.
	gone chan struct{}
	err  error

	mu struct {
		sync.Mutex
		tail []string // the last lines of its log
	}
}

func newDaemons(ctx context.Context, binaries, logDir string) *daemons {
	return &daemons{binaries: binaries, logDir: logDir, group: goroutine.New(ctx), ended: make(chan *daemon, 1024)}
}

// start starts a daemon in a process group of its own, so that Ctrl-C in the
// terminal reaches this process alone, which then stops them in order.
func (d *daemons) start(name, binary string, args []string) (*daemon, error) {
	if err := os.MkdirAll(d.logDir, 0o700); err != nil {
		return nil, err
	}
	started := &daemon{
		name: name, logFile: filepath.Join(d.logDir, name+".log"),
		ready: make(chan string, 1), gone: make(chan struct{}),
	}
	log, err := os.OpenFile(started.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	started.command = exec.Command(filepath.Join(d.binaries, binary), args...)
	started.command.Stdout = log
	started.command.SysProcAttr = detachedFromTerminal()
	stderr, err := started.command.StderrPipe()
	if err == nil {
		err = started.command.Start()
	}
	if err != nil {
		_ = log.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	d.started = append(d.started, started)
	d.group.Go(func(context.Context) error {
		started.read(stderr, log)
		started.err = started.command.Wait()
		_ = log.Close()
		close(started.gone)
		d.ended <- started
		return nil
	})
	return started, nil
}

// read copies a daemon's log into its file and looks for the line that says it
// is ready.
func (d *daemon) read(stderr io.Reader, log io.Writer) {
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		_, _ = io.WriteString(log, line)
		if address, ok := process.ReadyAddress(line); ok {
			select {
			case d.ready <- address:
			default: // It has said so before.
			}
		}
		if line != "" {
			d.mu.Lock()
			d.mu.tail = append(d.mu.tail[max(0, len(d.mu.tail)-19):], line)
			d.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

// awaitReady returns the address of a daemon once it is ready, or an error if
// it ends before.
func (d *daemon) awaitReady(ctx context.Context) (address string, err error) {
	select {
	case address = <-d.ready:
		return address, nil
	case <-d.gone:
		return "", d.failure()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// failure says how a daemon ended that should not have.
func (d *daemon) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	how := "it ended"
	if d.err != nil {
		how = d.err.Error()
	}
	return fmt.Errorf("%s is gone (%s). The end of its log, %s:\n\n%s", d.name, how, d.logFile, strings.Join(d.mu.tail, ""))
}

// stop stops all daemons, the JobManager last, and waits for them. Those that
// take too long, and all of them at a further signal, are killed.
func (d *daemons) stop(signals <-chan os.Signal) error {
	var failed []error
	if begin := time.Now(); len(d.started) > 0 {
		failed = append(stopAll(d.started[1:], begin, signals), stopAll(d.started[:1], begin, signals)...)
	}
	_ = d.group.Close() // Its goroutines return no error.
	return errors.Join(failed...)
}

func stopAll(some []*daemon, begin time.Time, signals <-chan os.Signal) (failed []error) {
	for _, each := range some {
		_ = each.command.Process.Signal(syscall.SIGTERM) // It may be gone.
	}
	patience := time.NewTimer(stopGrace)
	defer patience.Stop()
	for _, each := range some {
		if each.awaitGone(begin, patience, signals) {
			continue
		}
		patience.Reset(0) // The others have had the same time.
		failed = append(failed, fmt.Errorf("%s did not stop and was killed", each.name))
		_ = each.command.Process.Kill()
		<-each.gone
	}
	return failed
}

// awaitGone reports whether the daemon has ended by itself, before patience or
// the user's has ended.
func (d *daemon) awaitGone(begin time.Time, patience *time.Timer, signals <-chan os.Signal) bool {
	for {
		select {
		case <-d.gone:
			return true
		default:
		}
		select {
		case <-d.gone:
			return true
		case <-patience.C:
			return false
		case <-signals:
			if time.Since(begin) >= sameRequest {
				return false
			}
		}
	}
}
