package jobmanager_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/weirstream/weir/internal/security"
	"github.com/weirstream/weir/jobmanager"
	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
)

// fetch reads an artefact as a TaskManager does.
func (c *cluster) fetch(digest []byte) (content []byte, size uint64, err error) {
	stream, err := c.gateway.FetchArtefact(context.Background(), &tmv1.FetchArtefactRequest{Sha256: digest})
	if err != nil {
		return nil, 0, err
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return content, size, nil
		}
		if err != nil {
			return content, size, err
		}
		if len(m.GetChunk()) > 1<<20 {
			c.t.Errorf("a part of %d bytes", len(m.GetChunk()))
		}
		size += m.GetSize()
		content = append(content, m.GetChunk()...)
	}
}

func TestArtefactsTravel(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		for _, padding := range []int{0, 1<<20 - len(linuxExecutable), 1 << 20, 5<<20 + 1} {
			executable := append(bytes.Clone(linuxExecutable), make([]byte, padding)...)
			digest := sha256.Sum256(executable)
			ctx, cancel := context.WithCancel(t.Context())
			answer := c.start(ctx, submission{executable: executable})
			run := hear(tm, (*tmv1.ConnectResponse).GetRunPlan)
			if !bytes.Equal(run.GetSha256(), digest[:]) {
				t.Errorf("main of %x is to be run, want %x", run.GetSha256(), digest)
			}
			got, size, err := c.fetch(run.GetSha256())
			if err != nil || !bytes.Equal(got, executable) || size != uint64(len(executable)) {
				t.Errorf("fetched %d bytes of %d, %v, want %d", len(got), size, err, len(executable))
			}
			cancel()
			if !(<-answer).wanted {
				t.Error("an executable that nobody has sent was not wanted")
			}
			hear(tm, (*tmv1.ConnectResponse).GetStopPlan)
		}
	})
}

func TestKnownArtefactsAreNotSentAgain(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 4)
		c.run(tm, submission{})
		startWorker(tm)
		answer := c.start(t.Context(), submission{})
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		if got := <-answer; got.err != nil || got.wanted {
			t.Errorf("answer %+v", got)
		}
		refused(t, c.submit(submission{size: 9}), codes.InvalidArgument, "9 bytes", "has 73")
	})
}

// TestDamagedArtefactIsSentAgain has the client repair what has happened to the
// stored file, also for a job that holds it.
func TestDamagedArtefactIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var directory string
		c := newCluster(t, nil, func(jc *jobmanager.Config) { directory = jc.WorkingDirectory })
		tm := c.taskManager("tm-1", 4)
		c.run(tm, submission{})
		startWorker(tm)
		digest := sha256.Sum256(linuxExecutable)
		path := filepath.Join(directory, "artefacts", hex.EncodeToString(digest[:]))
		if err := os.WriteFile(path, []byte("something else"), 0o600); err != nil {
			t.Fatal(err)
		}
		answer := c.start(t.Context(), submission{})
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		tm.plan(&tmv1.PlanDone{Plan: flightsPlan()})
		if got := <-answer; got.err != nil || !got.wanted {
			t.Errorf("answer %+v", got)
		}
		if got, _, err := c.fetch(digest[:]); err != nil || !bytes.Equal(got, linuxExecutable) {
			t.Errorf("fetched %q, %v", got, err)
		}
		if n := c.jm.ArtefactHolds(digest); n != 2 {
			t.Errorf("%d jobs hold the executable, want 2", n)
		}
	})
}

// TestArtefactsAreReleased counts who holds an executable while jobs with it
// come and go.
func TestArtefactsAreReleased(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		digest := sha256.Sum256(linuxExecutable)
		holds := func(want int, when string) {
			t.Helper()
			synctest.Wait()
			if n := c.jm.ArtefactHolds(digest); n != want {
				t.Errorf("%d hold the executable %s, want %d", n, when, want)
			}
		}
		tm := c.taskManager("tm-1", 2)
		answer := c.start(t.Context(), submission{})
		hear(tm, (*tmv1.ConnectResponse).GetRunPlan)
		holds(1, "while a job is planned")
		again := c.start(t.Context(), submission{})
		tm.plan(&tmv1.PlanDone{Error: "main exited with code 2", ExitCode: 2})
		<-again
		holds(1, "when another was refused")
		refused(t, c.submit(submission{size: 9}), codes.InvalidArgument)
		holds(1, "when a third was not what was announced")
		for _, j := range c.list() {
			if j.GetState() != clientv1.JobState_JOB_STATE_INITIALIZING {
				continue
			}
			if err := c.cancel(j.GetJobId()); err != nil {
				t.Fatal(err)
			}
		}
		<-answer
		hear(tm, (*tmv1.ConnectResponse).GetStopPlan)
		holds(0, "when all are over")

		_, start := c.running(tm)
		holds(1, "while a job runs")
		tm.exited(start, &tmv1.WorkerExited{ExitCode: 1})
		holds(0, "when it has failed")

		arm := elfFile(elf.ET_EXEC, elf.EM_AARCH64)
		refused(t, c.submit(submission{executable: arm}), codes.InvalidArgument)
		if n := c.jm.ArtefactHolds(sha256.Sum256(arm)); n != 0 {
			t.Errorf("%d hold an executable that was refused", n)
		}
	})
}

func TestUnknownArtefacts(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		for digest, code := range map[string]codes.Code{
			string(make([]byte, 32)): codes.NotFound, "": codes.InvalidArgument, "short": codes.InvalidArgument,
		} {
			if _, _, err := c.fetch([]byte(digest)); status.Code(err) != code {
				t.Errorf("%q: %v", digest, err)
			}
		}
	})
}

// TestEveryCallNeedsTheCredential tries each method of both services.
func TestEveryCallNeedsTheCredential(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	credential, err := security.NewCredential(secret)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, nil, func(jc *jobmanager.Config) {
			jc.ServerOptions = security.ServerOptions(credential, nil, slog.New(slog.DiscardHandler))
		})
		call := func(ctx context.Context, service grpc.ServiceDesc, method string) error {
			stream, err := c.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+service.ServiceName+"/"+method)
			if err != nil {
				return err
			}
			_ = stream.SendMsg(&clientv1.ListJobsRequest{})
			_ = stream.CloseSend()
			return stream.RecvMsg(&clientv1.ListJobsResponse{})
		}
		n := 0
		for _, service := range []grpc.ServiceDesc{clientv1.JobManager_ServiceDesc, tmv1.TaskManagerGateway_ServiceDesc} {
			var methods []string
			for _, m := range service.Methods {
				methods = append(methods, m.MethodName)
			}
			for _, s := range service.Streams {
				methods = append(methods, s.StreamName)
			}
			for _, method := range methods {
				n++
				if err := call(t.Context(), service, method); status.Code(err) != codes.Unauthenticated {
					t.Errorf("%s without a credential: %v", method, err)
				}
				wrong := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+secret[1:]+"x")
				if err := call(wrong, service, method); status.Code(err) != codes.Unauthenticated {
					t.Errorf("%s with a wrong credential: %v", method, err)
				}
				right := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+secret)
				if err := call(right, service, method); status.Code(err) == codes.Unauthenticated {
					t.Errorf("%s with the credential: %v", method, err)
				}
			}
		}
		if n != 9 {
			t.Errorf("%d methods", n)
		}
	})
}

func TestTwoJobManagersInOneDirectory(t *testing.T) {
	config := jobmanager.Config{WorkingDirectory: t.TempDir(), Log: slog.New(slog.DiscardHandler)}
	first, err := jobmanager.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jobmanager.New(config); err == nil || !strings.Contains(err.Error(), "another JobManager") {
		t.Errorf("a second one: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := jobmanager.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestListenerThatFails(t *testing.T) {
	m, err := jobmanager.New(jobmanager.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	broken, good := bufconn.Listen(1), bufconn.Listen(1)
	if err := broken.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Serve(t.Context(), good, broken); err == nil || !strings.Contains(err.Error(), "serve on bufconn") {
		t.Errorf("served: %v", err)
	}
}

// A JobManager that is told to stop before it has begun to serve stops like
// any other: without an error, and with its listeners closed.
func TestStopBeforeServing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // Which of the two comes first is up to the Go scheduler.
		m, err := jobmanager.New(jobmanager.Config{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		l := bufconn.Listen(1)
		if err := m.Serve(ctx, l); err != nil {
			t.Fatalf("served: %v", err)
		}
		if _, err := l.Accept(); err == nil {
			t.Fatal("the listener is open")
		}
	}
}
