package taskmanager

import (
	"context"
	"time"

	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
)

// outbox is what a session is still to say to the JobManager, in two lanes: a
// job that prints without end must not hold up states and heartbeats. Both
// lanes block when they are full, so that their writers wait for the
// JobManager.
//
// Each lane keeps its order. And what was put into urgent before something was
// put into bulk is sent before it: so a worker's last words, which close its
// output, come after everything else of it.
type outbox struct {
	urgent, bulk chan *tmv1.ConnectRequest
}

func newOutbox() *outbox {
	// bulk has at most 2 MiB of output.
	return &outbox{urgent: make(chan *tmv1.ConnectRequest, 1024), bulk: make(chan *tmv1.ConnectRequest, 2<<20/readSize)}
}

// put queues m in the lane, and reports whether it could before ctx was done.
func put(ctx context.Context, lane chan<- *tmv1.ConnectRequest, m *tmv1.ConnectRequest) bool {
	select {
	case lane <- m:
		return true
	case <-ctx.Done():
		return false
	}
}

// drain calls send for every message, and for a heartbeat at each tick, until
// ctx is done or send fails.
func (o *outbox) drain(ctx context.Context, beat <-chan time.Time, heartbeat func() *tmv1.ConnectRequest,
	send func(*tmv1.ConnectRequest) error,
) error {
	for {
		if err := o.drainUrgent(send); err != nil {
			return err
		}
		var err error
		select {
		case m := <-o.urgent:
			err = send(m)
		case <-beat:
			err = send(heartbeat())
		case m := <-o.bulk:
			if err = o.drainUrgent(send); err == nil {
				err = send(m)
			}
		case <-ctx.Done():
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// drainUrgent sends what the urgent lane has now.
func (o *outbox) drainUrgent(send func(*tmv1.ConnectRequest) error) error {
	for {
		select {
		case m := <-o.urgent:
			if err := send(m); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}
