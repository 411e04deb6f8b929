package task

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weirstream/weir/shuffle"
)

// TestBufferTimeout drives an outlet's clock.
func TestBufferTimeout(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		timeout time.Duration
		// at each time one record is written and then flushed.
		at   []time.Duration
		sent []bool
		next []time.Duration
	}{
		{100 * ms, []time.Duration{40 * ms, 99 * ms, 100 * ms, 150 * ms, 230 * ms}, []bool{false, false, true, false, true}, []time.Duration{100 * ms, 100 * ms, never, 200 * ms, never}},
		{0, []time.Duration{1, 1, 7}, []bool{true, true, true}, []time.Duration{never, never, never}},
		{-1, []time.Duration{1, time.Hour, 100 * time.Hour}, []bool{false, false, false}, []time.Duration{never, never, never}},
	} {
		w := newWire(t, 1, 1024, 8, c.timeout)
		out := writerOf[int64](t, w)
		for i, at := range c.at {
			if err := out.Push([]int64{1}, []int64{1}); err != nil {
				t.Fatal(err)
			}
			next := w.outlet.flush(at)
			if got := w.receive(t, 0, nil, 0).buffers == 1; got != c.sent[i] || next != c.next[i] {
				t.Errorf("timeout %v: at %v a buffer was sent: %v, the next flush is at %v; want %v, %v", c.timeout, at, got, next, c.sent[i], c.next[i])
			}
		}
	}
}

func writerOf[T any](t testing.TB, w *wire) Receiver[T] {
	t.Helper()
	x := TurnExchange[T]{Records: must[Records[T]](t)(NewRecords[T]())}
	return must[any](t)(x.Writer(w.ctx, w.outlet)).(Receiver[T])
}

// TestWatermarksWithoutRecords: a channel without an open buffer gets the
// watermark by itself, at intervals; one with a buffer gets it with that.
func TestWatermarksWithoutRecords(t *testing.T) {
	const ms = time.Millisecond
	for _, timeout := range []time.Duration{0, -1, 1000 * ms} { // the interval is 200 ms
		w := newWire(t, 2, 1024, 8, timeout)
		out := writerOf[int64](t, w)
		watermark := func(t int64) { _ = out.Watermark(t) }

		watermark(5)
		if next := w.outlet.flush(100 * ms); next > 200*ms {
			t.Errorf("timeout %v: a watermark waits until %v, want at most 200 ms", timeout, next)
		}
		if got := w.receive(t, 0, nil, 0); got.watermarks != nil {
			t.Errorf("timeout %v: the watermark %v came before its interval", timeout, got.watermarks)
		}
		if err := out.Push([]int64{1}, []int64{9}); err != nil { // on channel 0
			t.Fatal(err)
		}
		w.outlet.flush(200 * ms)
		if got := w.receive(t, 1, nil, 0); !slices.Equal(got.watermarks, []int64{5}) || got.buffers > 0 {
			t.Errorf("timeout %v: channel 1 got %+v, want the watermark 5 alone", timeout, got)
		}
		got := w.receive(t, 0, nil, 0)
		if timeout == 0 {
			if !slices.Equal(got.watermarks, []int64{5}) || got.buffers != 1 {
				t.Errorf("timeout %v: channel 0 got %+v, want a buffer with the watermark 5", timeout, got)
			}
		} else if got.watermarks != nil || got.buffers > 0 {
			t.Errorf("timeout %v: channel 0 got %+v, want nothing: its buffer is open", timeout, got)
		}
		// What is known is not sent again.
		w.outlet.flush(500 * ms)
		if got := w.receive(t, 1, nil, 0); got.watermarks != nil {
			t.Errorf("timeout %v: the watermark came again: %v", timeout, got.watermarks)
		}
		if got := w.receive(t, 0, nil, 0); got.watermarks != nil {
			t.Errorf("timeout %v: the watermark came with a buffer, and again: %v", timeout, got.watermarks)
		}
		watermark(7)
		w.outlet.end()
		if got := w.receive(t, 0, nil, 0); !slices.Equal(got.watermarks, []int64{7}) || !slices.Equal(got.events, []shuffle.EventKind{shuffle.EventEndOfInput}) {
			t.Errorf("timeout %v: channel 0 ended with %+v", timeout, got)
		}
		if got := w.receive(t, 1, nil, 0); !slices.Equal(got.watermarks, []int64{7}) || !slices.Equal(got.events, []shuffle.EventKind{shuffle.EventEndOfInput}) {
			t.Errorf("timeout %v: channel 1 ended with %+v", timeout, got)
		}
	}
}

// TestWatermarksStayBehindRecords is T4 for any order of records, watermarks and
// flushes: when a channel hears of a watermark, it has every record that came
// before it; it hears of the last one; and watermarks rise.
func TestWatermarksStayBehindRecords(t *testing.T) {
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		channels := rapid.IntRange(1, 3).Draw(t, "channels")
		timeout := rapid.SampledFrom([]time.Duration{0, -1, 50 * time.Millisecond}).Draw(t, "timeout")
		w := newWire(tb, channels, 512, 200, timeout)
		out := writerOf[int64](tb, w)
		sent := make([]int, channels) // records dealt to each channel
		before := map[int64][]int{}   // sent, when a watermark was given
		received := make([]int, channels)
		last := slices.Repeat([]int64{NoTime}, channels)
		now, next, turn := time.Duration(0), int64(0), 0
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				n := rapid.IntRange(0, 60).Draw(t, "records")
				if err := out.Push(make([]int64, n), make([]int64, n)); err != nil {
					t.Fatal(err)
				}
				for range n {
					sent[turn]++
					turn = (turn + 1) % channels
				}
			case 1:
				next++
				before[next] = slices.Clone(sent)
				if err := out.Watermark(next); err != nil {
					t.Fatal(err)
				}
			case 2:
				now += time.Duration(rapid.IntRange(0, 300).Draw(t, "ms")) * time.Millisecond
				w.outlet.flush(now)
			case 3:
				hear(t, w, before, received, last)
			}
		}
		w.outlet.end()
		hear(t, w, before, received, last)
		if !slices.Equal(received, sent) {
			t.Fatalf("%v records arrived, %v were sent", received, sent)
		}
		for c, at := range last {
			if next > 0 && at != next {
				t.Fatalf("channel %d ended at watermark %d, want %d", c, at, next)
			}
		}
	})
}

// hear takes what has arrived and checks its watermarks.
func hear(t *rapid.T, w *wire, before map[int64][]int, received []int, last []int64) {
	t.Helper()
	for c, inbox := range w.inboxes {
		for d, ok := inbox.Poll(); ok; d, ok = inbox.Poll() {
			at := d.Watermark
			if d.Buffer != nil {
				received[c] += int(d.Buffer.Records)
				at = d.Buffer.Watermark
				d.Buffer.Recycle()
			}
			if at == shuffle.NoWatermark {
				continue
			}
			if at < last[c] {
				t.Fatalf("channel %d: watermark %d after %d", c, at, last[c])
			}
			last[c] = at
			if received[c] < before[at][c] {
				t.Fatalf("channel %d: watermark %d after %d records, want %d", c, at, received[c], before[at][c])
			}
		}
	}
}

// TestWatermarksBetweenRecords: where their place counts, each record arrives with
// the watermark that was in force when it was sent, on every channel, whatever the
// buffer timeout.
func TestWatermarksBetweenRecords(t *testing.T) {
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		channels := rapid.IntRange(1, 3).Draw(t, "channels")
		w := newWire(tb, channels, 512, 200, -1)
		w.outlet.perRecord = true
		out := writerOf[int64](tb, w)
		watermark, sent := NoTime, 0
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "watermark") {
				watermark = max(watermark, 0) + 1
				if err := out.Watermark(watermark); err != nil {
					t.Fatal(err)
				}
				continue
			}
			values := slices.Repeat([]int64{watermark}, rapid.IntRange(1, 9).Draw(t, "records"))
			sent += len(values)
			if err := out.Push(values, make([]int64, len(values))); err != nil {
				t.Fatal(err)
			}
		}
		w.outlet.end()
		for c, inbox := range w.inboxes {
			inForce := NoTime
			var got recorder[int64]
			r := must[Records[int64]](tb)(NewRecords[int64]()).reader(&got)
			for d, ok := inbox.Poll(); ok; d, ok = inbox.Poll() {
				switch {
				case d.Buffer != nil:
					got.records = nil
					readBuffer(tb, r, d.Buffer, 100)
					for _, record := range got.records {
						if sent--; record.Value != inForce {
							t.Fatalf("channel %d: a record that was sent at watermark %d came at %d", c, record.Value, inForce)
						}
					}
					inForce = max(inForce, d.Buffer.Watermark)
					d.Buffer.Recycle()
				case d.Event == nil:
					inForce = max(inForce, d.Watermark)
				}
			}
		}
		if sent != 0 {
			t.Fatalf("%d records did not arrive", sent)
		}
	})
}
