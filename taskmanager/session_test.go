package taskmanager_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/launch"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	"github.com/weirstream/weir/taskmanager"
)

func TestRegister(t *testing.T) {
	jm := newJobManager(t)
	config := configure(jm.address, t.TempDir())
	config.ID = "tm-1"
	config.Host = "tm1.example"
	run(t, config)
	got := jm.accept(t).register
	if got.GetId() != "tm-1" || got.GetHost() != "tm1.example" || got.GetSlots() != 2 || got.GetVersion() != "9.9.9" ||
		got.GetNetworkMemoryPerSlot() != testMemory || got.GetSegmentSize() != 32<<10 || got.GetPlatform() != runtime.GOOS+"/"+runtime.GOARCH ||
		got.GetWorkerProtocolMin() != launch.OldestProtocol || got.GetWorkerProtocolMax() != launch.Protocol {
		t.Errorf("got %v", got)
	}
}

func TestGeneratedID(t *testing.T) {
	config := configure("127.0.0.1:1", t.TempDir())
	a, err := taskmanager.New(config)
	if err != nil {
		t.Fatal(err)
	}
	b, err := taskmanager.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if a.ID() == b.ID() || !strings.HasPrefix(string(a.ID()), "127.0.0.1:") {
		t.Errorf("got the ids %q and %q", a.ID(), b.ID())
	}
}

func TestBadConfig(t *testing.T) {
	_, err := taskmanager.New(taskmanager.Config{Slots: 0, SegmentSize: 32 << 10, NetworkMemoryPerSlot: 1 << 10})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"taskmanager.bind-host is empty", "taskmanager.host is empty", "jobmanager.rpc.address is empty",
		"taskmanager.numberOfTaskSlots is 0", "1024 bytes: it must hold at least one segment of 32768 bytes", "no launcher",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

func TestHeartbeats(t *testing.T) {
	jm := newJobManager(t)
	run(t, configure(jm.address, t.TempDir()))
	g := jm.acceptWith(t, time.Millisecond, patience)
	for want := uint64(1); want <= 3; want++ {
		select {
		case m := <-g.said:
			if got := m.GetHeartbeat().GetSequence(); got != want {
				t.Errorf("got heartbeat %d of %v: want %d", got, m, want)
			}
		case <-time.After(patience):
			t.Fatal("no heartbeat")
		}
	}
}

// T1: when the stream breaks, the workers are killed before the TaskManager
// registers again with all of its slots.
func TestBrokenStream(t *testing.T) {
	jm := newJobManager(t)
	run(t, configure(jm.address, t.TempDir()))
	digest := jm.offerTestBinary()
	for _, hangUp := range []error{nil, status.Error(codes.Aborted, "a new leader")} {
		g := jm.accept(t)
		g.startWorker(ids.NewJobID(), 1, digest, 2, "spin")
		hello, _ := g.expectReady()
		g.hangUp <- hangUp
		again := jm.accept(t)
		assertGone(t, int(hello.GetPid()))
		if again.register.GetSlots() != 2 {
			t.Errorf("registered with %v", again.register)
		}
		again.hangUp <- nil
	}
}

func TestSilentJobManager(t *testing.T) {
	jm := newJobManager(t)
	run(t, configure(jm.address, t.TempDir()))
	g := jm.acceptWith(t, time.Second, 10*time.Millisecond)
	select {
	case <-g.closed:
	case <-time.After(patience):
		t.Fatal("the session goes on although the JobManager is silent")
	}
	jm.accept(t)
}

// T6: a message with other marks changes nothing.
func TestFencing(t *testing.T) {
	g, digest, _ := cluster(t)
	job := ids.NewJobID()
	g.startWorker(job, 2, digest, 1, "work")
	g.expectReady()
	kill := func(session []byte, epoch uint64, attempt uint32) {
		g.sendRaw(&tmv1.ConnectResponse{
			SessionId: session, LeaderEpoch: epoch,
			Message: &tmv1.ConnectResponse_KillWorker{KillWorker: &tmv1.KillWorker{JobId: job[:], Attempt: attempt, Reason: "stale"}},
		})
	}
	other := ids.NewSessionID()
	kill(other[:], g.epoch, 2)
	kill(nil, g.epoch, 2)
	kill(g.session[:], g.epoch-1, 2)
	kill(g.session[:], g.epoch+1, 2)
	kill(g.session[:], g.epoch, 1)
	kill(g.session[:], g.epoch, 3)
	// An older attempt, and the same again, are not started.
	g.startWorker(job, 1, digest, 1, "work")
	g.startWorker(job, 2, digest, 1, "work")
	// Messages that make no sense are dropped, too.
	g.send(&tmv1.ConnectResponse{})
	g.send(&tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_KillWorker{KillWorker: &tmv1.KillWorker{JobId: []byte("short")}}})
	g.send(&tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_StartWorker{StartWorker: &tmv1.StartWorker{}}})
	g.send(&tmv1.ConnectResponse{Message: &tmv1.ConnectResponse_StopPlan{StopPlan: &tmv1.StopPlan{PlanId: "unknown"}}})

	g.shutdown(job, 2)
	for range 2 {
		if m := expect(g, (*tmv1.ConnectRequest).GetWorkerMessage); m.GetAttempt() != 2 {
			t.Errorf("got %v", m)
		}
	}
	if exit := g.expectExit(); exit.GetExitCode() != 0 || exit.GetAttempt() != 2 {
		t.Errorf("got %v", exit)
	}
}

func TestRefusedRegistration(t *testing.T) {
	jm := newJobManager(t)
	jm.mu.refuse = status.Error(codes.Unauthenticated, "the credential is wrong")
	config := configure(jm.address, t.TempDir())
	config.Registration = taskmanager.RegistrationConfig{InitialTimeout: patience, RefusedDelay: time.Millisecond, Timeout: 30 * time.Millisecond}
	tm, err := taskmanager.New(config)
	if err != nil {
		t.Fatal(err)
	}
	err = tm.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "within taskmanager.registration.timeout (30ms): the credential is wrong") {
		t.Errorf("got %v", err)
	}
	if err := tm.Run(t.Context()); err == nil {
		t.Error("it can be run twice")
	}
}

// A JobManager that accepts the stream but never answers is asked again, with
// more patience each time.
func TestUnansweredRegistration(t *testing.T) {
	jm := newJobManager(t)
	config := configure(jm.address, t.TempDir())
	config.Registration = taskmanager.RegistrationConfig{InitialTimeout: 10 * time.Millisecond, Timeout: patience}
	run(t, config)
	first := <-jm.connects
	<-first.closed
	<-jm.connects
}

func TestNobodyListens(t *testing.T) {
	config := configure("127.0.0.1:1", t.TempDir())
	config.Registration = taskmanager.RegistrationConfig{InitialTimeout: time.Millisecond, MaxTimeout: time.Second, ErrorDelay: 2 * time.Millisecond, Timeout: 20 * time.Millisecond}
	tm, err := taskmanager.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := tm.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "could not register with the JobManager at 127.0.0.1:1") {
		t.Errorf("got %v", err)
	}
}

// Run ends with its context, and everything that ran with it.
func TestStop(t *testing.T) {
	jm := newJobManager(t)
	stop := run(t, configure(jm.address, t.TempDir()))
	digest := jm.offerTestBinary()
	g := jm.accept(t)
	g.startWorker(ids.NewJobID(), 1, digest, 1, "spin")
	hello, _ := g.expectReady()
	if err := stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	assertGone(t, int(hello.GetPid()))
}

func TestWorkingDirectoryIsTaken(t *testing.T) {
	jm := newJobManager(t)
	base := t.TempDir()
	run(t, configure(jm.address, base))
	jm.accept(t)
	second, err := taskmanager.New(configure(jm.address, base))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another TaskManager uses it") {
		t.Errorf("got %v", err)
	}
}

// assertGone fails if there is still a process with this id. It was reaped by
// its TaskManager, so the id is free.
func assertGone(t *testing.T, pid int) {
	t.Helper()
	if err := signalZero(pid); err == nil {
		t.Errorf("process %d is still there", pid)
	} else if !errors.Is(err, errNoProcess) {
		t.Errorf("process %d: %v", pid, err)
	}
}
