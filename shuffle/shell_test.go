package shuffle

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/goroutine"
)

// TestInboxKnowsItsGates delivers for a gate whose place another has taken, as
// a sender may that was under way when the gate was closed.
func TestInboxKnowsItsGates(t *testing.T) {
	in := NewInbox()
	old, young := &Gate{inbox: in}, &Gate{inbox: in}
	if err := in.register(old, 0, 1); err != nil {
		t.Fatal(err)
	}
	in.remove(0)
	if err := in.register(young, 0, 1); err != nil {
		t.Fatal(err)
	}
	arena, err := NewArena(1, minSegmentSize)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := arena.NewPool("pool", 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := pool.request()
	if err != nil {
		t.Fatal(err)
	}
	old.deliver(Delivery{Buffer: b})
	if out := pool.Out(); out != 0 || in.Len() != 0 {
		t.Errorf("%d deliveries for another gate, %d buffers out", in.Len(), out)
	}
}

// TestInboxPriorityWhileTheTaskGoesIdle pushes an event with priority between
// the two looks of a Poll, at the lane and at the queue. The task is not idle
// yet, so nobody wakes it: the second look has to see the event.
func TestInboxPriorityWhileTheTaskGoesIdle(t *testing.T) {
	in := NewInbox()
	gate := &Gate{inbox: in}
	if err := in.register(gate, 0, 2); err != nil {
		t.Fatal(err)
	}
	if _, ok := in.pollLane(); ok {
		t.Fatal("a new inbox has something")
	}
	gate.deliver(Delivery{Channel: -1, Watermark: NoWatermark, Event: &Event{Kind: EventConnectionLost}})
	if !in.refill() || in.idle.Load() {
		t.Error("the task goes to sleep with an event in its lane")
	}
	if d, ok := in.Poll(); !ok || d.Event.Kind != EventConnectionLost {
		t.Errorf("polled %+v", d)
	}

	// What must wait for the end of a run keeps no task awake.
	in.mu.gates[0].running[1] = true
	gate.deliver(Delivery{Channel: 1, Watermark: NoWatermark, Event: &Event{Kind: EventBarrier, Priority: true}})
	if _, ok := in.Poll(); ok || !in.idle.Load() {
		t.Error("an event cut a run, or kept the task awake")
	}
}

// TestLocalChannelBoundsWatermarks sends watermarks to a gate that is not
// there yet.
func TestLocalChannelBoundsWatermarks(t *testing.T) {
	l := &localChannel{}
	for i := range int64(100) {
		l.send(Delivery{Watermark: i})
	}
	if n := l.mu.waiting.len(); n != 1 || l.mu.waiting.front().Watermark != 99 {
		t.Errorf("%d watermarks wait, the first is %d: want 99 alone", n, l.mu.waiting.front().Watermark)
	}
	l.send(Delivery{Event: &Event{Kind: EventBarrier}, Watermark: NoWatermark})
	l.send(Delivery{Watermark: 200})
	l.send(Delivery{Watermark: 150})
	if n := l.mu.waiting.len(); n != 3 || l.mu.waiting.back().Watermark != 200 {
		t.Errorf("%d deliveries wait, the last with %d: want three and 200", n, l.mu.waiting.back().Watermark)
	}
}

// TestGateListsAChannelOnce recycles many buffers while no connection takes
// the credit.
func TestGateListsAChannelOnce(t *testing.T) {
	w := newReceivingWorker(t)
	c := w.gate.remote[0].connection
	for c.mu.credits.len() > 0 {
		in := c.mu.credits.pop()
		if n := w.gate.takeCredit(in); n != 2 {
			t.Fatalf("credit of %d at first, want 2", n)
		}
	}
	in := w.gate.remote[0]
	for range 2 {
		b, err := w.gate.accept(in, 0)
		if err != nil {
			t.Fatal(err)
		}
		b.Recycle()
	}
	if n := c.mu.credits.len(); n != 1 {
		t.Errorf("a channel with credit is listed %d times", n)
	}
	if n := w.gate.takeCredit(in); n != 2 {
		t.Errorf("credit of %d for two buffers", n)
	}
	w.close(t)
}

// TestWriterPieces compares what is written with the frames one by one.
func TestWriterPieces(t *testing.T) {
	w := newReceivingWorker(t)
	arena, err := NewArena(3, protocolSegment)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := arena.NewPool("pool", 3)
	if err != nil {
		t.Fatal(err)
	}
	ch := &outChannel{key: channelKey{1, 2, 3}}
	fw := newFrameWriter(nil)
	fw.credits = append(fw.credits, w.gate.remote...)
	var want []byte
	for _, in := range w.gate.remote {
		want = append(want, sealed(header{kind: frameCredit, channel: in.key, backlog: 2, watermark: NoWatermark}, nil)...)
	}
	next := func(it item) *header {
		n := uint32(len(fw.items))
		fw.items = append(fw.items, outgoing{item: it, channel: ch, sequence: n})
		return &header{channel: ch.key, sequence: n, watermark: it.watermark}
	}
	for _, kind := range "bwwebbew" {
		switch kind {
		case 'b':
			b, err := pool.request()
			if err != nil {
				t.Fatal(err)
			}
			b.SetLen(100)
			h := next(item{buffer: b})
			h.kind, h.watermark = frameData, NoWatermark
			want = append(want, sealed(*h, bytes.Clone(b.Bytes()))...)
		case 'w':
			h := next(item{watermark: 5})
			h.kind = frameWatermark
			want = append(want, sealed(*h, nil)...)
		case 'e':
			e := &Event{Kind: EventBarrier, Priority: true}
			h := next(item{event: e})
			h.kind, h.flags = frameEvent, flagPriority
			want = append(want, sealed(*h, appendEvent(nil, e))...)
		}
	}
	fw.encode()
	if got := bytes.Join(fw.pieces, nil); !bytes.Equal(got, want) {
		t.Errorf("pieces\n%x\nwant\n%x", got, want)
	}
	if len(fw.pieces) != 8 {
		t.Errorf("%d pieces, want 8: the credits and two watermarks are one each", len(fw.pieces))
	}
	if got := fw.traffic; got.Frames != 10 || got.Bytes != uint64(len(want)) || got.Buffers != 3 {
		t.Errorf("counted %+v for 10 frames with %d bytes", got, len(want))
	}
	recycleAll(fw.buffers)
	w.close(t)
}

// TestCloseDoesNotWaitForAPeer closes an endpoint whose peer does nothing.
func TestCloseDoesNotWaitForAPeer(t *testing.T) {
	w := newReceivingWorker(t)
	w.endpoint.linger = time.Millisecond
	s := newStranger(t, w.endpoint)
	s.next()
	s.next()
	w.close(t)
	_ = s.stream.Close()
}

// TestPeerLostWhileAccepted loses a peer between its proof and the answer.
func TestPeerLostWhileAccepted(t *testing.T) {
	w := newReceivingWorker(t)
	a, b := net.Pipe()
	group := goroutine.New(t.Context())
	group.Go(func(ctx context.Context) error {
		w.endpoint.welcome(ctx, b)
		return nil
	})
	own := w.endpoint.identity()
	own.peer, own.worker = own.worker, 0
	var nonce [nonceSize]byte
	hello := helloMessage(&own, &nonce)
	if _, err := a.Write(hello); err != nil {
		t.Fatal(err)
	}
	raw, _, err := readMessage(a, messageChallenge)
	if err != nil {
		t.Fatal(err)
	}
	answer := proof(handshakeSecret, sideDialler, hello, raw[handshakePrefix:handshakePrefix+nonceSize])
	if _, err := a.Write(appendMessage(nil, messageProof, 0, answer)); err != nil {
		t.Fatal(err)
	}
	_ = a.Close()
	if d := w.next(); d.Event == nil || d.Event.Kind != EventConnectionLost {
		t.Errorf("delivered %+v, want the loss of the connection", d)
	}
	_ = group.Wait()
	w.close(t)
}

// deadlines records the deadlines that are set on a stream.
type deadlines struct {
	net.Conn
	set []time.Time
}

func (d *deadlines) SetDeadline(at time.Time) error {
	d.set = append(d.set, at)
	return nil
}

func TestHandshakeClearsItsDeadline(t *testing.T) {
	e := &Endpoint{cfg: EndpointConfig{HandshakeTimeout: time.Minute}}
	var d deadlines
	before := time.Now()
	if err := e.shake(t.Context(), &d, func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if len(d.set) != 2 || d.set[0].Sub(before) < time.Minute || !d.set[1].IsZero() {
		t.Errorf("deadlines %v, want one in a minute and then none", d.set)
	}
}
