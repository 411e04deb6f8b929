package shuffle

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// A Delivery is one thing that arrived at a task: a buffer, a watermark or an
// event.
type Delivery struct {
	// Gate is the index of the gate, as its [GateConfig] says.
	Gate int
	// Channel is the index in [GateConfig.Channels], or -1 for an event that
	// concerns the gate as a whole.
	Channel int
	// Buffer is the receiver's to recycle; nil when there is none.
	Buffer *Buffer
	// Watermark is to be applied after the buffer's records; [NoWatermark]
	// when there is none.
	Watermark int64
	// Event is nil when there is none.
	Event *Event
	// Sequence numbers what arrives on the channel. An event with priority has
	// the number under which it arrived: deliveries of its channel that are
	// polled after it with a smaller number (differences taken as int32) were
	// overtaken by it.
	Sequence uint32
}

// An Inbox is the mailbox of a task for all of its gates: what arrives, in the
// order in which it arrived, behind a lane for events with priority. Any
// goroutine delivers; only the task's own calls Poll.
//
// What is in an inbox is bounded: buffers by the pools that they come from,
// watermarks to one for each channel, since a newer one takes the place of an
// older one that still waits.
type Inbox struct {
	ready chan struct{}
	// idle is set when Poll found nothing, and cleared by the next delivery.
	// Credit is announced more eagerly to an inbox that is idle.
	idle atomic.Bool
	// lane is the number of deliveries with priority.
	lane atomic.Int32

	// batch and next are what the task took out in one piece; its own.
	batch []Delivery
	next  int

	mu struct {
		sync.Mutex
		queue []Delivery
		// base is the place of queue[0] in all that ever arrived.
		base  uint64
		lane  []Delivery
		gates []*inboxGate
	}
}

// inboxGate is what an inbox keeps about one of its gates.
type inboxGate struct {
	gate *Gate
	// last is, for each channel, one more than the place of what arrived last
	// on it, unless that is something which no watermark may be joined to.
	last []uint64
	// running tells, for each channel, that the task polled the beginning of a
	// run and not yet its end. It is the task's own.
	running []bool
}

// NewInbox returns an empty inbox.
func NewInbox() *Inbox { return &Inbox{ready: make(chan struct{}, 1)} }

// Ready is signalled when Poll, which found nothing before, may find something
// now; and by Wake. The channel is never closed.
func (in *Inbox) Ready() <-chan struct{} { return in.ready }

// Wake signals Ready. The task's control messages use it.
func (in *Inbox) Wake() {
	select {
	case in.ready <- struct{}{}:
	default:
	}
}

// Len is the number of deliveries that wait for Poll. Only the task's own
// goroutine may call it.
func (in *Inbox) Len() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.batch) - in.next + len(in.mu.queue) + len(in.mu.lane)
}

// Poll takes the next delivery, and reports false when there is none.
func (in *Inbox) Poll() (Delivery, bool) {
	for {
		if in.lane.Load() > 0 {
			if d, ok := in.pollLane(); ok {
				return d, true
			}
		}
		if in.next < len(in.batch) {
			break
		}
		if !in.refill() {
			return Delivery{}, false
		}
	}
	d := in.batch[in.next]
	in.batch[in.next] = Delivery{}
	in.next++
	if d.Buffer != nil && d.Buffer.Run != RunNone {
		in.mark(d)
	}
	return d, true
}

// mark notes that a run began or ended.
func (in *Inbox) mark(d Delivery) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.mu.gates[d.Gate].running[d.Channel] = d.Buffer.Run.open()
}

// refill takes all that arrived since it was last called, and reports whether
// Poll finds something now. What has come into the lane since Poll looked there
// counts: it was pushed to a task that was not idle yet, and woke nobody.
func (in *Inbox) refill() bool {
	in.mu.Lock()
	if n := len(in.mu.queue); n > 0 {
		in.batch, in.mu.queue = in.mu.queue, in.batch[:0]
		in.next = 0
		in.mu.base += uint64(n)
		in.mu.Unlock()
		return true
	}
	if in.nextInLaneLocked() >= 0 {
		in.mu.Unlock()
		return true
	}
	wasIdle := in.idle.Swap(true)
	gates := in.mu.gates
	in.mu.Unlock()
	if !wasIdle {
		// A sender may have used up its credit while less has come back than
		// is announced at once. Now that the task waits, it is time.
		for _, g := range gates {
			if g != nil {
				g.gate.announceDry()
			}
		}
	}
	return false
}

func (in *Inbox) pollLane() (Delivery, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	i := in.nextInLaneLocked()
	if i < 0 {
		return Delivery{}, false
	}
	d := in.mu.lane[i]
	in.mu.lane = append(in.mu.lane[:i], in.mu.lane[i+1:]...)
	in.lane.Add(-1)
	return d, true
}

// nextInLaneLocked finds the first delivery with priority whose time has come,
// and is negative when there is none: nothing cuts a run.
func (in *Inbox) nextInLaneLocked() int {
	for i, d := range in.mu.lane {
		if d.Channel < 0 || !in.mu.gates[d.Gate].running[d.Channel] {
			return i
		}
	}
	return -1
}

// push delivers d for a gate. It reports false, and keeps nothing, when the
// gate is not, or no longer, one of the inbox's.
func (in *Inbox) push(gate *Gate, d Delivery) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if d.Gate >= len(in.mu.gates) || in.mu.gates[d.Gate] == nil || in.mu.gates[d.Gate].gate != gate {
		return false
	}
	g := in.mu.gates[d.Gate]
	switch {
	case d.Event == nil:
		if d.Buffer == nil && in.raiseLocked(g, d.Channel, d.Watermark) {
			return true
		}
		in.mu.queue = append(in.mu.queue, d)
		g.last[d.Channel] = in.mu.base + uint64(len(in.mu.queue))
	case d.Event.Priority || d.Event.Kind == EventConnectionLost:
		in.mu.lane = append(in.mu.lane, d)
		in.lane.Add(1)
	default:
		in.mu.queue = append(in.mu.queue, d)
		g.last[d.Channel] = 0
	}
	if in.idle.Load() {
		in.idle.Store(false)
		in.Wake()
	}
	return true
}

// raiseLocked joins a watermark to what arrived last on its channel, when that
// has not been taken yet.
func (in *Inbox) raiseLocked(g *inboxGate, channel int, watermark int64) bool {
	place := g.last[channel]
	if place <= in.mu.base {
		return false
	}
	d := &in.mu.queue[place-in.mu.base-1]
	d.Watermark = max(d.Watermark, watermark)
	if d.Buffer != nil {
		d.Buffer.Watermark = d.Watermark
	}
	return true
}

// register makes room for a gate.
func (in *Inbox) register(g *Gate, index, channels int) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	// The slice is copied: refill walks over the old one without the lock.
	gates := append([]*inboxGate(nil), in.mu.gates...)
	for len(gates) <= index {
		gates = append(gates, nil)
	}
	if gates[index] != nil {
		return fmt.Errorf("gate %d is taken in this inbox", index)
	}
	gates[index] = &inboxGate{gate: g, last: make([]uint64, channels), running: make([]bool, channels)}
	in.mu.gates = gates
	return nil
}

// remove drops a gate and what it has delivered, and recycles its buffers. The
// task's goroutine calls it.
func (in *Inbox) remove(index int) {
	in.mu.Lock()
	gates := append([]*inboxGate(nil), in.mu.gates...)
	gates[index] = nil
	in.mu.gates = gates
	var dropped []*Buffer
	keep := func(deliveries []Delivery) []Delivery {
		kept := deliveries[:0]
		for _, d := range deliveries {
			switch {
			case d.Gate != index:
				kept = append(kept, d)
			case d.Buffer != nil:
				dropped = append(dropped, d.Buffer)
			}
		}
		clear(deliveries[len(kept):])
		return kept
	}
	in.batch, in.next = keep(in.batch[in.next:]), 0
	in.mu.lane = keep(in.mu.lane)
	in.lane.Store(int32(len(in.mu.lane)))
	in.mu.queue = keep(in.mu.queue)
	for _, g := range gates {
		if g != nil {
			clear(g.last) // the places in the queue have moved
		}
	}
	in.mu.Unlock()
	for _, b := range dropped {
		b.Recycle()
	}
}
