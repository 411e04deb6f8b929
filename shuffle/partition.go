package shuffle

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/weirstream/weir/internal/invariants"
)

// Errors that callers may test for.
var (
	// ErrClosed is wrapped by what is asked of something closed.
	ErrClosed = errors.New("closed")
	// ErrStopped is returned by a wait that its caller ended.
	ErrStopped = errors.New("stopped while waiting")
)

// Target is where a channel of a partition goes.
type Target struct {
	// Subtask is the index of the receiving subtask.
	Subtask uint32
	// Worker is the index of the worker that runs it; the endpoint's own for a
	// local channel.
	Worker int
}

// PartitionConfig says what a [Partition] is made of.
type PartitionConfig struct {
	// Edge numbers the exchange in the job's graph; both of its ends agree.
	Edge uint32
	// From is the index of the sending subtask, the partition's owner.
	From uint32
	// Channels are the receivers, in the order of the channel argument of
	// Send.
	Channels []Target
	// Pool belongs to the partition alone.
	Pool *Pool
}

// Validate checks the configuration.
func (c *PartitionConfig) Validate() error {
	if c.Pool == nil {
		return errors.New("a partition needs a pool")
	}
	if len(c.Channels) == 0 {
		return errors.New("a partition needs at least one channel")
	}
	seen := make(map[uint32]bool, len(c.Channels))
	for _, t := range c.Channels {
		if t.Worker < 0 {
			return fmt.Errorf("receiver %d runs on worker %d: want 0 or more", t.Subtask, t.Worker)
		}
		if seen[t.Subtask] {
			return fmt.Errorf("receiver %d appears twice", t.Subtask)
		}
		seen[t.Subtask] = true
	}
	return nil
}

// A Partition is the sending end of an exchange for one subtask. Its methods
// are called by one goroutine, the task, except where they say otherwise.
type Partition struct {
	edge, from uint32
	pool       *Pool
	channels   []partitionChannel
	// draining makes connections signal Ready when they have written.
	draining atomic.Bool
	closed   bool
}

// partitionChannel is a local channel or one to another worker.
type partitionChannel struct {
	local      *localChannel
	connection *connection
	remote     *outChannel
	// ended is kept in a build with invariants: nothing follows the end.
	ended bool
}

// TryRequest takes a buffer for records. It returns nil when none is free, and
// when Request would fail.
func (p *Partition) TryRequest() *Buffer {
	b, _ := p.pool.request()
	return b
}

// Request takes a buffer for records and waits for one as long as there is
// none. It fails with [ErrStopped] when stop is closed, with [ErrClosed] when
// the partition is closed, and with a [*ConnectionError] when the connection
// of one of its channels was lost.
func (p *Partition) Request(stop <-chan struct{}) (*Buffer, error) {
	for {
		b, err := p.pool.request()
		if b != nil || err != nil {
			return b, err
		}
		select {
		case <-p.pool.ready:
		case <-stop:
			return nil, ErrStopped
		}
	}
}

// Available tells whether Request would answer at once, with a buffer or an
// error. When not, Ready is signalled as soon as it may.
func (p *Partition) Available() bool { return p.pool.available() }

// Ready is signalled when a buffer came back, or the partition failed, after
// TryRequest or Available had found none. The channel is never closed.
func (p *Partition) Ready() <-chan struct{} { return p.pool.ready }

// Send sends a buffer and gives up its ownership. It never blocks: what the
// receiver has no room for waits in the partition's own buffers. The buffer of
// a partition that failed is recycled.
func (p *Partition) Send(channel int, b *Buffer) {
	if invariants.Enabled && b.free {
		invariants.Check(false, "a buffer of pool %q was sent after it was recycled", b.pool.name)
	}
	c := p.channel(channel)
	if c.local != nil {
		c.local.send(Delivery{Buffer: b, Watermark: b.Watermark})
		return
	}
	c.connection.send(c.remote, item{buffer: b})
}

func (p *Partition) channel(i int) *partitionChannel {
	c := &p.channels[i]
	if invariants.Enabled && c.ended {
		invariants.Check(false, "edge %d subtask %d: channel %d was sent something after its end of input", p.edge, p.from, i)
	}
	return c
}

// SendWatermark sends a watermark: with the last buffer, when that is still
// queued, otherwise by itself, which needs no credit. Of several that wait,
// the largest is sent. It must not be called between the buffers of a run.
func (p *Partition) SendWatermark(channel int, wm int64) {
	c := p.channel(channel)
	if c.local != nil {
		c.local.send(Delivery{Watermark: wm})
		return
	}
	c.connection.sendWatermark(c.remote, wm)
}

// SendEvent sends an event behind what was sent before, or ahead of it when
// the event has priority. It needs no credit. It panics when the event may not
// be sent: an unknown kind, too much data, or an end of input with priority.
// It must not be called between the buffers of a run unless it has priority.
func (p *Partition) SendEvent(channel int, ev Event) {
	if err := ev.check(); err != nil {
		panic("shuffle: " + err.Error())
	}
	c := p.channel(channel)
	if invariants.Enabled {
		c.ended = ev.Kind == EventEndOfInput
	}
	if c.local != nil {
		c.local.send(Delivery{Watermark: NoWatermark, Event: &ev})
		return
	}
	c.connection.send(c.remote, item{event: &ev, watermark: NoWatermark})
}

// Drain waits until everything that was sent has been handed over: to the
// inbox of a local receiver, or to the operating system for one on another
// worker. It fails as Request does.
func (p *Partition) Drain(stop <-chan struct{}) error {
	p.draining.Store(true)
	defer p.draining.Store(false)
	for {
		if err := p.Err(); err != nil {
			return err
		}
		if p.drained() {
			return nil
		}
		select {
		case <-p.pool.ready:
		case <-stop:
			return ErrStopped
		}
	}
}

func (p *Partition) drained() bool {
	for i := range p.channels {
		c := &p.channels[i]
		if c.local != nil {
			if !c.local.drained() {
				return false
			}
			continue
		}
		if !c.connection.drained(c.remote) {
			return false
		}
	}
	return true
}

// Err is why the partition can send no more, nil as long as it can. It may be
// called concurrently.
func (p *Partition) Err() error {
	p.pool.mu.Lock()
	defer p.pool.mu.Unlock()
	return p.pool.mu.failed
}

// Close discards what has not been sent and ends the partition. A task that
// ends well sends [EventEndOfInput] on every channel and calls Drain first.
// Closing again does nothing.
func (p *Partition) Close() {
	if p.closed {
		return
	}
	p.closed = true
	for i := range p.channels {
		c := &p.channels[i]
		if c.local != nil {
			c.local.close()
			continue
		}
		c.connection.closeOutgoing(c.remote)
	}
	p.pool.fail(fmt.Errorf("partition of edge %d subtask %d: %w", p.edge, p.from, ErrClosed))
}
