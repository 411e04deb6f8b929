package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/launch"
	planv1 "github.com/weirstream/weir/proto/gen/weir/plan/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/shuffle"
	"github.com/weirstream/weir/task"
)

// The whole life of a worker: its last words are in order, figures come every
// second and before a task's last state, and Serve returns nil.
func TestLife(t *testing.T) {
	h := &fakeHost{running: make(chan struct{})}
	records := uint64(0)
	h.metrics = func() []task.Metrics {
		return []task.Metrics{{Vertex: 0, Subtask: 1, RecordsOut: records, Watermark: 77, Busy: 300, Idle: 700, RecordsInRemote: 5}}
	}
	h.start = func(h *fakeHost, tasks []task.Ref, peers []task.Peer) error {
		if want := []task.Ref{{Vertex: 0, Subtask: 1, Slot: 4}, {Vertex: 1, Subtask: 1, Slot: 4}}; !reflect.DeepEqual(tasks, want) {
			t.Errorf("start: got the tasks %v, want %v", tasks, want)
		}
		want := []task.Peer{{Worker: 1, Address: "other:1234", TaskManager: "tm-2", Tasks: []task.Ref{{Vertex: 1, Subtask: 0, Slot: 3}}}}
		if !reflect.DeepEqual(peers, want) {
			t.Errorf("start: got the peers %v, want %v", peers, want)
		}
		h.config.Events(task.Event{Vertex: 0, Subtask: 1, State: task.Running})
		return nil
	}
	h.assign = func(h *fakeHost, vertex, subtask int, splits []task.Split, noMore bool) error {
		if vertex != 0 || subtask != 1 || len(splits) != 1 || splits[0].ID != "file" || string(splits[0].Data) != "data" || !noMore {
			t.Errorf("assigned %v to vertex %d subtask %d, no more: %t", splits, vertex, subtask, noMore)
		}
		records = 42
		h.config.Events(task.Event{Vertex: 0, Subtask: 1, State: task.Finished})
		close(h.running)
		return nil
	}
	var said []*workerv1.SessionRequest
	serveErr, playErr := playSession(t, h, false, func(p *peer) error {
		if err := p.welcome(testWelcome()); err != nil {
			return err
		}
		if err := p.tell(startTasks); err != nil {
			return err
		}
		after(2500 * time.Millisecond)
		err := p.tell(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_AssignSplit{AssignSplit: &workerv1.AssignSplit{
			Vertex: 0, Subtask: 1, NoMore: true, Splits: []*workerv1.Split{{Id: "file", Data: []byte("data")}},
		}}})
		if err != nil {
			return err
		}
		if err := p.shutdown(); err != nil {
			return err
		}
		said, err = p.rest()
		return err
	})
	if serveErr != nil || playErr != nil {
		t.Errorf("Serve returned %v, the TaskManager %v", serveErr, playErr)
	}
	wantKinds(t, said, "RUNNING", "metrics", "metrics", "metrics", "FINISHED", "metrics", "stopped")
	want := &workerv1.TaskMetrics{Subtask: 1, RecordsOut: 42, WatermarkMs: 77, BusyMsPerSecond: 300, IdleMsPerSecond: 700, RecordsInRemote: 5}
	if got := said[3].GetMetrics().GetTasks()[0]; got.String() != want.String() {
		t.Errorf("figures before the last state: got %v, want %v", got, want)
	}
	if h.closed() != 1 {
		t.Errorf("the host was closed %d times", h.closed())
	}
}

func TestHello(t *testing.T) {
	var hello *workerv1.Hello
	serveErr, _ := playSession(t, &fakeHost{}, false, func(p *peer) error {
		m, err := p.Recv()
		hello = m.GetHello()
		return errors.Join(err, p.tell(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_Refused{Refused: &workerv1.Refused{Reason: "you are too old"}}}))
	})
	if serveErr == nil || serveErr.Error() != "the TaskManager refused the worker: you are too old" {
		t.Errorf("Serve returned %v", serveErr)
	}
	if hello.GetProtocolVersion() != launch.Protocol || hello.GetEngineVersion() != "1.2.3" || hello.GetPid() != int64(os.Getpid()) {
		t.Errorf("got %v", hello)
	}
	want := testGraph().Layout().Plan
	if got, err := dataflow.FromProto(hello.GetPlan()); err != nil || got.Fingerprint != want.Fingerprint {
		t.Errorf("the plan in Hello: %v, %v", got, err)
	}
}

func TestHostIsConfigured(t *testing.T) {
	memory := filepath.Join(t.TempDir(), "memory")
	if err := os.WriteFile(memory, make([]byte, 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(memory, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	inherited := duplicate(t, file)
	welcome := testWelcome()
	welcome.DataBindAddress = "127.0.0.1:0"
	welcome.Executable = make([]byte, 32)
	welcome.Executable[31] = 9
	welcome.Slots = append(welcome.Slots, &workerv1.Slot{Index: 5, MemoryFd: int32(inherited), MemorySize: 1 << 16})
	welcome.Configuration = map[string]string{
		"execution.buffer-timeout.interval": "-1", "pipeline.auto-watermark-interval": "50 ms", "pipeline.pre-aggregation.enabled": "false",
		"taskmanager.memory.segment-size": "16 kb", "taskmanager.network.memory.buffers-per-channel": "3",
		"a.key.of.a.later.version": "unread",
	}
	h := &fakeHost{}
	serveErr, playErr := playSession(t, h, false, func(p *peer) error {
		return errors.Join(p.welcome(welcome), p.shutdown(), func() error { _, err := p.rest(); return err }())
	})
	if serveErr != nil || playErr != nil {
		t.Fatalf("Serve returned %v, the TaskManager %v", serveErr, playErr)
	}
	c := h.config
	if c.Job != (ids.JobID{1, 2, 3}) || c.Attempt != 5 || c.Worker != 2 || string(c.Secret) != "secret" || c.Executable[31] != 9 ||
		c.DataBindAddress != "127.0.0.1:0" || c.DataHost != "here" || c.DefaultParallelism != 2 || c.TaskManager != "tm-1" || c.TLS != nil {
		t.Errorf("got %+v", c)
	}
	if c.Plan.Fingerprint != testGraph().Layout().Plan.Fingerprint {
		t.Errorf("got the plan %v", c.Plan)
	}
	s := c.Settings
	if s.BufferTimeout != dataflow.NoTimeout || s.WatermarkInterval != 50*time.Millisecond || s.PreAggregation ||
		s.Network.SegmentSize != 16<<10 || s.Network.BuffersPerChannel != 3 {
		t.Errorf("got the settings %+v", s)
	}
	if len(c.Slots) != 2 || c.Slots[0] != (task.Slot{Index: 4, Size: 1 << 20}) || c.Slots[1].Index != 5 || c.Slots[1].Size != 1<<16 {
		t.Fatalf("got the slots %+v", c.Slots)
	}
	if _, err := c.Slots[1].Memory.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file of a slot's memory stays open: %v", err)
	}
}

// A worker without a host says why, and that is what its process ends with.
func TestHostFails(t *testing.T) {
	want := "prepare worker 2 of the job on TaskManager tm-1: bind: address already in use"
	for name, listens := range map[string]bool{"a TaskManager that listens": true, "one that does not": false} {
		t.Run(name, func(t *testing.T) {
			var said []*workerv1.SessionRequest
			serveErr, playErr := playSession(t, &fakeHost{fails: errors.New("bind: address already in use")}, true, func(p *peer) error {
				hello, err := p.Recv()
				if err != nil {
					return err
				}
				w := testWelcome()
				w.Plan = hello.GetHello().GetPlan()
				if err := p.tell(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_Welcome{Welcome: w}}); err != nil {
					return err
				}
				if !listens {
					start := time.Now()
					<-p.Context().Done()
					if took := time.Since(start); took != farewellTimeout {
						t.Errorf("the worker waited for %v: want %v", took, farewellTimeout)
					}
					return nil
				}
				said, err = p.restAfter(p.tell(cancelTasks)) // It comes too late to be of use.
				return err
			})
			if serveErr == nil || serveErr.Error() != want || playErr != nil {
				t.Errorf("Serve returned %v, the TaskManager %v", serveErr, playErr)
			}
			if listens {
				wantKinds(t, said, "failed: "+want)
				if ms := said[0].GetFailed().GetFailure().GetTimeMs(); ms != 946684800000 {
					t.Errorf("it failed at %d", ms)
				}
			}
		})
	}
}

// What does not make sense in Welcome ends the worker with the reason.
func TestBadWelcome(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*workerv1.Welcome)
		want  string
	}{
		"job id":     {func(w *workerv1.Welcome) { w.JobId = w.JobId[:3] }, "the job id has 3 bytes"},
		"executable": {func(w *workerv1.Welcome) { w.Executable = []byte{1} }, "the executable's SHA-256 has 1 bytes"},
		"plan":       {func(w *workerv1.Welcome) { w.Plan = &planv1.Plan{FormatVersion: 99} }, "format version 99"},
		"configuration": {func(w *workerv1.Welcome) {
			w.Configuration = map[string]string{"pipeline.pre-aggregation.enabled": "perhaps"}
		}, "perhaps"},
		"certificate": {func(w *workerv1.Welcome) { w.DataCertificate = []byte("no PEM") }, "the certificate of the job's data connections"},
		"memory":      {func(w *workerv1.Welcome) { w.Slots[0].MemoryFd = 1 << 20 }, "network memory of slot 4"},
	} {
		t.Run(name, func(t *testing.T) {
			var said []*workerv1.SessionRequest
			serveErr, _ := playSession(t, &fakeHost{}, false, func(p *peer) error {
				hello, err := p.Recv()
				if err != nil {
					return err
				}
				w := testWelcome()
				w.Plan = hello.GetHello().GetPlan()
				test.spoil(w)
				if err := p.tell(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_Welcome{Welcome: w}}); err != nil {
					return err
				}
				said, err = p.rest()
				return err
			})
			if serveErr == nil || !strings.Contains(serveErr.Error(), test.want) {
				t.Fatalf("Serve returned %v: want %q", serveErr, test.want)
			}
			wantKinds(t, said, "failed: "+serveErr.Error())
		})
	}
}

func TestSplits(t *testing.T) {
	for name, test := range map[string]struct {
		splits  []task.Split
		bounded bool
		err     error
		want    *workerv1.SplitsEnumerated
	}{
		"some":     {[]task.Split{{ID: "a", Data: []byte{1}}, {ID: "\xff.csv"}}, true, nil, &workerv1.SplitsEnumerated{Vertex: 3, Bounded: true, Splits: []*workerv1.Split{{Id: "a", Data: []byte{1}}, {Id: `\xff.csv`}}}},
		"none":     {nil, false, nil, &workerv1.SplitsEnumerated{Vertex: 3}},
		"an error": {nil, true, errors.New("no such file: \xfe"), &workerv1.SplitsEnumerated{Vertex: 3, Failure: &workerv1.Failure{Message: `no such file: \xfe`, TimeMs: 946684800000}}},
		"a panic":  {nil, true, &task.PanicError{Value: "oops", Stack: []byte("the stack")}, &workerv1.SplitsEnumerated{Vertex: 3, Failure: &workerv1.Failure{Message: "panic: oops", Stack: "the stack", TimeMs: 946684800000}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &fakeHost{enumerate: func(_ context.Context, vertex int) ([]task.Split, bool, error) {
				if vertex != 3 {
					t.Errorf("vertex %d: want 3", vertex)
				}
				return test.splits, test.bounded, test.err
			}}
			var got *workerv1.SessionRequest
			serveErr, playErr := playSession(t, h, false, func(p *peer) error {
				err := errors.Join(p.welcome(testWelcome()), p.tell(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_EnumerateSplits{
					EnumerateSplits: &workerv1.EnumerateSplits{Vertex: 3},
				}}))
				if err != nil {
					return err
				}
				if got, err = p.Recv(); err != nil {
					return err
				}
				_, err = p.restAfter(p.shutdown())
				return err
			})
			if serveErr != nil || playErr != nil {
				t.Errorf("Serve returned %v, the TaskManager %v", serveErr, playErr)
			}
			if got.GetSplits().String() != test.want.String() {
				t.Errorf("got %v, want %v", got.GetSplits(), test.want)
			}
		})
	}
}

// Tasks that could not be started have failed, one of them for the reason.
func TestStartFails(t *testing.T) {
	for name, test := range map[string]struct {
		err         error
		state       workerv1.TaskState
		consequence bool
		message     string
	}{
		"an error":          {errors.New("not enough buffers"), workerv1.TaskState_TASK_STATE_FAILED, false, "not enough buffers"},
		"a lost connection": {fmt.Errorf("start: %w", &shuffle.ConnectionError{Worker: 1, Err: errors.New("refused")}), workerv1.TaskState_TASK_STATE_FAILED, true, "start: connection to worker 1: refused"},
		"cancelled before":  {task.ErrCanceled, workerv1.TaskState_TASK_STATE_CANCELED, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := &fakeHost{start: func(*fakeHost, []task.Ref, []task.Peer) error { return test.err }}
			var said []*workerv1.SessionRequest
			_, playErr := playSession(t, h, false, func(p *peer) error {
				err := errors.Join(p.welcome(testWelcome()), p.tell(startTasks))
				if err != nil {
					return err
				}
				said, err = p.restAfter(p.shutdown())
				return err
			})
			if playErr != nil {
				t.Fatal(playErr)
			}
			if len(said) != 3 {
				t.Fatalf("the worker said %q", kinds(said))
			}
			for i, m := range said[:2] {
				got := m.GetTaskState()
				if got.GetState() != test.state || got.GetVertex() != uint32(i) || got.GetFailure().GetMessage() != test.message {
					t.Errorf("got %v", got)
				}
			}
			if got := said[0].GetTaskState().GetConsequence(); got != test.consequence {
				t.Errorf("the first: consequence %t, want %t", got, test.consequence)
			}
			if !said[1].GetTaskState().GetConsequence() {
				t.Error("the second is no consequence")
			}
		})
	}
}

func TestEvents(t *testing.T) {
	h := &fakeHost{start: func(h *fakeHost, _ []task.Ref, _ []task.Peer) error {
		h.config.Events(task.Event{Vertex: 0, Subtask: 1, WantsSplit: true})
		h.config.Events(task.Event{Vertex: 0, Subtask: 1, State: task.Canceling})
		h.config.Events(task.Event{Vertex: 0, Subtask: 1, State: task.Failed, Err: &task.PanicError{Value: "oops", Stack: []byte("stack")}, Consequence: true})
		return nil
	}}
	var said []*workerv1.SessionRequest
	_, playErr := playSession(t, h, false, func(p *peer) error {
		err := errors.Join(p.welcome(testWelcome()), p.tell(startTasks))
		if err != nil {
			return err
		}
		said, err = p.restAfter(p.shutdown())
		return err
	})
	if playErr != nil {
		t.Fatal(playErr)
	}
	wantKinds(t, said, "split request", "CANCELING", "FAILED", "stopped")
	if got := said[0].GetSplitRequest(); got.GetVertex() != 0 || got.GetSubtask() != 1 {
		t.Errorf("got %v", got)
	}
	if got := said[2].GetTaskState(); got.GetFailure().GetMessage() != "panic: oops" || got.GetFailure().GetStack() != "stack" || !got.GetConsequence() {
		t.Errorf("got %v", got)
	}
}

// Cancelling asks the tasks; the worker stays until it is told to shut down.
func TestCancel(t *testing.T) {
	h := &fakeHost{running: make(chan struct{})}
	h.cancel = func(h *fakeHost) {
		select {
		case <-h.running:
		default:
			h.config.Events(task.Event{Vertex: 0, Subtask: 1, State: task.Canceled})
			close(h.running)
		}
	}
	serveErr, playErr := playSession(t, h, false, func(p *peer) error {
		if err := errors.Join(p.welcome(testWelcome()), p.tell(startTasks), p.tell(cancelTasks)); err != nil {
			return err
		}
		m, err := p.Recv()
		if err != nil {
			return err
		}
		wantKinds(t, []*workerv1.SessionRequest{m}, "CANCELED")
		after(time.Hour)
		said, err := p.restAfter(p.shutdown())
		wantKinds(t, said, "stopped")
		return err
	})
	if serveErr != nil || playErr != nil {
		t.Errorf("Serve returned %v, the TaskManager %v", serveErr, playErr)
	}
}

// W3: Serve returns at once when the session breaks, although the tasks run on.
func TestSessionBreaks(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"ended":  {nil, "the TaskManager ended the session"},
		"failed": {status.Error(codes.Internal, "out of order"), "the session with the TaskManager broke: out of order"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &fakeHost{running: make(chan struct{})}
				start := time.Now()
				serveErr, playErr := playInBubble(t.Context(), h, false, func(p *peer) error {
					if err := errors.Join(p.welcome(testWelcome()), p.tell(startTasks)); err != nil {
						return err
					}
					return test.err
				})
				if test.err == nil && playErr != nil {
					t.Errorf("the TaskManager failed: %v", playErr)
				}
				if serveErr == nil || serveErr.Error() != test.want {
					t.Errorf("Serve returned %v: want %q", serveErr, test.want)
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("it took %v", took)
				}
				if h.closed() != 0 {
					t.Error("it waited for the host")
				}
				close(h.running)
			})
		})
	}
}

// W3: in a shared process Serve returns when nothing runs any more.
func TestSessionBreaksInSharedProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{running: make(chan struct{})}
		start := time.Now()
		h.cancel = func(h *fakeHost) {
			after(time.Minute) // That is how long the user code takes.
			close(h.running)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		serveErr, _ := playInBubble(ctx, h, true, func(p *peer) error {
			err := errors.Join(p.welcome(testWelcome()), p.tell(startTasks))
			synctest.Wait()
			cancel(errors.New("the TaskManager kills the worker"))
			<-p.Context().Done()
			return err
		})
		if serveErr == nil || !strings.Contains(serveErr.Error(), "the TaskManager kills the worker") {
			t.Errorf("Serve returned %v", serveErr)
		}
		if took := time.Since(start); took != time.Minute || h.closed() != 1 {
			t.Errorf("it took %v, and the host was closed %d times", took, h.closed())
		}
	})
}

func TestTaskManagerDoesNotListen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		serveErr, _ := playInBubble(t.Context(), &fakeHost{}, false, func(p *peer) error {
			err := errors.Join(p.welcome(testWelcome()), p.shutdown())
			<-p.Context().Done()
			return err
		})
		if serveErr == nil || !strings.Contains(serveErr.Error(), "did not hear within 5s") {
			t.Errorf("Serve returned %v", serveErr)
		}
		if took := time.Since(start); took != farewellTimeout {
			t.Errorf("it took %v", took)
		}
	})
}

// A TaskManager that was stopped closes nothing; the worker is not to outlive it.
func TestTaskManagerHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &fakeHost{running: make(chan struct{})}
		start := time.Now()
		serveErr, _ := playInBubble(t.Context(), h, false, func(p *peer) error {
			err := errors.Join(p.welcome(testWelcome()), p.tell(startTasks))
			p.conn.hung.Store(true)
			<-p.Context().Done()
			return err
		})
		if serveErr == nil || !strings.Contains(serveErr.Error(), "the session with the TaskManager broke") {
			t.Errorf("Serve returned %v", serveErr)
		}
		if took, want := time.Since(start), launch.KeepaliveInterval+launch.KeepaliveTimeout; took < want || took > want+launch.KeepaliveInterval {
			t.Errorf("it took %v, want %v", took, want)
		}
		close(h.running)
	})
}

func TestNobodyThere(t *testing.T) {
	ours, theirs := net.Pipe()
	ours.Close()
	if err := Serve(t.Context(), theirs, Config{Graph: testGraph()}); err == nil || !strings.Contains(err.Error(), "the session with the TaskManager broke") {
		t.Errorf("got %v", err)
	}
}
