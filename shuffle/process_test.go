package shuffle_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirstream/weir/shuffle"
)

// TestTwoProcesses exchanges buffers with another process.
func TestTwoProcesses(t *testing.T) {
	const n = 2000
	exchange(t, n, 8, 8, 2, 1000)
}

// TestPeerProcessKilled kills the other process: the sender finds out whom it
// lost.
func TestPeerProcessKilled(t *testing.T) {
	peer := startPeer(t, "sink", fmt.Sprintf("WEIR_SHUFFLE_TEST_SINK=%d 8 4", testSegment))
	fails := newFailures()
	cfg := endpointConfig(0, testSegment)
	cfg.OnFailure = fails.add
	w := newWorker(t, 10, cfg)
	p := w.partition(1, 0, 8, shuffle.Target{Worker: 1})
	inbox := shuffle.NewInbox()
	w.gate(inbox, 2, 0, 2, 1, shuffle.Source{Worker: 1})
	peer.say(t, w.endpoint.Addr().String())
	address := peer.line(t)
	if err := w.endpoint.Connect([]shuffle.Peer{{Worker: 1, Address: address}}); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		p.Send(0, request(t, p))
	}
	start := time.Now()
	if err := peer.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	wantConnectionError(t, requestFails(p), 1, address, "2 of its channels had not ended")
	if d := next(inbox); d.Event == nil || d.Event.Kind != shuffle.EventConnectionLost {
		t.Errorf("delivered %+v", d)
	}
	<-fails.some
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v to find out", took)
	}
	_ = peer.cmd.Wait() // it was killed
	w.close()
}
