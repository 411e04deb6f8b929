package cluster

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

	"github.com/weirstream/weir/internal/process"
)

const (
	// stopGrace is how long a daemon has to stop before it is killed.
	stopGrace = 10 * time.Second
	// tailLines is how much of a daemon's log its failure shows.
	tailLines = 20
)

// daemon is a process of the cluster.
type daemon struct {
	name    string
	command *exec.Cmd
	ready   chan string
	// gone is closed once the process is gone; err is how it ended, then.
	gone chan struct{}
	err  error

	mu   sync.Mutex
	tail []string // the last lines of its log; nil once a failure has shown them
}

func (c *Cluster) startDaemon(name, binary string, args ...string) (*daemon, error) {
	log, err := os.Create(filepath.Join(c.logs(), name+".log"))
	if err != nil {
		return nil, err
	}
	d := &daemon{name: name, ready: make(chan string, 1), gone: make(chan struct{})}
	d.command = exec.Command(filepath.Join(c.config.Binaries, binary), append([]string{"--config", c.configFile()}, args...)...)
	d.command.Stdout = log
	d.command.SysProcAttr = endsWithThisProcess()
	stderr, err := d.command.StderrPipe()
	if err == nil {
		err = d.command.Start()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	c.group.Go(func(context.Context) error {
		d.read(stderr, log)
		d.err = d.command.Wait()
		close(d.gone)
		return log.Close()
	})
	return d, nil
}

// read copies the daemon's log into its file and looks for the line that says it
// is ready.
func (d *daemon) read(stderr io.Reader, log io.Writer) {
	for lines := bufio.NewReader(stderr); ; {
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
			d.tail = append(d.tail[max(0, len(d.tail)+1-tailLines):], line)
			d.mu.Unlock()
		}
		if err != nil {
			return
		}
	}
}

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

func (d *daemon) isGone() bool {
	select {
	case <-d.gone:
		return true
	default:
		return false
	}
}

// failure says how a daemon ended that should not have.
func (d *daemon) failure() error {
	how := "it ended"
	if d.err != nil {
		how = d.err.Error()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	log := strings.Join(d.tail, "")
	if d.tail = nil; log == "" {
		return fmt.Errorf("%s is gone (%s)", d.name, how)
	}
	return fmt.Errorf("%s is gone (%s); the end of its log:\n%s", d.name, how, log)
}

// stop stops daemons and waits for them.
func stop(daemons []*daemon) (err error) {
	for _, d := range daemons {
		if d.isGone() {
			err = errors.Join(err, d.failure())
			continue
		}
		_ = d.command.Process.Signal(syscall.SIGTERM) // It may be gone by now.
	}
	patience := time.NewTimer(stopGrace)
	defer patience.Stop()
	for _, d := range daemons {
		select {
		case <-d.gone:
		case <-patience.C:
			patience.Reset(0) // The others have had the same time.
			_ = d.command.Process.Kill()
			<-d.gone
			err = errors.Join(err, fmt.Errorf("%s did not stop within %v and was killed", d.name, stopGrace))
		}
	}
	return err
}
