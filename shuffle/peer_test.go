package shuffle_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"

	"github.com/weirstream/weir/shuffle"
)

// peerProcess is the test binary running as another process. Each of the two
// says its address in a line; afterwards lines are the role's own.
type peerProcess struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
}

func startPeer(t testing.TB, role string, env ...string) *peerProcess {
	t.Helper()
	p := &peerProcess{cmd: exec.Command(os.Args[0], "-test.run=^$")}
	p.cmd.Env = append(os.Environ(), peerRole+"="+role)
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// line reads the peer's next line.
func (p *peerProcess) line(t testing.TB) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("the peer process said nothing: %v", p.lines.Err())
	}
	return p.lines.Text()
}

func (p *peerProcess) say(t testing.TB, line string) {
	t.Helper()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		t.Fatal(err)
	}
}

// wait waits for the peer's end.
func (p *peerProcess) wait(t testing.TB) {
	t.Helper()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the peer process failed: %v", err)
	}
}

// runPeer is the other process.
func runPeer(role string) (code int) {
	if profile := os.Getenv("WEIR_SHUFFLE_TEST_PROFILE"); profile != "" {
		f, err := os.Create(profile + "." + role)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer pprof.StopCPUProfile()
	}
	name, argument, _ := strings.Cut(role, " ")
	var err error
	switch name {
	case "sink":
		err = sinkPeer(false)
	case "echo":
		err = sinkPeer(true)
	case "plain":
		err = plainPeer(argument == "checksum")
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peer process:", err)
		return 1
	}
	return 0
}

// sinkPeer is worker 1: it receives edge 1 until it ends and then ends edge 2,
// on which it sends a buffer back for each before, if it is an echo.
func sinkPeer(echo bool) error {
	var segment, buffers, exclusive int
	if _, err := fmt.Sscanf(os.Getenv("WEIR_SHUFFLE_TEST_SINK"), "%d %d %d", &segment, &buffers, &exclusive); err != nil {
		return err
	}
	e, err := shuffle.Listen(endpointConfig(1, segment))
	if err != nil {
		return err
	}
	arena, err := shuffle.NewArena(2*buffers, segment)
	if err != nil {
		return err
	}
	pool, err := arena.NewPool("gate", buffers)
	if err != nil {
		return err
	}
	back, err := arena.NewPool("back", buffers)
	if err != nil {
		return err
	}
	inbox := shuffle.NewInbox()
	if _, err := e.NewGate(shuffle.GateConfig{Edge: 1, Channels: []shuffle.Source{{Worker: 0}}, Exclusive: exclusive, Pool: pool, Inbox: inbox}); err != nil {
		return err
	}
	p, err := e.NewPartition(shuffle.PartitionConfig{Edge: 2, Channels: []shuffle.Target{{Worker: 0}}, Pool: back})
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, e.Addr())
	var dialler string
	if _, err := fmt.Scanln(&dialler); err != nil {
		return err
	}
	if err := e.Connect([]shuffle.Peer{{Worker: 0, Address: dialler}}); err != nil {
		return err
	}
	for {
		d := next(inbox)
		switch {
		case d.Buffer != nil:
			d.Buffer.Recycle()
			if echo {
				b, err := p.Request(nil)
				if err != nil {
					return err
				}
				b.SetLen(64)
				p.Send(0, b)
			}
		case d.Event == nil:
		case d.Event.Kind == shuffle.EventEndOfInput:
			s := e.Stats()
			p.SendEvent(0, shuffle.Event{Kind: shuffle.EventEndOfInput})
			if err := p.Drain(nil); err != nil {
				return err
			}
			fmt.Fprintln(os.Stdout, s.Received.Buffers, s.Received.Calls, s.Sent.Calls)
			return e.Close()
		default:
			return d.Event.Err
		}
	}
}

// plainPeer reads frames of 32 KiB from a connection, and nothing else.
func plainPeer(checksum bool) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, l.Addr())
	c, err := l.Accept()
	if err != nil {
		return err
	}
	frame := make([]byte, 32<<10)
	var sum uint64
	for {
		if _, err := io.ReadFull(c, frame); err == io.EOF {
			fmt.Fprintln(os.Stdout, sum)
			return c.Close()
		} else if err != nil {
			return err
		}
		if checksum {
			sum += xxh3.Hash(frame)
		}
	}
}
