package recovery

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/weirstream/weir"
)

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

// Job returns a job with every kind of state that an operator has. Its rows are those of
// [Model].
func Job(source Events, out weir.Sink[string]) func(*weir.Env) {
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
