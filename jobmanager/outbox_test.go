package jobmanager

import (
	"testing"

	"google.golang.org/protobuf/proto"

	tmv1 "github.com/weirstream/weir/proto/gen/weir/taskmanager/v1"
)

func beat(n uint64) *tmv1.ConnectResponse {
	return &tmv1.ConnectResponse{LeaderEpoch: n, SessionId: make([]byte, 100)}
}

func TestOutboxKeepsOrderAndBound(t *testing.T) {
	size := proto.Size(beat(1))
	o := newOutbox(3 * size)
	for i := range uint64(3) {
		if !o.put(beat(i + 1)) {
			t.Fatalf("no room for message %d", i)
		}
	}
	if o.put(beat(9)) {
		t.Error("there was room for one message too many")
	}
	<-o.ready
	select {
	case <-o.ready:
		t.Error("it is ready twice")
	default:
	}
	for i, m := range o.take() {
		if m.GetLeaderEpoch() != uint64(i+1) {
			t.Errorf("message %d is %d", i, m.GetLeaderEpoch())
		}
	}
	if !o.put(beat(4)) {
		t.Error("no room in an outbox that was emptied")
	}
	<-o.ready
	if m := o.take(); len(m) != 1 {
		t.Errorf("%d messages", len(m))
	}
}

func TestOutboxTakesOneLargeMessage(t *testing.T) {
	o := newOutbox(10)
	if !o.put(beat(1)) || o.put(beat(2)) {
		t.Error("a large message fits alone, and only alone")
	}
}
