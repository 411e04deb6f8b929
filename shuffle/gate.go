package shuffle

import (
	"errors"
	"fmt"
)

// Source is where a channel of a gate comes from.
type Source struct {
	// Subtask is the index of the sending subtask.
	Subtask uint32
	// Worker is the index of the worker that runs it; the endpoint's own for a
	// local channel.
	Worker int
}

// GateConfig says what a [Gate] is made of.
type GateConfig struct {
	// Edge numbers the exchange in the job's graph; both of its ends agree.
	Edge uint32
	// To is the index of the receiving subtask, the gate's owner.
	To uint32
	// Index is the gate's index in its inbox: [Delivery.Gate].
	Index int
	// Channels are the senders, in the order of [Delivery.Channel].
	Channels []Source
	// Exclusive is the number of buffers that each channel from another worker
	// has to itself, at least 1. What the pool has beyond them floats between
	// the channels by need.
	Exclusive int
	// Pool belongs to the gate alone. It may be nil when all channels are
	// local: these bring the sender's buffers.
	Pool *Pool
	// Inbox is where everything is delivered.
	Inbox *Inbox
}

// Validate checks the configuration for an endpoint of the given worker.
func (c *GateConfig) Validate(worker int) error {
	if c.Inbox == nil {
		return errors.New("a gate needs an inbox")
	}
	if c.Index < 0 {
		return fmt.Errorf("gate index %d is negative", c.Index)
	}
	seen := make(map[uint32]bool, len(c.Channels))
	remote := 0
	for _, s := range c.Channels {
		if s.Worker < 0 {
			return fmt.Errorf("sender %d runs on worker %d: want 0 or more", s.Subtask, s.Worker)
		}
		if seen[s.Subtask] {
			return fmt.Errorf("sender %d appears twice", s.Subtask)
		}
		seen[s.Subtask] = true
		if s.Worker != worker {
			remote++
		}
	}
	if remote == 0 {
		return nil
	}
	if c.Exclusive < 1 {
		return fmt.Errorf("%d exclusive buffers for each channel: at least 1 is needed", c.Exclusive)
	}
	if c.Pool == nil {
		return fmt.Errorf("%d channels come from other workers: a pool is needed", remote)
	}
	if need := remote * c.Exclusive; c.Pool.Size() < need {
		return fmt.Errorf("buffer pool %q has %d buffers: %d channels from other workers need %d exclusive ones each, %d in all", c.Pool.Name(), c.Pool.Size(), remote, c.Exclusive, need)
	}
	return nil
}

// A Gate is the receiving end of an exchange for one subtask. It receives into
// the buffers of its pool, keeps account of credit, and delivers into its
// inbox.
type Gate struct {
	edge, to uint32
	index    int
	inbox    *Inbox
	pool     *Pool
	local    []*localChannel
	// remote are the channels from other workers; Buffer.channel and the
	// ledger's channels are indices into it.
	remote []*inChannel
	// done is the task's own mark that it has closed the gate.
	done bool

	// These are guarded by the pool's mutex.
	ledger ledger
	closed bool
}

// inChannel is what a receiver keeps about a channel from another worker.
type inChannel struct {
	key        channelKey
	gate       *Gate
	connection *connection
	// index is the channel's place in gate.remote, channel the one in the
	// gate's configuration.
	index, channel int

	// sequence is the number of the next frame, and done tells that none may
	// come; both are the connection's reader's.
	sequence uint32
	done     bool
	// listed tells that the channel is in its connection's list of credit to
	// announce. It is guarded by the pool's mutex.
	listed bool
	// ended tells that the end of input has arrived, closed that the gate is
	// gone. They are guarded by the connection's mutex.
	ended, closed bool
}

// creditNote is what is left to do, without the pool's mutex, when a channel
// got credit.
type creditNote struct {
	channel *inChannel // nil: nothing
	list    bool       // the channel is to be listed
	wake    bool       // the connection is to write now
}

func (n creditNote) send() {
	if n.list || n.wake {
		n.channel.connection.announce(n.channel, n.list, n.wake)
	}
}

// noteLocked says what is to be done about the pending credit of a channel.
func (g *Gate) noteLocked(index int) creditNote {
	if index < 0 || g.closed {
		return creditNote{}
	}
	in := g.remote[index]
	n := creditNote{
		channel: in,
		list:    !in.listed && g.ledger.channels[index].pending > 0,
		wake:    g.ledger.urgent(index, g.inbox.idle.Load()),
	}
	if n.list {
		in.listed = true
	}
	return n
}

// open starts the gate's accounts, and announces the first credit: until then
// the senders, who know nothing of the gate, send nothing.
func (g *Gate) open(exclusive int) {
	g.pool.mu.Lock()
	g.ledger = newLedger(len(g.remote), exclusive, g.pool.size)
	for _, in := range g.remote {
		in.listed = true
	}
	g.pool.mu.Unlock()
	for _, in := range g.remote {
		in.connection.announce(in, true, true)
	}
}

// recycledLocked accounts for a buffer that came back.
func (g *Gate) recycledLocked(index int) creditNote {
	return g.noteLocked(g.ledger.recycle(index))
}

// accept accounts for a data frame and returns the buffer to receive it into,
// nil when the gate is closed and the frame is of no use.
func (g *Gate) accept(in *inChannel, backlog uint32) (*Buffer, error) {
	g.pool.mu.Lock()
	if g.closed {
		g.pool.mu.Unlock()
		return nil, nil
	}
	if err := g.ledger.receive(in.index, backlog); err != nil {
		g.pool.mu.Unlock()
		return nil, err
	}
	b := g.pool.popLocked()
	b.channel = int32(in.index)
	note := g.noteLocked(in.index)
	g.pool.mu.Unlock()
	note.send()
	return b, nil
}

// takeCredit takes the credit that is to be announced on a channel.
func (g *Gate) takeCredit(in *inChannel) int {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	in.listed = false
	if g.closed {
		return 0
	}
	return g.ledger.announce(in.index)
}

// announceDry makes the connections announce what their senders wait for.
func (g *Gate) announceDry() {
	if g.pool == nil {
		return
	}
	g.pool.mu.Lock()
	var dry []*inChannel
	if g.ledger.dry > 0 && !g.closed {
		for i := range g.ledger.channels {
			if g.ledger.channels[i].isDry() {
				dry = append(dry, g.remote[i])
			}
		}
	}
	g.pool.mu.Unlock()
	for _, in := range dry {
		in.connection.announce(in, false, true)
	}
}

// end accounts for the end of a channel's input.
func (g *Gate) end(in *inChannel) {
	g.pool.mu.Lock()
	g.ledger.end(in.index)
	var notes []creditNote
	for {
		c := g.ledger.grant()
		if c < 0 {
			break
		}
		if n := g.noteLocked(c); n.list || n.wake {
			notes = append(notes, n)
		}
	}
	g.pool.mu.Unlock()
	for _, n := range notes {
		n.send()
	}
}

// deliver puts d into the inbox, or recycles its buffer when the gate is gone.
func (g *Gate) deliver(d Delivery) {
	d.Gate = g.index
	if !g.inbox.push(g, d) && d.Buffer != nil {
		d.Buffer.Recycle()
	}
}

// fail tells the task that a connection was lost.
func (g *Gate) fail(err error) {
	g.deliver(Delivery{Channel: -1, Watermark: NoWatermark, Event: &Event{Kind: EventConnectionLost, Err: err}})
}

// GateUsage is how a gate's pool is used at a moment.
type GateUsage struct {
	// Buffers is the size of the pool, InUse how many hold records that were
	// received and not recycled yet.
	Buffers, InUse int
	// Floating is the number of buffers that are not exclusive to a channel,
	// FloatingFree how many of them no channel holds.
	Floating, FloatingFree int
}

// Usage tells how the gate's buffers are used. It may be called concurrently.
func (g *Gate) Usage() GateUsage {
	if g.pool == nil {
		return GateUsage{}
	}
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	return GateUsage{
		Buffers:      g.pool.size,
		InUse:        g.pool.mu.out,
		Floating:     g.pool.size - int(g.ledger.exclusive)*len(g.remote),
		FloatingFree: int(g.ledger.floating),
	}
}

// Close takes the gate out of its inbox, recycles what was delivered and not
// polled, and discards what still arrives. Its task calls it, with no Poll
// under way. Closing again does nothing.
func (g *Gate) Close() {
	if g.done {
		return
	}
	g.done = true
	if g.pool != nil {
		g.pool.mu.Lock()
		g.closed = true
		g.pool.mu.Unlock()
	}
	for _, in := range g.remote {
		in.connection.closeIncoming(in)
	}
	for _, l := range g.local {
		l.close()
	}
	g.inbox.remove(g.index)
}
