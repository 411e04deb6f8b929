package shuffle

import "net"

const (
	// maxBatch is the number of buffers that leave in one write: of 32 KiB
	// each, as much as a second-level cache likes.
	maxBatch = 16
	// maxControl is the number of other items, and of credit announcements,
	// that leave in one write.
	maxControl = 64
)

// frameWriter turns items into frames and writes them in one piece. It is the
// writer goroutine's own, and reuses all of its memory.
type frameWriter struct {
	stream  net.Conn
	items   []outgoing
	credits []*inChannel
	// buffers are those of items, which are recycled after the write.
	buffers []*Buffer
	// scratch holds the frames without payload. It never grows, since pieces
	// refer to it.
	scratch []byte
	pieces  [][]byte
	vector  net.Buffers
	// traffic counts since the last report to the endpoint's statistics.
	traffic Traffic
}

func newFrameWriter(stream net.Conn) *frameWriter {
	return &frameWriter{
		stream:  stream,
		items:   make([]outgoing, 0, maxBatch+maxControl),
		credits: make([]*inChannel, 0, maxControl),
		buffers: make([]*Buffer, 0, maxBatch),
		scratch: make([]byte, 0, 2*maxControl*HeaderSize),
		pieces:  make([][]byte, 0, 2*(maxBatch+maxControl)),
	}
}

// writeLoop sends what the outbox decides, until the connection ends.
func (c *connection) writeLoop(stream net.Conn) error {
	w := newFrameWriter(stream)
	for c.collect(w) {
		w.encode()
		err := w.write()
		recycleAll(w.buffers)
		c.endpoint.stats.sent.add(&w.traffic)
		if err != nil {
			c.unsent(w.items, err)
			return err
		}
	}
	return closeWrite(stream)
}

// collect waits for something to send and takes it. It reports false when
// nothing will follow.
func (c *connection) collect(w *frameWriter) bool {
	for {
		c.mu.Lock()
		writtenLocked(w.items)
		w.reset()
		if c.mu.phase >= phaseEnded {
			c.mu.Unlock()
			return false
		}
		w.items = c.mu.outbox.take(w.items, maxBatch, maxControl)
		if len(w.items) > 0 || c.mu.urgent {
			for c.mu.credits.len() > 0 && len(w.credits) < maxControl {
				w.credits = append(w.credits, c.mu.credits.pop())
			}
			c.mu.urgent = c.mu.urgent && c.mu.credits.len() > 0
			c.mu.Unlock()
			return true
		}
		if c.mu.closing {
			c.mu.Unlock()
			return false
		}
		c.mu.idle = true
		c.mu.Unlock()
		<-c.wake
	}
}

// writtenLocked notes that the items have been written.
func writtenLocked(items []outgoing) {
	for i := range items {
		ch := items[i].channel
		ch.writing--
		if ch.partition.draining.Load() && ch.empty() {
			ch.partition.pool.notify()
		}
	}
}

// unsent fails the partitions whose items were in a write that failed.
func (c *connection) unsent(items []outgoing, err error) {
	c.lost(err)
	c.mu.Lock()
	failure := c.mu.err
	c.mu.Unlock()
	for i := range items {
		items[i].channel.partition.pool.fail(failure)
	}
}

func (w *frameWriter) reset() {
	clear(w.items)
	clear(w.buffers)
	clear(w.credits)
	w.items, w.buffers, w.credits = w.items[:0], w.buffers[:0], w.credits[:0]
	w.scratch, w.pieces = w.scratch[:0], w.pieces[:0]
}

// encode makes the pieces of the next write.
func (w *frameWriter) encode() {
	for _, in := range w.credits {
		n := in.gate.takeCredit(in)
		if n == 0 {
			continue // the gate was closed, or it left with an earlier write
		}
		h := header{kind: frameCredit, channel: in.key, backlog: uint32(n), watermark: NoWatermark}
		w.control(&h)
	}
	for i := range w.items {
		it := &w.items[i]
		h := header{channel: it.channel.key, sequence: it.sequence, backlog: it.backlog, watermark: it.watermark}
		switch {
		case it.buffer != nil:
			w.data(&h, it.buffer)
		case it.event != nil:
			w.event(&h, it.event)
		default:
			h.kind = frameWatermark
			w.control(&h)
		}
	}
}

func (w *frameWriter) data(h *header, b *Buffer) {
	h.kind, h.flags, h.records, h.watermark = frameData, uint16(b.Run), b.Records, b.Watermark
	if b.Mark {
		h.flags |= flagMark
	}
	w.buffers = append(w.buffers, b)
	frame := b.frame()
	sealFrame(frame, h)
	w.add(frame)
	w.traffic.Buffers++
	w.traffic.Records += uint64(b.Records)
}

func (w *frameWriter) event(h *header, e *Event) {
	h.kind = frameEvent
	if e.Priority {
		h.flags = flagPriority
	}
	frame := appendEvent(make([]byte, HeaderSize, HeaderSize+eventHeaderSize+len(e.Data)), e)
	sealFrame(frame, h)
	w.add(frame)
}

// control adds a frame without payload. Such frames that follow each other are
// one piece.
func (w *frameWriter) control(h *header) {
	start := len(w.scratch)
	w.scratch = w.scratch[:start+HeaderSize]
	frame := w.scratch[start:]
	sealFrame(frame, h)
	if n := len(w.pieces); n > 0 && start > 0 {
		if last := w.pieces[n-1]; &last[len(last)-1] == &w.scratch[start-1] {
			w.pieces[n-1] = w.scratch[start-len(last):]
			w.traffic.Frames++
			w.traffic.Bytes += HeaderSize
			return
		}
	}
	w.add(frame)
}

func (w *frameWriter) add(frame []byte) {
	w.pieces = append(w.pieces, frame)
	w.traffic.Frames++
	w.traffic.Bytes += uint64(len(frame))
}

// write writes the pieces. A plain stream takes them in one system call; they
// are written one by one to a TLS stream.
func (w *frameWriter) write() error {
	if len(w.pieces) == 0 {
		return nil
	}
	w.vector = w.pieces
	w.traffic.Calls++
	_, err := w.vector.WriteTo(w.stream)
	return err
}

// closeWrite tells the peer that nothing follows.
func closeWrite(stream net.Conn) error {
	if half, ok := stream.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the reader meets what is wrong with the stream
	}
	return nil
}
