package taskmanager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/weirstream/weir/internal/goroutine"
)

// readSize is the size of the chunks that a child's output is read in. A chunk
// becomes one message, so it is also their bound.
const readSize = 32 << 10

const (
	// lingerTimeout is how long the ends of a process's output, and of its
	// session, are waited for once it is gone. Only a process that left its group
	// can still hold the other ends.
	lingerTimeout = 2 * time.Second
	// lingerBytes bounds what such a process can still say: what a pipe can hold.
	lingerBytes = 1 << 20
)

// spawner starts processes from one OS thread that lives as long as it does.
// On Linux a child is told to die with its parent, and the kernel means the
// parent's thread by that: threads of the Go runtime come and go.
type spawner struct {
	starts chan start
	done   <-chan struct{}
}

type start struct {
	cmd    *exec.Cmd
	result chan<- error
}

func newSpawner(group *goroutine.Group) *spawner {
	s := &spawner{starts: make(chan start), done: group.Context().Done()}
	group.Go(s.run)
	return s
}

// run is the thread. It must go on until every child is gone.
func (s *spawner) run(ctx context.Context) error {
	runtime.LockOSThread()
	// Unlocked, the thread goes back to the runtime instead of being ended.
	defer runtime.UnlockOSThread()
	for {
		select {
		case r := <-s.starts:
			r.result <- r.cmd.Start()
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *spawner) start(cmd *exec.Cmd) error {
	result := make(chan error, 1)
	select {
	case s.starts <- start{cmd, result}:
		return <-result
	case <-s.done:
		return errors.New("the TaskManager is stopping")
	}
}

// childSpec says what to start.
type childSpec struct {
	program   *executable
	arguments []string // from os.Args[0] on
	directory string
	env       []string
	// files are the child's descriptors from 3 on. They stay the caller's.
	files []*os.File
	// output gets what the child prints, in chunks of at most [readSize] and in
	// the order of each stream, from one goroutine per stream. It may block. The
	// bytes are its own.
	output func(standardError bool, data []byte)
}

// child is a process in a group of its own, with its output.
type child struct {
	cmd     *exec.Cmd
	readers *goroutine.Group
	pipes   []*os.File

	mu struct {
		sync.Mutex
		reaped bool
	}
}

// startChild starts a process. The caller must call wait.
func startChild(s *spawner, spec childSpec) (*child, error) {
	if err := checkPlatform(spec.program.file); err != nil {
		return nil, err
	}
	stdoutRead, stdoutWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("create a pipe for standard output: %w", err)
	}
	defer stdoutWrite.Close()
	stderrRead, stderrWrite, err := os.Pipe()
	if err != nil {
		stdoutRead.Close()
		return nil, fmt.Errorf("create a pipe for standard error: %w", err)
	}
	defer stderrWrite.Close()
	c := &child{
		cmd: &exec.Cmd{
			Path: spec.program.path, Args: spec.arguments, Dir: spec.directory, Env: spec.env,
			Stdout: stdoutWrite, Stderr: stderrWrite, // A nil Stdin is /dev/null.
			ExtraFiles:  spec.files,
			SysProcAttr: childAttributes(),
		},
		// The readers end with their pipes, not with a context.
		readers: goroutine.New(context.Background()),
	}
	if err := s.start(c.cmd); err != nil {
		stdoutRead.Close()
		stderrRead.Close()
		return nil, explainStart(spec.program, err)
	}
	sacrifice(c.pid())
	c.read(stdoutRead, readSize, func(data []byte) { spec.output(false, data) })
	c.read(stderrRead, readSize, func(data []byte) { spec.output(true, data) })
	return c, nil
}

// read hands everything that comes through pipe to sink, until its end.
func (c *child) read(pipe *os.File, size int, sink func([]byte)) {
	c.pipes = append(c.pipes, pipe)
	c.readers.Go(func(context.Context) error {
		defer pipe.Close()
		if err := copyChunks(pipe, size, sink); errors.Is(err, os.ErrDeadlineExceeded) {
			// The process is gone, but somebody holds the other end. What was
			// written before is still in the pipe.
			drain(pipe, size, sink)
		}
		return nil
	})
}

func copyChunks(r io.Reader, size int, sink func([]byte)) error {
	buffer := make([]byte, size)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			sink(append([]byte(nil), buffer[:n]...))
		}
		if err != nil {
			return err
		}
	}
}

func drain(pipe *os.File, size int, sink func([]byte)) {
	buffer := make([]byte, size)
	for left := lingerBytes; left > 0; {
		_ = pipe.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) // A pipe has deadlines: one was exceeded.
		n, err := pipe.Read(buffer[:min(len(buffer), left)])
		if n > 0 {
			sink(append([]byte(nil), buffer[:n]...))
			left -= n
		}
		if err != nil {
			return
		}
	}
}

// pid returns the process id.
func (c *child) pid() int { return c.cmd.Process.Pid }

// kill ends the process and everything in its group. It may be called at any
// time, also when the process is gone.
func (c *child) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.mu.reaped {
		killGroup(c.pid())
	}
}

// wait returns when the process is gone, with everything in its group, and all
// that it has printed is handed on.
func (c *child) wait() *os.ProcessState {
	awaitExit(c.pid())
	// Until it is reaped, the group's number belongs to nobody else.
	c.mu.Lock()
	killGroup(c.pid())
	_ = c.cmd.Wait() // The state says how it ended.
	c.mu.reaped = true
	c.mu.Unlock()

	deadline := time.Now().Add(lingerTimeout)
	for _, p := range c.pipes {
		_ = p.SetReadDeadline(deadline) // Fails if its reader has closed it.
	}
	_ = c.readers.Wait() // The readers return no error.
	return c.cmd.ProcessState
}

// killGroup sends SIGKILL to a process group. The error says that the group is
// empty.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// tail keeps the last bytes of a stream.
type tail struct {
	limit int
	mu    struct {
		sync.Mutex
		bytes []byte
	}
}

// tailSize is how much of a stream is kept for messages.
const tailSize = 64 << 10

func newTail() *tail { return &tail{limit: tailSize} }

func (t *tail) write(data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(data) >= t.limit {
		t.mu.bytes = append(t.mu.bytes[:0], data[len(data)-t.limit:]...)
		return
	}
	if over := len(t.mu.bytes) + len(data) - t.limit; over > 0 {
		t.mu.bytes = append(t.mu.bytes[:0], t.mu.bytes[over:]...)
	}
	t.mu.bytes = append(t.mu.bytes, data...)
}

// content returns what is kept. Nothing may be written afterwards.
func (t *tail) content() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.bytes
}

// signalOf returns the name of the signal that ended a process, or nothing.
func signalOf(state *os.ProcessState) string {
	if s, ok := state.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return s.Signal().String()
	}
	return ""
}
