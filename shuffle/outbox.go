package shuffle

import "fmt"

// maxCredit bounds the credit of a channel; more can only be a mistake.
const maxCredit = 1 << 20

// item is one thing to send: a buffer with its watermark inside, an event, or
// a watermark of its own.
type item struct {
	buffer    *Buffer
	event     *Event
	watermark int64
}

// outChannel is what a sender keeps about a channel to another worker.
type outChannel struct {
	key       channelKey
	partition *Partition

	queue    fifo[item] // in order
	priority fifo[item] // events that overtake the queue
	backlog  uint32     // buffers in queue
	credit   uint32
	sequence uint32 // of the next frame
	// writing is the number of items taken and not yet written.
	writing int
	// open is set by the first credit: the receiver knows the channel.
	open bool
	// running tells that the beginning of a run was sent and not yet its end.
	running bool
	// ready and urgent tell that the channel is in these lists of the outbox.
	ready, urgent bool
	// ended tells that the end of input has been taken; closed, that the
	// partition was closed and what comes for the channel is of no use.
	ended, closed bool
}

// sending is what a channel can do next.
type sending uint8

const (
	sendNothing sending = iota
	sendQueued
	sendPriority
)

// sendable tells what may be sent of the channel now.
func (c *outChannel) sendable() sending {
	switch {
	case !c.open || c.closed:
		return sendNothing
	case c.priority.len() > 0 && !c.running:
		return sendPriority
	case c.queue.len() == 0:
		return sendNothing
	case c.credit > 0 || c.queue.front().buffer == nil:
		return sendQueued
	}
	return sendNothing
}

// empty tells whether all that was sent on the channel has been written.
func (c *outChannel) empty() bool {
	return c.writing == 0 && c.queue.len() == 0 && c.priority.len() == 0
}

// outgoing is an item on its way: what a frame is made of.
type outgoing struct {
	item
	channel  *outChannel
	sequence uint32
	backlog  uint32
}

// outbox decides what a connection sends next: of all channels that have
// something to send, and credit for it if it needs any, one item each in turn,
// those with events of priority first. It only decides; it knows no lock and
// no connection.
type outbox struct {
	ready  fifo[*outChannel]
	urgent fifo[*outChannel]
}

// push queues an item on its channel.
func (o *outbox) push(c *outChannel, it item) {
	if it.event != nil && it.event.Priority {
		c.priority.push(it)
	} else {
		c.queue.push(it)
		if it.buffer != nil {
			c.backlog++
		}
	}
	o.list(c)
}

// watermark joins wm to the last thing queued on the channel, or queues it
// when that is an event or there is nothing.
func (o *outbox) watermark(c *outChannel, wm int64) {
	if c.queue.len() > 0 {
		switch last := c.queue.back(); {
		case last.buffer != nil:
			last.buffer.Watermark = max(last.buffer.Watermark, wm)
			return
		case last.event == nil:
			last.watermark = max(last.watermark, wm)
			return
		}
	}
	o.push(c, item{watermark: wm})
}

// addCredit gives the channel more credit, and opens it.
func (o *outbox) addCredit(c *outChannel, more uint32) error {
	sum, err := sumCredit(c.key, c.credit, more)
	if err != nil {
		return err
	}
	c.credit = sum
	c.open = true
	o.list(c)
	return nil
}

// idle tells whether there is nothing to take.
func (o *outbox) idle() bool { return o.ready.len() == 0 && o.urgent.len() == 0 }

// sumCredit adds credit that was announced to what a channel has.
func sumCredit(key channelKey, have, more uint32) (uint32, error) {
	if more > maxCredit-have {
		return 0, fmt.Errorf("%v: credit of %d on top of %d: more than %d cannot be", key, more, have, maxCredit)
	}
	return have + more, nil
}

// list puts the channel in the list that it belongs to, if it is not there.
func (o *outbox) list(c *outChannel) {
	switch c.sendable() {
	case sendNothing:
	case sendPriority:
		if !c.urgent {
			c.urgent = true
			o.urgent.push(c)
		}
	default:
		if !c.ready {
			c.ready = true
			o.ready.push(c)
		}
	}
}

// take appends what is to be sent next to dst: at most the given number of
// buffers, and of other items.
func (o *outbox) take(dst []outgoing, buffers, others int) []outgoing {
	for buffers > 0 && others > 0 {
		var c *outChannel
		switch {
		case o.urgent.len() > 0:
			c = o.urgent.pop()
			c.urgent = false
		case o.ready.len() > 0:
			c = o.ready.pop()
			c.ready = false
		default:
			return dst
		}
		what := c.sendable()
		if what == sendNothing {
			continue
		}
		out := c.next(what)
		if out.buffer != nil {
			buffers--
		} else {
			others--
		}
		dst = append(dst, out)
		o.list(c)
	}
	return dst
}

// next takes what is sendable of the channel.
func (c *outChannel) next(what sending) outgoing {
	out := outgoing{channel: c, sequence: c.sequence}
	c.sequence++
	c.writing++
	if what == sendPriority {
		out.item = c.priority.pop()
		return out
	}
	out.item = c.queue.pop()
	switch {
	case out.buffer != nil:
		c.credit--
		c.backlog--
		out.backlog = c.backlog
		c.running = out.buffer.Run.open()
	case out.event != nil && out.event.Kind == EventEndOfInput:
		c.ended = true
	}
	return out
}

// drop empties the channel and appends its buffers to dst.
func (c *outChannel) drop(dst []*Buffer) []*Buffer {
	for c.queue.len() > 0 {
		if it := c.queue.pop(); it.buffer != nil {
			dst = append(dst, it.buffer)
		}
	}
	for c.priority.len() > 0 {
		c.priority.pop()
	}
	c.backlog = 0
	return dst
}
