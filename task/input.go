package task

import (
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/shuffle"
)

// status says how a task's head stands after a step.
type status int

const (
	// working: there may be more to do at once.
	working status = iota
	// waiting: nothing to do until one of the ready channels says so.
	waiting
	// ended: the chain has had its End.
	ended
)

// head is where a task's records come from: a source or the network.
type head interface {
	// step does one chunk of work of at most limit records.
	step(limit int) (n int, s status, err error)
	// ready are signalled when a head that was waiting may have work.
	ready() []<-chan struct{}
	// progress publishes figures that are not worth a write per chunk.
	progress()
	// announce says that a checkpoint was triggered: the chain takes its snapshot as
	// soon as nothing that belongs to it is to come any more.
	announce(a alignment) error
	// abort says that a checkpoint will not be, and with earlier those before it.
	abort(id uint64, earlier bool)
}

// inputHead reads what arrives from other tasks.
type inputHead struct {
	*meeting // of all channels
	inbox    *shuffle.Inbox
	gates    []inputGate
	wait     []<-chan struct{}

	// barriers is nil where there are no checkpoints. What comes on channels that
	// have to wait for one is held, and then read again before anything else.
	barriers     *barriers
	held, replay []shuffle.Delivery
	alignedSince time.Duration

	// buffer is what is being read.
	buffer  *shuffle.Buffer
	gate    *inputGate
	channel int
}

// inputGate is one exchange that ends in the task. Its channels are numbered in
// the valve from first.
type inputGate struct {
	reader reader
	first  int
	remote []bool
}

func newInputHead(ctx *Context, inbox *shuffle.Inbox, gates []inputGate, next signals) *inputHead {
	channels := 0
	for i := range gates {
		gates[i].first = channels
		channels += len(gates[i].remote)
	}
	h := &inputHead{meeting: newMeeting(ctx, channels, next), inbox: inbox, gates: gates, wait: []<-chan struct{}{inbox.Ready()}}
	if c := ctx.checkpoints; c != nil {
		h.barriers = newBarriers(channels, c.ExactlyOnce)
	}
	ctx.OnClose(h.close)
	return h
}

// register adds the watermark of the input to the task's snapshots. One that is
// restored goes on at once, and no lower one follows.
func (h *inputHead) register() error {
	low, err := h.ctx.registerTime("input watermark", func() int64 { return h.valve.low })
	if err != nil || low == NoTime {
		return err
	}
	h.valve.restore(low)
	return h.to.Watermark(low)
}

func (h *inputHead) step(limit int) (int, status, error) {
	if h.buffer != nil {
		return h.read(limit)
	}
	d, ok := h.next()
	if !ok {
		return 0, waiting, nil
	}
	gate := &h.gates[d.Gate]
	switch {
	case d.Buffer != nil:
		h.buffer, h.gate, h.channel = d.Buffer, gate, d.Channel
		h.ctx.figures.BytesIn.Add(uint64(len(d.Buffer.Bytes())))
		if err := gate.reader.take(d.Buffer, d.Channel); err != nil {
			return 0, working, err
		}
		return h.read(limit)
	case d.Event != nil:
		return h.event(gate, d)
	default:
		return 0, working, h.raise(gate.first+d.Channel, d.Watermark)
	}
}

// read pushes a part of the current buffer. Its watermark holds after its last
// record.
func (h *inputHead) read(limit int) (int, status, error) {
	n, done, err := h.gate.reader.step(limit)
	h.ctx.figures.RecordsIn.Add(uint64(n))
	if h.gate.remote[h.channel] {
		h.ctx.figures.RecordsInRemote.Add(uint64(n))
	}
	if err != nil || !done {
		return n, working, err
	}
	watermark := h.buffer.Watermark
	h.buffer.Recycle()
	h.buffer = nil
	return n, working, h.raise(h.gate.first+h.channel, watermark)
}

func (h *inputHead) event(gate *inputGate, d shuffle.Delivery) (int, status, error) {
	switch d.Event.Kind {
	case shuffle.EventBarrier:
		return 0, working, h.barrier(gate.first+d.Channel, d.Event)
	case shuffle.EventEndOfInput:
		if h.barriers != nil {
			if err := h.take(h.barriers.end(gate.first + d.Channel)); err != nil {
				return 0, working, err
			}
		}
		return h.endOf(gate.first + d.Channel)
	case shuffle.EventIdle:
		return 0, working, h.rest(gate.first + d.Channel)
	case shuffle.EventConnectionLost:
		return 0, working, d.Event.Err
	default:
		return 0, working, fmt.Errorf("an event of unknown kind %v arrived", d.Event.Kind)
	}
}

// endOf notes that a channel has ended.
func (h *inputHead) endOf(channel int) (int, status, error) {
	if !h.valve.end() {
		return 0, working, h.raise(channel, MaxTime)
	}
	return 0, ended, h.to.End()
}

// next returns what is to be read next. What comes on a channel that must wait is
// held; when it need not wait any more, it comes before what arrived after it.
func (h *inputHead) next() (shuffle.Delivery, bool) {
	for {
		d, ok := h.arrived()
		if !ok || h.barriers == nil || d.Channel < 0 || !h.barriers.waits(h.gates[d.Gate].first+d.Channel) {
			return d, ok
		}
		h.held = append(h.held, d)
	}
}

func (h *inputHead) arrived() (shuffle.Delivery, bool) {
	if len(h.replay) == 0 {
		return h.inbox.Poll()
	}
	d := h.replay[0]
	h.replay[0] = shuffle.Delivery{}
	if h.replay = h.replay[1:]; len(h.replay) == 0 {
		h.replay = nil
	}
	return d, true
}

// barrier takes in the barrier of a checkpoint.
func (h *inputHead) barrier(channel int, e *shuffle.Event) error {
	if h.barriers == nil {
		return fmt.Errorf("the barrier of checkpoint %d arrived at a task that takes no checkpoints", e.ID)
	}
	begun, complete := h.barriers.arrive(channel, e.ID, e.Timestamp)
	if begun {
		h.alignedSince = h.ctx.clock.now()
	}
	return h.take(complete)
}

// take takes the snapshots of checkpoints that are complete here.
func (h *inputHead) take(complete []alignment) error {
	for _, a := range complete {
		aligned := time.Duration(0)
		if a.begun {
			aligned = h.ctx.clock.now() - h.alignedSince
		}
		if err := h.ctx.afterResults(func() error { return h.ctx.checkpoints.take(a, aligned) }); err != nil {
			return err
		}
	}
	h.goOn()
	return nil
}

// goOn has what was held read again.
func (h *inputHead) goOn() {
	if len(h.held) > 0 {
		h.replay = append(h.held, h.replay...)
		h.held = nil
	}
}

// announce implements [head]. Tasks with open channels learn of a checkpoint from
// its barriers, too; those without from nothing else.
func (h *inputHead) announce(a alignment) error {
	return h.take(h.barriers.announce(a.id, a.timestamp))
}

// abort implements [head].
func (h *inputHead) abort(id uint64, earlier bool) {
	h.barriers.abort(id, earlier)
	h.goOn()
}

func (h *inputHead) ready() []<-chan struct{} { return h.wait }
func (h *inputHead) progress()                {}

func (h *inputHead) close() error {
	if h.buffer != nil {
		h.buffer.Recycle()
		h.buffer = nil
	}
	for _, d := range slices.Concat(h.held, h.replay) {
		if d.Buffer != nil {
			d.Buffer.Recycle()
		}
	}
	h.held, h.replay = nil, nil
	return nil
}
