package taskmanager_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/ids"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	"github.com/weirstream/weir/taskmanager"
	"github.com/weirstream/weir/worker"
)

// embed starts a TaskManager whose workers are goroutines.
func embed(t *testing.T, launcher *taskmanager.InProcess) *gateway {
	t.Helper()
	jm := newJobManager(t)
	config := configure(jm.address, t.TempDir())
	config.Launcher = launcher
	run(t, config)
	return jm.accept(t)
}

func serveWorker(ctx context.Context, conn net.Conn) error {
	return worker.Serve(ctx, conn, worker.Config{
		Graph: dataflowGraph("m"), EngineVersion: "1.2.3", SharedProcess: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

// The worker package's side and this one understand each other.
func TestInProcessWorker(t *testing.T) {
	g := embed(t, &taskmanager.InProcess{Worker: serveWorker})
	for attempt := uint32(1); attempt <= 2; attempt++ {
		job := ids.NewJobID()
		g.startWorker(job, attempt, [32]byte{}, 2)
		hello, address := g.expectReady()
		if hello.GetPid() != int64(os.Getpid()) || hello.GetEngineVersion() != "1.2.3" || address != "" {
			t.Errorf("hello %v, address %q", hello, address)
		}
		g.shutdown(job, attempt)
		if m := expect(g, (*tmv1.ConnectRequest).GetWorkerMessage); m.GetMessage().GetStopped() == nil {
			t.Errorf("got %v", m)
		}
		if exit := g.expectExit(); exit.GetExitCode() != 0 || exit.GetError() != "" {
			t.Errorf("got %v", exit)
		}
	}
}

func TestInProcessWorkerIsKilled(t *testing.T) {
	g := embed(t, &taskmanager.InProcess{Worker: serveWorker})
	job := ids.NewJobID()
	g.startWorker(job, 1, [32]byte{}, 1)
	g.expectReady()
	g.killWorker(job, 1, "it has to go")
	if exit := g.expectExit(); exit.GetExitCode() == 0 || !strings.Contains(exit.GetError(), "it has to go") {
		t.Errorf("got %v", exit)
	}
}

func TestInProcessWorkerFails(t *testing.T) {
	g := embed(t, &taskmanager.InProcess{Worker: func(context.Context, net.Conn) error { return errors.New("no memory") }})
	g.startWorker(ids.NewJobID(), 1, [32]byte{}, 1)
	if exit := g.expectExit(); exit.GetExitCode() != 1 || exit.GetError() != "no memory" {
		t.Errorf("got %v", exit)
	}
}

func TestInProcessPlan(t *testing.T) {
	g := embed(t, &taskmanager.InProcess{
		Worker: serveWorker,
		Plan: func(_ context.Context, input *planv1.BuildInput) (*planv1.Plan, error) {
			if input.GetConfiguration()["fail"] != "" {
				return nil, errors.New("it was asked to fail")
			}
			p := graph("m")
			p.Recorded = input.GetRecorded()
			return p, nil
		},
	})
	want := graph("m")
	want.Recorded = map[string][]byte{"start": {1}}
	if done := g.plan(&tmv1.RunPlan{Recorded: want.GetRecorded()}); !proto.Equal(done.GetPlan(), want) || done.GetError() != "" {
		t.Errorf("got %v", done)
	}
	if done := g.plan(&tmv1.RunPlan{Configuration: map[string]string{"fail": "yes"}}); done.GetPlan() != nil || done.GetError() != "it was asked to fail" {
		t.Errorf("got %v", done)
	}
	if done := embed(t, &taskmanager.InProcess{Worker: serveWorker}).plan(&tmv1.RunPlan{}); done.GetPlan() != nil || !strings.Contains(done.GetError(), "does not plan") {
		t.Errorf("without a Plan function: got %v", done)
	}
}

// A JobManager in the same process is reached by a dialer.
func TestDialer(t *testing.T) {
	jm := &jobManager{connects: make(chan *gateway, 1), readers: goroutine.New(t.Context())}
	listener := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := grpc.NewServer(grpc.WaitForHandlers(true))
	tmv1.RegisterTaskManagerGatewayServer(server, jm)
	group := goroutine.New(t.Context())
	group.Go(func(context.Context) error { return server.Serve(listener) })
	t.Cleanup(func() {
		server.Stop()
		if err := errors.Join(group.Close(), jm.readers.Close()); err != nil {
			t.Error(err)
		}
	})
	config := configure("passthrough:///embedded", t.TempDir())
	config.Launcher = &taskmanager.InProcess{Worker: serveWorker}
	config.DialOptions = append(config.DialOptions, grpc.WithContextDialer(listener.dial))
	run(t, config)
	g := jm.accept(t)
	g.startWorker(ids.NewJobID(), 1, [32]byte{}, 1)
	g.expectReady()
}

// pipes connects by pipes.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) dial(ctx context.Context, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- ours:
		return theirs, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }
