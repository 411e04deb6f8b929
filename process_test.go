package weir_test

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir"
)

// onBoth runs a test within a worker and over TCP.
func onBoth(t *testing.T, parallelism int, test func(t *testing.T, e *engine)) {
	t.Helper()
	for name, e := range engines(parallelism) {
		t.Run(name, func(t *testing.T) { test(t, e) })
	}
}

// visit is the record of the tests of process functions.
type visit struct {
	User, Page int
	At         int64
}

// disorder is how much visits are out of order, in ms.
const disorder = 50

// someVisits makes records of so many users.
func someVisits(seed uint64, n, users int) (all []visit) {
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		all = append(all, visit{User: r.IntN(users), Page: r.IntN(9), At: int64(i/3) - r.Int64N(disorder)})
	}
	return all
}

// visited is what a [visitor] emits: how many visits of how many pages a user has
// made until At. Over tells that none came for some time after it.
type visited struct {
	User, Visits, Pages int
	At                  int64
	Over                bool
}

// quiet is how long nothing must come, in ms.
const quiet = 40

// visitor counts the visits of users in the order of their times, until nothing has
// come for some time. It registers a timer for each, a timer for the end when one
// fires, and deletes that when another visit came.
type visitor struct {
	waiting weir.MapState[int64, int] // visits by time
	count   weir.ValueState[int]
	last    weir.ValueState[int64]
	pages   weir.MapState[int, bool]
	seen    weir.ListState[visit]
	open    *atomic.Int32
}

func (v *visitor) Open(ctx *weir.KeyedOpenContext[int]) error {
	v.waiting = ctx.MapState[int64, int]("waiting")
	v.count, v.last = ctx.ValueState[int]("count"), ctx.ValueState[int64]("last")
	v.pages, v.seen = ctx.MapState[int, bool]("pages"), ctx.ListState[visit]("seen")
	v.open.Add(1)
	return nil
}

func (v *visitor) Close() error { v.open.Add(-1); return nil }

var lateVisits = weir.NewOutputTag[visit]("late")

func (v *visitor) Process(ctx *weir.KeyedContext[int], r visit, _ func(visited)) error {
	at, ok := ctx.EventTime()
	if !ok || at != r.At || ctx.Key() != r.User {
		return fmt.Errorf("time %d %t and key %d of %v", at, ok, ctx.Key(), r)
	}
	if at <= ctx.Watermark() {
		ctx.Output(lateVisits, r)
		return nil
	}
	n, _ := v.waiting.Get(at)
	v.waiting.Set(at, n+1)
	v.seen.Add(r)
	ctx.RegisterEventTimeTimer(at)
	return nil
}

func (v *visitor) OnTimer(ctx *weir.KeyedContext[int], timer weir.Timer, emit func(visited)) error {
	at, ok := ctx.EventTime()
	if !ok || at != timer.Time || timer.Domain != weir.EventTimeDomain || ctx.Watermark() < at {
		return fmt.Errorf("time %d %t of %v at watermark %d", at, ok, timer, ctx.Watermark())
	}
	n, ok := v.waiting.Get(at)
	if !ok {
		emit(visited{ctx.Key(), v.count.Value(), v.pages.Len(), v.last.Value(), true})
		v.count.Clear()
		v.last.Clear()
		v.pages.Clear()
		return nil
	}
	v.waiting.Delete(at)
	v.count.Set(v.count.Value() + n)
	var left []visit
	for r := range v.seen.All() {
		if r.At != at {
			left = append(left, r)
			continue
		}
		v.pages.Set(r.Page, true)
	}
	v.seen.Set(left)
	if last, ok := v.last.Get(); ok {
		if end := last + quiet; end > at && !v.waiting.Has(end) {
			ctx.DeleteEventTimeTimer(end)
		}
	}
	v.last.Set(at)
	ctx.RegisterEventTimeTimer(at + quiet)
	emit(visited{ctx.Key(), v.count.Value(), v.pages.Len(), at, false})
	return nil
}

// visitedOf is the model of [visitor].
func visitedOf(all []visit) (want []visited) {
	users := map[int][]visit{}
	for _, v := range all {
		users[v.User] = append(users[v.User], v)
	}
	for user, visits := range users {
		slices.SortFunc(visits, func(a, b visit) int { return cmp.Compare(a.At, b.At) })
		pages, n := map[int]bool{}, 0
		for i, v := range visits {
			pages[v.Page] = true
			n++
			if i+1 < len(visits) && visits[i+1].At == v.At {
				continue
			}
			want = append(want, visited{user, n, len(pages), v.At, false})
			if i+1 == len(visits) || visits[i+1].At > v.At+quiet {
				want = append(want, visited{user, n, len(pages), v.At, true})
				pages, n = map[int]bool{}, 0
			}
		}
	}
	return want
}

func TestKeyedProcess(t *testing.T) {
	all := someVisits(7, 20000, 300)
	all = slices.Insert(all, 19000, visit{User: 1, Page: 99, At: 17})
	for _, parallelism := range []int{1, 2, 4} {
		t.Run(fmt.Sprint(parallelism), func(t *testing.T) {
			onBoth(t, parallelism, func(t *testing.T, e *engine) {
				t.Helper()
				var got collect[visited]
				var late collect[visit]
				var open atomic.Int32
				runJob(t, e, func(env *weir.Env) {
					out := weir.From(env, "visits", listOf(all...)).Parallelism(1).
						WithWatermarks(weir.BoundedOutOfOrderness(disorder*time.Millisecond), func(v visit) int64 { return v.At }).Parallelism(1).
						KeyBy(func(v visit) int { return v.User }).
						Process(func() *visitor { return &visitor{open: &open} })
					out.To("visited", &got)
					out.SideOutput(lateVisits).To("late", &late)
				})
				sameRows(t, "visited", got.rows, visitedOf(slices.Delete(slices.Clone(all), 19000, 19001)))
				sameRows(t, "late", late.rows, all[19000:19001])
				if open.Load() != 0 {
					t.Errorf("%d functions are open", open.Load())
				}
			})
		})
	}
}

// matcher joins numbers of two streams by their key: it keeps the first's until the
// second's comes, or says after some time that it did not.
type matcher struct {
	left  weir.ListState[int]
	right weir.ValueState[string]
}

func (m *matcher) Open(ctx *weir.KeyedOpenContext[int]) error {
	m.left, m.right = ctx.ListState[int]("left"), ctx.ValueState[string]("right")
	return nil
}

func (m *matcher) Process1(ctx *weir.KeyedContext[int], v int, emit func(string)) error {
	if r, ok := m.right.Get(); ok {
		emit(fmt.Sprint(v, r))
		return nil
	}
	m.left.Add(v)
	ctx.RegisterEventTimeTimer(math.MaxInt64)
	return nil
}

func (m *matcher) Process2(ctx *weir.KeyedContext[int], v string, emit func(string)) error {
	m.right.Set(v)
	for l := range m.left.All() {
		emit(fmt.Sprint(l, v))
	}
	m.left.Clear()
	ctx.DeleteEventTimeTimer(math.MaxInt64)
	return nil
}

func (m *matcher) OnTimer(ctx *weir.KeyedContext[int], _ weir.Timer, emit func(string)) error {
	for l := range m.left.All() {
		emit(fmt.Sprint(l, " alone"))
	}
	return nil
}

func TestKeyedConnectedProcess(t *testing.T) {
	const n, keys = 3000, 700
	var names, want []string
	for k := range keys / 2 {
		names = append(names, fmt.Sprintf("%d=x", k))
	}
	for _, v := range numbersTo(n).splits[0] {
		if v%keys < keys/2 {
			want = append(want, fmt.Sprintf("%d%d=x", v, v%keys))
			continue
		}
		want = append(want, fmt.Sprint(v, " alone"))
	}
	onBoth(t, 3, func(t *testing.T, e *engine) {
		t.Helper()
		var got collect[string]
		runJob(t, e, func(env *weir.Env) {
			numbers := weir.From(env, "numbers", numbersTo(n)).Parallelism(1)
			texts := weir.From(env, "texts", listOf(names...)).Parallelism(1)
			numbers.Connect(texts).
				KeyBy(func(v int) int { return v % keys }, func(s string) int {
					var k int
					_, _ = fmt.Sscanf(s, "%d=", &k)
					return k
				}).
				Process(func() *matcher { return &matcher{} }).To("sink", &got)
		})
		sameRows(t, "rows", got.rows, want)
	})
}

// inputCounts is a co-process function without keys.
type inputCounts struct {
	a, b    int
	subtask weir.Subtask
}

func (c *inputCounts) Open(ctx *weir.OpenContext) error {
	c.subtask = ctx.Subtask()
	if ctx.Operator() != "co-process" || ctx.Attempt() != 1 || ctx.Context().Err() != nil || ctx.Logger() == nil {
		return fmt.Errorf("operator %q of attempt %d", ctx.Operator(), ctx.Attempt())
	}
	return nil
}

func (c *inputCounts) Process1(_ *weir.ProcessContext, v int, emit func([3]int)) error {
	c.a++
	emit([3]int{c.subtask.Index, v, 0})
	return nil
}

func (c *inputCounts) Process2(_ *weir.ProcessContext, v string, emit func([3]int)) error {
	c.b++
	emit([3]int{c.subtask.Index, 0, len(v)})
	return nil
}

func TestConnectedProcess(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *engine) {
		t.Helper()
		var got collect[[3]int]
		runJob(t, e, func(env *weir.Env) {
			numbers := weir.From(env, "numbers", numbersTo(500)).Parallelism(1)
			texts := weir.From(env, "texts", listOf("a", "bc")).Parallelism(1)
			numbers.Global().Connect(texts.Broadcast()).
				Process(func() *inputCounts { return &inputCounts{} }).To("sink", &got)
		})
		want := [][3]int{{0, 0, 1}, {0, 0, 2}, {1, 0, 1}, {1, 0, 2}}
		for _, v := range numbersTo(500).splits[0] {
			want = append(want, [3]int{0, v, 0})
		}
		sameRows(t, "rows", got.rows, want)
	})
}

func TestProcessFunc(t *testing.T) {
	odd := weir.NewOutputTag[string]("odd")
	onBoth(t, 2, func(t *testing.T, e *engine) {
		t.Helper()
		e.least = false // there is no channel that needs memory
		var got, doubled collect[int]
		var odds collect[string]
		runJob(t, e, func(env *weir.Env) {
			s := weir.From(env, "numbers", numbersTo(5000)).
				ProcessFunc(func(ctx *weir.ProcessContext, v int, emit func(int)) error {
					if _, ok := ctx.EventTime(); ok {
						return errors.New("there is an event time")
					}
					if v%2 == 1 {
						ctx.Output(odd, fmt.Sprint(v))
						ctx.Output(weir.NewOutputTag[int]("nobody's"), v)
						return nil
					}
					emit(v)
					emit(v)
					return nil
				})
			s.Filter(func(v int) bool { return v%4 == 0 }).To("fours", &got)
			s.To("evens", &doubled)
			s.SideOutput(odd).To("odds", &odds)
		})
		var fours, evens []int
		var texts []string
		for _, v := range numbersTo(5000).splits[0] {
			switch {
			case v%2 == 1:
				texts = append(texts, fmt.Sprint(v))
				continue
			case v%4 == 0:
				fours = append(fours, v, v)
			}
			evens = append(evens, v, v)
		}
		sameRows(t, "fours", got.rows, fours)
		sameRows(t, "evens", doubled.rows, evens)
		sameRows(t, "odds", odds.rows, texts)
	})
}

// failing fails where it is told to, and counts how often it was closed.
type failing struct {
	at     string
	opened bool
	closed *atomic.Int32
	state  weir.ValueState[int]
}

func (f *failing) Open(ctx *weir.KeyedOpenContext[int]) error {
	f.opened = true
	f.state = ctx.ValueState[int]("state")
	switch f.at {
	case "two states":
		ctx.ListState[string]("state")
	case "no name":
		ctx.ValueState[int]("")
	case "bad type":
		ctx.ValueState[func()]("f")
		ctx.MapState[float64, int]("m")
	case "nil functions":
		ctx.ReducingState[int]("r", nil)
		ctx.AggregatingState[int, int, int]("a", nil)
	case "state in Open":
		f.state.Get()
	}
	return f.fail("Open")
}

func (f *failing) fail(where string) error {
	switch f.at {
	case where:
		return errors.New("oops")
	case "panic in " + where:
		panic("oops")
	}
	return nil
}

func (f *failing) Process(ctx *weir.KeyedContext[int], v int, emit func(int)) error {
	ctx.RegisterEventTimeTimer(1)
	switch f.at {
	case "side type":
		ctx.Output(weir.NewOutputTag[string]("side"), "text")
	case "undeclared":
		weir.AggregatingState[int, int]{}.Add(1)
	}
	emit(v)
	return f.fail("Process")
}

func (f *failing) OnTimer(*weir.KeyedContext[int], weir.Timer, func(int)) error {
	return f.fail("OnTimer")
}

func (f *failing) Close() error {
	if f.opened {
		f.closed.Add(1)
	}
	if f.at == "state in Close" {
		f.state.Set(1)
	}
	return f.fail("Close")
}

func TestProcessErrors(t *testing.T) {
	const name = `keyed process "mine": `
	for at, want := range map[string]string{
		"Open":             name + "open: oops",
		"panic in Open":    name + "panic: oops",
		"two states":       name + `list state "state": the operator has a value state of that name already`,
		"no name":          name + "a value state has no name",
		"bad type":         `values of type func() cannot be written to a snapshot`,
		"nil functions":    `aggregating state "a": the aggregator is nil`,
		"state in Open":    `value state "state" of ` + `keyed process "mine" is used without a current key`,
		"Process":          name + "oops",
		"panic in Process": name + "panic: oops",
		"OnTimer":          name + "oops",
		"panic in OnTimer": name + "panic: oops",
		"Close":            name + "close: oops",
		"panic in Close":   name + "panic: oops",
		"state in Close":   `value state "state" of ` + `keyed process "mine" is used without a current key`,
		"side type":        name + `a record of type string was emitted to side output "side", which is asked for with records of type int`,
		"undeclared":       "a state is used that was never declared",
		"panic below":      "panic: below",
	} {
		t.Run(at, func(t *testing.T) {
			e := newEngine(1, 1)
			var closed atomic.Int32
			_, err := e.run(t.Context(), func(env *weir.Env) {
				s := weir.From(env, "numbers", numbersTo(10)).KeyBy(func(v int) int { return v }).
					Process(func() *failing { return &failing{at: at, closed: &closed} }).Name("mine")
				s.SideOutput(weir.NewOutputTag[int]("side")).To("side", &collect[int]{})
				s.Map(func(v int) int {
					if at == "panic below" {
						panic("below")
					}
					return v
				}).To("sink", &collect[int]{})
			})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("failed with\n%v, want\n%s", err, want)
			}
			if at == "panic below" && strings.Contains(fmt.Sprint(err), "mine") {
				t.Errorf("another's panic has the operator's name: %v", err)
			}
			if closed.Load() != 1 {
				t.Errorf("closed %d times", closed.Load())
			}
		})
	}
}

// noTimers registers a timer without a method for it.
type noTimers struct{}

func (noTimers) Process(ctx *weir.KeyedContext[int], _ int, _ func(int)) error {
	ctx.RegisterProcessingTimeTimer(1)
	return nil
}

// oddTimers has methods that are not what they seem.
type oddTimers struct{}

func (oddTimers) Open(*weir.OpenContext) error                            { return nil }
func (*oddTimers) Close() error                                           { return nil }
func (oddTimers) OnTimer(*weir.KeyedContext[int], int64, func(int)) error { return nil }

func (oddTimers) Process(*weir.KeyedContext[int], int, func(int)) error { return nil }

// unkeyedTimer can never have a timer.
type unkeyedTimer struct{}

func (unkeyedTimer) Process(*weir.ProcessContext, int, func(int)) error { return nil }
func (unkeyedTimer) OnTimer(*weir.ProcessContext, weir.Timer, func(int)) error {
	return nil
}

func TestProcessMistakes(t *testing.T) {
	shared := &failing{}
	g := weir.BuildGraph(func(env *weir.Env) {
		s := weir.From(env, "numbers", numbersTo(10))
		k := s.KeyBy(func(v int) int { return v })
		k.Process(func() *failing { return shared }).To("a", &collect[int]{})
		k.Process(func() *failing { return nil }).To("b", &collect[int]{})
		k.Process(func() oddTimers { return oddTimers{} }).To("c", &collect[int]{})
		s.Process(func() unkeyedTimer { return unkeyedTimer{} }).To("d", &collect[int]{})
	})
	var texts []string
	for _, m := range g.Layout().Plan.Mistakes {
		texts = append(texts, fmt.Sprint(m))
	}
	all := strings.Join(texts, "\n")
	for _, want := range []string{
		"the same *weir_test.failing was returned twice",
		"the process function is nil",
		"method Open would never be called, since it is a func(*weir.OpenContext) error: it must be a func(*weir.KeyedOpenContext[int]) error",
		"its method Close is the pointer's",
		"method OnTimer would never be called, since it is a func(*weir.KeyedContext[int], int64, func(int)) error",
		"timers need a keyed stream",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no mistake %q in\n%s", want, all)
		}
	}
	if len(texts) != 6 {
		t.Errorf("%d mistakes:\n%s", len(texts), all)
	}
}

func TestTimerWithoutOnTimer(t *testing.T) {
	_, err := newEngine(1, 1).run(t.Context(), func(env *weir.Env) {
		weir.From(env, "numbers", numbersTo(10)).KeyBy(func(v int) int { return v }).
			Process(func() noTimers { return noTimers{} }).To("sink", &collect[int]{})
	})
	if want := `keyed process "keyed process": it registers a timer and has no method OnTimer`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("failed with %v, want %q", err, want)
	}
}

// measured counts what it sees.
type measured struct {
	seen    weir.Counter
	largest weir.Gauge
	digits  weir.Histogram
	max     int
}

func (m *measured) Open(ctx *weir.OpenContext) error {
	m.seen = ctx.Counter("seen")
	group := ctx.Metrics().Group("numbers")
	m.largest, m.digits = group.Gauge("largest"), group.Group("of").Histogram("digits")
	return nil
}

func (m *measured) Process(_ *weir.ProcessContext, v int, emit func(int)) error {
	m.seen.Inc()
	m.max = max(m.max, v)
	m.largest.Set(float64(m.max))
	m.digits.Record(int64(len(fmt.Sprint(v))))
	if m.seen.Count() > 1000 {
		return errors.New("counted too many")
	}
	emit(v)
	return nil
}

func TestUserMetrics(t *testing.T) {
	e := newEngine(1, 2)
	metrics, err := e.run(t.Context(), func(env *weir.Env) {
		weir.From(env, "numbers", numbersTo(1000)).
			Process(func() *measured { return &measured{} }).Name("measured").To("sink", &collect[int]{})
	})
	if err != nil {
		t.Fatal(err)
	}
	var seen int64
	var largest float64
	var digits [4]uint64
	for _, m := range metrics {
		for i, u := range m.User {
			if want := []string{"seen", "numbers.largest", "numbers.of.digits"}[i]; u.Name != want || u.Operator != "measured" {
				t.Errorf("metric %d is %q of %q", i, u.Name, u.Operator)
			}
			seen += u.Count
			largest = max(largest, u.Gauge)
			for b, v := range u.Histogram.Values {
				digits[v] += u.Histogram.Counts[b]
			}
		}
	}
	if seen != 1000 || largest != 999 || digits != [4]uint64{1: 10, 2: 90, 3: 900} {
		t.Errorf("saw %d, the largest %v, by digits %v", seen, largest, digits)
	}
}
