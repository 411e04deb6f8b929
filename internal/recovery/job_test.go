package recovery

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir"
)

// event is a record. Every one is different.
type event struct {
	Split, Seq int64
	Key        int64
	Value      int64
	Time       int64 // in ms
}

// jitter is how far, in ms, a record may be behind the largest time before it.
const jitter = 50

// eventAt returns record seq of a split.
func eventAt(split, seq int64, keys int) event {
	r := rand.New(rand.NewPCG(uint64(split), uint64(seq)))
	return event{
		Split: split, Seq: seq, Key: int64(r.IntN(keys)), Value: int64(r.IntN(1000)),
		Time: 1_000_000 + seq*2 + int64(r.IntN(jitter)),
	}
}

// events is the source: so many splits of so many records.
type events struct {
	splits, each int64
	keys         int
}

// Bounded is false so that all splits are read from the start: one that begins when
// another has ended would be late.
func (e events) Bounded() bool { return false }

func (e events) Splits(context.Context, int) (splits []weir.Split, err error) {
	for i := range e.splits {
		splits = append(splits, weir.Split{ID: fmt.Sprintf("split %d", i), Data: binary.AppendVarint(nil, i)})
	}
	return splits, nil
}

func (e events) Open(_ context.Context, split weir.Split, position []byte) (weir.Reader[event], error) {
	number, _ := binary.Varint(split.Data)
	r := &eventReader{events: e, split: number}
	if position != nil {
		r.next, _ = binary.Varint(position)
	}
	return r, nil
}

type eventReader struct {
	events
	split, next int64
}

func (r *eventReader) Read(values []event) (n int, err error) {
	for n < len(values) && n < 32 && r.next < r.each {
		values[n] = eventAt(r.split, r.next, r.keys)
		n++
		r.next++
	}
	if r.next == r.each {
		return n, io.EOF
	}
	return n, nil
}

func (r *eventReader) Position() ([]byte, error) { return binary.AppendVarint(nil, r.next), nil }
func (r *eventReader) Close() error              { return nil }

// store is where sinks put their rows: what is prepared survives, and what is
// committed is seen. It outlives attempts, as a file system does.
type store struct {
	sync.Mutex
	prepared  map[string][]string
	committed map[string]int // rows
	done      map[string]bool
	made      int
	// recovered counts the calls of Recover that had something to commit.
	recovered int
	// prepares counts the calls of Prepare.
	prepares atomic.Int64
}

func newStore() *store {
	return &store{prepared: map[string][]string{}, committed: map[string]int{}, done: map[string]bool{}}
}

func (s *store) Open(_ context.Context, _ weir.Subtask) (weir.Writer[string], error) {
	return &storeWriter{store: s}, nil
}

type storeWriter struct {
	store *store
	rows  []string
}

func (w *storeWriter) Write(rows []string) error {
	for _, r := range rows {
		w.rows = append(w.rows, strings.Clone(r))
	}
	return nil
}

func (w *storeWriter) Flush() error { return nil }
func (w *storeWriter) Close() error { return nil }

func (w *storeWriter) Prepare(checkpoint uint64) ([]byte, error) {
	w.store.prepares.Add(1)
	if len(w.rows) == 0 {
		return nil, nil
	}
	w.store.Lock()
	defer w.store.Unlock()
	w.store.made++
	name := fmt.Sprintf("%d-%d", checkpoint, w.store.made)
	w.store.prepared[name], w.rows = w.rows, nil
	return []byte(name), nil
}

func (w *storeWriter) Commit(prepared []byte) error {
	w.store.Lock()
	defer w.store.Unlock()
	return w.store.commit(string(prepared))
}

func (s *store) commit(name string) error {
	rows, ok := s.prepared[name]
	switch {
	case s.done[name]:
		return nil
	case !ok:
		return fmt.Errorf("%s was never prepared", name)
	}
	s.done[name] = true
	for _, r := range rows {
		s.committed[r]++
	}
	return nil
}

func (w *storeWriter) Recover(prepared [][]byte) error {
	w.store.Lock()
	defer w.store.Unlock()
	if len(prepared) > 0 {
		w.store.recovered++
	}
	for _, p := range prepared {
		if err := w.store.commit(string(p)); err != nil {
			return err
		}
	}
	return nil
}

// tally is what some records of a key add up to.
type tally struct {
	Key, Count, Sum, Min int64
	Window               weir.Window
}

// sums adds records up.
type sums struct{}

func (sums) Init(t *tally)         { t.Min = math.MaxInt64 }
func (sums) Add(t *tally, e event) { t.Count++; t.Sum += e.Value; t.Min = min(t.Min, e.Value) }
func (sums) Merge(t, other *tally) {
	t.Count += other.Count
	t.Sum += other.Sum
	t.Min = min(t.Min, other.Min)
}

func (sums) Result(key int64, w weir.Window, t *tally) tally {
	r := *t
	r.Key, r.Window = key, w
	return r
}

func (t tally) row(name string) string {
	return fmt.Sprintf("%s key=%d window=%d-%d count=%d sum=%d min=%d", name, t.Key, t.Window.Start, t.Window.End, t.Count, t.Sum, t.Min)
}

// The windows of the job, in ms, and their sizes in records.
const (
	size, slide, narrow  = 1000, 100, 400
	sessionGap           = 40
	counted, last, every = 7, 5, 3
)

// buckets counts the records of each key in spans of time, and reports each with a
// timer at its end.
type buckets struct {
	counts weir.MapState[int64, int64]
	total  weir.ReducingState[int64]
	list   weir.ListState[string]
	since  weir.ValueState[[]int64]
}

func (b *buckets) Open(ctx *weir.KeyedOpenContext[int64]) error {
	b.counts = ctx.MapState[int64, int64]("counts")
	b.total = ctx.ReducingState("total", func(a, b int64) int64 { return a + b })
	b.list = ctx.ListState[string]("list")
	b.since = ctx.ValueState[[]int64]("since")
	return nil
}

func (b *buckets) Process(ctx *weir.KeyedContext[int64], e event, _ func(string)) error {
	end := e.Time - e.Time%size + size
	n, _ := b.counts.Get(end)
	b.counts.Set(end, n+1)
	b.total.Add(1)
	if b.list.Len() < 3 {
		b.list.Add("x")
	}
	b.since.Set(append(slices.Clone(b.since.Value()), e.Seq)[max(0, len(b.since.Value())-3):])
	ctx.RegisterEventTimeTimer(end)
	return nil
}

func (b *buckets) OnTimer(ctx *weir.KeyedContext[int64], t weir.Timer, emit func(string)) error {
	n, _ := b.counts.Get(t.Time)
	b.counts.Delete(t.Time)
	emit(fmt.Sprintf("timer key=%d end=%d count=%d", ctx.Key(), t.Time, n))
	return nil
}

// job has every kind of state that an operator has.
func job(source events, out *store) func(*weir.Env) {
	return func(env *weir.Env) {
		keyed := weir.From(env, "events", source).ID("events").
			WithWatermarks(weir.BoundedOutOfOrderness(jitter*time.Millisecond), func(e event) int64 { return e.Time }).
			KeyBy(func(e event) int64 { return e.Key })
		rows := func(name string, s weir.Stream[tally]) {
			s.ID(name).Map(func(t tally) string { return t.row(name) }).To(name+" out", out)
		}
		rows("tumbling", keyed.Window(weir.Tumbling(size*time.Millisecond)).Aggregate(sums{}))
		rows("sliding", keyed.Window(weir.Sliding(size*time.Millisecond, slide*time.Millisecond)).Aggregate(sums{}))
		rows("narrow", keyed.Window(weir.Sliding(narrow*time.Millisecond, slide*time.Millisecond)).AllowedLateness(200*time.Millisecond).Aggregate(sums{}))
		rows("session", keyed.Window(weir.Session(sessionGap*time.Millisecond)).Aggregate(sums{}))
		keyed.Aggregate(sums{}).ID("running").
			Map(func(t tally) string { return fmt.Sprintf("running key=%d count=%d", t.Key, t.Count) }).To("running out", out)
		keyed.Window(weir.Tumbling(size*time.Millisecond)).Process(func(key int64, w weir.Window, records []event, emit func(string)) {
			sum := int64(0)
			for _, e := range records {
				sum += e.Value
			}
			emit(tally{Key: key, Window: w, Count: int64(len(records)), Sum: sum}.row("collected"))
		}).ID("collected").To("collected out", out)
		keyed.CountWindow(counted).Aggregate(sums{}).ID("count").
			Map(func(t tally) string { return fmt.Sprintf("count key=%d count=%d", t.Key, t.Count) }).To("count out", out)
		keyed.CountWindow(last).Slide(every).Aggregate(sums{}).ID("last").
			Map(func(t tally) string { return fmt.Sprintf("last key=%d count=%d", t.Key, t.Count) }).To("last out", out)
		keyed.Process(func() *buckets { return &buckets{} }).ID("buckets").To("buckets out", out)
	}
}

// model computes what must be committed, without any engine.
func model(source events) map[string]int {
	rows := map[string]int{}
	byKey := map[int64][]event{}
	for split := range source.splits {
		for seq := range source.each {
			e := eventAt(split, seq, source.keys)
			byKey[e.Key] = append(byKey[e.Key], e)
		}
	}
	for key, list := range byKey {
		slices.SortFunc(list, func(a, b event) int { return cmp.Compare(a.Time, b.Time) })
		addWindows(rows, "tumbling", key, list, size, size)
		addWindows(rows, "sliding", key, list, size, slide)
		addWindows(rows, "narrow", key, list, narrow, slide)
		addSessions(rows, key, list)
		for _, w := range windowsOf(list, size, size) {
			rows[tally{Key: key, Window: w, Count: count(list, w), Sum: sum(list, w)}.row("collected")]++
			rows[fmt.Sprintf("timer key=%d end=%d count=%d", key, w.End, count(list, w))]++
		}
		for i := range list {
			n := i + 1
			rows[fmt.Sprintf("running key=%d count=%d", key, n)]++
			if n%counted == 0 {
				rows[fmt.Sprintf("count key=%d count=%d", key, counted)]++
			}
			if n%every == 0 {
				rows[fmt.Sprintf("last key=%d count=%d", key, min(n, last))]++
			}
		}
	}
	return rows
}

// windowsOf returns the windows that have a record of the list.
func windowsOf(list []event, size, slide int64) (windows []weir.Window) {
	seen := map[int64]bool{}
	for _, e := range list {
		for start := e.Time - e.Time%slide; start > e.Time-size; start -= slide {
			if !seen[start] {
				seen[start] = true
				windows = append(windows, weir.Window{Start: start, End: start + size})
			}
		}
	}
	return windows
}

func in(e event, w weir.Window) bool { return e.Time >= w.Start && e.Time < w.End }

func count(list []event, w weir.Window) (n int64) {
	for _, e := range list {
		if in(e, w) {
			n++
		}
	}
	return n
}

func sum(list []event, w weir.Window) (n int64) {
	for _, e := range list {
		if in(e, w) {
			n += e.Value
		}
	}
	return n
}

func least(list []event, w weir.Window) int64 {
	low := int64(math.MaxInt64)
	for _, e := range list {
		if in(e, w) {
			low = min(low, e.Value)
		}
	}
	return low
}

func addWindows(rows map[string]int, name string, key int64, list []event, size, slide int64) {
	for _, w := range windowsOf(list, size, slide) {
		rows[tally{Key: key, Window: w, Count: count(list, w), Sum: sum(list, w), Min: least(list, w)}.row(name)]++
	}
}

func addSessions(rows map[string]int, key int64, list []event) {
	for i := 0; i < len(list); {
		j := i + 1
		for j < len(list) && list[j].Time-list[j-1].Time < sessionGap {
			j++
		}
		w := weir.Window{Start: list[i].Time, End: list[j-1].Time + sessionGap}
		part := list[i:j]
		rows[tally{Key: key, Window: w, Count: count(part, w), Sum: sum(part, w), Min: least(part, w)}.row("session")]++
		i = j
	}
}
