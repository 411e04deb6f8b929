package task

import (
	"fmt"
	"maps"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// windowModel says what windows must emit, with a list of records for each of them.
type windowModel struct {
	size, slide, offset, lateness int64

	watermark int64
	windows   map[modelWindow][]int64
	// emitted are the windows that have fired since the last call of take, and late
	// the records that came too late.
	emitted []modelResult
	late    []record[int64]
}

type modelWindow struct {
	start int64
	key   int
}

// modelResult is a window when it fired: its records in the order of their coming.
type modelResult struct {
	modelWindow
	end     int64
	records string
}

func newWindowModel(size, slide, offset, lateness int64) *windowModel {
	return &windowModel{size: size, slide: slide, offset: offset, lateness: lateness, watermark: NoTime, windows: map[modelWindow][]int64{}}
}

func (m *windowModel) emit(w modelWindow) {
	m.emitted = append(m.emitted, modelResult{w, w.start + m.size, fmt.Sprint(m.windows[w])})
}

func (m *windowModel) push(k int, v, t int64) {
	late := true
	// The earliest window is the first that begins after t-size.
	for start := t - m.size + 1; start <= t; start++ {
		if (start-m.offset)%m.slide != 0 {
			continue
		}
		last := start + m.size - 1
		if m.watermark == MaxTime || last+m.lateness <= m.watermark {
			continue
		}
		late = false
		w := modelWindow{start, k}
		m.windows[w] = append(m.windows[w], v)
		if last <= m.watermark {
			m.emit(w)
		}
	}
	if late {
		m.late = append(m.late, record[int64]{v, t})
	}
}

func (m *windowModel) advance(t int64) {
	for w := range m.windows {
		last := w.start + m.size - 1
		if last > m.watermark && last <= t {
			m.emit(w)
		}
		if t == MaxTime || last+m.lateness <= t {
			delete(m.windows, w)
		}
	}
	m.watermark = t
}

func (m *windowModel) take() []modelResult {
	taken := m.emitted
	m.emitted = nil
	return taken
}

// listed is an accumulator that shows which records were added, in which order they
// were merged, and whether it was prepared.
type listed struct {
	Initial int64
	Values  []int64
}

type listAdder struct{}

func (listAdder) Add(a *listed, v int64) { a.Values = append(a.Values, v) }

// windowKinds are the ways in which windows are made, with the operator that has
// them and with what tells whether the order of records is kept.
var windowKinds = map[string]struct {
	aggregation func() any
	inOrder     bool
}{
	"merging":     {func() any { return listAggregation(false) }, false},
	"subtracting": {func() any { return listAggregation(true) }, false},
	"process": {func() any {
		return Collection(func(k int, start, end int64, records []int64, emit func(modelResult)) {
			emit(modelResult{modelWindow{start, k}, end, fmt.Sprint(records)})
			slices.Reverse(records) // as it may
		})
	}, true},
}

func listAggregation(subtract bool) Aggregation[int, int64, listed, modelResult] {
	a := Aggregation[int, int64, listed, modelResult]{
		Adder: listAdder{}, Init: func(a *listed) { a.Initial = 1000 },
		Merge: func(a, b *listed) { a.Values = append(a.Values, b.Values...) },
		Result: func(k int, start, end int64, a *listed) modelResult {
			if a.Initial != 1000 {
				panic("an accumulator that was not prepared")
			}
			return modelResult{modelWindow{start, k}, end, fmt.Sprint(a.Values)}
		},
	}
	if subtract {
		a.Subtract = func(a, b *listed) {
			for _, v := range b.Values {
				i := slices.Index(a.Values, v)
				if i < 0 {
					panic(fmt.Sprintf("%d is subtracted and was not added", v))
				}
				a.Values = slices.Delete(slices.Clone(a.Values), i, i+1)
			}
		}
	}
	return a
}

// windowTest runs an operator beside the model.
type windowTest struct {
	*rapid.T
	ctx     *Context
	model   *windowModel
	inOrder bool
	out     recorder[modelResult]
	late    recorder[int64]
	window  Receiver[int64]
	value   int64
}

func newWindowTest(tb testing.TB, t *rapid.T, kind string) *windowTest {
	tb.Helper()
	size := rapid.Int64Range(1, 120).Draw(t, "size")
	slide := size
	if rapid.Bool().Draw(t, "slides") {
		slide = rapid.OneOf(rapid.Int64Range(1, size), rapid.Int64Range(1, max(1, size/10))).Draw(t, "slide")
	}
	offset := rapid.Int64Range(-200, 200).Draw(t, "offset")
	lateness := rapid.SampledFrom([]int64{0, 0, 1, 7, 100}).Draw(t, "lateness")
	w := &windowTest{T: t, ctx: testContext(tb), model: newWindowModel(size, slide, offset, lateness), inOrder: windowKinds[kind].inOrder}
	keys := must[KeySelector[int, int64]](tb)(NewKeySelector(func(v int64) int { return keyOf(v) }))
	out := Outputs{ports: []any{Receiver[modelResult](&w.out), Receiver[int64](&w.late)}, sides: []string{"late"}}
	late := Lateness{Allowed: lateness}
	if rapid.Bool().Draw(t, "late output") {
		late.Output = "late"
	}
	switch a := windowKinds[kind].aggregation().(type) {
	case Aggregation[int, int64, listed, modelResult]:
		w.window = buildWindow(tb, t, w.ctx, keys, a, size, slide, offset, late, out)
	case Aggregation[int, int64, Collected[int64], modelResult]:
		w.window = buildWindow(tb, t, w.ctx, keys, a, size, slide, offset, late, out)
	}
	return w
}

// keyOf makes some keys frequent, and some rare enough that their ids are freed.
func keyOf(v int64) int { return bits.TrailingZeros64(uint64(v)|1<<40) + int(v%2*(v/3)) }

func buildWindow[A any](
	tb testing.TB, t *rapid.T, ctx *Context, keys KeySelector[int, int64], a Aggregation[int, int64, A, modelResult],
	size, slide, offset int64, late Lateness, out Outputs,
) Receiver[int64] {
	tb.Helper()
	var operator Operator = SlidingAggregate[int, int64, A, modelResult]{Keys: keys, Aggregation: a, Size: size, Slide: slide, Offset: offset, Lateness: late}
	if size == slide && rapid.Bool().Draw(t, "tumbling") {
		operator = TumblingAggregate[int, int64, A, modelResult]{Keys: keys, Aggregation: a, Size: size, Offset: offset, Lateness: late}
	}
	return must[Inputs](tb)(operator.Build(ctx, out))[0].(Receiver[int64])
}

// push gives the operator records, of which some are far from the others.
func (w *windowTest) push() {
	n := rapid.IntRange(0, 12).Draw(w.T, "records")
	from := rapid.Int64Range(-300, 300).Draw(w.T, "from")
	spread := rapid.SampledFrom([]int64{0, 5, 300}).Draw(w.T, "spread")
	values, times := make([]int64, n), make([]int64, n)
	for i := range values {
		w.value++
		values[i], times[i] = w.value, from+rapid.Int64Range(-spread, spread).Draw(w.T, "time")
		w.model.push(keyOf(values[i]), values[i], times[i])
	}
	if err := w.window.Push(values, times); err != nil {
		w.Fatal(err)
	}
	w.check()
}

func (w *windowTest) advance(tb testing.TB, t int64) {
	tb.Helper()
	if t < w.model.watermark {
		return
	}
	w.model.advance(t)
	before := len(w.out.records)
	if err := w.window.Watermark(t); err != nil {
		w.Fatal(err)
	}
	limit := rapid.SampledFrom([]int{1, 2, 7, BatchSize}).Draw(w.T, "limit")
	finish(tb, w.ctx, limit)
	for i := before + 1; i < len(w.out.records); i++ {
		if w.out.records[i].Value.end < w.out.records[i-1].Value.end {
			w.Fatalf("windows fire in the order %v", w.out.records[before:])
		}
	}
	if n := len(w.out.watermarks); n == 0 || w.out.watermarks[n-1] != t || w.out.marks[n-1] != len(w.out.records) {
		w.Fatalf("watermark %d came on as %v after %v of %d results", t, w.out.watermarks, w.out.marks, len(w.out.records))
	}
	w.check()
}

// check compares what was emitted since the last check.
func (w *windowTest) check() {
	got, want := map[modelResult]int{}, map[modelResult]int{}
	for _, r := range w.out.records {
		if r.Time != r.Value.end-1 {
			w.Fatalf("the result of [%d, %d) has the event time %d", r.Value.start, r.Value.end, r.Time)
		}
		got[w.normal(r.Value)]++
	}
	for _, r := range w.model.take() {
		want[w.normal(r)]++
	}
	if !maps.Equal(got, want) {
		w.Fatalf("size %d, slide %d, offset %d, lateness %d, at watermark %d:\ngot  %v\nwant %v",
			w.model.size, w.model.slide, w.model.offset, w.model.lateness, w.model.watermark, got, want)
	}
	w.out = recorder[modelResult]{}
	dropped := w.ctx.figures.LateDropped.Load()
	if n := len(w.late.records) + int(dropped); n != len(w.model.late) || dropped > 0 && len(w.late.records) > 0 {
		w.Fatalf("%d late records were dropped and %d emitted, want %d", dropped, len(w.late.records), len(w.model.late))
	}
	if len(w.late.records) > 0 && !slices.Equal(w.late.records, w.model.late) {
		w.Fatalf("late records %v, want %v", w.late.records, w.model.late)
	}
}

// normal forgets the order of records where it is not kept.
func (w *windowTest) normal(r modelResult) modelResult {
	if w.inOrder {
		return r
	}
	return sorted(r)
}

// sorted returns a result with its records in their own order.
func sorted(r modelResult) modelResult {
	values := splitNumbers(r.records)
	slices.Sort(values)
	r.records = fmt.Sprint(values)
	return r
}

func splitNumbers(s string) (numbers []int) {
	n, has := 0, false
	for _, c := range s {
		if c >= '0' && c <= '9' {
			n, has = 10*n+int(c-'0'), true
		} else if has {
			numbers, n, has = append(numbers, n), 0, false
		}
	}
	return numbers
}

// TestWindowsAgainstModel compares tumbling and sliding windows of every kind with
// the model, after every batch and every watermark.
func TestWindowsAgainstModel(t *testing.T) {
	for kind := range windowKinds {
		t.Run(kind, func(t *testing.T) {
			tb := t
			rapid.Check(t, func(t *rapid.T) {
				w := newWindowTest(tb, t, kind)
				for range rapid.IntRange(1, 40).Draw(t, "steps") {
					switch rapid.IntRange(0, 5).Draw(t, "step") {
					case 0, 1, 2:
						w.push()
					case 3:
						w.advance(tb, rapid.Int64Range(-400, 500).Draw(t, "watermark"))
					case 4: // a little further
						w.advance(tb, max(w.model.watermark, -400)+rapid.Int64Range(0, w.model.slide).Draw(t, "step"))
					case 5:
						if err := w.window.Idle(); err != nil {
							t.Fatal(err)
						}
					}
					w.checkState()
				}
				w.advance(tb, MaxTime)
				w.push()
				if r, ok := w.window.(interface{ empty() error }); ok {
					if err := r.empty(); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

func (w *windowTest) checkState() {
	if r, ok := w.window.(interface{ consistent() error }); ok {
		if err := r.consistent(); err != nil {
			w.Fatal(err)
		}
	}
}

// consistent returns an error unless the ids are those that a pane has, and panes
// are there only for windows that are not gone.
func (r *slidingReceiver[K, T, A, O]) consistent() error {
	s := r.store
	if len(s.queue) != 0 || len(r.ctx.postponed) != 0 {
		return fmt.Errorf("work is left: %d sweeps", len(s.queue))
	}
	ids := 0
	for w, live := range s.ids.live {
		has := uint64(0)
		for _, p := range s.open {
			has |= p.col.word(w)
		}
		if has != live {
			return fmt.Errorf("word %d: panes have %b and %b is live", w, has, live)
		}
		ids += bits.OnesCount64(live)
	}
	if n := s.ids.table.Len(); n != ids || len(s.ids.free)+n != s.ids.size() {
		return fmt.Errorf("%d keys with %d ids of %d, %d free", n, ids, s.ids.size(), len(s.ids.free))
	}
	for _, p := range s.open {
		if r.paneGone(p.number) {
			return fmt.Errorf("pane %d is gone at %d", p.number, r.gonePast)
		}
	}
	for _, c := range s.spare {
		for w, has := range c.has {
			if has != 0 {
				return fmt.Errorf("a spare column has %b in word %d", has, w)
			}
		}
	}
	return nil
}

// empty returns an error if anything is left behind the last watermark.
func (r *slidingReceiver[K, T, A, O]) empty() error {
	if len(r.store.open) != 0 || r.store.ids.table.Len() != 0 {
		return fmt.Errorf("%d panes and %d keys are left", len(r.store.open), r.store.ids.table.Len())
	}
	for _, c := range r.merging.columns(nil) {
		for _, has := range c.has {
			if has != 0 {
				return fmt.Errorf("a sum of panes has %b", has)
			}
		}
	}
	return r.consistent()
}

// TestSlidesOfAllTimes compares windows and panes with arithmetic that does not
// overflow.
func TestSlidesOfAllTimes(t *testing.T) {
	times := rapid.OneOf(rapid.Int64Range(NoTime+1, NoTime+100), rapid.Int64Range(MaxTime-100, MaxTime-1), rapid.Int64Range(-100, 100),
		rapid.Int64Range(NoTime+1, MaxTime-1))
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.Int64Range(1, 60), rapid.Int64Range(1, math.MaxInt64/1_000_000)).Draw(t, "size")
		slide := rapid.Int64Range(max(1, size/40), size).Draw(t, "slide")
		s := newSlides(size, slide, rapid.Int64().Draw(t, "offset"))
		at, watermark := times.Draw(t, "t"), times.Draw(t, "watermark")
		pane := s.pane(at)
		first, last := s.windows(pane)
		if first > last || first < s.first {
			t.Fatalf("windows %d to %d of pane %d, the first is %d", first, last, pane, s.first)
		}
		next := s.next(watermark)
		before, after := max(first, math.MinInt64+2)-2, min(last, math.MaxInt64-3)+2
		for w := max(before, s.first); w <= after; w++ {
			wantStart := new(big.Int).Mul(big.NewInt(w), big.NewInt(slide))
			wantStart.Add(wantStart, big.NewInt(s.offset))
			wantEnd := new(big.Int).Add(wantStart, big.NewInt(size))
			holds := wantStart.Cmp(big.NewInt(at)) <= 0 && wantEnd.Cmp(big.NewInt(at)) > 0
			if holds != (w >= first && w <= last) {
				t.Fatalf("window %d, [%v, %v), of %d: windows %d to %d", w, wantStart, wantEnd, at, first, last)
			}
			from, to := s.panes(w)
			if holds != (pane >= from && pane < to) {
				t.Fatalf("window %d has panes %d to %d, and %d is %v", w, from, to, pane, holds)
			}
			if start, end := s.times(w); cutShort(wantStart) != start && w <= s.window(MaxTime) || cutShort(wantEnd) != end && w <= s.window(MaxTime) {
				t.Fatalf("window %d is [%d, %d), want [%v, %v)", w, start, end, wantStart, wantEnd)
			}
			if w <= s.window(MaxTime) && s.ended(w, watermark) != (w < next) {
				t.Fatalf("window %d has ended at %d: %v, and the next is %d", w, watermark, s.ended(w, watermark), next)
			}
		}
	})
}

func cutShort(t *big.Int) int64 {
	switch {
	case t.Cmp(big.NewInt(NoTime)) < 0:
		return NoTime
	case t.Cmp(big.NewInt(MaxTime)) > 0:
		return MaxTime
	}
	return t.Int64()
}
