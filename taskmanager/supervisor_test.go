package taskmanager

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/launch"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

// openSupervisor serves v on a pipe, and returns a client of it.
func openSupervisor(t *testing.T, v *supervisor) workerv1.WorkerSupervisorClient {
	t.Helper()
	ours, theirs := net.Pipe()
	server := newSupervisorServer(v)
	group := goroutine.New(t.Context())
	group.Go(func(context.Context) error { return server.Serve(listenOne(ours)) })
	client, err := grpc.NewClient("passthrough:///session", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return theirs, nil }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Stop()
		if err := group.Close(); err != nil {
			t.Errorf("the supervisor's server: %v", err)
		}
	})
	return workerv1.NewWorkerSupervisorClient(client)
}

func newTestSupervisor() *supervisor {
	v := newSupervisor(&workerv1.Welcome{Plan: &planv1.Plan{Fingerprint: []byte("print")}}, "9.9.9")
	v.onHello = func(*workerv1.Hello) {}
	v.relay = func(*workerv1.SessionRequest) {}
	return v
}

func hello() *workerv1.SessionRequest {
	return &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Hello{Hello: &workerv1.Hello{
		ProtocolVersion: launch.Protocol, Plan: &planv1.Plan{Fingerprint: []byte("print")},
	}}}
}

func stopped() *workerv1.SessionRequest {
	return &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Stopped{Stopped: &workerv1.Stopped{}}}
}

func TestSessionMustOpenWithHello(t *testing.T) {
	for name, first := range map[string]*workerv1.SessionRequest{"another message": stopped(), "an empty message": {}} {
		t.Run(name, func(t *testing.T) {
			v := newTestSupervisor()
			stream, err := openSupervisor(t, v).Session(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_ = stream.Send(first) // Recv has the error.
			if m, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
				t.Errorf("got %v, %v", m, err)
			}
			<-v.ended
			if v.broke() == nil {
				t.Error("it is not known how the session broke")
			}
		})
	}
}

func TestSecondHello(t *testing.T) {
	v := newTestSupervisor()
	client := openSupervisor(t, v)
	stream, err := client.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Send(hello())
	if m, err := stream.Recv(); err != nil || m.GetWelcome() == nil {
		t.Fatalf("got %v, %v", m, err)
	}
	second, err := client.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m, err := second.Recv(); status.Code(err) != codes.AlreadyExists {
		t.Errorf("a second session: got %v, %v", m, err)
	}
	_ = stream.Send(hello())
	if m, err := stream.Recv(); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a second hello: got %v, %v", m, err)
	}
}

// What the worker says is passed on in order; messages of a kind that this build
// does not know are not. Commands from before the session's opening are not lost.
func TestRelay(t *testing.T) {
	v := newTestSupervisor()
	for i := range 3 {
		v.commands.put(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_EnumerateSplits{
			EnumerateSplits: &workerv1.EnumerateSplits{Vertex: uint32(i)},
		}})
	}
	var relayed []uint32
	v.relay = func(m *workerv1.SessionRequest) { relayed = append(relayed, m.GetSplitRequest().GetVertex()) }
	stream, err := openSupervisor(t, v).Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.Send(hello())
	_ = stream.Send(&workerv1.SessionRequest{})
	for i := range 100 {
		_ = stream.Send(&workerv1.SessionRequest{Message: &workerv1.SessionRequest_SplitRequest{SplitRequest: &workerv1.SplitRequest{Vertex: uint32(i)}}})
	}
	if m, err := stream.Recv(); err != nil || m.GetWelcome() == nil {
		t.Fatalf("got %v, %v", m, err)
	}
	for i := range 3 {
		if m, err := stream.Recv(); err != nil || m.GetEnumerateSplits().GetVertex() != uint32(i) {
			t.Errorf("command %d: got %v, %v", i, m, err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: got %v, %v", m, err)
	}
	var want []uint32
	for i := range uint32(100) {
		want = append(want, i)
	}
	if !slices.Equal(relayed, want) {
		t.Errorf("passed on %v", relayed)
	}
	if v.broke() != nil {
		t.Errorf("the session broke: %v", v.broke())
	}
}

func TestCommandsAreBounded(t *testing.T) {
	q := newCommandQueue()
	for range maxCommands {
		if !q.put(&workerv1.SessionResponse{}) {
			t.Fatal("it is full too early")
		}
	}
	if q.put(&workerv1.SessionResponse{}) {
		t.Error("it has no bound")
	}
}

// A plan that cannot be compared is not the submitted one.
func TestUnreadablePlanOfWorker(t *testing.T) {
	v := newTestSupervisor()
	for _, plan := range []*planv1.Plan{nil, {}, {FormatVersion: 99, Fingerprint: []byte("other")}} {
		got := v.examine(&workerv1.Hello{ProtocolVersion: launch.Protocol, Plan: plan})
		if !strings.Contains(got, "is not the one that was submitted") {
			t.Errorf("%v: got %q", plan, got)
		}
	}
}
