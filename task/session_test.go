package task

import (
	"cmp"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// sessionModel says what session windows emit, from the list of the records that
// are in a window: sessions are found anew each time, in the sorted list.
type sessionModel struct {
	gap, allowed, watermark int64
	arrived                 int
	records                 map[int][]sessionRecord // by key
	late                    []int64
}

type sessionRecord struct {
	time, value int64
	arrival     int
}

// sessionRun is a session of a key.
type sessionRun struct {
	key     int
	records []sessionRecord // by time
	end     int64
}

func (r sessionRun) oldest() int {
	return slices.MinFunc(r.records, func(a, b sessionRecord) int { return cmp.Compare(a.arrival, b.arrival) }).arrival
}

func (r sessionRun) result() sumResult {
	s := sumResult{Key: r.key, Start: r.records[0].time, End: r.end, sum: sum{Initial: 1000}}
	for _, record := range r.records {
		s.Count++
		s.Sum += record.value
	}
	return s
}

// exactly returns a+b, cut to the range of int64.
func exactly(a, b int64) int64 {
	s := new(big.Int).Add(big.NewInt(a), big.NewInt(b))
	switch {
	case s.IsInt64():
		return s.Int64()
	case s.Sign() > 0:
		return MaxTime
	}
	return NoTime
}

// runs cuts the records of a key where there is a gap.
func (m *sessionModel) runs(key int) (runs []sessionRun) {
	sorted := slices.Clone(m.records[key])
	slices.SortFunc(sorted, func(a, b sessionRecord) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.arrival, b.arrival))
	})
	for i, r := range sorted {
		distance := new(big.Int)
		if i > 0 {
			distance.Sub(big.NewInt(r.time), big.NewInt(sorted[i-1].time))
		}
		if i == 0 || distance.Cmp(big.NewInt(m.gap)) >= 0 {
			runs = append(runs, sessionRun{key: key})
		}
		last := &runs[len(runs)-1]
		last.records = append(last.records, r)
		last.end = exactly(r.time, m.gap)
	}
	return runs
}

// gone reports whether a window with that end is no longer kept.
func (m *sessionModel) gone(end int64) bool { return exactly(end-1, m.allowed) <= m.watermark }

// push takes a record and returns what it makes fire.
func (m *sessionModel) push(key int, time, value int64) []sumResult {
	m.arrived++
	before := m.records[key]
	m.records[key] = append(slices.Clone(before), sessionRecord{time, value, m.arrived})
	for _, run := range m.runs(key) {
		if !slices.ContainsFunc(run.records, func(r sessionRecord) bool { return r.arrival == m.arrived }) {
			continue
		}
		switch {
		case m.gone(run.end):
			m.records[key] = before
			m.late = append(m.late, value)
		case run.end-1 <= m.watermark:
			return []sumResult{run.result()}
		}
	}
	return nil
}

// raise takes a watermark and returns what it makes fire.
func (m *sessionModel) raise(t int64) (results []sumResult) {
	var fire []sessionRun
	was := m.watermark
	m.watermark = t
	for key := range m.records {
		kept := []sessionRecord{}
		for _, run := range m.runs(key) {
			if run.end-1 > was && run.end-1 <= t {
				fire = append(fire, run)
			}
			if !m.gone(run.end) {
				kept = append(kept, run.records...)
			}
		}
		m.records[key] = kept
	}
	slices.SortFunc(fire, func(a, b sessionRun) int {
		return cmp.Or(cmp.Compare(a.end, b.end), cmp.Compare(a.oldest(), b.oldest()))
	})
	for _, run := range fire {
		results = append(results, run.result())
	}
	return results
}

// sessionCase is an operator beside its model.
type sessionCase struct {
	ctx        *Context
	window     *sessionReceiver[int, int64, sum, sumResult]
	model      sessionModel
	out        *recorder[sumResult]
	late       *recorder[int64]
	want       []sumResult
	watermarks []int64
}

func newSessionCase(t testing.TB, gap, allowed int64, lateOutput bool) *sessionCase {
	t.Helper()
	keys, a := sums(func(v int64) int { return int(v % 5) })
	c := &sessionCase{
		ctx: testContext(t), out: &recorder[sumResult]{}, late: &recorder[int64]{},
		model: sessionModel{gap: gap, allowed: allowed, watermark: NoTime, records: map[int][]sessionRecord{}},
	}
	operator := SessionAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Gap: gap, Lateness: Lateness{Allowed: allowed}}
	outputs := to(Receiver[sumResult](c.out))
	if lateOutput {
		operator.Lateness.Output = "late"
		outputs = Outputs{ports: []any{Receiver[sumResult](c.out), Receiver[int64](c.late)}, sides: []string{"late"}}
	}
	c.window = must[Inputs](t)(operator.Build(c.ctx, outputs))[0].(*sessionReceiver[int, int64, sum, sumResult])
	return c
}

func (c *sessionCase) push(t testing.TB, values, times []int64) {
	t.Helper()
	for i, v := range values {
		c.want = append(c.want, c.model.push(int(v%5), times[i], v)...)
	}
	if err := c.window.Push(values, times); err != nil {
		t.Fatal(err)
	}
}

func (c *sessionCase) raise(t testing.TB, watermark int64, chunk int) {
	t.Helper()
	c.want = append(c.want, c.model.raise(watermark)...)
	if err := c.window.Watermark(watermark); err != nil {
		t.Fatal(err)
	}
	for _, n := range finish(t, c.ctx, chunk) {
		if n > chunk {
			t.Fatalf("a chunk of %d, when %d were asked for", n, chunk)
		}
	}
	c.watermarks = append(c.watermarks, watermark)
}

// fatal is what both kinds of tests have.
type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

// check compares what has come out so far.
func (c *sessionCase) check(t fatal) {
	t.Helper()
	if got := c.out.values(); !slices.Equal(got, c.want) {
		t.Fatalf("got  %v\nwant %v", got, c.want)
	}
	for _, r := range c.out.records {
		if r.Time != r.Value.End-1 {
			t.Fatalf("the result of [%d, %d) has the event time %d", r.Value.Start, r.Value.End, r.Time)
		}
	}
	counted, model := c.ctx.figures.LateDropped.Load(), c.model.late
	if c.window.late.to != nil {
		counted, model = 0, nil
		if got := c.late.values(); !slices.Equal(got, c.model.late) {
			t.Fatalf("late are %v, want %v", got, c.model.late)
		}
	}
	if counted != uint64(len(model)) {
		t.Fatalf("%d records were late, want %d", counted, len(model))
	}
	if !slices.Equal(c.out.watermarks, c.watermarks) {
		t.Fatalf("watermarks %v came on, want %v", c.out.watermarks, c.watermarks)
	}
	if n := len(c.watermarks); n > 0 && c.watermarks[n-1] == MaxTime {
		c.checkEmpty(t)
	}
}

// checkEmpty expects that nothing is kept.
func (c *sessionCase) checkEmpty(t fatal) {
	t.Helper()
	w := c.window
	if w.table.Len() > 0 || len(w.timers.heap) > 0 || len(w.lists.free) != len(w.lists.lists) {
		t.Fatalf("%d keys, %d timers and %d of %d lists are left", w.table.Len(), len(w.timers.heap), len(w.lists.lists)-len(w.lists.free), len(w.lists.lists))
	}
}

// TestSessions compares the operator with the model, in any order of records and
// watermarks, at the ends of time too.
func TestSessions(t *testing.T) {
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		gap := rapid.SampledFrom([]int64{1, 2, 5, 10, 30, MaxTime}).Draw(t, "gap")
		allowed := rapid.SampledFrom([]int64{0, 0, 1, 7, 40, MaxTime}).Draw(t, "allowed lateness")
		c := newSessionCase(tb, gap, allowed, rapid.Bool().Draw(t, "late output"))
		base := rapid.SampledFrom([]int64{0, 0, 0, MaxTime - 60, NoTime + 61}).Draw(t, "base")
		spread := rapid.SampledFrom([]int64{3, 60}).Draw(t, "spread")
		moment := func(name string) int64 { return base + rapid.Int64Range(-spread, spread).Draw(t, name) }
		watermark, idle := NoTime, 0
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				watermark = max(watermark, moment("watermark"))
				c.raise(tb, watermark, rapid.IntRange(1, 4).Draw(t, "chunk"))
			case 1:
				if err := c.window.Idle(); err != nil {
					t.Fatal(err)
				}
				idle++
			default:
				values := rapid.SliceOfN(rapid.Int64Range(0, 100), 0, 8).Draw(t, "values")
				times := make([]int64, len(values))
				for i := range times {
					times[i] = moment("time")
				}
				c.push(tb, values, times)
			}
			c.check(t)
		}
		if c.out.idle != idle {
			t.Fatalf("%d idle signals came on, want %d", c.out.idle, idle)
		}
		c.raise(tb, MaxTime, rapid.IntRange(1, 4).Draw(t, "chunk"))
		c.check(t)
	})
}

// TestSessionsOfOneKey has many sessions of one key open at once, which are
// connected again and go from the front.
func TestSessionsOfOneKey(t *testing.T) {
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		c := newSessionCase(tb, 3, rapid.SampledFrom([]int64{0, 50}).Draw(t, "allowed lateness"), false)
		watermark := NoTime
		for range 3 {
			values, times := make([]int64, 120), rapid.SliceOfN(rapid.Int64Range(0, 1500), 120, 120).Draw(t, "times")
			c.push(tb, values, times)
			watermark = max(watermark, rapid.Int64Range(0, 1500).Draw(t, "watermark"))
			c.raise(tb, watermark, 7)
			c.check(t)
		}
		c.raise(tb, MaxTime, BatchSize)
		c.check(t)
	})
}

// TestSessionsByHand is a few cases whose answers were found by thinking.
func TestSessionsByHand(t *testing.T) {
	row := func(key int, start, end, count, total int64) sumResult {
		return sumResult{key, start, end, sum{count, total, 1000}}
	}
	type step struct {
		value, time int64
		watermark   int64 // a step is a record if it is 0
	}
	for name, test := range map[string]struct {
		allowed int64
		steps   []step
		want    []sumResult
		late    uint64
	}{
		"records less than a gap apart": {
			steps: []step{{5, 0, 0}, {5, 9, 0}, {5, 18, 0}, {watermark: 26}, {watermark: 27}},
			want:  []sumResult{row(0, 0, 28, 3, 15)},
		},
		"exactly a gap apart are two sessions": {
			steps: []step{{5, 0, 0}, {10, 10, 0}, {watermark: MaxTime}},
			want:  []sumResult{row(0, 0, 10, 1, 5), row(0, 10, 20, 1, 10)},
		},
		"a record in between makes one of two": {
			steps: []step{{5, 0, 0}, {10, 15, 0}, {15, 8, 0}, {watermark: MaxTime}},
			want:  []sumResult{row(0, 0, 25, 3, 30)},
		},
		"exactly a gap from both it is a third": {
			steps: []step{{5, 0, 0}, {10, 20, 0}, {15, 10, 0}, {watermark: MaxTime}},
			want:  []sumResult{row(0, 0, 10, 1, 5), row(0, 10, 20, 1, 15), row(0, 20, 30, 1, 10)},
		},
		"ends, then age": {
			steps: []step{{2, 5, 0}, {3, 0, 0}, {1, 5, 0}, {3, 5, 0}, {watermark: 20}},
			want:  []sumResult{row(2, 5, 15, 1, 2), row(3, 0, 15, 2, 6), row(1, 5, 15, 1, 1)},
		},
		"late for a session that is gone": {
			steps: []step{{5, 0, 0}, {watermark: 9}, {5, 0, 0}, {5, 1, 0}, {watermark: MaxTime}},
			want:  []sumResult{row(0, 0, 10, 1, 5), row(0, 1, 11, 1, 5)},
			late:  1,
		},
		"a record far behind the watermark that an open session takes is not late": {
			steps: []step{{5, 100, 0}, {watermark: 108}, {10, 91, 0}, {15, 82, 0}, {20, 70, 0}, {watermark: 109}},
			want:  []sumResult{row(0, 82, 110, 3, 30)},
			late:  1,
		},
		"within the allowed lateness it fires again": {
			allowed: 20,
			steps:   []step{{5, 0, 0}, {watermark: 9}, {10, 2, 0}, {watermark: 12}, {15, 3, 0}, {watermark: 32}, {5, 3, 0}, {watermark: MaxTime}},
			// The second record extends the session beyond the watermark.
			want: []sumResult{row(0, 0, 10, 1, 5), row(0, 0, 12, 2, 15), row(0, 0, 13, 3, 30)},
			late: 1,
		},
		"a late record merges two sessions that have fired": {
			allowed: 100,
			steps:   []step{{5, 0, 0}, {10, 15, 0}, {watermark: 50}, {15, 8, 0}, {watermark: MaxTime}},
			want:    []sumResult{row(0, 0, 10, 1, 5), row(0, 15, 25, 1, 10), row(0, 0, 25, 3, 30)},
		},
		"a late record merges one that has fired with one that has not": {
			allowed: 100,
			steps:   []step{{5, 0, 0}, {10, 15, 0}, {watermark: 20}, {15, 8, 0}, {watermark: 24}},
			want:    []sumResult{row(0, 0, 10, 1, 5), row(0, 0, 25, 3, 30)},
		},
		"a record that opens a session behind the watermark": {
			allowed: 100,
			steps:   []step{{watermark: 50}, {5, 0, 0}, {watermark: MaxTime}},
			want:    []sumResult{row(0, 0, 10, 1, 5)},
		},
		"the end of time": {
			steps: []step{{5, MaxTime - 3, 0}, {10, MaxTime, 0}, {15, MaxTime - 13, 0}, {watermark: MaxTime}},
			want:  []sumResult{row(0, MaxTime-13, MaxTime-3, 1, 15), row(0, MaxTime-3, MaxTime, 2, 15)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newSessionCase(t, 10, test.allowed, false)
			for _, s := range test.steps {
				if s.watermark != 0 {
					c.raise(t, s.watermark, BatchSize)
				} else {
					c.push(t, []int64{s.value}, []int64{s.time})
				}
			}
			c.check(t) // the model agrees
			if got := c.out.values(); !slices.Equal(got, test.want) {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
			if got := c.ctx.figures.LateDropped.Load(); got != test.late {
				t.Errorf("%d records were late, want %d", got, test.late)
			}
		})
	}
}

// TestSessionRecordsKeepTheirOrder: a function gets the records in the order in
// which they came, also of sessions that were merged, and each time anew.
func TestSessionRecordsKeepTheirOrder(t *testing.T) {
	keys := must[KeySelector[int, int64]](t)(NewKeySelector(func(int64) int { return 0 }))
	a := Collection(func(_ int, start, end int64, records []int64, emit func([]int64)) {
		emit(append([]int64{start, end}, records...))
		emit(nil)               // any number
		slices.Reverse(records) // which is allowed
	})
	ctx := testContext(t)
	var out recorder[[]int64]
	w := must[Inputs](t)(SessionAggregate[int, int64, Collected[int64], []int64]{
		Keys: keys, Aggregation: a, Gap: 10, Lateness: Lateness{Allowed: 100},
	}.Build(ctx, to(Receiver[[]int64](&out))))[0].(Receiver[int64])
	for _, step := range []func() error{
		func() error { return w.Push([]int64{1, 2, 3, 4, 5}, []int64{20, 25, 4, 3, 11}) },
		func() error { return w.Watermark(50) },
		func() error { finish(t, ctx, 1); return w.Push([]int64{6}, []int64{10}) },
		func() error { return w.Watermark(MaxTime) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	finish(t, ctx, 1)
	want := [][]int64{{3, 35, 1, 2, 3, 4, 5}, nil, {3, 35, 1, 2, 3, 4, 5, 6}, nil}
	if got := out.values(); !slices.EqualFunc(got, want, slices.Equal[[]int64]) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, r := range out.records {
		if r.Time != 34 {
			t.Errorf("a result has the event time %d", r.Time)
		}
	}
}

// TestSessionsFireInChunks: none is larger than asked for, sessions that have grown
// count too, and the watermark goes on behind the last.
func TestSessionsFireInChunks(t *testing.T) {
	const n = 1000
	for _, limit := range []int{1, 64, BatchSize} {
		keys, a := sums(func(v int64) int { return int(v) })
		ctx := testContext(t)
		var out recorder[sumResult]
		w := must[Inputs](t)(SessionAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Gap: 10}.Build(ctx, to(Receiver[sumResult](&out))))[0].(Receiver[int64])
		for i := range int64(n) {
			for _, at := range []int64{0, i % 9} { // most grow after their timer was set
				if err := w.Push([]int64{i}, []int64{at}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Watermark(MaxTime); err != nil {
			t.Fatal(err)
		}
		if len(out.records) != 0 || len(out.watermarks) != 0 {
			t.Fatalf("%d results and watermarks %v before the first chunk", len(out.records), out.watermarks)
		}
		chunks, total := finish(t, ctx, limit), 0
		for i, got := range chunks {
			total += got
			if got > limit || i < len(chunks)-1 && got != limit {
				t.Errorf("chunk %d of %d did %d, want %d", i, len(chunks), got, limit)
			}
		}
		if total != n+n-(n+8)/9 {
			t.Errorf("%d timers were seen to, want %d", total, n+n-(n+8)/9)
		}
		if len(out.records) != n || !slices.Equal(out.watermarks, []int64{MaxTime}) || out.marks[0] != n {
			t.Errorf("%d results, watermarks %v after %v", len(out.records), out.watermarks, out.marks)
		}
		if !slices.IsSortedFunc(out.records, func(a, b record[sumResult]) int { return cmp.Compare(a.Value.End, b.Value.End) }) {
			t.Error("the sessions are not in the order of their ends")
		}
	}
}

// TestASessionThatGrowsSetsNoTimers: one for each, however many records it has.
func TestASessionThatGrowsSetsNoTimers(t *testing.T) {
	c := newSessionCase(t, 10, 0, false)
	for at := range int64(1000) {
		c.push(t, []int64{0, 1, 2, 3, 4}, []int64{at, at, at, at, at})
		if n := len(c.window.timers.heap); n != 5 {
			t.Fatalf("%d timers for 5 sessions", n)
		}
		if at > 0 && at%50 == 0 {
			c.raise(t, at-5, BatchSize)
		}
	}
	c.raise(t, MaxTime, BatchSize)
	c.check(t)
}

// TestASessionThatFiresOftenSetsFewTimers: one that grows after it has fired, again
// and again, has a timer for that and one for its end, however long it is kept.
func TestASessionThatFiresOftenSetsFewTimers(t *testing.T) {
	c := newSessionCase(t, 10, 1_000_000, false)
	for at := range int64(1000) {
		c.push(t, []int64{0}, []int64{9 * at})
		c.raise(t, 9*at+15, BatchSize) // the next comes after its end
		if n := len(c.window.timers.heap); n > 2 {
			t.Fatalf("%d timers for a session", n)
		}
	}
	c.check(t)
	if len(c.want) != 1000 {
		t.Errorf("%d results: the test says nothing", len(c.want))
	}
	c.raise(t, MaxTime, BatchSize)
	c.check(t)
}

// TestSessionsInProcessingTime: the clock decides, whatever the records say.
func TestSessionsInProcessingTime(t *testing.T) {
	keys, a := sums(func(v int64) int { return int(v % 5) })
	ctx := testContext(t)
	now := int64(1000)
	ctx.wall = func() int64 { return now }
	var out recorder[sumResult]
	w := must[Inputs](t)(SessionAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Gap: 10, ProcessingTime: true}.Build(ctx, to(Receiver[sumResult](&out))))[0].(Receiver[int64])
	push := func(v int64) {
		t.Helper()
		if err := w.Push([]int64{v}, []int64{NoTime}); err != nil {
			t.Fatal(err)
		}
	}
	advance := func(to int64) {
		t.Helper()
		now = to
		for more := true; more; more = len(ctx.postponed) > 0 {
			finish(t, ctx, 1)
			if _, err := ctx.ring(); err != nil {
				t.Fatal(err)
			}
		}
	}
	push(1)
	advance(1005)
	push(2)
	push(6)
	advance(1014)
	if len(out.records) != 0 {
		t.Fatalf("%v before the end", out.records)
	}
	advance(1015) // the alarm of 1010 found them grown
	want := []sumResult{{1, 1000, 1015, sum{2, 7, 1000}}, {2, 1005, 1015, sum{1, 2, 1000}}}
	if got := out.values(); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	push(1)
	advance(1025)
	want = append(want, sumResult{1, 1015, 1025, sum{1, 1, 1000}})
	push(3) // and the input ends
	if err := w.Watermark(MaxTime); err != nil {
		t.Fatal(err)
	}
	finish(t, ctx, 1)
	if got := out.values(); !slices.Equal(got, want) || !slices.Equal(out.watermarks, []int64{MaxTime}) {
		t.Fatalf("got %v, want %v; watermarks %v", got, want, out.watermarks)
	}
}

// TestSessionMistakes are refused.
func TestSessionMistakes(t *testing.T) {
	keys, a := sums(func(v int64) int { return 0 })
	build := func(gap int64, a Aggregation[int, int64, sum, sumResult]) (Inputs, error) {
		return SessionAggregate[int, int64, sum, sumResult]{Keys: keys, Aggregation: a, Gap: gap}.Build(testContext(t), to(Receiver[sumResult](sink[sumResult]{})))
	}
	if _, err := build(0, a); err == nil {
		t.Error("a gap of 0 is accepted")
	}
	w := must[Inputs](t)(build(1, a))[0].(Receiver[int64])
	if err := w.Push([]int64{1}, []int64{NoTime}); err == nil {
		t.Error("a record without an event time is in a session")
	}
	a.Merge = nil
	if _, err := build(1, a); err == nil {
		t.Error("an aggregation without a Merge is accepted")
	}
}
