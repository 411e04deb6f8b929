package shuffle

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// localChannel joins a partition to a gate of the same worker: buffers change
// hands, nothing is copied. Whichever end is made first waits for the other.
type localChannel struct {
	key channelKey
	// receiver is set once the gate is there and has been given what waited.
	receiver atomic.Pointer[localReceiver]
	// sequence is the sender's.
	sequence uint32

	mu struct {
		sync.Mutex
		// waiting is what was sent before the gate was there.
		waiting  fifo[Delivery]
		sender   *Partition // who has taken the sending end
		receiver *Gate      // who has taken the receiving end
		closed   bool       // one of the two is gone
	}
}

// localReceiver is the gate's end of a local channel.
type localReceiver struct {
	gate    *Gate
	channel int
}

// send hands d over. Only the partition's task calls it.
func (l *localChannel) send(d Delivery) {
	d.Sequence = l.sequence
	l.sequence++
	if r := l.receiver.Load(); r != nil {
		d.Channel = r.channel
		r.gate.deliver(d)
		return
	}
	l.mu.Lock()
	if r := l.receiver.Load(); r != nil {
		l.mu.Unlock()
		d.Channel = r.channel
		r.gate.deliver(d)
		return
	}
	defer l.mu.Unlock()
	switch {
	case l.mu.closed:
		if d.Buffer != nil {
			d.Buffer.Recycle()
		}
	case d.Buffer == nil && d.Event == nil && l.raiseLocked(d.Watermark):
	default:
		l.mu.waiting.push(d)
	}
}

// raiseLocked joins a watermark to what waits last, unless that is an event.
func (l *localChannel) raiseLocked(watermark int64) bool {
	if l.mu.waiting.len() == 0 {
		return false
	}
	last := l.mu.waiting.back()
	if last.Event != nil {
		return false
	}
	last.Watermark = max(last.Watermark, watermark)
	if last.Buffer != nil {
		last.Buffer.Watermark = last.Watermark
	}
	return true
}

// takeSender reserves the sending end.
func (l *localChannel) takeSender(p *Partition) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.sender != nil {
		return fmt.Errorf("%v has a sender already", l.key)
	}
	l.mu.sender = p
	return nil
}

// takeReceiver reserves the receiving end.
func (l *localChannel) takeReceiver(g *Gate) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mu.receiver != nil {
		return fmt.Errorf("%v has a receiver already", l.key)
	}
	l.mu.receiver = g
	return nil
}

// attach delivers what waited and connects the gate.
func (l *localChannel) attach(channel int) {
	l.mu.Lock()
	g, sender := l.mu.receiver, l.mu.sender
	for l.mu.waiting.len() > 0 {
		d := l.mu.waiting.pop()
		d.Channel = channel
		g.deliver(d)
	}
	l.receiver.Store(&localReceiver{gate: g, channel: channel})
	l.mu.Unlock()
	if sender != nil && sender.draining.Load() {
		sender.pool.notify()
	}
}

// drained tells whether nothing waits for the gate.
func (l *localChannel) drained() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.waiting.len() == 0
}

// close ends the channel for both sides: what waits and what is sent from now
// on is recycled. A delivery under way ends at the inbox, which knows the gate
// no more.
func (l *localChannel) close() {
	l.mu.Lock()
	l.mu.closed = true
	l.receiver.Store(nil)
	for l.mu.waiting.len() > 0 {
		if d := l.mu.waiting.pop(); d.Buffer != nil {
			d.Buffer.Recycle()
		}
	}
	sender := l.mu.sender
	l.mu.Unlock()
	if sender != nil && sender.draining.Load() {
		sender.pool.notify()
	}
}
