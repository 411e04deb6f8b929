package jobmanager_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	clientv1 "github.com/weirstream/weir/proto/gen/weir/client/v1"
	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
)

// watching is what a client sees of a job.
type watching struct {
	stream grpc.ServerStreamingClient[clientv1.WatchJobResponse]
	t      *testing.T
}

func (c *cluster) watch(id string, fromStart bool) *watching {
	c.t.Helper()
	stream, err := c.client.WatchJob(context.Background(), &clientv1.WatchJobRequest{JobId: id, OutputFromStart: fromStart})
	if err != nil {
		c.t.Fatal(err)
	}
	return &watching{stream: stream, t: c.t}
}

func (w *watching) next() *clientv1.WatchJobResponse {
	w.t.Helper()
	m, err := w.stream.Recv()
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *watching) state() string {
	w.t.Helper()
	m := w.next()
	if m.GetJob() == nil {
		w.t.Fatalf("saw %v", m)
	}
	return strings.TrimPrefix(m.GetJob().GetSummary().GetState().String(), "JOB_STATE_")
}

func (w *watching) output() string {
	w.t.Helper()
	m := w.next()
	if m.GetOutput() == nil {
		w.t.Fatalf("saw %v", m)
	}
	return string(m.GetOutput().GetData())
}

func (w *watching) end() {
	w.t.Helper()
	if m, err := w.stream.Recv(); !errors.Is(err, io.EOF) {
		w.t.Errorf("the watch goes on: %v, %v", m, err)
	}
}

// TestWatch sees a job from its beginning to its end, in order.
func TestWatch(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id := c.run(tm, submission{})
		start := startWorker(tm)
		w := c.watch(id, false)
		if s := w.state(); s != "CREATED" {
			t.Errorf("saw %s", s)
		}
		tm.output(start, false, "hello\n")
		m := w.next().GetOutput()
		if string(m.GetData()) != "hello\n" || m.GetStandardError() || m.GetTaskManager() != "tm-1" || m.GetDropped() != 0 {
			t.Errorf("saw %v", m)
		}
		tm.output(start, true, "oh\n")
		if m := w.next().GetOutput(); string(m.GetData()) != "oh\n" || !m.GetStandardError() {
			t.Errorf("saw %v", m)
		}
		tm.ready(start)
		command(tm, (*workerv1.SessionResponse).GetStartTasks)
		if s := w.state(); s != "RUNNING" {
			t.Errorf("saw %s", s)
		}
		// What is printed last comes before the end.
		tm.output(start, true, "panic: boom\n")
		tm.exited(start, &tmv1.WorkerExited{ExitCode: 2})
		if got := w.output(); got != "panic: boom\n" {
			t.Errorf("saw %q", got)
		}
		if s := w.state(); s != "FAILED" {
			t.Errorf("saw %s", s)
		}
		w.end()

		// Later there is the end, and what was printed.
		w = c.watch(id, true)
		if s := w.state(); s != "FAILED" {
			t.Errorf("saw %s", s)
		}
		if got := w.output() + w.output(); got != "hello\noh\npanic: boom\n" {
			t.Errorf("saw %q", got)
		}
		w.end()
		w = c.watch(id, false)
		if s := w.state(); s != "FAILED" {
			t.Errorf("saw %s", s)
		}
		w.end()
	})
}

func (tm *taskManager) measure(start *tmv1.StartWorker, records uint64) {
	tm.worker(start, &workerv1.SessionRequest{Message: &workerv1.SessionRequest_Metrics{Metrics: &workerv1.MetricsReport{
		Tasks: []*workerv1.TaskMetrics{{Vertex: 1, RecordsIn: records}},
	}}})
}

// TestWatchIsPaced reports figures and states more often than a watcher is told.
func TestWatchIsPaced(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id, start := c.running(tm)
		synctest.Wait()
		w := c.watch(id, false)
		w.state()
		begin := time.Now()
		synctest.Wait()
		// Ten reports a second.
		c.group.Go(func(context.Context) error {
			for i := range 50 {
				<-time.After(100 * time.Millisecond)
				tm.measure(start, uint64(i))
			}
			return nil
		})
		for i := range 4 {
			records := w.next().GetJob().GetVertices()[1].GetSubtasks()[0].GetMetrics().GetRecordsIn()
			if d := time.Since(begin); d != time.Duration(i+1)*time.Second || records < uint64(i*10+8) {
				t.Errorf("figures of %d records after %s", records, d)
			}
		}
		pass(time.Hour)
	})
}

// TestSlowWatcher lets a job print much more than is kept for somebody who does
// not read.
func TestSlowWatcher(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id, start := c.running(tm)
		w := c.watch(id, true)
		w.state()
		const lines, length = 10_000, 1 << 10
		line := strings.Repeat("x", length-1) + "\n"
		for range lines {
			tm.output(start, false, line)
		}
		tm.exited(start, &tmv1.WorkerExited{ExitCode: 1})
		synctest.Wait()
		var got, dropped uint64
		over := false
		for {
			m, err := w.stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if over {
				t.Errorf("after the end there is %v", m)
			}
			over = m.GetJob().GetSummary().GetState() == clientv1.JobState_JOB_STATE_FAILED
			got += uint64(len(m.GetOutput().GetData()))
			dropped += m.GetOutput().GetDropped()
		}
		if !over {
			t.Error("the end was not shown")
		}
		if got+dropped != lines*length || dropped < 5<<20 || got < 1<<20 {
			t.Errorf("got %d and missed %d of %d bytes", got, dropped, lines*length)
		}
	})
}

func TestOutputFromStartIsBounded(t *testing.T) {
	inCluster(t, nil, func(c *cluster) {
		t := c.t
		tm := c.taskManager("tm-1", 2)
		id, start := c.running(tm)
		for range 3 << 10 {
			tm.output(start, false, strings.Repeat("x", 1<<10))
		}
		tm.exited(start, &tmv1.WorkerExited{ExitCode: 1})
		synctest.Wait()
		w := c.watch(id, true)
		w.state()
		m := w.next().GetOutput()
		if m.GetDropped() < 2<<20 || m.GetDropped() > 2<<20+64<<10 {
			t.Errorf("%d bytes are missing, want about 2 MiB", m.GetDropped())
		}
	})
}
