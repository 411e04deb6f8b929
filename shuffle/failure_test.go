package shuffle_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/shuffle"
)

// failures collects what an endpoint reports.
type failures struct {
	mu   sync.Mutex
	errs []error
	some chan struct{}
}

func newFailures() *failures { return &failures{some: make(chan struct{}, 100)} }

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
	f.some <- struct{}{}
}

func (f *failures) all() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]error(nil), f.errs...)
}

// logBuffer is a log that a test reads.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// broken are two workers with a relay between them, the sender 0 and the
// receiver 1, and what each of them reports.
type broken struct {
	a, b           *testWorker
	aFails, bFails *failures
	relay          *relay
	partition      *shuffle.Partition
	inbox          *shuffle.Inbox
}

func newBroken(t *testing.T) *broken {
	t.Helper()
	x := &broken{aFails: newFailures(), bFails: newFailures()}
	cfg := endpointConfig(0, testSegment)
	cfg.OnFailure = x.aFails.add
	x.a = newWorker(t, 20, cfg)
	cfg = endpointConfig(1, testSegment)
	cfg.OnFailure = x.bFails.add
	x.b = newWorker(t, 20, cfg)
	x.relay = newRelay(t, x.b.endpoint.Addr().String())
	x.partition = x.a.partition(1, 0, 4, shuffle.Target{Worker: 1})
	x.inbox = shuffle.NewInbox()
	x.b.gate(x.inbox, 1, 0, 4, 2, shuffle.Source{Worker: 0})
	if err := x.a.endpoint.Connect([]shuffle.Peer{{Worker: 1, Address: x.relay.address()}}); err != nil {
		t.Fatal(err)
	}
	if err := x.b.endpoint.Connect([]shuffle.Peer{{Worker: 0, Address: x.a.endpoint.Addr().String()}}); err != nil {
		t.Fatal(err)
	}
	return x
}

// wantConnectionError checks that err names the worker and its address.
func wantConnectionError(t *testing.T, err error, worker int, address, reason string) {
	t.Helper()
	var lost *shuffle.ConnectionError
	if !errors.As(err, &lost) || lost.Worker != worker || lost.Address != address {
		t.Errorf("error %v, want a connection error for worker %d at %s", err, worker, address)
		return
	}
	if want := fmt.Sprintf("connection to worker %d at %s: ", worker, address); !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), reason) {
		t.Errorf("error %q, want %q and %q", err, want, reason)
	}
}

// requestFails requests buffers until that fails, and returns the error.
func requestFails(p *shuffle.Partition) error {
	for {
		b, err := p.Request(nil)
		if err != nil {
			return err
		}
		p.Send(0, b)
	}
}

// nextEvent polls past buffers.
func nextEvent(in *shuffle.Inbox) shuffle.Delivery {
	for {
		d := next(in)
		if d.Event != nil {
			return d
		}
		if d.Buffer != nil {
			d.Buffer.Recycle()
		}
	}
}

func TestConnectionLost(t *testing.T) {
	x := newBroken(t)
	b := request(t, x.partition)
	fill(b, 0, 0)
	x.partition.Send(0, b)
	d := next(x.inbox)
	d.Buffer.Recycle()
	x.relay.cut()

	wantConnectionError(t, requestFails(x.partition), 1, x.relay.address(), "1 of its channels had not ended")
	wantConnectionError(t, x.partition.Err(), 1, x.relay.address(), "")
	if !x.partition.Available() || x.partition.TryRequest() != nil {
		t.Error("a partition that failed must be available, so that its task finds out, and give no buffer")
	}
	if err := x.partition.Drain(nil); err == nil {
		t.Error("a partition that failed was drained")
	}
	d = nextEvent(x.inbox)
	if d.Event.Kind != shuffle.EventConnectionLost || d.Channel != -1 || d.Gate != 0 {
		t.Errorf("delivered %+v, want the loss of the connection", d)
	}
	wantConnectionError(t, d.Event.Err, 0, x.a.endpoint.Addr().String(), "1 of its channels had not ended")

	// What is sent now comes back, what is made now fails.
	<-x.aFails.some
	<-x.bFails.some
	_, err := x.a.endpoint.NewPartition(shuffle.PartitionConfig{Edge: 2, Pool: x.a.pool("late", 1), Channels: []shuffle.Target{{Worker: 1}}})
	wantConnectionError(t, err, 1, x.relay.address(), "partition of edge 2 subtask 0")
	_, err = x.b.endpoint.NewGate(shuffle.GateConfig{Edge: 2, Index: 1, Pool: x.b.pool("late", 1), Exclusive: 1, Inbox: x.inbox, Channels: []shuffle.Source{{Worker: 0}}})
	wantConnectionError(t, err, 0, x.a.endpoint.Addr().String(), "gate of edge 2 subtask 0")
	closeAll(t, x.a, x.b)
	for name, f := range map[string]*failures{"sender": x.aFails, "receiver": x.bFails} {
		if errs := f.all(); len(errs) != 1 {
			t.Errorf("the %s was told of %d failures, want 1: %v", name, len(errs), errs)
		}
	}
}

// TestConnectionLostOvertakesData delivers the loss ahead of what waits.
func TestConnectionLostOvertakesData(t *testing.T) {
	x := newBroken(t)
	f := newFence(x.a, x.b)
	for i := range uint64(2) {
		b := request(t, x.partition)
		fill(b, 0, i)
		x.partition.Send(0, b)
	}
	f.wait()
	x.relay.cut()
	<-x.bFails.some
	if d := nextEvent(f.inbox); d.Event.Kind != shuffle.EventConnectionLost {
		t.Errorf("delivered %+v to the other gate, want the loss of the connection", d)
	}
	if d := next(x.inbox); d.Event == nil || d.Event.Kind != shuffle.EventConnectionLost {
		t.Errorf("delivered %+v, want the loss of the connection", d)
	}
	closeAll(t, x.a, x.b)
}

// TestConnectionDamage flips one bit of what passes, at many places: it is
// found, named, and nothing that is wrong is delivered.
func TestConnectionDamage(t *testing.T) {
	for _, at := range []int64{0, 7, 8, 15, 17, 19, 24, 27, 28, 40, 44, 63, 64, 71, 500, 3000, 4031, 4032, 4100, 9999} {
		x := newBroken(t)
		f := newFence(x.a, x.b)
		f.wait() // the connection is up
		start := int64(-1)
		x.relay.setMangle(func(offset int64, data []byte) {
			if start < 0 {
				start = offset
			}
			if i := start + at - offset; i >= 0 && i < int64(len(data)) {
				data[i] ^= 1 << (at % 8)
			}
		})
		group := newGroup(t)
		group.start(func() {
			for i := uint64(0); ; i++ {
				b, err := x.partition.Request(nil)
				if err != nil {
					return
				}
				b.SetLen(copy(b.Payload(), bytes.Repeat([]byte{byte(i)}, b.Cap())))
				x.partition.Send(0, b)
			}
		})
		for i := byte(0); ; {
			d := next(x.inbox)
			if d.Event != nil {
				if d.Event.Kind != shuffle.EventConnectionLost || !strings.Contains(d.Event.Err.Error(), "checksum") {
					t.Errorf("bit flipped in byte %d: %+v, want an error about a checksum", at, d.Event)
				}
				break
			}
			if want := bytes.Repeat([]byte{i}, d.Buffer.Cap()); !bytes.Equal(d.Buffer.Bytes(), want) {
				t.Errorf("bit flipped in byte %d: buffer %d was delivered damaged", at, i)
			}
			i++
			d.Buffer.Recycle()
		}
		group.wait()
		closeAll(t, x.a, x.b)
	}
}

// TestConnectionEndsQuietly closes one endpoint when all channels have ended,
// and finds no failure at the other.
func TestConnectionEndsQuietly(t *testing.T) {
	for _, first := range []int{0, 1} {
		x := newBroken(t)
		x.partition.SendEvent(0, shuffle.Event{Kind: shuffle.EventEndOfInput})
		if err := x.partition.Drain(nil); err != nil {
			t.Fatal(err)
		}
		if d := next(x.inbox); d.Event == nil || d.Event.Kind != shuffle.EventEndOfInput {
			t.Fatalf("delivered %+v, want the end of input", d)
		}
		workers := []*testWorker{x.a, x.b}
		workers[first].close()
		if err := x.partition.Err(); err != nil && first != 0 {
			t.Errorf("the partition failed: %v", err)
		}
		if d, ok := x.inbox.Poll(); ok {
			t.Errorf("delivered %+v after the end", d)
		}
		workers[1-first].close()
		for _, f := range []*failures{x.aFails, x.bFails} {
			if errs := f.all(); len(errs) > 0 {
				t.Errorf("failures %v", errs)
			}
		}
	}
}

// TestConnectionClosedTooEarly closes the sender's endpoint before its channel
// has ended.
func TestConnectionClosedTooEarly(t *testing.T) {
	x := newBroken(t)
	f := newFence(x.a, x.b)
	f.wait()
	group := newGroup(t)
	group.start(func() {
		d := nextEvent(x.inbox)
		if d.Event.Kind != shuffle.EventConnectionLost {
			t.Errorf("delivered %+v, want the loss of the connection", d)
			return
		}
		wantConnectionError(t, d.Event.Err, 0, x.a.endpoint.Addr().String(), "the peer closed it (2 of its channels had not ended)")
	})
	if err := x.a.endpoint.Close(); err != nil {
		t.Fatal(err)
	}
	if err := requestFails(x.partition); !errors.Is(err, shuffle.ErrClosed) {
		t.Errorf("the closed endpoint's own partition failed with %v, want ErrClosed", err)
	}
	group.wait()
	if errs := x.aFails.all(); len(errs) != 0 {
		t.Errorf("the endpoint that was closed reports %v", errs)
	}
	closeAll(t, x.a, x.b)
}

// TestConnectRefused has peers that do not belong together: both sides say so.
func TestConnectRefused(t *testing.T) {
	tests := []struct {
		name              string
		change            func(*shuffle.EndpointConfig)
		dialler, listener string
	}{
		{"secret", func(c *shuffle.EndpointConfig) { c.Secret = bytes.Repeat([]byte{1}, 16) }, "the peer does not have this job's secret", "without this job's secret"},
		{"attempt", func(c *shuffle.EndpointConfig) { c.Attempt = 8 }, "it runs attempt 8 of the job, this worker attempt 7", "it runs attempt 7 of the job, this worker attempt 8"},
		{"executable", func(c *shuffle.EndpointConfig) { c.Executable = sha256.Sum256(nil) }, "it does not run the executable", "it runs the executable"},
		{"job", func(c *shuffle.EndpointConfig) { c.Job[0] = 9 }, "it does not belong to job 01020300", "it belongs to job 01020300"},
		{"worker", func(c *shuffle.EndpointConfig) { c.Worker = 2 }, "it is worker 2, worker 0 wanted worker 1", "it wants worker 1, this is worker 2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			fails := newFailures()
			cfg := endpointConfig(0, testSegment)
			cfg.OnFailure = fails.add
			a := newWorker(t, 4, cfg)
			p := a.partition(1, 0, 4, shuffle.Target{Worker: 1})
			var log logBuffer
			cfg = endpointConfig(1, testSegment)
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			// The listener's own error, in its log and in this, is in time
			// since the dialler is refused before.
			cfg.ConnectTimeout = 20 * time.Millisecond
			bFails := newFailures()
			cfg.OnFailure = bFails.add
			test.change(&cfg)
			b := newWorker(t, 4, cfg)
			address := b.endpoint.Addr().String()
			if err := a.endpoint.Connect([]shuffle.Peer{{Worker: 1, Address: address}}); err != nil {
				t.Fatal(err)
			}
			wantConnectionError(t, requestFails(p), 1, address, test.dialler)
			<-fails.some
			if err := b.endpoint.Connect([]shuffle.Peer{{Worker: 0, Address: a.endpoint.Addr().String()}}); err != nil {
				t.Fatal(err)
			}
			<-bFails.some
			wantConnectionError(t, bFails.all()[0], 0, a.endpoint.Addr().String(), "20ms")
			closeAll(t, a, b)
			if got := log.String(); !strings.Contains(got, "data connection refused") || !strings.Contains(got, test.listener) {
				t.Errorf("the listener's log says\n%s\nwant %q", got, test.listener)
			}
		})
	}
}

// TestConnectNobodyDials waits for a peer that does not come.
func TestConnectNobodyDials(t *testing.T) {
	cfg := endpointConfig(1, testSegment)
	cfg.ConnectTimeout = 10 * time.Millisecond
	w := newWorker(t, 4, cfg)
	inbox := shuffle.NewInbox()
	w.gate(inbox, 1, 0, 2, 1, shuffle.Source{Worker: 0})
	if err := w.endpoint.Connect([]shuffle.Peer{{Worker: 0, Address: "127.0.0.1:9"}}); err != nil {
		t.Fatal(err)
	}
	d := next(inbox)
	if d.Event == nil || d.Event.Kind != shuffle.EventConnectionLost {
		t.Fatalf("delivered %+v", d)
	}
	wantConnectionError(t, d.Event.Err, 0, "127.0.0.1:9", "the worker did not dial within 10ms")
	w.close()
}

// TestConnectNobodyListens dials an address that nobody listens on.
func TestConnectNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := endpointConfig(0, testSegment)
	cfg.ConnectTimeout = 100 * time.Millisecond
	w := newWorker(t, 4, cfg)
	p := w.partition(1, 0, 2, shuffle.Target{Worker: 1})
	if err := w.endpoint.Connect([]shuffle.Peer{{Worker: 1, Address: address}}); err != nil {
		t.Fatal(err)
	}
	wantConnectionError(t, requestFails(p), 1, address, "connection refused")
	w.close()
}

// TestListenerSurvivesGarbage has strangers talk to a listener, and say
// nothing to it, before and while a peer connects.
func TestListenerSurvivesGarbage(t *testing.T) {
	a := newWorker(t, 20, endpointConfig(0, testSegment))
	var log logBuffer
	cfg := endpointConfig(1, testSegment)
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	// More connections than handshakes at a time say nothing: the peer is let
	// in when these have had their time.
	cfg.HandshakeTimeout = 20 * time.Millisecond
	b := newWorker(t, 20, cfg)
	var strangers []net.Conn
	for i := range 100 {
		c, err := net.Dial("tcp", b.endpoint.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		strangers = append(strangers, c)
		if i%10 == 0 {
			_, _ = c.Write([]byte("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
		}
	}
	p := a.partition(1, 0, 4, shuffle.Target{Worker: 1})
	inbox := shuffle.NewInbox()
	sources := []shuffle.Source{{Worker: 0}}
	b.gate(inbox, 1, 0, 4, 2, sources...)
	connect(t, a, b)
	group := newGroup(t)
	group.start(func() { produce(t, p, 0, []shuffle.Target{{}}, 50) })
	consume(t, inbox, 0, sources, 50)
	group.wait()
	for _, c := range strangers {
		_ = c.Close()
	}
	closeAll(t, a, b)
	if got := log.String(); !strings.Contains(got, "does not speak the shuffle's protocol") || !strings.Contains(got, "i/o timeout") {
		t.Errorf("the log says\n%s", got)
	}
}

// TestSecondConnectionIsRefused has a second worker with the same index.
func TestSecondConnectionIsRefused(t *testing.T) {
	a, b, p, inbox := pair(t, 4, 4, 2)
	f := newFence(a, b)
	f.wait()
	double := newWorker(t, 4, endpointConfig(0, testSegment))
	q := double.partition(1, 0, 2, shuffle.Target{Worker: 1})
	if err := double.endpoint.Connect([]shuffle.Peer{{Worker: 1, Address: b.endpoint.Addr().String()}}); err != nil {
		t.Fatal(err)
	}
	wantConnectionError(t, requestFails(q), 1, b.endpoint.Addr().String(), "there is a connection between the two already")
	double.close()
	group := newGroup(t)
	group.start(func() { produce(t, p, 0, []shuffle.Target{{}}, 50) })
	consume(t, inbox, 0, []shuffle.Source{{}}, 50)
	group.wait()
	closeAll(t, a, b)
}

func TestConnectChecksPeers(t *testing.T) {
	w := newWorker(t, 1, endpointConfig(1, testSegment))
	for _, peers := range [][]shuffle.Peer{
		{{Worker: 1, Address: "127.0.0.1:1"}},
		{{Worker: -1, Address: "127.0.0.1:1"}},
		{{Worker: 2}},
		{{Worker: 2, Address: "127.0.0.1:1"}, {Worker: 2, Address: "127.0.0.1:2"}},
	} {
		if err := w.endpoint.Connect(peers); err == nil {
			t.Errorf("connected to %+v", peers)
		}
	}
	w.close()
	if err := w.endpoint.Connect([]shuffle.Peer{{Worker: 2, Address: "127.0.0.1:1"}}); !errors.Is(err, shuffle.ErrClosed) {
		t.Errorf("a closed endpoint connects with %v", err)
	}
	if _, err := w.endpoint.NewPartition(shuffle.PartitionConfig{Pool: w.pools0(t), Channels: []shuffle.Target{{}}}); !errors.Is(err, shuffle.ErrClosed) {
		t.Errorf("a closed endpoint made a partition: %v", err)
	}
}

// pools0 is a pool of an arena of its own.
func (w *testWorker) pools0(t *testing.T) *shuffle.Pool {
	t.Helper()
	return newPool(t, newArena(t, 1), "other", 1)
}

// TestConnectionLostGivesBuffersBack has buffers queued without credit when
// the connection is lost.
func TestConnectionLostGivesBuffersBack(t *testing.T) {
	x := newBroken(t)
	for range 4 + 4 { // as many as both pools have
		x.partition.Send(0, request(t, x.partition))
	}
	if x.partition.TryRequest() != nil {
		t.Fatal("one more buffer than both pools have")
	}
	x.relay.cut()
	<-x.aFails.some
	if out := x.a.pools[0].Out(); out != 0 {
		t.Errorf("%d buffers are out after the connection was lost", out)
	}
	closeAll(t, x.a, x.b)
}

// TestConnectionLostWakesTheTask has a task wait for buffers that do not come
// back because of the loss: it holds them itself.
func TestConnectionLostWakesTheTask(t *testing.T) {
	x := newBroken(t)
	f := newFence(x.a, x.b)
	f.wait()
	var held []*shuffle.Buffer
	for range 4 {
		held = append(held, request(t, x.partition))
	}
	if x.partition.Available() {
		t.Fatal("a fifth buffer of four")
	}
	group := newGroup(t)
	group.start(x.relay.cut)
	<-x.partition.Ready()
	_, err := x.partition.Request(nil)
	wantConnectionError(t, err, 1, x.relay.address(), "")
	for _, b := range held {
		x.partition.Send(0, b) // gives them back
	}
	group.wait()
	closeAll(t, x.a, x.b)
}

// TestConnectionWithClosedChannelsEndsQuietly cancels both tasks, so that no
// channel ever ends, before the endpoints are closed.
func TestConnectionWithClosedChannelsEndsQuietly(t *testing.T) {
	x := newBroken(t)
	f := newFence(x.a, x.b)
	f.wait()
	x.partition.Send(0, request(t, x.partition))
	x.a.closeTasks()
	x.b.closeTasks()
	x.a.close()
	x.b.close()
	for _, fails := range []*failures{x.aFails, x.bFails} {
		if errs := fails.all(); len(errs) > 0 {
			t.Errorf("failures %v", errs)
		}
	}
}
