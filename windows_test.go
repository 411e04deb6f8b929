package weir_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/task"
)

// subtractable totals can be subtracted; of what a maximum was, they cannot tell.
type (
	subtractable struct{}
	countAndSum  struct{ Count, Sum int64 }
	slidingSum   struct {
		Key        int32
		Start, End int64
		countAndSum
	}
)

func (subtractable) Add(a *countAndSum, t tick)  { a.Count++; a.Sum += t.Value }
func (subtractable) Merge(a, other *countAndSum) { a.Count += other.Count; a.Sum += other.Sum }

func (subtractable) Subtract(a, other *countAndSum) { a.Count -= other.Count; a.Sum -= other.Sum }

func (subtractable) Result(k int32, w weir.Window, a *countAndSum) slidingSum {
	return slidingSum{k, w.Start, w.End, *a}
}

// slidingSums adds every tick to each of its windows, which begin at multiples of
// slide plus offset.
func slidingSums(ticks []tick, size, slide, offset int64) []slidingSum {
	sums := map[slidingSum]countAndSum{}
	for _, t := range ticks {
		for start := t.Time - size + 1; start <= t.Time; start++ {
			if ((start-offset)%slide+slide)%slide != 0 {
				continue
			}
			w := slidingSum{Key: t.Key, Start: start, End: start + size}
			acc := sums[w]
			subtractable{}.Add(&acc, t)
			sums[w] = acc
		}
	}
	var rows []slidingSum
	for w, acc := range sums {
		w.countAndSum = acc
		rows = append(rows, w)
	}
	return rows
}

// TestSlidingWindows has everything that may be made of sliding windows, in jobs of
// several parallelisms, with and without pre-aggregation.
func TestSlidingWindows(t *testing.T) {
	for _, c := range []struct {
		parallelism         string
		size, slide, offset int64
	}{{"1", 1000, 1000, 0}, {"2", 900, 250, 30}, {"4", 3000, 100, -20}} {
		ticks := randomTicks(rand.New(rand.NewPCG(uint64(c.size), 22)), 3000)
		want := slidingSums(ticks, c.size, c.slide, c.offset)
		for _, preAggregate := range []string{"true", "false"} {
			var sums, processed, reduced, emitted collect[slidingSum]
			runWindows(t, func(env *weir.Env) {
				ms := time.Millisecond
				windows := weir.From(env, "ticks", dealt(ticks, 3)).
					WithWatermarks(weir.BoundedOutOfOrderness(time.Hour), tickTime).
					KeyBy(func(t tick) int32 { return t.Key }).
					Window(weir.Sliding(time.Duration(c.size)*ms, time.Duration(c.slide)*ms).Offset(time.Duration(c.offset) * ms))
				windows.Aggregate(subtractable{}).ID("sums").To("sums", &sums)
				windows.AggregateProcess(subtractable{}, func(k int32, w weir.Window, s slidingSum, emit func(slidingSum)) {
					if k != s.Key || w.Start != s.Start || w.End != s.End {
						panic(fmt.Sprintf("the result %+v of key %d in %+v", s, k, w))
					}
					emit(s)
					emit(slidingSum{})
				}).ID("both").Filter(func(s slidingSum) bool { return s.End != s.Start }).To("both sink", &emitted)
				windows.Process(sumOfTicks).ID("all").To("all sink", &processed)
				windows.Reduce(func(a, b tick) tick { a.Value += b.Value; return a }).ID("reduced").
					Map(func(t tick) slidingSum { return slidingSum{countAndSum: countAndSum{Sum: t.Value}} }).To("reduced sink", &reduced)
			}, c.parallelism, preAggregate)
			var values []slidingSum
			for _, w := range want {
				values = append(values, slidingSum{countAndSum: countAndSum{Sum: w.Sum}})
			}
			for name, got := range map[string]struct{ got, want []slidingSum }{
				"aggregate": {sums.rows, want}, "aggregate and process": {emitted.rows, want}, "process": {processed.rows, want}, "reduce": {reduced.rows, values},
			} {
				if !slices.Equal(rowsInOrder(got.got), rowsInOrder(got.want)) {
					t.Errorf("%s of %+v, pre-aggregation %s: %d rows, want %d, and others", name, c, preAggregate, len(got.got), len(got.want))
				}
			}
		}
	}
}

func sumOfTicks(k int32, w weir.Window, ticks []tick, emit func(slidingSum)) {
	s := slidingSum{Key: k, Start: w.Start, End: w.End}
	for _, t := range ticks {
		subtractable{}.Add(&s.countAndSum, t)
	}
	emit(s)
}

// rowsInOrder returns rows in an order of their own, as text.
func rowsInOrder(rows []slidingSum) (lines []string) {
	for _, r := range rows {
		lines = append(lines, fmt.Sprintf("%+v", r))
	}
	slices.Sort(lines)
	return lines
}

func runWindows(t *testing.T, build func(*weir.Env), parallelism, preAggregate string) {
	t.Helper()
	err := weir.Run(t.Context(), "windows", build, weir.WithoutWarnings(),
		weir.Setting("parallelism.default", parallelism), weir.Setting("pipeline.pre-aggregation.enabled", preAggregate))
	if err != nil {
		t.Fatal(err)
	}
}

// TestLateRecords: within the allowed lateness windows fire again with each record;
// what comes later is in the side output, and a window is not gone before the last
// that a record is in.
func TestLateRecords(t *testing.T) {
	late := weir.NewOutputTag[tick]("late")
	d := newDirect(t, func(env *weir.Env) {
		ms := time.Millisecond
		sums := weir.From(env, "ticks", numbersOfTicks()).
			WithWatermarks(weir.MonotonousTimestamps(), tickTime).
			KeyBy(func(t tick) int32 { return t.Key }).
			Window(weir.Sliding(20*ms, 10*ms)).AllowedLateness(15 * ms).LateOutput(late).
			Process(sumOfTicks)
		sums.Map(func(s slidingSum) string { return fmt.Sprint(s.Start, ":", s.Sum) }).To("sums", &collect[string]{})
		sums.SideOutput(late).Map(func(t tick) string { return fmt.Sprint("late ", t.Value) }).To("late", &collect[string]{})
	})
	took := func(want string) {
		t.Helper()
		var got []string
		for _, name := range []string{"sums", "late"} {
			sink, err := task.DirectSink[string](d.Direct, name)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, sink.Values...)
			sink.Values = nil
		}
		if all := strings.Join(got, ", "); all != want {
			t.Errorf("%s, want %s", all, want)
		}
	}
	d.push("ticks", 5, 20) // watermark 19
	took("-10:5, 0:5")
	d.push("ticks", 6) // -10 is kept until 9+15, 0 until 19+15
	took("-10:11, 0:11")
	d.push("ticks", 30) // watermark 29
	took("10:20")
	d.push("ticks", 7)
	took("0:18")
	d.push("ticks", 40) // watermark 39
	took("20:50")
	d.push("ticks", 8)
	took("late 8")
	d.push("ticks", 12)
	took("10:32")
	d.end("ticks")
	took("30:70, 40:40")
}
