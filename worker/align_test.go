package worker

import (
	"errors"
	"fmt"
	"math"
	"testing"

	workerv1 "github.com/weirstream/weir/proto/gen/weir/worker/v1"
	"github.com/weirstream/weir/task"
)

// TestAlignment: what a source reports goes to the JobManager, whose answer goes to
// the source; one that is for nobody ends nothing.
func TestAlignment(t *testing.T) {
	h := &fakeHost{running: make(chan struct{})}
	h.start = func(h *fakeHost, _ []task.Ref, _ []task.Peer) error {
		h.config.Events(task.Event{Vertex: 3, Subtask: 2, State: task.Running, Alignment: &task.AlignmentReport{
			Group: "g", Watermark: math.MinInt64, MaxDrift: 500,
		}})
		return nil
	}
	answers := make(chan string, 2)
	h.align = func(vertex, subtask int, group string, limit int64) error {
		answers <- fmt.Sprintf("%d %d %s %d", vertex, subtask, group, limit)
		if subtask == 7 {
			return errors.New("there is no such task")
		}
		close(h.running)
		return nil
	}
	var said []*workerv1.SessionRequest
	serveErr, playErr := playSession(t, h, false, func(p *peer) error {
		err := errors.Join(p.welcome(testWelcome()), p.tell(startTasks))
		for _, subtask := range []uint32{7, 2} {
			err = errors.Join(err, p.tell(&workerv1.SessionResponse{Message: &workerv1.SessionResponse_AlignSource{AlignSource: &workerv1.AlignSource{
				Vertex: 3, Subtask: subtask, Group: "g", LimitMs: -1,
			}}}))
		}
		said, err = p.restAfter(errors.Join(err, p.shutdown()))
		return err
	})
	if serveErr != nil || playErr != nil {
		t.Errorf("Serve returned %v, the TaskManager %v", serveErr, playErr)
	}
	wantKinds(t, said, "watermark", "stopped")
	want := &workerv1.WatermarkReported{Vertex: 3, Subtask: 2, Group: "g", WatermarkMs: math.MinInt64, MaxDriftMs: 500}
	if got := said[0].GetWatermark(); got.String() != want.String() {
		t.Errorf("the report is %v, want %v", got, want)
	}
	for _, want := range []string{"3 7 g -1", "3 2 g -1"} {
		if got := <-answers; got != want {
			t.Errorf("the host got %q, want %q", got, want)
		}
	}
}
