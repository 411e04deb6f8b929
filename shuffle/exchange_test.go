package shuffle_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weirstream/weir/shuffle"
)

// content is the n-th buffer of a channel: its number and random bytes, both
// of which follow from the seed.
func content(room int, seed, n uint64) []byte {
	r := rand.New(rand.NewPCG(seed, n))
	size := 8
	switch r.IntN(4) {
	case 0:
		size = room
	case 1:
		size += r.IntN(room - 8)
	}
	payload := binary.LittleEndian.AppendUint64(make([]byte, 0, size), n)
	for len(payload) < size {
		payload = append(payload, byte(r.Uint32()))
	}
	return payload
}

// fill writes the n-th buffer of a channel.
func fill(b *shuffle.Buffer, seed, n uint64) {
	b.SetLen(copy(b.Payload(), content(b.Cap(), seed, n)))
	b.Records, b.Mark = uint32(n+1), n%3 == 0
}

// check compares a received buffer with what fill writes.
func check(b *shuffle.Buffer, seed, n uint64) error {
	if !bytes.Equal(b.Bytes(), content(b.Cap(), seed, n)) || b.Records != uint32(n+1) || b.Mark != (n%3 == 0) {
		return fmt.Errorf("buffer %d has %d bytes and %d records, mark %v: that was not sent", n, b.Len(), b.Records, b.Mark)
	}
	return nil
}

// channelSeed is the seed of a channel's buffers.
func channelSeed(from, to uint32) uint64 { return uint64(from)<<32 | uint64(to) }

// produce sends n buffers to each channel in turn, a watermark after each, and
// the end.
func produce(t testing.TB, p *shuffle.Partition, from uint32, targets []shuffle.Target, n int) {
	t.Helper()
	for i := range n {
		for c, target := range targets {
			b, err := p.Request(nil)
			if err != nil {
				t.Error(err)
				return
			}
			fill(b, channelSeed(from, target.Subtask), uint64(i))
			p.Send(c, b)
			p.SendWatermark(c, int64(i))
		}
	}
	for c := range targets {
		p.SendEvent(c, shuffle.Event{Kind: shuffle.EventEndOfInput})
	}
	if err := p.Drain(nil); err != nil {
		t.Error(err)
	}
}

// consume receives n buffers from each channel and the end, and verifies them.
func consume(t testing.TB, in *shuffle.Inbox, to uint32, sources []shuffle.Source, n int) {
	t.Helper()
	got := make([]uint64, len(sources))
	watermarks := slices.Repeat([]int64{shuffle.NoWatermark}, len(sources))
	for open := len(sources); open > 0; {
		d := next(in)
		switch {
		case d.Event != nil && d.Event.Kind == shuffle.EventEndOfInput:
			if got[d.Channel] != uint64(n) || watermarks[d.Channel] != int64(n-1) {
				t.Errorf("channel %d ended after %d of %d buffers, at watermark %d", d.Channel, got[d.Channel], n, watermarks[d.Channel])
			}
			open--
		case d.Event != nil:
			t.Errorf("subtask %d: %v: %v", to, d.Event.Kind, d.Event.Err)
			return
		default:
			// A watermark is applied after the records of its buffer: it must
			// not run ahead of those that have not come.
			if d.Buffer != nil {
				if err := check(d.Buffer, channelSeed(sources[d.Channel].Subtask, to), got[d.Channel]); err != nil {
					t.Errorf("subtask %d channel %d: %v", to, d.Channel, err)
				}
				got[d.Channel]++
				d.Buffer.Recycle()
			}
			if d.Watermark != shuffle.NoWatermark {
				if d.Watermark >= int64(got[d.Channel]) || d.Watermark < watermarks[d.Channel] {
					t.Errorf("subtask %d channel %d: watermark %d after %d buffers and watermark %d", to, d.Channel, d.Watermark, got[d.Channel], watermarks[d.Channel])
				}
				watermarks[d.Channel] = d.Watermark
			}
		}
	}
}

// TestExchangeAllToAll has every subtask of several workers send to every
// other, with as few buffers as possible and with some more.
func TestExchangeAllToAll(t *testing.T) {
	const n = 150
	for _, test := range []struct{ workers, perWorker, outBuffers, exclusive, floating int }{
		{1, 2, 2, 1, 0},
		{2, 1, 1, 1, 0},
		{2, 2, 6, 2, 3},
		{3, 2, 8, 1, 4},
	} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			subtasks := test.workers * test.perWorker
			var targets []shuffle.Target
			var sources []shuffle.Source
			for i := range subtasks {
				targets = append(targets, shuffle.Target{Subtask: uint32(i), Worker: i / test.perWorker})
				sources = append(sources, shuffle.Source{Subtask: uint32(i), Worker: i / test.perWorker})
			}
			remote := subtasks - test.perWorker
			group := newGroup(t)
			workers := make([]*testWorker, test.workers)
			for i := range workers {
				in := remote*test.exclusive + test.floating
				workers[i] = newWorker(t, test.perWorker*(test.outBuffers+in), endpointConfig(i, testSegment))
			}
			for i, w := range workers {
				for j := range test.perWorker {
					subtask := uint32(i*test.perWorker + j)
					inbox := shuffle.NewInbox()
					w.gate(inbox, 1, subtask, remote*test.exclusive+test.floating, test.exclusive, sources...)
					group.start(func() { consume(t, inbox, subtask, sources, n) })
					p := w.partition(1, subtask, test.outBuffers, targets...)
					group.start(func() { produce(t, p, subtask, targets, n) })
				}
			}
			connect(t, workers...)
			group.wait()
			for _, w := range workers {
				s := w.endpoint.Stats()
				want := uint64(test.perWorker * remote * n)
				if s.Sent.Buffers != want || s.Received.Buffers != want {
					t.Errorf("worker %d sent %d and received %d buffers, want %d", w.index, s.Sent.Buffers, s.Received.Buffers, want)
				}
				// 1 + 2 + … + n records on each channel
				if records := want * (n + 1) / 2; s.Sent.Records != records || s.Received.Records != records {
					t.Errorf("worker %d sent %d and received %d records, want %d", w.index, s.Sent.Records, s.Received.Records, records)
				}
			}
			closeAll(t, workers...)
		})
	}
}

// TestExchangeInAnyOrderOfRegistration makes partition, gate and connection in
// every order: nothing is lost, and nothing is a protocol error.
func TestExchangeInAnyOrderOfRegistration(t *testing.T) {
	const n = 20
	orders := [][]string{
		{"partition", "gate", "connect"},
		{"partition", "connect", "gate"},
		{"gate", "partition", "connect"},
		{"gate", "connect", "partition"},
		{"connect", "partition", "gate"},
		{"connect", "gate", "partition"},
	}
	for _, order := range orders {
		for _, sender := range []int{0, 1} {
			t.Run(fmt.Sprint(order, sender), func(t *testing.T) {
				group := newGroup(t)
				workers := []*testWorker{newWorker(t, 8, endpointConfig(0, testSegment)), newWorker(t, 8, endpointConfig(1, testSegment))}
				targets := []shuffle.Target{{Worker: 1 - sender}}
				sources := []shuffle.Source{{Worker: sender}}
				for _, step := range order {
					switch step {
					case "partition":
						p := workers[sender].partition(1, 0, 4, targets...)
						// An event needs no credit: it must not run ahead of
						// the gate either.
						p.SendWatermark(0, -1)
						group.start(func() { produce(t, p, 0, targets, n) })
					case "gate":
						inbox := shuffle.NewInbox()
						workers[1-sender].gate(inbox, 1, 0, 4, 2, sources...)
						group.start(func() { consume(t, inbox, 0, sources, n) })
					case "connect":
						connect(t, workers...)
						waitConnected(t, workers...)
					}
				}
				group.wait()
				closeAll(t, workers...)
			})
		}
	}
}

// waitConnected exchanges an event in each direction on an edge of its own.
func waitConnected(t *testing.T, workers ...*testWorker) {
	t.Helper()
	const edge = 1 << 20
	inboxes := []*shuffle.Inbox{shuffle.NewInbox(), shuffle.NewInbox()}
	for i, w := range workers {
		other := workers[1-i]
		w.gate(inboxes[i], edge, uint32(i), 1, 1, shuffle.Source{Subtask: uint32(other.index), Worker: other.index})
		p := w.partition(edge, uint32(w.index), 1, shuffle.Target{Subtask: uint32(1 - i), Worker: other.index})
		p.SendEvent(0, shuffle.Event{Kind: shuffle.EventEndOfInput})
	}
	for _, in := range inboxes {
		if d := next(in); d.Event.Kind != shuffle.EventEndOfInput {
			t.Fatal(d.Event.Err)
		}
	}
}

// pair returns two workers, the sender 0 and the receiver 1, a partition with
// one channel, and the inbox of the gate that it goes to.
func pair(t *testing.T, outBuffers, inBuffers, exclusive int) (a, b *testWorker, p *shuffle.Partition, in *shuffle.Inbox) {
	t.Helper()
	a = newWorker(t, outBuffers+4, endpointConfig(0, testSegment))
	b = newWorker(t, inBuffers+4, endpointConfig(1, testSegment))
	p = a.partition(1, 0, outBuffers, shuffle.Target{Worker: 1})
	in = shuffle.NewInbox()
	b.gate(in, 1, 0, inBuffers, exclusive, shuffle.Source{Worker: 0})
	connect(t, a, b)
	return a, b, p, in
}

// fence is a channel beside the one that is tested, over the same connection:
// what comes out of it was sent after everything that was written before.
type fence struct {
	partition *shuffle.Partition
	inbox     *shuffle.Inbox
}

func newFence(from, to *testWorker) *fence {
	const edge = 1 << 21
	f := &fence{inbox: shuffle.NewInbox()}
	to.gate(f.inbox, edge, 0, 1, 1, shuffle.Source{Worker: from.index})
	f.partition = from.partition(edge, 0, 1, shuffle.Target{Worker: to.index})
	return f
}

// wait returns when all that has left the sender so far has been delivered.
func (f *fence) wait() {
	f.partition.SendEvent(0, shuffle.Event{Kind: shuffle.EventBarrier})
	next(f.inbox)
}

// TestExchangeSlowReceiver has a task that takes nothing: as many buffers are
// under way as the two pools have, and then the sender waits.
func TestExchangeSlowReceiver(t *testing.T) {
	const out, in, rest = 6, 4, 50
	for _, exclusive := range []int{in, 1} { // with and without floating buffers
		a, b, p, inbox := pair(t, out, in, exclusive)
		f := newFence(a, b)
		send := func(i uint64) {
			buf := request(t, p)
			fill(buf, 0, i)
			p.Send(0, buf)
		}
		for i := range uint64(out + in) {
			send(i)
		}
		// All but the receiver's are back: these have been written.
		if p.TryRequest() != nil {
			t.Fatal("one more buffer was sent than both pools have")
		}
		f.wait()
		if out := a.pools[0].Out() + b.pools[0].Out(); out != a.pools[0].Size()+b.pools[0].Size() {
			t.Fatalf("%d buffers are out", out)
		}
		// As the receiver takes them, others follow.
		group := newGroup(t)
		group.start(func() {
			for i := range uint64(rest) {
				send(out + in + i)
			}
		})
		for i := range uint64(out + in + rest) {
			d := next(inbox)
			if err := check(d.Buffer, 0, i); err != nil {
				t.Fatal(err)
			}
			if inbox.Len() > in {
				t.Fatalf("%d buffers wait in an inbox that has %d", inbox.Len(), in)
			}
			d.Buffer.Recycle()
		}
		group.wait()
		closeAll(t, a, b)
	}
}

// TestExchangeReceiverHoldsBuffers has a task that keeps all of its buffers
// but one: the sender must not wait for credit that is never announced because
// it is less than half of all.
func TestExchangeReceiverHoldsBuffers(t *testing.T) {
	const window = 8
	for _, elsewhere := range []bool{false, true} { // who recycles: the task or another goroutine
		a, b, p, inbox := pair(t, 2, window, window)
		group := newGroup(t)
		const n = 200
		group.start(func() {
			for i := range uint64(n) {
				buf, err := p.Request(nil)
				if err != nil {
					t.Error(err)
					return
				}
				fill(buf, 0, i)
				p.Send(0, buf)
			}
		})
		var held []*shuffle.Buffer
		for i := range uint64(n) {
			if len(held) == window {
				first := held[0]
				held = held[1:]
				if elsewhere {
					// Poll in vain first, so that the task is known to wait.
					if _, ok := inbox.Poll(); ok {
						t.Fatal("more buffers than there are")
					}
					group.start(first.Recycle)
				} else {
					first.Recycle()
				}
			}
			d := next(inbox)
			if err := check(d.Buffer, 0, i); err != nil {
				t.Fatal(err)
			}
			held = append(held, d.Buffer)
		}
		for _, b := range held {
			b.Recycle()
		}
		group.wait()
		closeAll(t, a, b)
	}
}

// TestExchangeRunLargerThanTheWindow sends a record in more pieces than the
// receiver has buffers.
func TestExchangeRunLargerThanTheWindow(t *testing.T) {
	a, b, p, inbox := pair(t, 3, 2, 1)
	const pieces = 50
	group := newGroup(t)
	group.start(func() {
		for i := range uint64(pieces) {
			buf, err := p.Request(nil)
			if err != nil {
				t.Error(err)
				return
			}
			fill(buf, 0, i)
			switch i {
			case 0:
				buf.Run = shuffle.RunFirst
			case pieces - 1:
				buf.Run = shuffle.RunLast
			default:
				buf.Run = shuffle.RunMiddle
			}
			p.Send(0, buf)
			if i == pieces/2 {
				p.SendEvent(0, shuffle.Event{Kind: shuffle.EventBarrier, Priority: true})
			}
		}
	})
	for i := range uint64(pieces) {
		d := next(inbox)
		if d.Buffer == nil {
			t.Fatalf("%v after %d of %d pieces", d.Event.Kind, i, pieces)
		}
		if err := check(d.Buffer, 0, i); err != nil {
			t.Fatal(err)
		}
		if first, last := d.Buffer.Run == shuffle.RunFirst, d.Buffer.Run == shuffle.RunLast; first != (i == 0) || last != (i == pieces-1) {
			t.Fatalf("piece %d has run %d", i, d.Buffer.Run)
		}
		d.Buffer.Recycle()
	}
	if d := next(inbox); d.Event == nil || d.Event.Kind != shuffle.EventBarrier {
		t.Fatalf("after the run: %+v, want the barrier", d)
	}
	group.wait()
	closeAll(t, a, b)
}

// TestExchangePriority has an event with priority overtake buffers that wait
// for credit at the sender, and those that wait in the receiver's inbox.
func TestExchangePriority(t *testing.T) {
	const window = 3
	a, b, p, inbox := pair(t, 8, window, window)
	f := newFence(a, b)
	send := func(i uint64) {
		buf := request(t, p)
		fill(buf, 0, i)
		p.Send(0, buf)
	}
	for i := range uint64(8) {
		send(i)
	}
	// Three have been written when the sender has three buffers again.
	for i := range uint64(window) {
		send(8 + i)
	}
	f.wait()
	first := next(inbox)
	data := []byte("options")
	p.SendEvent(0, shuffle.Event{Kind: shuffle.EventBarrier, Priority: true, ID: 7, Timestamp: 1234, Data: data})
	p.SendEvent(0, shuffle.Event{Kind: shuffle.EventBarrier, ID: 8})
	f.wait()
	// Two buffers wait in the inbox and eight at the sender.
	d := next(inbox)
	if d.Event == nil || d.Event.ID != 7 || d.Event.Timestamp != 1234 || !bytes.Equal(d.Event.Data, data) || !d.Event.Priority {
		t.Fatalf("%+v, want event 7 ahead of ten buffers", d)
	}
	for i := range uint64(window + 8) {
		if i > 0 {
			first = next(inbox)
		}
		if err := check(first.Buffer, 0, i); err != nil {
			t.Fatal(err)
		}
		if before := int32(first.Sequence-d.Sequence) < 0; before != (i < window) {
			t.Errorf("buffer %d has number %d, the event %d", i, first.Sequence, d.Sequence)
		}
		first.Buffer.Recycle()
	}
	if d := next(inbox); d.Event == nil || d.Event.ID != 8 || d.Event.Data != nil || d.Event.Priority {
		t.Fatalf("at last %+v, want event 8", d)
	}
	closeAll(t, a, b)
}

// TestExchangeForwardsBuffers sends received buffers on without copying them.
func TestExchangeForwardsBuffers(t *testing.T) {
	const n = 100
	a, b, p, inbox := pair(t, 4, 4, 4)
	back := shuffle.NewInbox()
	sources := []shuffle.Source{{Worker: 1}}
	a.gate(back, 2, 0, 4, 2, sources...)
	forward := b.partition(2, 0, 1, shuffle.Target{Worker: 0})
	group := newGroup(t)
	group.start(func() { produce(t, p, 0, []shuffle.Target{{}}, n) })
	group.start(func() {
		for {
			d := next(inbox)
			if d.Buffer != nil {
				forward.Send(0, d.Buffer)
			} else if d.Event == nil {
				forward.SendWatermark(0, d.Watermark)
			} else {
				forward.SendEvent(0, *d.Event)
				return
			}
		}
	})
	consume(t, back, 0, sources, n)
	group.wait()
	closeAll(t, a, b)
}

// TestExchangeFloatingBuffers has one of two channels busy: it gets the
// floating buffers, and both give everything back.
func TestExchangeFloatingBuffers(t *testing.T) {
	const exclusive, floating = 1, 6
	a := newWorker(t, 40, endpointConfig(0, testSegment))
	b := newWorker(t, 40, endpointConfig(1, testSegment))
	busy := a.partition(1, 0, 12, shuffle.Target{Worker: 1})
	quiet := a.partition(1, 1, 2, shuffle.Target{Worker: 1})
	inbox := shuffle.NewInbox()
	g := b.gate(inbox, 1, 0, 2*exclusive+floating, exclusive, shuffle.Source{Subtask: 0, Worker: 0}, shuffle.Source{Subtask: 1, Worker: 0})
	connect(t, a, b)
	f := newFence(a, b)
	if u := g.Usage(); u != (shuffle.GateUsage{Buffers: 8, Floating: 6, FloatingFree: 6}) {
		t.Errorf("usage at first: %+v", u)
	}
	const under = exclusive + floating // the most that the busy channel can have under way
	for i := range uint64(12 + under) {
		buf := request(t, busy)
		fill(buf, 0, i)
		busy.Send(0, buf)
	}
	f.wait()
	if u := g.Usage(); u != (shuffle.GateUsage{Buffers: 8, InUse: under, Floating: 6, FloatingFree: 0}) {
		t.Errorf("usage with one busy channel: %+v", u)
	}
	// The other channel still has its own.
	buf := request(t, quiet)
	fill(buf, 1, 0)
	quiet.Send(0, buf)
	if err := quiet.Drain(t.Context().Done()); err != nil {
		t.Fatal(err)
	}
	got := map[int]uint64{}
	for range 12 + under + 1 {
		d := next(inbox)
		if err := check(d.Buffer, uint64(d.Channel), got[d.Channel]); err != nil {
			t.Fatal(err)
		}
		got[d.Channel]++
		d.Buffer.Recycle()
	}
	if got[0] != 12+under || got[1] != 1 {
		t.Errorf("received %v", got)
	}
	busy.SendEvent(0, shuffle.Event{Kind: shuffle.EventEndOfInput})
	quiet.SendEvent(0, shuffle.Event{Kind: shuffle.EventEndOfInput})
	for range 2 {
		next(inbox)
	}
	if u := g.Usage(); u != (shuffle.GateUsage{Buffers: 8, Floating: 6, FloatingFree: 8}) {
		t.Errorf("usage when both channels have ended: %+v", u)
	}
	closeAll(t, a, b)
}
