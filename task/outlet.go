package task

import (
	"time"

	"github.com/weirstream/weir/shuffle"
)

// outlet is one exchange's end in a task, whatever the type of its records: the
// partition, the buffer timeout and the watermark.
type outlet struct {
	ctx       *Context
	partition *shuffle.Partition
	channels  int
	payload   int           // bytes of a buffer's payload
	timeout   time.Duration // the buffer timeout: 0 after every chunk, negative never

	// seal sends a channel's open buffer; open reports whether there is one.
	seal func(channel int)
	open func(channel int) bool

	watermark int64
	// perRecord tells that no record may share a buffer with one before a watermark,
	// so that every record sees the same watermark on both sides.
	perRecord bool
	// sent is the watermark that each channel knows of.
	sent []int64
	// flushed is when buffers were last sent because of the timeout, idled when
	// watermarks were last sent without records.
	flushed, idled time.Duration
}

// newOutlet makes the outlet for a partition whose buffers have payload bytes.
func newOutlet(ctx *Context, p *shuffle.Partition, channels, payload int, timeout time.Duration) *outlet {
	o := &outlet{ctx: ctx, partition: p, channels: channels, payload: payload, timeout: timeout, watermark: NoTime, sent: make([]int64, channels)}
	for i := range o.sent {
		o.sent[i] = NoTime
	}
	ctx.outlets = append(ctx.outlets, o)
	return o
}

// request returns a buffer. It waits for one if it must, which counts as
// backpressure.
func (o *outlet) request() (*shuffle.Buffer, error) {
	if b := o.partition.TryRequest(); b != nil {
		return b, nil
	}
	start := o.ctx.clock.now()
	o.ctx.figures.enter(backpressured, start)
	b, err := o.partition.Request(o.ctx.Done.Done())
	now := o.ctx.clock.now()
	o.ctx.figures.enter(busy, now)
	o.ctx.waited += now - start
	if err != nil && o.ctx.Done.Err() != nil {
		return nil, ErrCanceled
	}
	return b, err
}

// send hands over a buffer with the watermark that holds after its records.
func (o *outlet) send(channel int, b *shuffle.Buffer) {
	b.Watermark = o.watermark
	o.sent[channel] = o.watermark
	o.ctx.figures.BytesOut.Add(uint64(len(b.Bytes())))
	o.partition.Send(channel, b)
}

// raise takes a new watermark.
func (o *outlet) raise(t int64) {
	o.watermark = t
	if !o.perRecord {
		return
	}
	for c := range o.channels {
		o.seal(c)
	}
	o.sendWatermarks()
}

// flush sends what the buffer timeout says is due, and returns when it wants to
// be called again, or never.
func (o *outlet) flush(now time.Duration) (next time.Duration) {
	next = never
	switch {
	case o.timeout < 0:
	case now-o.flushed >= o.timeout:
		o.flushed = now
		for c := range o.channels {
			o.seal(c)
		}
	default:
		next = o.flushed + o.timeout
	}
	return min(next, o.flushWatermarks(now))
}

// flushWatermarks sends the watermark to channels that have no records for it
// to travel with. With many channels and a buffer timeout of 0 there would be
// little else to send, so it happens at intervals.
func (o *outlet) flushWatermarks(now time.Duration) (next time.Duration) {
	interval := o.ctx.WatermarkInterval
	if o.timeout > 0 {
		interval = min(interval, o.timeout)
	}
	if now-o.idled >= interval {
		if o.sendWatermarks() {
			o.idled = now
		}
		return never
	}
	for c, sent := range o.sent {
		if sent < o.watermark && !o.open(c) {
			return o.idled + interval
		}
	}
	return never
}

func (o *outlet) sendWatermarks() (any bool) {
	for c, sent := range o.sent {
		if sent < o.watermark && !o.open(c) {
			o.sent[c] = o.watermark
			o.partition.SendWatermark(c, o.watermark)
			any = true
		}
	}
	return any
}

// end sends everything, and after it that nothing will follow.
func (o *outlet) end() { o.sendLast(shuffle.EventEndOfInput) }

// idle sends everything, and after it that nothing follows for a while.
func (o *outlet) idle() { o.sendLast(shuffle.EventIdle) }

func (o *outlet) sendLast(kind shuffle.EventKind) {
	for c := range o.channels {
		o.seal(c)
	}
	o.sendWatermarks()
	for c := range o.channels {
		o.partition.SendEvent(c, shuffle.Event{Kind: kind})
	}
}
