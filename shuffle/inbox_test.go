package shuffle_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/shuffle"
)

// describe names a delivery.
func describe(d shuffle.Delivery) string {
	s := fmt.Sprintf("%d/%d", d.Gate, d.Channel)
	if d.Event != nil {
		return fmt.Sprintf("%s %v %d", s, d.Event.Kind, d.Event.ID)
	}
	if d.Buffer != nil {
		s += fmt.Sprintf(" buffer %d", d.Buffer.Records)
	}
	if d.Watermark != shuffle.NoWatermark {
		s += fmt.Sprintf(" watermark %d", d.Watermark)
	}
	return s
}

// pollAll polls until there is nothing, and recycles.
func pollAll(in *shuffle.Inbox) []string {
	var got []string
	for {
		d, ok := in.Poll()
		if !ok {
			return got
		}
		got = append(got, describe(d))
		if d.Buffer != nil {
			d.Buffer.Recycle()
		}
	}
}

func sendRecords(t *testing.T, p *shuffle.Partition, channel int, records uint32, run shuffle.Run) {
	t.Helper()
	b := p.TryRequest()
	if b == nil {
		t.Fatal("no buffer")
	}
	b.Records, b.Run = records, run
	p.Send(channel, b)
}

func wantDeliveries(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("polled\n%q, want\n%q", got, want)
	}
}

func TestInboxKeepsTheOrderOfArrival(t *testing.T) {
	w := newWorker(t, 20, endpointConfig(0, testSegment))
	defer w.close()
	inbox := shuffle.NewInbox()
	w.gate(inbox, 1, 0, 0, 0, shuffle.Source{Subtask: 0}, shuffle.Source{Subtask: 1})
	a := w.partition(1, 0, 10, shuffle.Target{})
	b := w.partition(1, 1, 10, shuffle.Target{})
	sendRecords(t, a, 0, 1, 0)
	sendRecords(t, b, 0, 2, 0)
	a.SendEvent(0, shuffle.Event{Kind: shuffle.EventBarrier, ID: 5})
	sendRecords(t, a, 0, 3, 0)
	b.SendEvent(0, shuffle.Event{Kind: shuffle.EventEndOfInput})
	if got := inbox.Len(); got != 5 {
		t.Errorf("length %d, want 5", got)
	}
	wantDeliveries(t, pollAll(inbox), "0/0 buffer 1", "0/1 buffer 2", "0/0 barrier 5", "0/0 buffer 3", "0/1 end of input 0")
	if got := inbox.Len(); got != 0 {
		t.Errorf("length %d when all is polled", got)
	}
}

func TestInboxJoinsWatermarks(t *testing.T) {
	w, p, _, inbox := local(t, 4)
	defer w.close()
	p.SendWatermark(0, 3)
	p.SendWatermark(0, 5)
	p.SendWatermark(0, 4)
	wantDeliveries(t, pollAll(inbox), "0/0 watermark 5")
	sendRecords(t, p, 0, 1, 0)
	sendRecords(t, p, 0, 2, 0)
	p.SendWatermark(0, 6)
	p.SendWatermark(0, 7)
	p.SendEvent(0, shuffle.Event{Kind: shuffle.EventBarrier})
	p.SendWatermark(0, 8)
	p.SendWatermark(0, 9)
	d, _ := inbox.Poll()
	d.Buffer.Recycle()
	if d, _ = inbox.Poll(); d.Buffer.Watermark != 7 || d.Watermark != 7 {
		t.Errorf("the buffer's watermark is %d, the delivery's %d: want 7", d.Buffer.Watermark, d.Watermark)
	}
	d.Buffer.Recycle()
	wantDeliveries(t, pollAll(inbox), "0/0 barrier 0", "0/0 watermark 9")
}

// TestInboxBoundsWatermarks sends watermarks without end to a task that polls
// nothing: one waits for each channel.
func TestInboxBoundsWatermarks(t *testing.T) {
	w := newWorker(t, 2, endpointConfig(0, testSegment))
	defer w.close()
	inbox := shuffle.NewInbox()
	w.gate(inbox, 1, 0, 0, 0, shuffle.Source{Subtask: 0}, shuffle.Source{Subtask: 1})
	a, b := w.partition(1, 0, 1, shuffle.Target{}), w.partition(1, 1, 1, shuffle.Target{})
	for i := range int64(1000) {
		a.SendWatermark(0, i)
		b.SendWatermark(0, 2*i)
	}
	wantDeliveries(t, pollAll(inbox), "0/0 watermark 999", "0/1 watermark 1998")
}

func TestInboxPriority(t *testing.T) {
	w, p, _, inbox := local(t, 8)
	defer w.close()
	sendRecords(t, p, 0, 1, 0)
	sendRecords(t, p, 0, 2, 0)
	first, _ := inbox.Poll() // takes all that is there out of the shared queue
	sendRecords(t, p, 0, 3, 0)
	p.SendEvent(0, shuffle.Event{Kind: shuffle.EventBarrier, ID: 1, Priority: true})
	p.SendEvent(0, shuffle.Event{Kind: shuffle.EventBarrier, ID: 2, Priority: true})
	barrier, _ := inbox.Poll()
	if got := describe(barrier); got != "0/0 barrier 1" {
		t.Errorf("polled %s, want the first barrier with priority", got)
	}
	second, _ := inbox.Poll()
	if got := describe(second); got != "0/0 barrier 2" {
		t.Errorf("polled %s, want the second barrier with priority", got)
	}
	// What is polled now was overtaken, and can be told by its number.
	overtaken, _ := inbox.Poll()
	if int32(overtaken.Sequence-barrier.Sequence) >= 0 {
		t.Errorf("a buffer with number %d was overtaken by a barrier with number %d", overtaken.Sequence, barrier.Sequence)
	}
	sendRecords(t, p, 0, 4, 0)
	if got := describe(overtaken); got != "0/0 buffer 2" {
		t.Errorf("polled %s, want buffer 2", got)
	}
	first.Buffer.Recycle()
	overtaken.Buffer.Recycle()
	third, _ := inbox.Poll()
	fourth, _ := inbox.Poll()
	if int32(third.Sequence-barrier.Sequence) >= 0 || int32(fourth.Sequence-barrier.Sequence) <= 0 {
		t.Errorf("numbers %d before and %d behind a barrier with number %d", third.Sequence, fourth.Sequence, barrier.Sequence)
	}
	third.Buffer.Recycle()
	fourth.Buffer.Recycle()
}

// TestInboxPriorityCutsNoRun holds an event with priority back while the task
// has only the beginning of a record.
func TestInboxPriorityCutsNoRun(t *testing.T) {
	w, p, _, inbox := local(t, 8)
	defer w.close()
	sendRecords(t, p, 0, 1, shuffle.RunFirst)
	d, _ := inbox.Poll()
	d.Buffer.Recycle()
	p.SendEvent(0, shuffle.Event{Kind: shuffle.EventBarrier, ID: 1, Priority: true})
	wantDeliveries(t, pollAll(inbox))
	sendRecords(t, p, 0, 2, shuffle.RunMiddle)
	sendRecords(t, p, 0, 3, shuffle.RunLast)
	sendRecords(t, p, 0, 4, 0)
	wantDeliveries(t, pollAll(inbox), "0/0 buffer 2", "0/0 buffer 3", "0/0 barrier 1", "0/0 buffer 4")
}

func TestInboxSignals(t *testing.T) {
	w, p, _, inbox := local(t, 8)
	defer w.close()
	ready := func() bool {
		select {
		case <-inbox.Ready():
			return true
		default:
			return false
		}
	}
	if _, ok := inbox.Poll(); ok || ready() {
		t.Fatal("a new inbox has something")
	}
	p.SendWatermark(0, 1)
	if !ready() {
		t.Error("not ready after a delivery")
	}
	sendRecords(t, p, 0, 1, 0)
	if ready() {
		t.Error("signalled a second time, though the task has not polled in vain")
	}
	wantDeliveries(t, pollAll(inbox), "0/0 watermark 1", "0/0 buffer 1")
	p.SendEvent(0, shuffle.Event{Kind: shuffle.EventBarrier, Priority: true})
	if !ready() {
		t.Error("not ready after an event with priority")
	}
	inbox.Wake()
	inbox.Wake()
	if !ready() || ready() {
		t.Error("two wakes are not one signal")
	}
	pollAll(inbox)
}

// TestInboxDropsAGate closes one gate of two: its buffers are recycled, the
// other's stay, and what comes for the closed one is recycled as it comes.
func TestInboxDropsAGate(t *testing.T) {
	w := newWorker(t, 20, endpointConfig(0, testSegment))
	defer w.close()
	inbox := shuffle.NewInbox()
	gates := make([]*shuffle.Gate, 2)
	partitions := make([]*shuffle.Partition, 2)
	for i := range gates {
		var err error
		gates[i], err = w.endpoint.NewGate(shuffle.GateConfig{Edge: uint32(i), Index: i, Channels: []shuffle.Source{{}}, Inbox: inbox})
		if err != nil {
			t.Fatal(err)
		}
		w.closers = append(w.closers, gates[i].Close)
		partitions[i] = w.partition(uint32(i), 0, 10, shuffle.Target{})
	}
	for i := range uint32(3) {
		sendRecords(t, partitions[0], 0, i, 0)
		sendRecords(t, partitions[1], 0, i, 0)
	}
	d, _ := inbox.Poll()
	d.Buffer.Recycle()
	for i := range uint32(3) {
		sendRecords(t, partitions[0], 0, 3+i, 0)
		sendRecords(t, partitions[1], 0, 3+i, 0)
	}
	partitions[0].SendEvent(0, shuffle.Event{Kind: shuffle.EventBarrier, Priority: true})
	gates[0].Close()
	gates[0].Close()
	if out := w.pools[0].Out(); out != 0 {
		t.Errorf("%d buffers of the closed gate are out", out)
	}
	sendRecords(t, partitions[0], 0, 9, 0)
	if out := w.pools[0].Out(); out != 0 {
		t.Errorf("%d buffers are out that were sent to a closed gate", out)
	}
	partitions[1].SendWatermark(0, 7)
	wantDeliveries(t, pollAll(inbox), "1/0 buffer 0", "1/0 buffer 1", "1/0 buffer 2", "1/0 buffer 3", "1/0 buffer 4", "1/0 buffer 5", "1/0 watermark 7")
	// The place of the closed gate can be taken by another.
	if _, err := w.endpoint.NewGate(shuffle.GateConfig{Edge: 7, Index: 1, Channels: []shuffle.Source{{}}, Inbox: inbox}); err == nil {
		t.Error("two gates have the same place in an inbox")
	}
	g, err := w.endpoint.NewGate(shuffle.GateConfig{Edge: 8, Index: 0, Channels: []shuffle.Source{{}}, Inbox: inbox})
	if err != nil {
		t.Fatal(err)
	}
	g.Close()
}

// TestInboxAgainstAModel interleaves senders and polling at random.
func TestInboxAgainstAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const channels = 3
		w := newWorker(t, 60, endpointConfig(0, testSegment))
		defer w.close()
		inbox := shuffle.NewInbox()
		sources := make([]shuffle.Source, channels)
		partitions := make([]*shuffle.Partition, channels)
		for c := range sources {
			sources[c].Subtask = uint32(c)
		}
		w.gate(inbox, 1, 0, 0, 0, sources...)
		for c := range partitions {
			partitions[c] = w.partition(1, uint32(c), 20, shuffle.Target{})
		}
		// Per channel: what is to come, with the watermark that it ends with.
		type pending struct {
			name      string
			watermark int64
		}
		var model [channels][]pending
		var high [channels]int64 // the watermark that the task must reach
		var seen [channels]int64
		for c := range seen {
			seen[c], high[c] = shuffle.NoWatermark, shuffle.NoWatermark
		}
		id := 0
		channel := rapid.IntRange(0, channels-1)
		take := func(rt *rapid.T) bool {
			d, ok := inbox.Poll()
			if !ok {
				return false
			}
			seen[d.Channel] = max(seen[d.Channel], d.Watermark)
			if d.Buffer != nil || d.Event != nil {
				want := model[d.Channel][0]
				model[d.Channel] = model[d.Channel][1:]
				name := ""
				if d.Buffer != nil {
					name = fmt.Sprint("buffer ", d.Buffer.Records)
					d.Buffer.Recycle()
				} else {
					name = fmt.Sprint("event ", d.Event.ID)
				}
				if name != want.name {
					rt.Fatalf("channel %d: polled %s, want %s", d.Channel, name, want.name)
				}
				if seen[d.Channel] < want.watermark {
					rt.Fatalf("channel %d: at %s the watermark is %d, sent before it was %d", d.Channel, name, seen[d.Channel], want.watermark)
				}
			}
			return true
		}
		rt.Repeat(map[string]func(*rapid.T){
			"send": func(rt *rapid.T) {
				c := channel.Draw(rt, "channel")
				b := partitions[c].TryRequest()
				if b == nil {
					return
				}
				id++
				b.Records = uint32(id)
				model[c] = append(model[c], pending{fmt.Sprint("buffer ", id), high[c]})
				partitions[c].Send(0, b)
			},
			"event": func(rt *rapid.T) {
				c := channel.Draw(rt, "channel")
				id++
				model[c] = append(model[c], pending{fmt.Sprint("event ", id), high[c]})
				partitions[c].SendEvent(0, shuffle.Event{Kind: shuffle.EventBarrier, ID: uint64(id)})
			},
			"watermark": func(rt *rapid.T) {
				c := channel.Draw(rt, "channel")
				high[c] = max(high[c], int64(rapid.IntRange(0, 1000).Draw(rt, "watermark")))
				partitions[c].SendWatermark(0, high[c])
			},
			"poll": func(rt *rapid.T) { take(rt) },
		})
		for take(rt) {
		}
		for c := range model {
			if len(model[c]) > 0 || seen[c] != high[c] {
				rt.Fatalf("channel %d: %d items never came, watermark %d of %d", c, len(model[c]), seen[c], high[c])
			}
		}
	})
}
