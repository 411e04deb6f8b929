package weir_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
)

const sessionGap = 1300 * time.Millisecond

// sessionsOf cuts the sorted records of each key where there is a gap.
func sessionsOf(ticks []tick, gap time.Duration) (sessions [][]tick) {
	ticks = slices.Clone(ticks)
	slices.SortStableFunc(ticks, func(a, b tick) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Time, b.Time)) })
	for i, t := range ticks {
		if i == 0 || ticks[i-1].Key != t.Key || t.Time-ticks[i-1].Time >= gap.Milliseconds() {
			sessions = append(sessions, nil)
		}
		sessions[len(sessions)-1] = append(sessions[len(sessions)-1], t)
	}
	return sessions
}

// sessionTotal is what the aggregate makes of a session.
func sessionTotal(session []tick, gap time.Duration) totalOf[int32] {
	first, last := session[0], session[len(session)-1]
	row := totalOf[int32]{first.Key, first.Time, last.Time + gap.Milliseconds(), total{Started: 1, Min: 1 << 62, Max: -1 << 62}}
	for _, t := range session {
		row.Count++
		row.Sum += t.Value
		row.Min, row.Max = min(row.Min, t.Value), max(row.Max, t.Value)
	}
	return row
}

func tickTime(t tick) int64 { return t.Time }

var totalTicks = totalling[int32, tick]{func(t tick) int64 { return t.Value }}

// TestSessionWindows has everything that may be made of sessions, in jobs of several
// parallelisms.
func TestSessionWindows(t *testing.T) {
	for _, p := range []int{1, 2, 4} {
		r := rand.New(rand.NewPCG(uint64(p), 21))
		ticks := randomTicks(r, 3000)
		var totals []totalOf[int32]
		var highest []tick
		var texts, ends []string
		for _, s := range sessionsOf(ticks, sessionGap) {
			row := sessionTotal(s, sessionGap)
			totals, highest = append(totals, row), append(highest, slices.MaxFunc(s, func(a, b tick) int {
				return cmp.Or(cmp.Compare(a.Value, b.Value), cmp.Compare(a.Time, b.Time))
			}))
			slices.SortFunc(s, func(a, b tick) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Value, b.Value)) })
			texts = append(texts, fmt.Sprint(row.Key, row.Start, row.End, s))
			ends = append(ends, fmt.Sprint(row.Key, row.End, row.Sum), "and")
		}
		var gotTotals collect[totalOf[int32]]
		var gotHighest collect[tick]
		var gotTexts, gotEnds collect[string]
		e := newEngine(min(p, 2), p)
		e.settings.Network.SegmentSize = 1024 // so that the watermark rises in between
		metrics, err := e.run(t.Context(), func(env *weir.Env) {
			sessions := weir.From(env, "ticks", listOf(ticks...)).
				WithWatermarks(weir.BoundedOutOfOrderness(bound), tickTime).
				KeyBy(keyOf).Window(weir.Session(sessionGap))
			sessions.Aggregate(totalTicks).ID("totals").To("totals sink", &gotTotals)
			sessions.Reduce(higher).ID("highest").To("highest sink", &gotHighest)
			sessions.Process(func(k int32, w weir.Window, ticks []tick, emit func(string)) {
				slices.SortFunc(ticks, func(a, b tick) int { return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Value, b.Value)) })
				emit(fmt.Sprint(k, w.Start, w.End, ticks))
			}).ID("texts").To("texts sink", &gotTexts)
			sessions.AggregateProcess(totalTicks, func(k int32, w weir.Window, row totalOf[int32], emit func(string)) {
				emit(fmt.Sprint(k, w.End, row.Sum))
				emit("and")
			}).ID("ends").To("ends sink", &gotEnds)
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(totals) < 300 || len(totals) > 2500 {
			t.Fatalf("%d sessions of %d records: the test says little", len(totals), len(ticks))
		}
		what := fmt.Sprintf("parallelism %d: ", p)
		sameRows(t, what+"aggregate", gotTotals.rows, totals)
		sameRows(t, what+"reduce", gotHighest.rows, highest)
		sameRows(t, what+"process", gotTexts.rows, texts)
		sameRows(t, what+"aggregate and process", gotEnds.rows, ends)
		if n := lateDropped(metrics); n > 0 {
			t.Errorf("%s%d records are late", what, n)
		}
		for s, rows := range gotTotals.by {
			if !slices.IsSortedFunc(rows, func(a, b totalOf[int32]) int { return cmp.Compare(a.End, b.End) }) {
				t.Errorf("%ssubtask %d has sessions out of order", what, s)
			}
		}
	}
}

// TestLateRecordsOfSessions: records come in any order. Those that are too late reach
// the late output, and every other is in one session; with enough lateness none is
// late, and of each session the last result is right.
func TestLateRecordsOfSessions(t *testing.T) {
	const late = "late ticks"
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 22))
		s := randomShape(r)
		ticks := randomTicks(r, 2000)
		r.Shuffle(len(ticks)/2, func(i, j int) { ticks[i], ticks[j] = ticks[j], ticks[i] })
		var strict, patient collect[totalOf[int32]]
		var left collect[tick]
		metrics, err := s.engine().run(t.Context(), func(env *weir.Env) {
			sessions := weir.From(env, "ticks", dealt(ticks, s.splits)).
				WithWatermarks(weir.MonotonousTimestamps(), tickTime).
				KeyBy(keyOf).Window(weir.Session(sessionGap))
			tag := weir.NewOutputTag[tick](late)
			totals := sessions.LateOutput(tag).Aggregate(totalTicks).ID("strict")
			totals.To("strict sink", &strict)
			totals.SideOutput(tag).To("late sink", &left)
			sessions.AllowedLateness(time.Hour).Aggregate(totalTicks).ID("patient").To("patient sink", &patient)
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := lateDropped(metrics); n > 0 {
			t.Errorf("%v: %d records were dropped", s, n)
		}
		n, sum := int64(len(left.rows)), int64(0)
		for _, l := range left.rows {
			sum += l.Value
		}
		for _, row := range strict.rows {
			n, sum = n+row.Count, sum+row.Sum
		}
		want := int64(0)
		for _, v := range ticks {
			want += v.Value
		}
		if n != int64(len(ticks)) || sum != want {
			t.Errorf("%v: %d records in results or late, of %d; their sum is %d, want %d", s, n, len(ticks), sum, want)
		}
		if len(left.rows) == 0 {
			t.Errorf("%v: no record is late: the test says little", s)
		}
		type bounds struct {
			key        int32
			start, end int64
		}
		last := map[bounds]totalOf[int32]{}
		for _, rows := range patient.by { // a key's results come in order
			for _, row := range rows {
				last[bounds{row.Key, row.Start, row.End}] = row
			}
		}
		for _, session := range sessionsOf(ticks, sessionGap) {
			want := sessionTotal(session, sessionGap)
			if got := last[bounds{want.Key, want.Start, want.End}]; got != want {
				t.Errorf("%v: the last result of a session is %+v, want %+v", s, got, want)
			}
		}
	}
}

// TestSessionMistakes are reported where they are made.
func TestSessionMistakes(t *testing.T) {
	mistakes := weir.BuildGraph(func(env *weir.Env) {
		keyed := weir.From(env, "ticks", listOf[tick]()).WithWatermarks(weir.MonotonousTimestamps(), tickTime).KeyBy(keyOf)
		keyed.Window(weir.Session(0)).Reduce(higher).To("a", &collect[tick]{})
		keyed.Window(weir.Session(time.Microsecond)).Reduce(higher).To("b", &collect[tick]{})
		keyed.Window(weir.Session(time.Second).Offset(time.Second)).Reduce(higher).To("c", &collect[tick]{})
		keyed.Window(weir.Session(time.Second)).Aggregate(summing{}).To("d", &collect[int]{})
		keyed.Window(weir.Session(time.Second)).Aggregate[int, int](nil).To("e", &collect[int]{})
		keyed.Window(weir.Session(time.Second)).Process(func(int32, weir.Window, []tick, func(int)) {}).To("f", &collect[int]{})
		weir.From(env, "more", listOf[tick]()).KeyBy(keyOf).Window(weir.Session(time.Second).ProcessingTime()).Reduce(higher).To("g", &collect[tick]{})
		weir.From(env, "untimed", listOf[tick]()).KeyBy(keyOf).Window(weir.Session(time.Second)).Reduce(higher).To("h", &collect[tick]{})
	}).Layout().Plan.Mistakes
	want := []string{
		"a session gap of 0s: it must be whole milliseconds, and at least one",
		"a session gap of 1µs: it must be whole milliseconds, and at least one",
		"an offset of 1s for session windows, which begin with their first record",
		"session windows need an aggregator with a method Merge(acc, other *int): a record may connect two sessions, which are then merged",
		"the aggregator is nil",
		`the records of "untimed" have no event times`,
	}
	if len(mistakes) != len(want) {
		t.Fatalf("%d mistakes, want %d:\n%s", len(mistakes), len(want), strings.Join(mistakes, "\n"))
	}
	for i, m := range mistakes {
		if !strings.Contains(m, want[i]) || !strings.Contains(m, "sessions_test.go:") {
			t.Errorf("mistake %q, want %q", m, want[i])
		}
	}
}

// summing is an aggregator without a Merge.
type summing struct{}

func (summing) Add(acc *int, _ tick)                      { *acc++ }
func (summing) Result(_ int32, _ weir.Window, n *int) int { return *n }
