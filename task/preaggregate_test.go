package task

import (
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// preAggregable is a window operator that takes partial results.
type preAggregable[K comparable, T, A, O any] interface {
	Operator
	PreAggregated(Records[T]) (PreAggregatedExchange[K, T, A, O], error)
}

// preAggregated is a sender with pre-aggregation, a wire, and a window operator
// behind each channel.
type preAggregated[K comparable, T, A, O any] struct {
	wire    *wire
	sender  *preAggregator[K, T, A, O]
	readers []reader
	windows []signals
	outs    []recorder[O]
	ctx     *Context // of the receivers
}

func newPreAggregated[K comparable, T, A, O any](t testing.TB, channels int, operator preAggregable[K, T, A, O]) *preAggregated[K, T, A, O] {
	t.Helper()
	p := &preAggregated[K, T, A, O]{wire: newWire(t, channels, 1024, 2000, 0), ctx: testContext(t), outs: make([]recorder[O], channels)}
	x := must[PreAggregatedExchange[K, T, A, O]](t)(operator.PreAggregated(must[Records[T]](t)(NewRecords[T]())))
	p.sender = must[any](t)(x.Writer(p.wire.ctx, p.wire.outlet)).(*preAggregator[K, T, A, O])
	for c := range channels {
		built := must[Inputs](t)(operator.Build(p.ctx, to(Receiver[O](&p.outs[c]))))[0]
		p.windows = append(p.windows, built.(signals))
		p.readers = append(p.readers, must[reader](t)(x.Reader(p.ctx, built)))
	}
	return p
}

// deliver takes what has arrived through the windows, which fire at once.
func (p *preAggregated[K, T, A, O]) deliver(t testing.TB) {
	t.Helper()
	for c, inbox := range p.wire.inboxes {
		for d, ok := inbox.Poll(); ok; d, ok = inbox.Poll() {
			at := d.Watermark
			if d.Buffer != nil {
				readBuffer(t, p.readers[c], d.Buffer, BatchSize)
				at = d.Buffer.Watermark
				d.Buffer.Recycle()
			}
			if at == NoTime {
				continue
			}
			if err := p.windows[c].Watermark(at); err != nil {
				t.Fatal(err)
			}
			finish(t, p.ctx, BatchSize)
		}
	}
}

// TestPreAggregation compares windows behind pre-aggregation with the model: for
// any times, watermarks and flushes, whether it is on or has switched itself off
// in between, results and the number of late records are the same.
func TestPreAggregation(t *testing.T) {
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 30).Draw(t, "size")
		slide, offset := rapid.Int64Range(1, size).Draw(t, "slide"), rapid.Int64Range(-20, 20).Draw(t, "offset")
		keys := must[KeySelector[int, int64]](tb)(NewKeySelector(func(v int64) int { return int(v % 7) }))
		a := listAggregation(rapid.Bool().Draw(t, "subtract"))
		var operator preAggregable[int, int64, listed, modelResult] = SlidingAggregate[int, int64, listed, modelResult]{
			Keys: keys, Aggregation: a, Size: size, Slide: slide, Offset: offset,
		}
		if rapid.Bool().Draw(t, "tumbling") {
			slide = size
			operator = TumblingAggregate[int, int64, listed, modelResult]{Keys: keys, Aggregation: a, Size: size, Offset: offset}
		}
		p := newPreAggregated(tb, rapid.IntRange(1, 3).Draw(t, "channels"), operator)
		model := newWindowModel(size, slide, offset, 0)
		value := int64(0)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				values := make([]int64, rapid.IntRange(0, 30).Draw(t, "records"))
				times := make([]int64, len(values))
				for i := range values {
					value++
					values[i], times[i] = value, rapid.Int64Range(-10, 60).Draw(t, "time")
					model.push(int(value%7), value, times[i])
				}
				if err := p.sender.Push(values, times); err != nil {
					t.Fatal(err)
				}
			case 2:
				p.advance(t, model, max(model.watermark, rapid.Int64Range(-10, 70).Draw(t, "watermark")))
			case 3:
				p.sender.gain = gain{off: rapid.Bool().Draw(t, "off"), rest: 50}
				if p.sender.gain.off {
					if err := p.sender.drain(MaxTime); err != nil {
						t.Fatal(err)
					}
				}
			case 4:
				p.wire.outlet.seal(rapid.IntRange(0, p.wire.outlet.channels-1).Draw(t, "channel"))
				p.deliver(tb)
			}
			for c := range p.wire.outlet.channels {
				if p.sender.writer.lanes.isOpen(c) && p.sender.lanes.isOpen(c) {
					t.Fatalf("channel %d has two open buffers", c)
				}
			}
		}
		p.advance(t, model, MaxTime)
		if err := p.sender.End(); err != nil {
			t.Fatal(err)
		}
		p.deliver(tb)
		got, want := map[modelResult]int{}, map[modelResult]int{}
		for i := range p.outs {
			for _, r := range p.outs[i].records {
				got[sorted(r.Value)]++
			}
		}
		for _, r := range model.take() {
			want[sorted(r)]++
		}
		if !maps.Equal(got, want) {
			t.Fatalf("size %d, slide %d, offset %d:\ngot  %v\nwant %v", size, slide, offset, got, want)
		}
		if got := p.ctx.figures.LateDropped.Load(); got != uint64(len(model.late)) {
			t.Fatalf("%d records were late, want %d", got, len(model.late))
		}
		if p.sender.held != 0 {
			t.Fatalf("%d partial results are held after the end", p.sender.held)
		}
	})
}

// advance sends a watermark in-band, with an open buffer: then it is the receiver's
// before anything later.
func (p *preAggregated[K, T, A, O]) advance(t *rapid.T, model *windowModel, watermark int64) {
	if err := p.sender.Watermark(watermark); err != nil {
		t.Fatal(err)
	}
	model.advance(watermark)
	if watermark == MaxTime {
		return // it goes with the end
	}
	for c := range p.wire.outlet.channels {
		p.wire.outlet.seal(c)
	}
	p.wire.outlet.sendWatermarks()
}

// TestPreAggregationSends: partial results leave in the place of records, and
// far fewer of them.
func TestPreAggregationSends(t *testing.T) {
	keys, a := sums(func(v int64) int { return int(v % 7) })
	p := newPreAggregated(t, 2, TumblingAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Size: 10})
	values, times := make([]int64, BatchSize), make([]int64, BatchSize)
	for i := range values {
		values[i], times[i] = int64(i), int64(i)%20
	}
	for range 100 {
		if err := p.sender.Push(values, times); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.wire.ctx.figures.RecordsOut.Load(); n != 0 {
		t.Errorf("%d records left before the watermark", n)
	}
	counted := int64(0)
	for _, pane := range p.sender.panes.open {
		for i, ok := pane.table.Next(0); ok; i, ok = pane.table.Next(i + 1) {
			counted += pane.table.At(i).count
		}
	}
	if counted != 100*BatchSize {
		t.Errorf("partial results count %d records, want %d", counted, 100*BatchSize)
	}
	if err := p.sender.Watermark(9); err != nil {
		t.Fatal(err)
	}
	if n := p.wire.ctx.figures.RecordsOut.Load(); n != 7 {
		t.Errorf("%d partial results left with the first pane, want 7", n)
	}
	if err := p.sender.Watermark(MaxTime); err != nil {
		t.Fatal(err)
	}
	if n := p.wire.ctx.figures.RecordsOut.Load(); n != 14 {
		t.Errorf("%d partial results left, want 14", n)
	}
}

// TestPreAggregationIsBounded: a pane with more keys than a sender may hold
// leaves in parts.
func TestPreAggregationIsBounded(t *testing.T) {
	keys, a := sums(func(v int64) int { return int(v) })
	p := newPreAggregated(t, 1, TumblingAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Size: 10})
	values, times := make([]int64, BatchSize), make([]int64, BatchSize)
	next := int64(0)
	for range 3 * maxHeld / BatchSize {
		for i := range values {
			values[i] = next
			next++
		}
		if err := p.sender.Push(values, times); err != nil {
			t.Fatal(err)
		}
		p.deliver(t)
		if p.sender.held > maxHeld {
			t.Fatalf("%d partial results are held, at most %d may be", p.sender.held, maxHeld)
		}
	}
	if !p.sender.gain.off {
		t.Error("it is still on although it reduces nothing")
	}
}

// TestPreAggregationKeepsOrder: when it switches itself off, what it holds goes
// ahead of the records that pass from then on, so a reduction that keeps the
// latest value does.
func TestPreAggregationKeepsOrder(t *testing.T) {
	type entry struct{ Key, Value int64 }
	keys := must[KeySelector[int64, entry]](t)(NewKeySelector(func(e entry) int64 { return e.Key }))
	p := newPreAggregated(t, 1, TumblingAggregate[int64, entry, Reduced[entry], entry]{
		Keys: keys, Aggregation: Reduction[int64](func(_, b entry) entry { return b }), Size: 10,
	})
	push := func(e entry, at int64) {
		t.Helper()
		if err := p.sender.Push([]entry{e}, []int64{at}); err != nil {
			t.Fatal(err)
		}
	}
	push(entry{-1, 1}, 15) // of the second pane, and held
	for i := range int64(decideAfter) {
		push(entry{i % 6000, 0}, 5) // fewer than three records to a key
		if i%BatchSize == 0 {
			p.deliver(t)
		}
	}
	if err := p.sender.Watermark(9); err != nil { // the first pane leaves
		t.Fatal(err)
	}
	if !p.sender.gain.off {
		t.Fatal("it is still on: the test says nothing")
	}
	push(entry{-1, 2}, 15) // passes
	p.deliver(t)
	if err := p.sender.Watermark(MaxTime); err != nil {
		t.Fatal(err)
	}
	if err := p.sender.End(); err != nil {
		t.Fatal(err)
	}
	p.deliver(t)
	for _, r := range p.outs[0].records {
		if r.Value.Key == -1 && r.Value.Value != 2 {
			t.Errorf("the latest value is 2, and the result %d", r.Value.Value)
		}
	}
}

// TestLateRecordsPassInRuns: records whose pane has left the sender pass it
// unchanged, and in order among the others.
func TestLateRecordsPassInRuns(t *testing.T) {
	keys, a := sums(func(v int64) int { return 1 })
	p := newPreAggregated(t, 1, TumblingAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Size: 10})
	if err := p.sender.Watermark(19); err != nil {
		t.Fatal(err)
	}
	if err := p.sender.Push([]int64{1, 2, 3, 4, 5, 6}, []int64{3, 12, 0, 25, 19, 30}); err != nil {
		t.Fatal(err)
	}
	if n := p.wire.ctx.figures.RecordsOut.Load(); n != 4 {
		t.Errorf("%d records passed, want the 4 late ones", n)
	}
	if p.sender.held != 2 {
		t.Errorf("%d partial results are held, want 2", p.sender.held)
	}
}
