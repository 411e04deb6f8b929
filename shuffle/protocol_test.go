package shuffle

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/ids"
)

// stranger is a peer of a real endpoint that knows the secret, says what a
// test wants, and reads frames.
type stranger struct {
	t      *testing.T
	stream net.Conn
	frames *frameReader
}

const protocolSegment = 4096

func protocolConfig(worker int) EndpointConfig {
	return EndpointConfig{Job: ids.JobID{1}, Attempt: 1, Worker: worker, Secret: handshakeSecret, Listen: "127.0.0.1:0", SegmentSize: protocolSegment}
}

// newStranger is worker 0, connected to the endpoint.
func newStranger(t *testing.T, e *Endpoint) *stranger {
	t.Helper()
	stream, err := net.Dial("tcp", e.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	own := e.identity()
	own.peer, own.worker = own.worker, 0
	if err := dialHandshake(stream, handshakeSecret, own); err != nil {
		t.Fatal(err)
	}
	return &stranger{t: t, stream: stream, frames: newFrameReader(stream)}
}

func (s *stranger) send(frames ...[]byte) {
	s.t.Helper()
	if _, err := s.stream.Write(bytes.Join(frames, nil)); err != nil {
		s.t.Fatal(err)
	}
}

// next reads a frame.
func (s *stranger) next() (header, []byte) {
	s.t.Helper()
	raw, err := s.frames.header()
	if err != nil {
		s.t.Fatal(err)
	}
	h, sum, err := openFrame(raw, protocolSegment)
	if err != nil {
		s.t.Fatal(err)
	}
	payload := make([]byte, int(h.length)+SlackSize)
	if err := s.frames.payload(payload, int(h.length)); err != nil {
		s.t.Fatal(err)
	}
	payload = payload[:h.length]
	if err := checkPayload(&h, payload, sum); err != nil {
		s.t.Fatal(err)
	}
	return h, payload
}

// receivingWorker is worker 1 with a gate for two channels from worker 0.
type receivingWorker struct {
	endpoint *Endpoint
	arena    *Arena
	pool     *Pool
	gate     *Gate
	inbox    *Inbox
}

func newReceivingWorker(t *testing.T) *receivingWorker {
	t.Helper()
	w := &receivingWorker{inbox: NewInbox()}
	var err error
	if w.arena, err = NewArena(8, protocolSegment); err != nil {
		t.Fatal(err)
	}
	if w.pool, err = w.arena.NewPool("gate", 4); err != nil {
		t.Fatal(err)
	}
	if w.endpoint, err = Listen(protocolConfig(1)); err != nil {
		t.Fatal(err)
	}
	w.gate, err = w.endpoint.NewGate(GateConfig{
		Edge: 5, To: 9, Channels: []Source{{Subtask: 3}, {Subtask: 4}}, Exclusive: 2, Pool: w.pool, Inbox: w.inbox,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *receivingWorker) close(t *testing.T) {
	t.Helper()
	w.gate.Close()
	if err := w.endpoint.Close(); err != nil {
		t.Error(err)
	}
	w.pool.Close()
	if err := w.arena.Close(); err != nil {
		t.Error(err)
	}
}

func (w *receivingWorker) next() Delivery {
	for {
		if d, ok := w.inbox.Poll(); ok {
			return d
		}
		<-w.inbox.Ready()
	}
}

var (
	first  = channelKey{edge: 5, from: 3, to: 9}
	second = channelKey{edge: 5, from: 4, to: 9}
)

// dataFrame is a frame with ten bytes.
func dataFrame(key channelKey, sequence uint32) []byte {
	return sealed(header{kind: frameData, channel: key, sequence: sequence, watermark: NoWatermark}, make([]byte, 10))
}

func eventFrame(key channelKey, sequence uint32, e Event) []byte {
	return sealed(header{kind: frameEvent, channel: key, sequence: sequence, watermark: NoWatermark}, appendEvent(nil, &e))
}

// TestProtocolViolations has a peer with the secret break the rules: each is
// fatal to the connection, with an error that names worker, channel and
// numbers.
func TestProtocolViolations(t *testing.T) {
	end := Event{Kind: EventEndOfInput}
	tests := []struct {
		name   string
		frames [][]byte
		want   string
	}{
		{"unknown channel", [][]byte{dataFrame(channelKey{5, 3, 8}, 0)}, "edge 5 channel 3→8: frame for a channel that this worker never announced"},
		{"gap", [][]byte{dataFrame(first, 0), dataFrame(first, 2)}, "edge 5 channel 3→9: data frame 2 arrived instead of frame 1"},
		{"repeated", [][]byte{dataFrame(first, 0), dataFrame(first, 0)}, "data frame 0 arrived instead of frame 1"},
		{"no credit", [][]byte{dataFrame(first, 0), dataFrame(first, 1), dataFrame(first, 2)}, "edge 5 channel 3→9: frame 2: a buffer arrived without credit: 2 are in use, 0 can be announced"},
		{"credit of another channel", [][]byte{dataFrame(first, 0), dataFrame(second, 0), dataFrame(first, 1), dataFrame(first, 2)}, "edge 5 channel 3→9: frame 2: a buffer arrived without credit"},
		{"after the end", [][]byte{eventFrame(first, 0, end), dataFrame(first, 1)}, "edge 5 channel 3→9: data frame 1 arrived after the end of input"},
		{"event after the end", [][]byte{eventFrame(first, 0, end), eventFrame(first, 1, end)}, "edge 5 channel 3→9: event frame 1 arrived after the end of input"},
		{"bad event", [][]byte{sealed(header{kind: frameEvent, channel: first}, make([]byte, 24))}, "edge 5 channel 3→9: frame 0: event kind 0 cannot be sent"},
		{"impossible length", [][]byte{sealed(header{kind: frameData, channel: first}, make([]byte, protocolSegment-HeaderSize-SlackSize+1))}, "edge 5 channel 3→9: data frame with a payload of 3969 bytes: at most 3968 are possible"},
		{"unknown kind", [][]byte{sealed(header{kind: 77, channel: first}, nil)}, "edge 5 channel 3→9: frame of unknown kind 77"},
		{"much credit", [][]byte{sealed(header{kind: frameCredit, channel: first, backlog: maxCredit}, nil), sealed(header{kind: frameCredit, channel: first, backlog: 1}, nil)}, "edge 5 channel 3→9: credit of 1 on top of 1048576: more than 1048576 cannot be"},
		{"cut short", [][]byte{dataFrame(first, 0)[:70]}, "edge 5 channel 3→9: frame 0: payload of 10 bytes: unexpected EOF"},
		{"closed too early", nil, "the peer closed it (2 of its channels had not ended)"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newReceivingWorker(t)
			s := newStranger(t, w.endpoint)
			for range 2 {
				if h, _ := s.next(); h.kind != frameCredit || h.backlog != 2 {
					t.Fatalf("at first came %+v, want credit of 2", h)
				}
			}
			s.send(test.frames...)
			if err := s.stream.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			var d Delivery
			var held []*Buffer // until the end, so that they are no credit again
			for d.Event == nil || d.Event.Kind != EventConnectionLost {
				if d.Buffer != nil {
					held = append(held, d.Buffer)
				}
				d = w.next()
			}
			recycleAll(held)
			if got := d.Event.Err.Error(); !strings.Contains(got, test.want) || !strings.Contains(got, "connection to worker 0 at 127.0.0.1:") {
				t.Errorf("error %q, want %q", got, test.want)
			}
			// The stranger is told by the end of the stream.
			if _, err := io.Copy(io.Discard, s.stream); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Error(err)
			}
			_ = s.stream.Close()
			w.close(t)
		})
	}
}

// TestProtocolReceiver pins what a receiver says, and when: first credit for
// every channel, more by halves, and a discarded frame for a closed gate.
func TestProtocolReceiver(t *testing.T) {
	w := newReceivingWorker(t)
	s := newStranger(t, w.endpoint)
	announced := map[channelKey]uint32{}
	for range 2 {
		h, _ := s.next()
		announced[h.channel] += h.backlog
	}
	if announced[first] != 2 || announced[second] != 2 {
		t.Fatalf("announced %v, want 2 for each channel", announced)
	}
	s.send(dataFrame(first, 0), sealed(header{kind: frameWatermark, channel: first, sequence: 1, watermark: 44}, nil), dataFrame(first, 2))
	for i, want := range []uint32{0, 2} {
		d := w.next()
		if d.Buffer == nil {
			if d.Watermark != 44 || d.Sequence != 1 {
				t.Fatalf("delivered %+v, want watermark 44", d)
			}
			d = w.next()
		}
		if d.Sequence != want && (d.Watermark != 44 || i != 0) {
			t.Fatalf("delivered %+v, want the buffer of frame %d", d, want)
		}
		d.Buffer.Recycle()
		if h, _ := s.next(); h.kind != frameCredit || h.channel != first || h.backlog != 1 {
			t.Fatalf("%+v, want credit of 1", h)
		}
	}
	w.gate.Close()
	s.send(dataFrame(first, 3), dataFrame(second, 0), eventFrame(first, 4, Event{Kind: EventEndOfInput}))
	if err := s.stream.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.frames.header(); !errors.Is(err, io.EOF) {
		t.Errorf("after the stranger has closed: %v, want the end", err)
	}
	_ = s.stream.Close()
	w.close(t)
}

// TestProtocolSender pins what a sender says: nothing before it is announced,
// buffers within their credit with the backlog behind them, the watermark in
// the last one, and the rest when there is more credit.
func TestProtocolSender(t *testing.T) {
	e, err := Listen(protocolConfig(1))
	if err != nil {
		t.Fatal(err)
	}
	arena, err := NewArena(4, protocolSegment)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := arena.NewPool("partition", 4)
	if err != nil {
		t.Fatal(err)
	}
	p, err := e.NewPartition(PartitionConfig{Edge: 6, From: 2, Channels: []Target{{Subtask: 8}}, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	key := channelKey{edge: 6, from: 2, to: 8}
	for i := range uint32(4) {
		b := p.TryRequest()
		b.Records = 100 + i
		copy(b.Payload(), "payload")
		b.SetLen(7)
		p.Send(0, b)
	}
	p.SendWatermark(0, 55)
	p.SendEvent(0, Event{Kind: EventEndOfInput, ID: 3})
	s := newStranger(t, e)
	credit := func(n uint32) { s.send(sealed(header{kind: frameCredit, channel: key, backlog: n}, nil)) }
	credit(1)
	want := func(sequence, backlog uint32, watermark int64) {
		t.Helper()
		h, payload := s.next()
		expected := header{kind: frameData, length: 7, channel: key, sequence: sequence, backlog: backlog, records: 100 + sequence, watermark: watermark}
		if h != expected || string(payload) != "payload" {
			t.Fatalf("sent %+v %q, want %+v", h, payload, expected)
		}
	}
	want(0, 3, NoWatermark)
	credit(3)
	want(1, 2, NoWatermark)
	want(2, 1, NoWatermark)
	want(3, 0, 55)
	h, payload := s.next()
	ev, err := decodeEvent(payload, false)
	if err != nil || h.kind != frameEvent || h.sequence != 4 || ev.Kind != EventEndOfInput || ev.ID != 3 {
		t.Fatalf("sent %+v %+v %v, want the end of input", h, ev, err)
	}
	if err := p.Drain(nil); err != nil {
		t.Fatal(err)
	}
	if err := s.stream.Close(); err != nil {
		t.Fatal(err)
	}
	p.Close()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	pool.Close()
	if err := arena.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestProtocolEarlyCredit bounds the credit that is kept for partitions that
// are not there.
func TestProtocolEarlyCredit(t *testing.T) {
	c := newConnection(&Endpoint{}, 0)
	for i := range uint32(maxEarly) {
		if err := c.addCredit(channelKey{edge: i}, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.addCredit(channelKey{edge: 7}, 5); err != nil {
		t.Errorf("more credit for a channel that has some: %v", err)
	}
	if err := c.addCredit(channelKey{edge: maxEarly}, 1); err == nil || !strings.Contains(err.Error(), "more than 65536 channels") {
		t.Errorf("credit for one channel too many: %v", err)
	}
	if err := c.addCredit(channelKey{edge: 8}, maxCredit); err == nil {
		t.Error("more credit than can be was kept")
	}
	ch := &outChannel{key: channelKey{edge: 7}}
	if err := c.addOutgoing(ch); err != nil || ch.credit != 6 || !ch.open {
		t.Errorf("the partition got credit of %d, %v: want the 6 that were kept", ch.credit, err)
	}
}
