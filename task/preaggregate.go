package task

import (
	"github.com/weirstream/weir/shuffle"
	"github.com/weirstream/weir/state/memory"
)

// Partial is what a pane's records of one key, at one sender, add up to. Its
// event time in a batch is the beginning of the pane.
type Partial[K comparable, A any] struct {
	Key K
	// Count is the number of records in Acc.
	Count int64
	Acc   A
}

// counted is an accumulator with the number of its records.
type counted[A any] struct {
	acc   A
	count int64
}

// PreAggregatedExchange is a hash exchange to a window operator that combines
// records before it sends them, as long as that makes them fewer.
//
// Records and partial results go through the same channels in buffers of their
// own, which a mark tells apart.
type PreAggregatedExchange[K comparable, T, A, O any] struct {
	hash        HashExchange[K, T]
	aggregation Aggregation[K, T, A, O]
	partials    Records[Partial[K, A]]
	// Panes are of this size, cut in two at cut if that is not 0, and begin at offset.
	size, cut, offset int64
}

// PreAggregated returns the exchange that combines records for w before they
// are sent. The error lists what in an accumulator cannot be sent.
func (w TumblingAggregate[K, T, A, O]) PreAggregated(records Records[T]) (PreAggregatedExchange[K, T, A, O], error) {
	partials, err := NewRecords[Partial[K, A]]()
	return PreAggregatedExchange[K, T, A, O]{
		hash: HashExchange[K, T]{Keys: w.Keys, Records: records}, aggregation: w.Aggregation, partials: partials,
		size: w.Size, offset: w.Offset,
	}, err
}

// PreAggregated returns the exchange that combines records for w before they
// are sent. The error lists what in an accumulator cannot be sent.
func (w SlidingAggregate[K, T, A, O]) PreAggregated(records Records[T]) (PreAggregatedExchange[K, T, A, O], error) {
	partials, err := NewRecords[Partial[K, A]]()
	x := PreAggregatedExchange[K, T, A, O]{
		hash: HashExchange[K, T]{Keys: w.Keys, Records: records}, aggregation: w.Aggregation, partials: partials,
		size: w.Slide, offset: w.Offset,
	}
	if w.Slide > 0 {
		x.cut = w.Size % w.Slide
	}
	return x, err
}

// Writer implements [Exchange].
func (x PreAggregatedExchange[K, T, A, O]) Writer(ctx *Context, o *outlet) (any, error) {
	w, err := x.hash.Writer(ctx, o)
	if err != nil || !ctx.PreAggregation {
		return w, err
	}
	p := &preAggregator[K, T, A, O]{
		writer: w.(*hashWriter[K, T]), agg: x.aggregation, panes: newPanes[K, counted[A]](x.hash.Keys.kind, x.size, x.offset),
		keyed: newKeyed(x.hash.Keys), index: make([]uint32, BatchSize), to: make([]uint32, BatchSize),
		out: make([]Partial[K, A], 0, BatchSize), starts: make([]int64, BatchSize),
		lanes: x.partials.lanes(o, true), gain: newGain(),
	}
	p.panes.cut = x.cut
	records := p.writer.lanes
	o.seal = func(c int) { records.seal(c); p.lanes.seal(c) }
	o.open = func(c int) bool { return records.isOpen(c) || p.lanes.isOpen(c) }
	ctx.OnClose(func() error { p.lanes.discard(); return nil })
	ctx.onPrepare(func(uint64) error { return p.drain(MaxTime) })
	return p, nil
}

// Reader implements [Exchange].
func (x PreAggregatedExchange[K, T, A, O]) Reader(ctx *Context, next any) (reader, error) {
	records, err := x.hash.Reader(ctx, next)
	if err != nil {
		return nil, err
	}
	window := next.(partialTaker[K, A])
	to := &partialReceiver[K, A]{passing: passing{window}, next: window}
	return &markedReader{records: records, partials: x.partials.reader(to)}, nil
}

// Direct implements [Exchange].
func (x PreAggregatedExchange[K, T, A, O]) Direct(next any, to signals) any {
	return x.hash.Direct(next, to)
}

// markedReader tells buffers of partial results from those of records.
type markedReader struct {
	records, partials, current reader
}

func (m *markedReader) take(b *shuffle.Buffer, channel int) error {
	m.current = m.records
	if b.Mark {
		m.current = m.partials
	}
	return m.current.take(b, channel)
}

func (m *markedReader) step(limit int) (int, bool, error) { return m.current.step(limit) }

// partialTaker is a window operator that takes partial results, too.
type partialTaker[K comparable, A any] interface {
	signals
	// pushPartials adds accumulators that were combined before the shuffle. Their
	// times are somewhere in their panes.
	pushPartials(partials []Partial[K, A], times []int64) error
}

// ofPartials returns the keys of partial results, and their hashes.
func ofPartials[K comparable, T, A any](k *keyed[K, T], partials []Partial[K, A]) (keys []K, hashes []uint64) {
	keys, hashes = k.keys[:len(partials)], k.hashes[:len(partials)]
	for i := range partials {
		keys[i] = partials[i].Key
	}
	k.selector.kind.Hash(keys, hashes)
	return keys, hashes
}

// partialReceiver hands partial results to the window operator.
type partialReceiver[K comparable, A any] struct {
	passing
	next partialTaker[K, A]
}

func (p *partialReceiver[K, A]) Push(values []Partial[K, A], starts []int64) error {
	return p.next.pushPartials(values, starts)
}

// preAggregator combines records in a table for each pane. A pane's results
// leave when the watermark reaches the pane's end, and all of them when there
// are too many.
//
// A channel has at most one open buffer, of records or of partial results, or
// the smallest pool that is accepted would not be enough.
//
// What a key's records add up to arrives before any record of the key that came
// later, so an aggregation sees them in the order of their sender.
type preAggregator[K comparable, T, A, O any] struct {
	writer *hashWriter[K, T]
	agg    Aggregation[K, T, A, O]
	panes  panes[K, counted[A]]
	gain   gain
	keyed  keyed[K, T]
	index  []uint32
	// held counts the partial results in the tables.
	held int

	lanes lanes[Partial[K, A]]
	// partial tells that lanes may have open buffers, rather than the writer's.
	partial bool
	out     []Partial[K, A]
	starts  []int64
	to      []uint32
}

// maxHeld bounds the partial results that a sender holds, over all panes: few
// enough that their tables stay in the cache.
const maxHeld = 1 << 13

func (p *preAggregator[K, T, A, O]) Push(values []T, times []int64) error {
	if !p.gain.on(len(values)) {
		return p.pass(values, times)
	}
	keys, hashes := p.keyed.of(values)
	for i := 0; i < len(values); {
		pane, err := p.panes.at(times[i])
		if err != nil {
			return err
		}
		n := i + 1
		if pane == nil {
			// Its pane has left. The receiver decides whether it is too late.
			for n < len(times) && p.panes.gone(times[n]) {
				n++
			}
			if err := p.pass(values[i:n], times[i:n]); err != nil {
				return err
			}
			i = n
			continue
		}
		for n < len(times) && times[n] >= pane.start && times[n] < pane.end {
			n++
		}
		p.add(pane.table, keys[i:n], hashes[i:n], values[i:n])
		i = n
	}
	if p.held < maxHeld {
		return nil
	}
	return p.drain(MaxTime)
}

// pass sends records as they are.
func (p *preAggregator[K, T, A, O]) pass(values []T, times []int64) error {
	if p.partial {
		p.partial = false
		for c := range p.writer.outlet.channels {
			p.lanes.seal(c)
		}
	}
	return p.writer.Push(values, times)
}

func (p *preAggregator[K, T, A, O]) add(t *memory.Table[K, counted[A]], keys []K, hashes []uint64, values []T) {
	index := p.index[:len(values)]
	t.Reserve(len(keys))
	t.Find(keys, hashes, index)
	added := t.New()
	p.held += len(added)
	if p.agg.Init != nil {
		for _, i := range added {
			p.agg.Init(&t.At(i).acc)
		}
	}
	adder, slots := p.agg.Adder, t.Slots()
	for i := range values {
		c := &slots[index[i]].Acc
		adder.Add(&c.acc, values[i])
		c.count++
	}
}

// drain sends the partial results of every pane that begins before limit.
func (p *preAggregator[K, T, A, O]) drain(limit int64) error {
	if !p.partial {
		p.partial = true
		for c := range p.writer.outlet.channels {
			p.writer.lanes.seal(c)
		}
	}
	sent := 0
	for len(p.panes.open) > 0 && p.panes.open[0].start < limit {
		pane := p.panes.open[0]
		sent += pane.table.Len()
		if err := p.emit(pane); err != nil {
			return err
		}
		p.panes.release(pane)
	}
	p.held -= sent
	p.gain.observe(sent)
	if p.gain.off && p.held > 0 {
		return p.drain(MaxTime) // ahead of the records that pass from now on
	}
	return nil
}

func (p *preAggregator[K, T, A, O]) emit(pane *pane[K, counted[A]]) error {
	for i, ok := pane.table.Next(0); ok; i, ok = pane.table.Next(i + 1) {
		c := pane.table.At(i)
		p.out = append(p.out, Partial[K, A]{Key: *pane.table.KeyAt(i), Count: c.count, Acc: c.acc})
		if len(p.out) == BatchSize {
			if err := p.scatter(pane.start); err != nil {
				return err
			}
		}
	}
	return p.scatter(pane.start)
}

func (p *preAggregator[K, T, A, O]) scatter(start int64) error {
	n := len(p.out)
	keys, starts, hashes, to := p.keyed.keys[:n], p.starts[:n], p.keyed.hashes[:n], p.to[:n]
	start = max(start, NoTime+1) // which stands for a record without a time
	for i := range p.out {
		keys[i], starts[i] = p.out[i].Key, start
	}
	p.keyed.selector.kind.Hash(keys, hashes)
	route(hashes, to, p.writer.outlet.channels)
	p.writer.count(n)
	err := p.lanes.scatter(p.out, starts, to)
	clear(p.out)
	p.out = p.out[:0]
	return err
}

// Watermark passes on; the panes that it completes go first.
func (p *preAggregator[K, T, A, O]) Watermark(t int64) error {
	if first := p.panes.complete(t); first != nil {
		limit := MaxTime
		for _, pane := range p.panes.open {
			if pane.end-1 > t {
				limit = pane.start
				break
			}
		}
		if err := p.drain(limit); err != nil {
			return err
		}
	}
	p.panes.advance(t, 0)
	return p.writer.Watermark(t)
}

// Idle is handed on behind all results: what others bring meanwhile would make
// them late.
func (p *preAggregator[K, T, A, O]) Idle() error {
	if err := p.drain(MaxTime); err != nil {
		return err
	}
	return p.writer.Idle()
}

func (p *preAggregator[K, T, A, O]) End() error { return p.writer.End() }
