package shuffle

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// maxEarly bounds the channels whose credit is kept for a partition that
	// is not there yet.
	maxEarly = 1 << 16
	// closeLinger bounds how long a closing endpoint waits for its peer to
	// have read everything and to close its side.
	closeLinger = 2 * time.Second
)

// phase is where a connection is in its life. It only ever grows.
type phase uint8

const (
	phaseWaiting phase = iota // no stream yet; channels may register, items queue
	phaseClaimed              // a peer has proved itself and is being accepted
	phaseUp                   // frames flow
	phaseEnded                // closed when all its channels had ended
	phaseLost                 // failed
)

// connection is this worker's end of the one connection to another worker. It
// exists from the first time that anybody names the worker, so that channels
// may register, and partitions send, before the stream is up. Its two
// goroutines are the reader and the writer; it never comes back once it is
// lost, since nothing that was under way can be had again.
type connection struct {
	endpoint *Endpoint
	worker   int
	// wake tells the writer that there is something to do.
	wake chan struct{}
	// settled is closed when the phase is up or later.
	settled chan struct{}

	mu struct {
		sync.Mutex
		phase    phase
		closing  bool // this endpoint is closing
		expected bool // Connect has named the worker
		address  string
		stream   net.Conn
		running  int // of reader and writer
		err      error
		refused  error // why the worker's last handshake failed

		outbox   outbox
		outgoing map[channelKey]*outChannel
		incoming map[channelKey]*inChannel
		early    map[channelKey]uint32 // credit without partition
		credits  fifo[*inChannel]      // credit to announce
		urgent   bool                  // now, with a write of its own
		idle     bool                  // the writer waits for wake
	}
}

func newConnection(e *Endpoint, worker int) *connection {
	c := &connection{endpoint: e, worker: worker, wake: make(chan struct{}, 1), settled: make(chan struct{})}
	c.mu.outgoing = make(map[channelKey]*outChannel)
	c.mu.incoming = make(map[channelKey]*inChannel)
	c.mu.early = make(map[channelKey]uint32)
	return c
}

// addOutgoing registers a channel to the worker.
func (c *connection) addOutgoing(ch *outChannel) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.phase >= phaseEnded {
		return c.mu.err
	}
	if _, taken := c.mu.outgoing[ch.key]; taken {
		return fmt.Errorf("%v to worker %d has a sender already", ch.key, c.worker)
	}
	c.mu.outgoing[ch.key] = ch
	if kept, early := c.mu.early[ch.key]; early {
		delete(c.mu.early, ch.key)
		return c.mu.outbox.addCredit(ch, kept)
	}
	return nil
}

// addIncoming registers a channel from the worker, whose first credit is to be
// announced.
func (c *connection) addIncoming(in *inChannel) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.phase >= phaseEnded {
		return c.mu.err
	}
	if _, taken := c.mu.incoming[in.key]; taken {
		return fmt.Errorf("%v from worker %d has a receiver already", in.key, c.worker)
	}
	c.mu.incoming[in.key] = in
	return nil
}

// closeOutgoing discards what is queued on a channel.
func (c *connection) closeOutgoing(ch *outChannel) {
	c.mu.Lock()
	ch.closed = true
	dropped := ch.drop(nil)
	c.mu.Unlock()
	recycleAll(dropped)
}

// closeIncoming notes that nobody waits for the channel any more. What its
// sender has credit for may still arrive.
func (c *connection) closeIncoming(in *inChannel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in.closed = true
}

// lookup finds the receiving end of a channel.
func (c *connection) lookup(key channelKey) (*inChannel, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in, ok := c.mu.incoming[key]
	if !ok {
		return nil, fmt.Errorf("%v: frame for a channel that this worker never announced", key)
	}
	return in, nil
}

// send queues an item.
func (c *connection) send(ch *outChannel, it item) {
	c.mu.Lock()
	if c.mu.phase >= phaseEnded || ch.closed {
		c.mu.Unlock()
		if it.buffer != nil {
			it.buffer.Recycle()
		}
		return
	}
	c.mu.outbox.push(ch, it)
	c.wakeLocked()
	c.mu.Unlock()
}

func (c *connection) sendWatermark(ch *outChannel, wm int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.phase >= phaseEnded || ch.closed {
		return
	}
	c.mu.outbox.watermark(ch, wm)
	c.wakeLocked()
}

// addCredit hands credit that the peer announced to the channel it is for.
func (c *connection) addCredit(key channelKey, more uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch, known := c.mu.outgoing[key]
	if known {
		if err := c.mu.outbox.addCredit(ch, more); err != nil {
			return err
		}
		c.wakeLocked()
		return nil
	}
	kept, again := c.mu.early[key]
	if !again && len(c.mu.early) >= maxEarly {
		return fmt.Errorf("%v: credit for more than %d channels that have no sender", key, maxEarly)
	}
	sum, err := sumCredit(key, kept, more)
	if err != nil {
		return err
	}
	c.mu.early[key] = sum
	return nil
}

// announce has the pending credit of a channel sent: with the next write, or
// at once.
func (c *connection) announce(in *inChannel, list, now bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.phase >= phaseEnded {
		return
	}
	if list {
		c.mu.credits.push(in)
	}
	if now {
		c.mu.urgent = true
		c.wakeLocked()
	}
}

// wakeLocked wakes the writer if it waits and has something to do.
func (c *connection) wakeLocked() {
	if !c.mu.idle {
		return
	}
	if !c.mu.urgent && c.mu.outbox.idle() && !c.mu.closing && c.mu.phase < phaseEnded {
		return
	}
	c.mu.idle = false
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// drained tells whether everything sent on the channel has been written.
func (c *connection) drained(ch *outChannel) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ch.closed || ch.empty() && (ch.ended || c.mu.phase < phaseEnded)
}

// ended notes the end of a channel's input.
func (c *connection) ended(in *inChannel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in.ended = true
}

// claim reserves the connection for a peer that has proved itself.
func (c *connection) claim() *refusal {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.mu.closing:
		return &refusal{code: refusedClosing}
	case c.mu.phase >= phaseEnded:
		return &refusal{code: refusedLost}
	case c.mu.phase != phaseWaiting:
		return &refusal{code: refusedDuplicate}
	}
	c.mu.phase = phaseClaimed
	return nil
}

// open starts reader and writer on a stream whose handshake is done.
func (c *connection) open(stream net.Conn) {
	c.mu.Lock()
	if c.mu.phase != phaseClaimed || c.mu.closing {
		c.mu.Unlock()
		_ = stream.Close() // nothing was sent on it
		return
	}
	c.mu.phase, c.mu.stream = phaseUp, stream
	if c.mu.address == "" {
		c.mu.address = stream.RemoteAddr().String()
	}
	c.mu.running = 2
	close(c.settled)
	c.mu.Unlock()
	c.start(func() error { return c.writeLoop(stream) })
	c.start(func() error { return c.readLoop(stream) })
}

// start runs one of the two loops in the endpoint's group.
func (c *connection) start(loop func() error) {
	started := c.endpoint.group.Go(func(context.Context) error {
		c.stopped(loop())
		return nil
	})
	if !started {
		c.stopped(ErrClosed)
	}
}

// stopped takes note that a loop has returned: without an error, or with the
// reason for which the stream is of no more use.
func (c *connection) stopped(err error) {
	if err != nil {
		c.lost(err)
	}
	c.mu.Lock()
	c.mu.running--
	last := c.mu.running == 0
	c.mu.Unlock()
	if last {
		_ = c.mu.stream.Close() // all that counted was written and read
	}
}

// lost ends the connection: quietly when every channel has ended or this
// endpoint is closing, otherwise every channel that has not ended fails.
func (c *connection) lost(err error) {
	c.mu.Lock()
	if c.mu.phase >= phaseEnded {
		c.mu.Unlock()
		return
	}
	open := c.openLocked()
	closing := c.mu.closing
	switch {
	case closing:
		err = ErrClosed
	case open > 0:
		err = fmt.Errorf("%w (%d of its channels had not ended)", err, open)
	}
	failure := &ConnectionError{Worker: c.worker, Address: c.mu.address, Err: err}
	// A connection that was never made has no channel that ended.
	quiet := open == 0 && c.mu.phase == phaseUp
	wasSettled := c.mu.phase >= phaseUp
	c.mu.err, c.mu.phase = failure, phaseLost
	if quiet {
		c.mu.phase = phaseEnded
	}
	partitions, gates, dropped := c.abandonLocked()
	stream := c.mu.stream
	if !wasSettled {
		close(c.settled)
	}
	c.wakeLocked()
	c.mu.Unlock()

	if stream != nil && !quiet {
		_ = stream.Close() // it is lost; this ends the other loop
	}
	recycleAll(dropped)
	for _, p := range partitions {
		p.pool.fail(failure)
	}
	for _, g := range gates {
		g.fail(failure)
	}
	c.report(failure, quiet || closing)
}

// report tells those outside of the package.
func (c *connection) report(failure *ConnectionError, quiet bool) {
	if quiet {
		c.endpoint.cfg.Logger.Debug("data connection ended", "worker", c.worker, "address", failure.Address, "reason", failure.Err)
		return
	}
	c.endpoint.cfg.Logger.Error("data connection lost", "worker", c.worker, "address", failure.Address, "error", failure.Err)
	if c.endpoint.cfg.OnFailure != nil {
		c.endpoint.cfg.OnFailure(failure)
	}
}

// openLocked counts the channels that have not ended.
func (c *connection) openLocked() int {
	n := 0
	for _, ch := range c.mu.outgoing {
		if !ch.ended && !ch.closed {
			n++
		}
	}
	for _, in := range c.mu.incoming {
		if !in.ended && !in.closed {
			n++
		}
	}
	return n
}

// abandonLocked empties the queues and names who is concerned.
func (c *connection) abandonLocked() (partitions map[*Partition]*Partition, gates map[*Gate]*Gate, dropped []*Buffer) {
	partitions = make(map[*Partition]*Partition)
	gates = make(map[*Gate]*Gate)
	for _, ch := range c.mu.outgoing {
		dropped = ch.drop(dropped)
		if !ch.ended && !ch.closed {
			partitions[ch.partition] = ch.partition
		}
	}
	for _, in := range c.mu.incoming {
		if !in.ended && !in.closed {
			gates[in.gate] = in.gate
		}
	}
	return partitions, gates, dropped
}

// shutdown begins the end of the connection because its endpoint closes: what
// can be sent is sent, the peer is told that nothing follows, and has a moment
// to do the same.
func (c *connection) shutdown() {
	c.mu.Lock()
	c.mu.closing = true
	if c.mu.phase < phaseUp {
		c.mu.Unlock()
		c.lost(ErrClosed)
		return
	}
	if c.mu.phase == phaseUp {
		_ = c.mu.stream.SetDeadline(time.Now().Add(c.endpoint.linger)) // without it the peer decides
	}
	c.wakeLocked()
	c.mu.Unlock()
}

// recycleAll recycles buffers of any pools, with one lock for each run of
// buffers of the same pool.
func recycleAll(buffers []*Buffer) {
	for len(buffers) > 0 {
		pool, n := buffers[0].pool, 1
		for n < len(buffers) && buffers[n].pool == pool {
			n++
		}
		pool.recycleAll(buffers[:n])
		buffers = buffers[n:]
	}
}
