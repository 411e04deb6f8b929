package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/weirstream/weir/internal/goroutine"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/shuffle"
	"github.com/weirstream/weir/task"
)

const (
	// metricsInterval is how often the figures of the tasks are reported.
	metricsInterval = time.Second
	// farewellTimeout is how long the TaskManager may take to hear that the
	// worker has stopped.
	farewellTimeout = 5 * time.Second
)

// session is the worker's side of an open session.
type session struct {
	config      Config
	stream      grpc.BidiStreamingClient[workerv1.SessionRequest, workerv1.SessionResponse]
	group       *goroutine.Group
	out         *outbox
	host        host
	taskManager string
	// scratch is the directory of snapshots; empty if there are none.
	scratch string
	// farewell says that Stopped was said.
	farewell atomic.Bool
}

// errOver ends the group of a session that has ended well.
var errOver = errors.New("the session is over")

// run serves the session to its end.
func (s *session) run() error {
	s.out.put(&workerv1.SessionRequest{Message: &workerv1.SessionRequest_Ready{Ready: &workerv1.Ready{DataAddress: s.host.DataAddress()}}})
	s.group.Go(s.receive)
	s.group.Go(s.send)
	<-s.group.Context().Done()
	err := context.Cause(s.group.Context())
	over := errors.Is(err, errOver)
	if !over && !s.config.SharedProcess {
		return err // W3: the process is about to exit, and with it the tasks.
	}
	closeErr := s.host.Close()
	if s.config.SharedProcess {
		_ = s.group.Wait() // It is what the cause says.
	}
	if over {
		return closeErr
	}
	return errors.Join(err, closeErr)
}

// sayFailed says why there is no host, and waits until that has arrived. That it
// cannot be said is no further error: then the process's end has to tell.
func (s *session) sayFailed(why error) {
	failed := &workerv1.Failed{Failure: failureToProto(why, time.Now())}
	err := s.say(&workerv1.SessionRequest{Message: &workerv1.SessionRequest_Failed{Failed: failed}})
	if err != nil || s.stream.CloseSend() != nil {
		return
	}
	timer := time.AfterFunc(farewellTimeout, s.group.Stop)
	defer timer.Stop()
	for err == nil { // Commands are of no use any more.
		_, err = s.stream.Recv()
	}
}

// receive obeys until the session ends.
func (s *session) receive(ctx context.Context) error {
	for {
		m, err := s.stream.Recv()
		switch {
		case err == nil:
			s.obey(m)
		case errors.Is(err, io.EOF) && s.farewell.Load():
			return errOver // The TaskManager has heard Stopped.
		case ctx.Err() != nil:
			return context.Cause(ctx)
		default:
			return brokenSession(err)
		}
	}
}

func (s *session) obey(m *workerv1.SessionResponse) {
	switch m := m.GetMessage().(type) {
	case *workerv1.SessionResponse_StartTasks:
		s.start(m.StartTasks)
	case *workerv1.SessionResponse_CancelTasks:
		s.host.Cancel()
	case *workerv1.SessionResponse_EnumerateSplits:
		s.group.Go(func(ctx context.Context) error {
			s.enumerate(ctx, int(m.EnumerateSplits.GetVertex()))
			return nil
		})
	case *workerv1.SessionResponse_AssignSplit:
		s.assign(m.AssignSplit)
	case *workerv1.SessionResponse_AlignSource:
		s.align(m.AlignSource)
	case *workerv1.SessionResponse_TriggerCheckpoint:
		s.host.Trigger(m.TriggerCheckpoint.GetCheckpoint(), m.TriggerCheckpoint.GetTimestampMs())
	case *workerv1.SessionResponse_AbortCheckpoint:
		s.host.Abort(m.AbortCheckpoint.GetCheckpoint(), m.AbortCheckpoint.GetEarlier())
	case *workerv1.SessionResponse_CompleteCheckpoint:
		s.host.Complete(m.CompleteCheckpoint.GetCheckpoint())
	case *workerv1.SessionResponse_FinishTasks:
		s.host.Finish()
	case *workerv1.SessionResponse_Shutdown:
		s.group.Go(s.shutDown)
	default:
		s.config.Logger.Warn("dropped a message of the TaskManager that this worker does not know", "message", fmt.Sprintf("%T", m))
	}
}

// start starts tasks. If they cannot be started, all of them have failed.
func (s *session) start(m *workerv1.StartTasks) {
	tasks := refs(m.GetTasks())
	err := s.host.Start(tasks, peers(m.GetPeers()), restored(m.GetRestored())...)
	if err == nil {
		return
	}
	var lost *shuffle.ConnectionError
	consequence := errors.As(err, &lost)
	for _, t := range tasks {
		e := task.Event{Vertex: t.Vertex, Subtask: t.Subtask, State: task.Failed, Err: err, Consequence: consequence}
		if errors.Is(err, task.ErrCanceled) {
			e.State, e.Err = task.Canceled, nil
		}
		s.event(e)
		// The others follow from the first.
		consequence = true
	}
}

// event passes on what happened to a task. It is called by the tasks.
func (s *session) event(e task.Event) { s.out.put(eventToProto(e, time.Now())) }

// enumerate lists the splits of a source.
func (s *session) enumerate(ctx context.Context, vertex int) {
	splits, bounded, err := s.host.EnumerateSplits(ctx, vertex)
	if ctx.Err() != nil {
		return // Nobody listens any more.
	}
	m := &workerv1.SplitsEnumerated{Vertex: uint32(vertex)}
	if err != nil {
		m.Failure = failureToProto(err, time.Now())
	} else {
		m.Bounded, m.Splits = bounded, splitsToProto(splits)
	}
	s.out.put(&workerv1.SessionRequest{Message: &workerv1.SessionRequest_Splits{Splits: m}})
}

// assign gives splits to a task. If it is not here, it cannot go on.
func (s *session) assign(m *workerv1.AssignSplit) {
	err := s.host.AssignSplits(int(m.GetVertex()), int(m.GetSubtask()), splitsFromProto(m.GetSplits()), m.GetNoMore())
	if err != nil {
		s.event(task.Event{
			Vertex: int(m.GetVertex()), Subtask: int(m.GetSubtask()), State: task.Failed,
			Err: fmt.Errorf("assign %d splits on TaskManager %s: %w", len(m.GetSplits()), s.taskManager, err),
		})
	}
}

// align tells a source how far it may read. One that is not here has no use for it.
func (s *session) align(m *workerv1.AlignSource) {
	if err := s.host.Align(int(m.GetVertex()), int(m.GetSubtask()), m.GetGroup(), m.GetLimitMs()); err != nil {
		s.config.Logger.Warn("the alignment of a source is of no use", "task_manager", s.taskManager, "error", err)
	}
}

// shutDown says Stopped once all tasks have ended, and sees to it that the
// session does not wait for ever for a TaskManager that does not listen.
func (s *session) shutDown(ctx context.Context) error {
	s.host.Wait()
	s.out.finish()
	timer := time.NewTimer(farewellTimeout)
	defer timer.Stop()
	select {
	case <-timer.C:
		return fmt.Errorf("the TaskManager did not hear within %v that the worker has stopped", farewellTimeout)
	case <-ctx.Done():
		return nil
	}
}

// send says what is to be said, and the figures of the tasks in between.
func (s *session) send(ctx context.Context) error {
	ticker := time.NewTicker(metricsInterval)
	defer ticker.Stop()
	for {
		m, more := s.out.next(ctx, ticker.C)
		switch {
		case ctx.Err() != nil:
			return nil
		case m == nil && more:
			m = s.figures()
		case !more:
			return s.sayFarewell()
		case ended(m):
			if err := s.say(s.figures()); err != nil {
				return err
			}
		}
		if err := s.say(m); err != nil {
			return err
		}
	}
}

// sayFarewell says the last figures and Stopped.
func (s *session) sayFarewell() error {
	if err := s.say(s.figures()); err != nil {
		return err
	}
	if err := s.say(&workerv1.SessionRequest{Message: &workerv1.SessionRequest_Stopped{Stopped: &workerv1.Stopped{}}}); err != nil {
		return err
	}
	s.farewell.Store(true)
	if err := s.stream.CloseSend(); err != nil {
		return brokenSession(err)
	}
	return nil
}

// figures reads the figures of the tasks. Only the goroutine that sends calls
// it, since rates are since the call before.
func (s *session) figures() *workerv1.SessionRequest { return metricsToProto(s.host.Metrics()) }

// say sends m; nil is nothing to say.
func (s *session) say(m *workerv1.SessionRequest) error {
	if m == nil {
		return nil
	}
	if err := s.stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
		return brokenSession(err)
	}
	return nil // After io.EOF it is receive that has the reason.
}
