package shuffle

import (
	"errors"
	"fmt"
	"io"
	"net"
)

const (
	// readAhead is the size of the reader's own memory: with one call it reads
	// as many small frames as fit.
	readAhead = 32 << 10
	// smallPayload is the size up to which a payload is copied out of the
	// reader's memory. A larger one is read straight into its buffer.
	smallPayload = 4 << 10
)

// frameReader reads frames from a stream. It keeps to one call for a large
// frame, which also reads the header that follows, and to one call for as many
// small frames as have arrived.
type frameReader struct {
	stream io.Reader
	ahead  []byte // what was read and not used is ahead[start:end]
	start  int
	end    int
	// small tells that the last payload was small, so that the next ones
	// probably are.
	small bool
	calls uint64
}

func newFrameReader(stream io.Reader) *frameReader {
	return &frameReader{stream: stream, ahead: make([]byte, readAhead), small: true}
}

// header returns the next HeaderSize bytes, valid until the next call. It
// fails with io.EOF when the stream ends before the first of them.
func (r *frameReader) header() ([]byte, error) {
	want := HeaderSize
	if r.small {
		want = len(r.ahead)
	}
	if err := r.fill(HeaderSize, want); err != nil {
		return nil, err
	}
	b := r.ahead[r.start : r.start+HeaderSize]
	r.start += HeaderSize
	return b, nil
}

// fill reads until at least n bytes are ahead, and up to most if they are
// there.
func (r *frameReader) fill(n, most int) error {
	if r.end-r.start >= n {
		return nil
	}
	r.end = copy(r.ahead, r.ahead[r.start:r.end])
	r.start = 0
	for r.end < n {
		got, err := r.stream.Read(r.ahead[r.end:most])
		r.calls++
		r.end += got
		if err != nil && r.end < n {
			if r.end > 0 {
				err = unexpected(err)
			}
			return err
		}
	}
	return nil
}

// payload reads a payload of n bytes to dst[:n]. Behind them dst has SlackSize
// bytes of room for what is read ahead.
func (r *frameReader) payload(dst []byte, n int) error {
	r.small = n <= smallPayload
	have := copy(dst[:n], r.ahead[r.start:r.end])
	r.start += have
	if have == n {
		return nil
	}
	if r.small {
		if err := r.fill(n-have, len(r.ahead)); err != nil {
			return unexpected(err)
		}
		r.start += copy(dst[have:n], r.ahead[r.start:r.end])
		return nil
	}
	for have < n {
		got, err := r.stream.Read(dst[have : n+SlackSize])
		r.calls++
		have += got
		if err != nil && have < n {
			return unexpected(err)
		}
	}
	r.start, r.end = 0, copy(r.ahead, dst[n:have])
	return nil
}

// unexpected is the error of a stream that ends in the middle of a frame.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// receiver is what the reader goroutine of a connection works with.
type receiver struct {
	connection *connection
	frames     *frameReader
	maxPayload int
	// known are channels that were looked up before, last the latest of them:
	// the connection's own table is behind its mutex.
	known map[channelKey]*inChannel
	last  *inChannel
	// discard takes the payload of frames for a gate that is closed.
	discard []byte
	traffic Traffic
}

var errPeerClosed = errors.New("the peer closed it")

// readLoop receives frames until the stream ends.
func (c *connection) readLoop(stream net.Conn) error {
	r := &receiver{
		connection: c,
		frames:     newFrameReader(stream),
		maxPayload: c.endpoint.cfg.maxPayload(),
		known:      make(map[channelKey]*inChannel),
	}
	for {
		err := r.receive()
		r.traffic.Calls = r.frames.calls
		r.frames.calls = 0
		c.endpoint.stats.received.add(&r.traffic)
		if errors.Is(err, io.EOF) {
			return errPeerClosed
		}
		if err != nil {
			return err
		}
	}
}

// receive receives one frame.
func (r *receiver) receive() error {
	raw, err := r.frames.header()
	if err != nil {
		return err
	}
	h, sum, err := openFrame(raw, r.maxPayload)
	if err != nil {
		return err
	}
	r.traffic.Frames++
	r.traffic.Bytes += HeaderSize + uint64(h.length)
	if h.kind == frameCredit {
		return r.connection.addCredit(h.channel, h.backlog)
	}
	in, err := r.channel(h.channel)
	if err != nil {
		return err
	}
	if h.sequence != in.sequence {
		return fmt.Errorf("%v: %v frame %d arrived instead of frame %d", h.channel, h.kind, h.sequence, in.sequence)
	}
	if in.done {
		return fmt.Errorf("%v: %v frame %d arrived after the end of input", h.channel, h.kind, h.sequence)
	}
	in.sequence++
	switch h.kind {
	case frameData:
		return r.data(in, &h, sum)
	case frameEvent:
		return r.event(in, &h, sum)
	default: // a watermark: openFrame knows no other kind
		in.gate.deliver(Delivery{Channel: in.channel, Watermark: h.watermark, Sequence: h.sequence})
		return nil
	}
}

func (r *receiver) channel(key channelKey) (*inChannel, error) {
	if r.last != nil && r.last.key == key {
		return r.last, nil
	}
	in, ok := r.known[key]
	if !ok {
		var err error
		if in, err = r.connection.lookup(key); err != nil {
			return nil, err
		}
		r.known[key] = in
	}
	r.last = in
	return in, nil
}

// data receives a buffer. Credit has been kept for it, so there is one.
func (r *receiver) data(in *inChannel, h *header, sum uint64) error {
	b, err := in.gate.accept(in, h.backlog)
	if err != nil {
		return fmt.Errorf("%v: frame %d: %w", h.channel, h.sequence, err)
	}
	if b == nil {
		return r.skip(h, sum)
	}
	n := int(h.length)
	if err := r.frames.payload(b.segment[HeaderSize:], n); err != nil {
		b.Recycle()
		return fmt.Errorf("%v: frame %d: payload of %d bytes: %w", h.channel, h.sequence, n, err)
	}
	b.length, b.Records, b.Watermark = n, h.records, h.watermark
	b.Run, b.Mark = Run(h.flags&flagRun), h.flags&flagMark != 0
	if err := checkPayload(h, b.Bytes(), sum); err != nil {
		b.Recycle()
		return err
	}
	r.traffic.Buffers++
	r.traffic.Records += uint64(h.records)
	in.gate.deliver(Delivery{Channel: in.channel, Buffer: b, Watermark: b.Watermark, Sequence: h.sequence})
	return nil
}

// skip receives a buffer that nobody waits for any more.
func (r *receiver) skip(h *header, sum uint64) error {
	if r.discard == nil {
		r.discard = make([]byte, r.maxPayload+SlackSize)
	}
	if err := r.frames.payload(r.discard, int(h.length)); err != nil {
		return err
	}
	return checkPayload(h, r.discard[:h.length], sum)
}

func (r *receiver) event(in *inChannel, h *header, sum uint64) error {
	payload := make([]byte, int(h.length)+SlackSize)
	if err := r.frames.payload(payload, int(h.length)); err != nil {
		return err
	}
	payload = payload[:h.length:h.length]
	if err := checkPayload(h, payload, sum); err != nil {
		return err
	}
	e, err := decodeEvent(payload, h.flags&flagPriority != 0)
	if err != nil {
		return fmt.Errorf("%v: frame %d: %w", h.channel, h.sequence, err)
	}
	if e.Kind == EventEndOfInput {
		in.done = true
		r.connection.ended(in)
		in.gate.end(in)
	}
	in.gate.deliver(Delivery{Channel: in.channel, Watermark: NoWatermark, Event: e, Sequence: h.sequence})
	return nil
}
