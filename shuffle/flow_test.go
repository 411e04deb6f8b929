package shuffle

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// flow is a whole exchange between two workers without goroutines and without
// a connection: partitions' queues in an outbox, frames on a wire, a ledger,
// and what the task has. A test decides what happens next.
type flow struct {
	outbox   outbox
	channels []*outChannel
	toGate   []outgoing   // frames on their way
	toSender []flowCredit // credit on its way
	ledger   ledger
	buffers  int
	arrived  [][]outgoing // per channel, not recycled yet
	got      [][]string   // per channel, all that arrived
	sent     [][]string   // per channel, all that was sent
	inUse    int
	next     int
}

type flowCredit struct {
	channel int
	n       uint32
}

func newFlow(channels, exclusive, buffers int) *flow {
	f := &flow{buffers: buffers, ledger: newLedger(channels, exclusive, buffers)}
	for c := range channels {
		f.channels = append(f.channels, &outChannel{key: channelKey{to: uint32(c)}})
	}
	f.arrived = make([][]outgoing, channels)
	f.got = make([][]string, channels)
	f.sent = make([][]string, channels)
	return f
}

func (f *flow) send(c int, run Run) {
	f.next++
	f.outbox.push(f.channels[c], item{buffer: &Buffer{Records: uint32(f.next), Run: run, Watermark: NoWatermark}})
	f.sent[c] = append(f.sent[c], fmt.Sprintf("buffer %d run %d", f.next, run))
}

func (f *flow) event(c int, priority bool) {
	f.next++
	f.outbox.push(f.channels[c], item{event: &Event{Kind: EventBarrier, ID: uint64(f.next), Priority: priority}})
	if !priority {
		f.sent[c] = append(f.sent[c], fmt.Sprintf("event %d", f.next))
	}
}

// take moves frames from the outbox to the wire.
func (f *flow) take(buffers int) {
	for _, out := range f.outbox.take(nil, buffers, 3) {
		out.channel.writing--
		f.toGate = append(f.toGate, out)
	}
}

// arrive moves the first frame on the wire to the task.
func (f *flow) arrive() error {
	out := f.toGate[0]
	f.toGate = f.toGate[1:]
	c := int(out.channel.key.to)
	if want := uint32(len(f.got[c])); out.sequence != want {
		return fmt.Errorf("channel %d: frame %d instead of %d", c, out.sequence, want)
	}
	switch {
	case out.buffer == nil:
		name := fmt.Sprintf("event %d", out.event.ID)
		if out.event.Priority {
			name = "priority " + name
		}
		f.got[c] = append(f.got[c], name)
		return nil
	default:
		f.got[c] = append(f.got[c], fmt.Sprintf("buffer %d run %d", out.buffer.Records, out.buffer.Run))
	}
	if err := f.ledger.receive(c, out.backlog); err != nil {
		return err
	}
	if f.inUse++; f.inUse > f.buffers {
		return fmt.Errorf("%d buffers in use of %d", f.inUse, f.buffers)
	}
	f.arrived[c] = append(f.arrived[c], out)
	return nil
}

func (f *flow) recycle(c int) {
	f.arrived[c] = f.arrived[c][1:]
	f.inUse--
	f.ledger.recycle(c)
}

func (f *flow) announce(c int) {
	if n := f.ledger.announce(c); n > 0 {
		f.toSender = append(f.toSender, flowCredit{c, uint32(n)})
	}
}

func (f *flow) credit() error {
	cr := f.toSender[0]
	f.toSender = f.toSender[1:]
	return f.outbox.addCredit(f.channels[cr.channel], cr.n)
}

// check verifies that sender, wire and receiver agree about credit.
func (f *flow) check(t *rapid.T) {
	t.Helper()
	checkLedger(t, &f.ledger, f.buffers)
	for c, ch := range f.channels {
		total := ch.credit
		for _, cr := range f.toSender {
			if cr.channel == c {
				total += cr.n
			}
		}
		for _, out := range f.toGate {
			if out.buffer != nil && int(out.channel.key.to) == c {
				total++
			}
		}
		if int32(total) != f.ledger.channels[c].outstanding {
			t.Fatalf("channel %d: %d credits at the sender and on the wire, %d announced", c, total, f.ledger.channels[c].outstanding)
		}
	}
}

// settle runs everything to its end with only urgent credit announced, as a
// writer without other work would.
func (f *flow) settle(t *rapid.T) {
	for round := 0; ; round++ {
		before := len(f.toGate) + len(f.toSender)
		f.take(maxBatch)
		for len(f.toGate) > 0 {
			if err := f.arrive(); err != nil {
				t.Fatal(err)
			}
			before++
		}
		for c := range f.channels {
			for len(f.arrived[c]) > 0 {
				f.recycle(c)
				before++
			}
		}
		for c := range f.channels {
			if f.ledger.urgent(c, true) {
				f.announce(c)
			}
		}
		for len(f.toSender) > 0 {
			if err := f.credit(); err != nil {
				t.Fatal(err)
			}
			before++
		}
		f.check(t)
		if before == 0 {
			return
		}
	}
}

func TestFlowArrivesInOrderWithinCredit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		channels := rapid.IntRange(1, 4).Draw(t, "channels")
		exclusive := rapid.IntRange(1, 3).Draw(t, "exclusive")
		f := newFlow(channels, exclusive, channels*exclusive+rapid.IntRange(0, 6).Draw(t, "floating"))
		channel := rapid.IntRange(0, channels-1)
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) { f.send(channel.Draw(t, "channel"), RunNone) },
			"run": func(t *rapid.T) {
				c := channel.Draw(t, "channel")
				f.send(c, RunFirst)
				for range rapid.IntRange(0, 3).Draw(t, "middle") {
					f.send(c, RunMiddle)
				}
				f.send(c, RunLast)
			},
			"event":    func(t *rapid.T) { f.event(channel.Draw(t, "channel"), false) },
			"priority": func(t *rapid.T) { f.event(channel.Draw(t, "channel"), true) },
			"take":     func(t *rapid.T) { f.take(rapid.IntRange(1, 4).Draw(t, "buffers")) },
			"announce": func(t *rapid.T) { f.announce(channel.Draw(t, "channel")) },
			"arrive": func(t *rapid.T) {
				if len(f.toGate) == 0 {
					return // nothing on the wire
				}
				if err := f.arrive(); err != nil {
					t.Fatal(err)
				}
			},
			"recycle": func(t *rapid.T) {
				c := channel.Draw(t, "channel")
				if len(f.arrived[c]) == 0 {
					return // nothing there
				}
				f.recycle(c)
			},
			"credit": func(t *rapid.T) {
				if len(f.toSender) == 0 {
					return // no credit on the wire
				}
				if err := f.credit(); err != nil {
					t.Fatal(err)
				}
			},
			"": f.check,
		})
		f.settle(t)
		checkArrivals(t, f)
	})
}

// checkArrivals verifies that all has arrived, in order except for what has
// priority, which cuts no run.
func checkArrivals(t *rapid.T, f *flow) {
	for c := range f.channels {
		running := false
		inOrder := slices.DeleteFunc(slices.Clone(f.got[c]), func(name string) bool {
			var id int
			if n, _ := fmt.Sscanf(name, "priority event %d", &id); n == 1 {
				if running {
					t.Fatalf("channel %d: %s cuts a run in %q", c, name, f.got[c])
				}
				return true
			}
			var run Run
			if n, _ := fmt.Sscanf(name, "buffer %d run %d", &id, &run); n == 2 {
				running = run.open()
			}
			return false
		})
		if !slices.Equal(inOrder, f.sent[c]) {
			t.Fatalf("channel %d: sent %q, arrived %q", c, f.sent[c], inOrder)
		}
		if n := f.channels[c].priority.len(); n > 0 {
			t.Fatalf("channel %d: %d events with priority were never sent", c, n)
		}
	}
}

// TestFlowUsesEveryBuffer has a task that takes nothing, and senders that have
// more than enough. In whatever order things happen, and though only urgent
// credit is announced, all of the receiver's buffers are filled in the end.
func TestFlowUsesEveryBuffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		channels := rapid.IntRange(1, 4).Draw(t, "channels")
		exclusive := rapid.IntRange(1, 3).Draw(t, "exclusive")
		f := newFlow(channels, exclusive, channels*exclusive+rapid.IntRange(0, 12).Draw(t, "floating"))
		slow := rapid.Bool().Draw(t, "slow")
		for sent := 0; ; {
			var able []func() error
			if !f.outbox.idle() {
				able = append(able, func() error { f.take(1); return nil })
			}
			if len(f.toGate) > 0 {
				able = append(able, f.arrive)
			}
			if len(f.toSender) > 0 {
				able = append(able, f.credit)
			}
			for c := range f.channels {
				if f.ledger.urgent(c, false) {
					able = append(able, func() error { f.announce(c); return nil })
				}
			}
			// A slow sender has nothing behind each buffer when it leaves.
			if sent < channels*f.buffers && (!slow || len(able) == 0) {
				able = append(able, func() error {
					f.send(sent%channels, RunNone)
					sent++
					return nil
				})
			}
			if len(able) == 0 {
				break
			}
			if err := rapid.SampledFrom(able).Draw(t, "next")(); err != nil {
				t.Fatal(err)
			}
			f.check(t)
		}
		// Floating buffers that went to a channel as credit stay there until
		// they are used: all channels have enough to send.
		if f.inUse != f.buffers {
			t.Fatalf("%d of %d buffers are in use, %d float, accounts %+v", f.inUse, f.buffers, f.ledger.floating, f.ledger.channels)
		}
	})
}

// TestOutboxTakesTurns verifies that a channel with much to send does not keep
// another from sending.
func TestOutboxTakesTurns(t *testing.T) {
	f := newFlow(2, 8, 16)
	for c := range f.channels {
		if err := f.outbox.addCredit(f.channels[c], 8); err != nil {
			t.Fatal(err)
		}
	}
	for range 6 {
		f.send(0, RunNone)
	}
	f.send(1, RunNone)
	f.take(3)
	var order []uint32
	for _, out := range f.toGate {
		order = append(order, out.channel.key.to)
	}
	if !slices.Equal(order, []uint32{0, 1, 0}) {
		t.Fatalf("taken from channels %v, want 0 1 0", order)
	}
	if got := f.toGate[2].backlog; got != 4 {
		t.Fatalf("the second buffer of channel 0 says that %d wait behind it, want 4", got)
	}
}

// TestOutboxTakesPriorityFirst verifies that an event with priority does not
// wait for the turn of its channel.
func TestOutboxTakesPriorityFirst(t *testing.T) {
	f := newFlow(3, 8, 24)
	for c := range f.channels {
		if err := f.outbox.addCredit(f.channels[c], 8); err != nil {
			t.Fatal(err)
		}
		f.send(c, RunNone)
	}
	f.event(2, true)
	f.take(3)
	if first := f.toGate[0]; first.event == nil || first.channel.key.to != 2 || first.sequence != 0 {
		t.Fatalf("first to leave is %+v, want the event of channel 2", first)
	}
	if len(f.toGate) != 4 {
		t.Fatalf("%d frames left, want 4", len(f.toGate))
	}
}

// TestOutboxOpensWithCredit verifies that nothing is sent, not even what needs
// no credit, before the receiver has announced the channel.
func TestOutboxOpensWithCredit(t *testing.T) {
	f := newFlow(1, 1, 1)
	f.event(0, false)
	f.event(0, true)
	f.outbox.watermark(f.channels[0], 5)
	f.take(10)
	if len(f.toGate) != 0 {
		t.Fatalf("%d frames were sent before the channel was announced", len(f.toGate))
	}
	if err := f.outbox.addCredit(f.channels[0], 1); err != nil {
		t.Fatal(err)
	}
	f.take(10)
	if len(f.toGate) != 3 || f.toGate[0].event == nil || !f.toGate[0].event.Priority {
		t.Fatalf("sent %+v, want the event with priority and two more", f.toGate)
	}
}

func TestOutboxJoinsWatermarks(t *testing.T) {
	f := newFlow(1, 1, 1)
	ch := f.channels[0]
	f.send(0, RunNone)
	for _, wm := range []int64{5, 9, 7} {
		f.outbox.watermark(ch, wm)
	}
	if n := ch.queue.len(); n != 1 || ch.queue.front().buffer.Watermark != 9 {
		t.Fatalf("%d items are queued, the buffer's watermark is %d: want one with 9", n, ch.queue.front().buffer.Watermark)
	}
	f.event(0, false)
	for _, wm := range []int64{11, 12, 10} {
		f.outbox.watermark(ch, wm)
	}
	if n := ch.queue.len(); n != 3 || ch.queue.back().watermark != 12 {
		t.Fatalf("%d items are queued, the last with watermark %d: want three and 12", n, ch.queue.back().watermark)
	}
	if err := f.outbox.addCredit(ch, 1); err != nil {
		t.Fatal(err)
	}
	f.take(10)
	f.outbox.watermark(ch, 20)
	if n := ch.queue.len(); n != 1 || ch.queue.front().watermark != 20 {
		t.Fatal("a watermark was joined to what has left")
	}
}

func TestOutboxBoundsCredit(t *testing.T) {
	f := newFlow(1, 1, 1)
	if err := f.outbox.addCredit(f.channels[0], maxCredit); err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint32{1, ^uint32(0)} {
		if err := f.outbox.addCredit(f.channels[0], n); err == nil {
			t.Fatalf("credit of %d on top of %d was taken", n, maxCredit)
		}
	}
}
