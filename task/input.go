package task

import (
	"fmt"

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
}

// inputHead reads what arrives from other tasks.
type inputHead struct {
	*meeting // of all channels
	inbox    *shuffle.Inbox
	gates    []inputGate
	wait     []<-chan struct{}

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
	ctx.OnClose(h.close)
	return h
}

func (h *inputHead) step(limit int) (int, status, error) {
	if h.buffer != nil {
		return h.read(limit)
	}
	d, ok := h.inbox.Poll()
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
	case shuffle.EventEndOfInput:
		if !h.valve.end() {
			return 0, working, h.raise(gate.first+d.Channel, MaxTime)
		}
		return 0, ended, h.to.End()
	case shuffle.EventIdle:
		return 0, working, h.rest(gate.first + d.Channel)
	case shuffle.EventConnectionLost:
		return 0, working, d.Event.Err
	default:
		return 0, working, fmt.Errorf("an event of unknown kind %v arrived", d.Event.Kind)
	}
}

func (h *inputHead) ready() []<-chan struct{} { return h.wait }
func (h *inputHead) progress()                {}

func (h *inputHead) close() error {
	if h.buffer != nil {
		h.buffer.Recycle()
		h.buffer = nil
	}
	return nil
}
