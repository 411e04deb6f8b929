package weir_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/memory"
)

// tick is a record without pointers, note one with everything that can be sent.
type (
	tick struct {
		Key   int32
		Time  int64
		Value int64
	}
	note struct {
		Name  string
		Time  int64
		Value int64
		Tags  []string
		Seen  map[string]int64
		Next  *note
	}
	pair struct {
		Kind  uint8
		Place string
	}
)

// total is what the aggregate of the tests keeps, and sends ahead.
type total struct {
	Started  int64 // set by Init
	Count    int64
	Sum      int64
	Min, Max int64
}

type totalOf[K comparable] struct {
	Key        K
	Start, End int64
	total
}

// totals of a field, which value returns.
type totalling[K comparable, T any] struct{ value func(T) int64 }

func (totalling[K, T]) Init(a *total) { a.Started, a.Min, a.Max = 1, 1<<62, -1<<62 }
func (t totalling[K, T]) Add(a *total, v T) {
	n := t.value(v)
	a.Count++
	a.Sum += n
	a.Min, a.Max = min(a.Min, n), max(a.Max, n)
}

func (totalling[K, T]) Merge(a, b *total) {
	a.Count += b.Count
	a.Sum += b.Sum
	a.Min, a.Max = min(a.Min, b.Min), max(a.Max, b.Max)
}

func (totalling[K, T]) Result(k K, w weir.Window, a *total) totalOf[K] {
	return totalOf[K]{k, w.Start, w.End, *a}
}

// shape is how a job of the model test is run.
type shape struct {
	workers, parallelism, splits int
	timeout                      time.Duration
	segment                      memory.Size
	pre, least, chaining         bool
}

func (s shape) String() string {
	return fmt.Sprintf("workers=%d,parallelism=%d,splits=%d,timeout=%v,segment=%d,pre=%v,least=%v,chaining=%v", s.workers, s.parallelism, s.splits, s.timeout, s.segment, s.pre, s.least, s.chaining)
}

func randomShape(r *rand.Rand) shape {
	s := shape{
		workers: 1 + r.IntN(2), splits: 1 + r.IntN(5), pre: r.IntN(2) == 0, least: r.IntN(2) == 0, chaining: r.IntN(4) > 0,
		timeout: []time.Duration{0, 100 * time.Millisecond, dataflow.NoTimeout}[r.IntN(3)],
		segment: []memory.Size{512, 576, 1024, 4096, 32 * memory.KiB}[r.IntN(5)],
	}
	s.parallelism = s.workers + r.IntN(5-s.workers)
	return s
}

func (s shape) engine() *engine {
	e := newEngine(s.workers, s.parallelism)
	e.settings.BufferTimeout, e.settings.PreAggregation, e.settings.Network.SegmentSize = s.timeout, s.pre, s.segment
	e.least = s.least
	return e
}

// bound is how far the records of the model test are out of order, at most.
const bound = 5 * time.Second

// randomTicks are in the order of their event times but for bound.
func randomTicks(r *rand.Rand, n int) []tick {
	ticks := make([]tick, n)
	for i := range ticks {
		ticks[i] = tick{Key: int32(r.IntN(40)) - 20, Time: int64(i)*37 - 20_000 + r.Int64N(bound.Milliseconds()), Value: r.Int64N(2000) - 1000}
	}
	return ticks
}

// outputs are what the job of the model test, or the model, makes.
type outputs struct {
	all, dealt collect[tick]
	running    collect[totalOf[int32]]
	byName     collect[totalOf[string]]
	highest    collect[tick]
}

// expand is the flat map of the model test: mostly few records, seldom more than
// fit into a batch.
func expand(t tick, emit func(tick)) {
	n := int(t.Value&3) % 3
	if t.Value == 999 {
		n = 1500
	}
	for i := range n {
		emit(tick{t.Key, t.Time, t.Value + int64(i)})
	}
}

func kept(t tick) bool     { return t.Value%5 != 0 }
func doubled(t tick) tick  { t.Value *= 2; return t }
func keyOf(t tick) int32   { return t.Key }
func nameOf(t tick) string { return strings.Repeat("n", int(t.Key&7)) + strconv.Itoa(int(t.Key/4)) }
func higher(a, b tick) tick {
	if cmp.Or(cmp.Compare(a.Value, b.Value), cmp.Compare(a.Time, b.Time)) < 0 {
		return b
	}
	return a
}

const (
	bySize   = 3 * time.Second
	byOffset = -700 * time.Millisecond
)

// job has every operator: a chain, a fan-out to a chained sink and to four
// exchanges, keyed state of both kinds.
func (o *outputs) job(s shape, source weir.Source[tick]) func(*weir.Env) {
	return func(env *weir.Env) {
		if !s.chaining {
			env.DisableChaining()
		}
		ticks := weir.From(env, "ticks", source).
			WithWatermarks(weir.BoundedOutOfOrderness(bound), func(t tick) time.Time { return time.UnixMilli(t.Time) }).
			Filter(kept).Map(doubled).FlatMap(expand)
		ticks.To("all", &o.all)
		ticks.Rebalance().Map(func(t tick) tick { return t }).To("dealt", &o.dealt)
		ticks.KeyBy(keyOf).Aggregate(totalling[int32, tick]{func(t tick) int64 { return 1 }}).ID("running").To("running", &o.running)
		ticks.KeyBy(nameOf).Window(weir.Tumbling(bySize).Offset(byOffset)).Aggregate(totalling[string, tick]{func(t tick) int64 { return t.Value }}).ID("by name").To("by name", &o.byName)
		ticks.KeyByField(func(t *tick) *int32 { return &t.Key }).Window(weir.Tumbling(time.Second)).Reduce(higher).ID("highest").To("highest", &o.highest)
	}
}

// model computes the same in plain loops.
func (o *outputs) model(ticks []tick) {
	counts := map[int32]*total{}
	names := map[totalOf[string]]*total{}
	best := map[[2]int64]tick{}
	for _, t := range ticks {
		if !kept(t) {
			continue
		}
		expand(doubled(t), func(t tick) {
			o.all.rows = append(o.all.rows, t)

			if counts[t.Key] == nil {
				counts[t.Key] = &total{Started: 1, Min: 1, Max: 1}
			}
			counts[t.Key].Count++
			counts[t.Key].Sum++
			o.running.rows = append(o.running.rows, totalOf[int32]{Key: t.Key, total: *counts[t.Key]})

			start := floor(t.Time, bySize.Milliseconds(), byOffset.Milliseconds())
			name := totalOf[string]{Key: nameOf(t), Start: start, End: start + bySize.Milliseconds()}
			if names[name] == nil {
				names[name] = &total{Started: 1, Min: t.Value, Max: t.Value}
			}
			n := names[name]
			n.Count, n.Sum, n.Min, n.Max = n.Count+1, n.Sum+t.Value, min(n.Min, t.Value), max(n.Max, t.Value)

			second := [2]int64{int64(t.Key), floor(t.Time, 1000, 0)}
			if old, ok := best[second]; ok {
				t = higher(old, t)
			}
			best[second] = t
		})
	}
	o.dealt.rows = o.all.rows
	for name, n := range names {
		name.total = *n
		o.byName.rows = append(o.byName.rows, name)
	}
	for _, t := range best {
		o.highest.rows = append(o.highest.rows, t)
	}
}

// floor is the start of the window that t is in.
func floor(t, size, offset int64) int64 {
	start := offset
	for ; start > t; start -= size {
	}
	for ; start+size <= t; start += size {
	}
	return start
}

// TestOperatorsAgainstAModel runs a job with every operator in many shapes, and
// compares with a model apart from the engine.
func TestOperatorsAgainstAModel(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 7))
		s := randomShape(r)
		t.Run(fmt.Sprintf("seed=%d,%v", seed, s), func(t *testing.T) {
			var got, want outputs
			ticks := randomTicks(r, r.IntN(1500))
			want.model(ticks)
			source := inOrder(ticks, s.splits)
			metrics, err := s.engine().run(t.Context(), got.job(s, source))
			if err != nil {
				t.Fatal(err)
			}
			sameRows(t, "all", got.all.rows, want.all.rows)
			sameRows(t, "dealt", got.dealt.rows, want.dealt.rows)
			sameRows(t, "running", got.running.rows, want.running.rows)
			sameRows(t, "by name", got.byName.rows, want.byName.rows)
			sameRows(t, "highest", got.highest.rows, want.highest.rows)
			read, late := uint64(0), uint64(0)
			for _, m := range metrics {
				late += m.LateDropped
				if m.Vertex == 0 {
					read += m.RecordsIn
				}
			}
			if read != uint64(len(ticks)) || late > 0 {
				t.Errorf("%d of %d records were read, %d dropped as late", read, len(ticks), late)
			}
		})
	}
}

// inOrder is a source of so many splits, each a stretch of time: a subtask that
// reads several of them reads them in order, so that no record is late.
func inOrder(ticks []tick, splits int) lists[tick] {
	l := lists[tick]{splits: make([][]tick, splits)}
	for i := range splits {
		l.splits[i] = ticks[i*len(ticks)/splits : (i+1)*len(ticks)/splits]
	}
	return l
}

// sameRows compares two bags of rows.
func sameRows[T any](t *testing.T, what string, got, want []T) {
	t.Helper()
	text := func(rows []T) []string {
		texts := make([]string, len(rows))
		for i := range rows {
			texts[i] = fmt.Sprintf("%+v", rows[i])
		}
		slices.Sort(texts)
		return texts
	}
	a, b := text(got), text(want)
	if slices.Equal(a, b) {
		return
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Errorf("%s: %d rows, want %d; the first that differs is\n%s, want\n%s", what, len(a), len(b), a[i], b[i])
			return
		}
	}
	t.Errorf("%s: %d rows, want %d", what, len(a), len(b))
}
