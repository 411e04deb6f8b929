package jobmanager

import (
	"sync"

	"google.golang.org/protobuf/proto"

	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
)

// outboxLimit bounds what waits to be sent to one TaskManager, in bytes. What
// is sent is small but for a job's plan, which goes out with each worker.
const outboxLimit = 256 << 20

// outbox has the messages that wait to be sent to one TaskManager, in order.
// put never blocks; a TaskManager that does not read what it is sent is found
// by the outbox that is full.
type outbox struct {
	// ready gets a value when there is something to take.
	ready chan struct{}
	limit int

	mu struct {
		sync.Mutex
		messages []*tmv1.ConnectResponse
		bytes    int
	}
}

func newOutbox(limit int) *outbox { return &outbox{ready: make(chan struct{}, 1), limit: limit} }

// put adds a message and reports whether there was room for it. A single
// message always has.
func (o *outbox) put(m *tmv1.ConnectResponse) bool {
	size := proto.Size(m)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.mu.bytes > 0 && o.mu.bytes+size > o.limit {
		return false
	}
	o.mu.bytes += size
	o.mu.messages = append(o.mu.messages, m)
	select {
	case o.ready <- struct{}{}:
	default:
	}
	return true
}

// take removes all messages and returns them.
func (o *outbox) take() []*tmv1.ConnectResponse {
	o.mu.Lock()
	defer o.mu.Unlock()
	messages := o.mu.messages
	o.mu.messages, o.mu.bytes = nil, 0
	return messages
}
