package weir_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/task"
)

// remote counts what came over TCP.
func remote(metrics []task.Metrics) (n uint64) {
	for _, m := range metrics {
		n += m.RecordsInRemote
	}
	return n
}

func lateDropped(metrics []task.Metrics) (n uint64) {
	for _, m := range metrics {
		n += m.LateDropped
	}
	return n
}

// TestRecordsOfAllKindsOverTCP sends every shape of record between two workers,
// in small segments, with the least memory: they arrive as they were.
func TestRecordsOfAllKindsOverTCP(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	text := func(n int) string { return strings.Repeat(string(rune('a'+r.IntN(26))), n) }
	t.Run("raw", func(t *testing.T) {
		overTCP(t, func(i int) tick { return tick{int32(i), r.Int64(), r.Int64()} }, func(v tick) int64 { return int64(v.Key) })
	})
	t.Run("zero size", func(t *testing.T) {
		overTCP(t, func(int) struct{} { return struct{}{} }, func(struct{}) bool { return true })
	})
	t.Run("large arrays", func(t *testing.T) {
		overTCP(t, func(i int) [900]uint16 { return [900]uint16{uint16(i), 899: 7} }, func(v [900]uint16) uint16 { return v[0] })
	})
	t.Run("strings", func(t *testing.T) {
		overTCP(t, func(int) string { return text(r.IntN(50)) }, func(v string) string { return v })
	})
	t.Run("long strings among short ones", func(t *testing.T) {
		overTCP(t, func(i int) string {
			if i%50 == 0 {
				return text(40_000)
			}
			return text(i % 300)
		}, func(v string) int { return len(v) })
	})
	t.Run("struct keys with strings", func(t *testing.T) {
		overTCP(t, func(i int) pair { return pair{uint8(i % 3), text(i % 7)} }, func(v pair) pair { return v })
	})
	t.Run("slices, maps and pointers", func(t *testing.T) {
		overTCP(t, func(i int) note {
			n := note{Name: text(3), Time: int64(i), Tags: []string{text(1), ""}, Seen: map[string]int64{text(2): 1}}
			if i%2 == 0 {
				n.Next = &note{Name: "next", Tags: make([]string, i%5)}
			}
			return n
		}, func(n note) string { return n.Name })
	})
	t.Run("pointers", func(t *testing.T) {
		overTCP(t, func(i int) *tick { return &tick{Key: int32(i)} }, func(v *tick) int32 { return v.Key })
	})
}

func overTCP[K comparable, T any](t *testing.T, next func(i int) T, key func(T) K) {
	t.Helper()
	values := make([]T, 700)
	for i := range values {
		values[i] = next(i)
	}
	e := newEngine(2, 4)
	e.settings.Network.SegmentSize, e.least = 1024, true
	var got collect[T]
	metrics, err := e.run(t.Context(), func(env *weir.Env) {
		weir.From(env, "values", dealt(values, 3)).Parallelism(1).
			Rebalance().Filter(func(T) bool { return true }).
			KeyBy(key).Reduce(func(_, b T) T { return b }).ID("latest").
			To("sink", &got)
	})
	if err != nil {
		t.Fatal(err)
	}
	sameText(t, got.rows, values)
	// Three of four of the first exchange leave the one worker or the other, and
	// about half of the second.
	if n := remote(metrics); n < uint64(len(values)/2) {
		t.Errorf("%d of %d records came over TCP", n, len(values))
	}
}

// sameText compares bags of values that may hold pointers.
func sameText[T any](t *testing.T, got, want []T) {
	t.Helper()
	text := func(rows []T) (texts []string) {
		for _, v := range rows {
			switch v := any(v).(type) {
			case *tick:
				texts = append(texts, fmt.Sprintf("%+v", *v))
			case note:
				next := v.Next
				v.Next = nil
				texts = append(texts, fmt.Sprintf("%+v %q %+v", v, v.Tags, next))
			default:
				texts = append(texts, fmt.Sprintf("%+v", v))
			}
		}
		slices.Sort(texts)
		return texts
	}
	if a, b := text(got), text(want); !slices.Equal(a, b) {
		t.Errorf("%d rows arrived, %d were sent, or they differ", len(a), len(b))
	}
}

// TestRebalanceIsEven: one subtask deals to several in turn.
func TestRebalanceIsEven(t *testing.T) {
	for _, n := range []int{0, 1, 1000, 1003} {
		var got collect[int]
		_, err := newEngine(1, 4).run(t.Context(), func(env *weir.Env) {
			weir.From(env, "numbers", numbersTo(n)).Parallelism(1).Rebalance().To("sink", &got)
		})
		if err != nil {
			t.Fatal(err)
		}
		sameRows(t, "rows", got.rows, numbersTo(n).splits[0])
		for s := range 4 {
			if have := len(got.by[s]); have < n/4 || have > (n+3)/4 {
				t.Errorf("subtask %d got %d of %d", s, have, n)
			}
		}
	}
}

// TestForward: between equal parallelisms a record stays with its subtask, in
// order; between others records are dealt out in turn.
func TestForward(t *testing.T) {
	var near, far, wider collect[int]
	source := dealt(numbersTo(4000).splits[0], 8)
	_, err := newEngine(1, 3).run(t.Context(), func(env *weir.Env) {
		numbers := weir.From(env, "numbers", source)
		numbers.To("near", &near)
		numbers.To("far", &far).StartNewChain()
		numbers.To("wider", &wider).Parallelism(5)
	})
	if err != nil {
		t.Fatal(err)
	}
	for s := range 3 {
		if !slices.Equal(near.by[s], far.by[s]) {
			t.Errorf("subtask %d: %d records in the chain, %d behind an exchange, or in another order", s, len(near.by[s]), len(far.by[s]))
		}
	}
	sameRows(t, "wider", wider.rows, near.rows)
	for s := range 5 {
		// Three senders deal out in turn, each for itself.
		if have := len(wider.by[s]); have < 4000/5-3 || have > 4000/5+3 {
			t.Errorf("subtask %d of the wider sink got %d of 4000", s, have)
		}
	}
}

// TestKeysKeepTheirOrderAndSubtask: the records of a key reach one subtask, in
// the order of their source.
func TestKeysKeepTheirOrderAndSubtask(t *testing.T) {
	for _, workers := range []int{1, 2} {
		e := newEngine(workers, 4)
		e.settings.Network.SegmentSize = 512
		var got collect[tick]
		_, err := e.run(t.Context(), func(env *weir.Env) {
			weir.From(env, "numbers", numbersTo(5000)).Parallelism(1).
				Map(func(n int) tick { return tick{Key: int32(n % 13), Value: int64(n)} }).Parallelism(1).
				KeyBy(keyOf).Reduce(func(a, b tick) tick {
				if b.Value <= a.Value {
					b.Value = -1 // out of order
				}
				return b
			}).ID("in order").
				To("sink", &got)
		})
		if err != nil {
			t.Fatal(err)
		}
		owner := map[int32]int{}
		for s, rows := range got.by {
			for _, r := range rows {
				if was, ok := owner[r.Key]; ok && was != s {
					t.Fatalf("key %d is at subtask %d and %d", r.Key, was, s)
				}
				owner[r.Key] = s
				if r.Value < 0 {
					t.Fatalf("a record of key %d came out of order", r.Key)
				}
			}
		}
		if len(got.rows) != 5000 || len(owner) != 13 {
			t.Errorf("%d records of %d keys", len(got.rows), len(owner))
		}
	}
}

// TestLateRecordsAreCounted: with one record to a buffer the watermark is known
// after each, so how many records are late is exact, with pre-aggregation too.
func TestLateRecordsAreCounted(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	times := make([]int64, 3000)
	for i := range times {
		times[i] = int64(i)*10 - r.Int64N(4000)
	}
	const size, allowed = 500, 1000
	want, late, watermark := map[int64]int64{}, uint64(0), int64(-1<<62)
	for _, at := range times {
		start := floor(at, size, 0)
		if start+size-1 <= watermark {
			late++
		} else {
			want[start]++
		}
		watermark = max(watermark, at-allowed-1)
	}
	if late < 100 {
		t.Fatalf("%d records are late: the test says nothing", late)
	}
	for _, pre := range []bool{false, true} {
		e := newEngine(1, 1)
		e.settings.BufferTimeout, e.settings.WatermarkInterval, e.settings.PreAggregation = 0, 0, pre
		var got collect[totalOf[bool]]
		metrics, err := e.run(t.Context(), func(env *weir.Env) {
			weir.From(env, "times", lists[int64]{splits: [][]int64{times}, atMost: 1}).
				WithWatermarks(weir.BoundedOutOfOrderness(allowed*time.Millisecond), func(at int64) int64 { return at }).
				KeyBy(func(int64) bool { return true }).
				Window(weir.Tumbling(size*time.Millisecond)).
				Aggregate(totalling[bool, int64]{func(at int64) int64 { return at }}).ID("window").
				To("sink", &got)
		})
		if err != nil {
			t.Fatal(err)
		}
		have := map[int64]int64{}
		for _, row := range got.rows {
			have[row.Start] += row.Count
		}
		if n := lateDropped(metrics); n != late || fmt.Sprint(have) != fmt.Sprint(want) {
			t.Errorf("pre-aggregation %v: %d records were late, want %d; windows %v, want %v", pre, n, late, have, want)
		}
	}
}

// TestLateRecordsAreDroppedAndCounted: in any shape what is not in a result is
// counted as late, and nothing is both.
func TestLateRecordsAreDroppedAndCounted(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 8))
		s := randomShape(r)
		ticks := randomTicks(r, 2000)
		var got collect[totalOf[int32]]
		metrics, err := s.engine().run(t.Context(), func(env *weir.Env) {
			weir.From(env, "ticks", dealt(ticks, s.splits)). // in no order at all
										WithWatermarks(weir.MonotonousTimestamps(), func(t tick) int64 { return t.Time }).
										KeyBy(keyOf).Window(weir.Tumbling(time.Second)).
										Aggregate(totalling[int32, tick]{func(t tick) int64 { return t.Value }}).ID("window").
										To("sink", &got)
		})
		if err != nil {
			t.Fatal(err)
		}
		n, windows := uint64(0), map[[2]int64]bool{}
		for _, row := range got.rows {
			n += uint64(row.Count)
			w := [2]int64{int64(row.Key), row.Start}
			if windows[w] {
				t.Errorf("%v: the window of key %d at %d fired twice", s, row.Key, row.Start)
			}
			windows[w] = true
		}
		if late := lateDropped(metrics); n+late != uint64(len(ticks)) {
			t.Errorf("%v: %d records in results and %d late ones, of %d", s, n, late, len(ticks))
		}
	}
}

// TestNothingToRead: empty splits, no splits at all, and fewer splits than
// subtasks end a job like any other.
func TestNothingToRead(t *testing.T) {
	for name, source := range map[string]lists[int]{
		"no splits":          {},
		"an empty split":     {splits: [][]int{{}}},
		"many empty splits":  {splits: make([][]int, 20)},
		"one for four":       listOf(1, 2, 3),
		"empty ones between": {splits: [][]int{{}, {1}, {}, {}, {2, 3}, {}}},
	} {
		for _, workers := range []int{1, 2} {
			var got collect[totalOf[bool]]
			_, err := newEngine(workers, 4).run(t.Context(), func(env *weir.Env) {
				weir.From(env, "numbers", source).
					WithWatermarks(weir.MonotonousTimestamps(), func(n int) int64 { return int64(n) }).
					KeyBy(func(int) bool { return true }).Window(weir.Tumbling(time.Second)).
					Aggregate(totalling[bool, int]{func(n int) int64 { return int64(n) }}).ID("window").
					To("sink", &got)
			})
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			want := 0
			for _, s := range source.splits {
				want += len(s)
			}
			if want == 0 && len(got.rows) > 0 || want > 0 && (len(got.rows) != 1 || got.rows[0].Count != int64(want)) {
				t.Errorf("%s: %v", name, got.rows)
			}
		}
	}
}

// TestUnboundedSourceIsCancelled: it goes on until it is told to stop, with
// subtasks without splits and splits that have nothing.
func TestUnboundedSourceIsCancelled(t *testing.T) {
	source := newFeed[int]()
	source.idle = 2
	arrived := make(chan int, 100)
	ctx, cancel := context.WithCancel(t.Context())
	e := newEngine(2, 4)
	e.settings.BufferTimeout = 0
	if err := e.start(func(env *weir.Env) {
		weir.From(env, "feed", source).Rebalance().To("sink", sinkFunc[int](func(n int) error { arrived <- n; return nil }))
	}); err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		source.send(n)
		if got := <-arrived; got != n {
			t.Errorf("%d arrived, want %d", got, n)
		}
	}
	cancel()
	if err := e.wait(ctx); err != nil {
		t.Errorf("canceling failed the job: %v", err)
	}
	states := map[task.State]int{}
	for _, s := range e.states {
		states[s]++
	}
	// The one source subtask without a split ends by itself, if that is not
	// overtaken by the cancellation.
	if c, f := states[task.Canceled], states[task.Finished]; c+f != 8 || f > 1 {
		t.Errorf("%d tasks were canceled, %d finished, want 8, of which at most one finished: %v", c, f, e.states)
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
}

// TestSplitsMayComeEarly: an unbounded source's splits are dealt out at once,
// also to a task that is still opening its sink.
func TestSplitsMayComeEarly(t *testing.T) {
	source := newFeed[int]()
	source.ends = false
	open := make(chan struct{})
	arrived := make(chan int, 1)
	e := newEngine(1, 1)
	e.settings.BufferTimeout = 0
	if err := e.start(func(env *weir.Env) {
		weir.From(env, "feed", source).To("sink", &openingSink{open: open, to: arrived})
	}); err != nil {
		t.Fatal(err)
	}
	source.send(7)
	close(open) // the splits are there by now
	if got := <-arrived; got != 7 {
		t.Errorf("%d arrived", got)
	}
	e.cancel()
	if err := e.wait(t.Context()); err != nil {
		t.Error(err)
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
}

// openingSink opens when it may.
type openingSink struct {
	open <-chan struct{}
	to   chan<- int
}

func (s *openingSink) Open(context.Context, weir.Subtask) (weir.Writer[int], error) {
	<-s.open
	return funcWriter[int](func(n int) error { s.to <- n; return nil }), nil
}

// sinkFunc is a sink that calls a function for each record.
type sinkFunc[T any] func(T) error

func (f sinkFunc[T]) Open(context.Context, weir.Subtask) (weir.Writer[T], error) {
	return funcWriter[T](f), nil
}

type funcWriter[T any] func(T) error

func (f funcWriter[T]) Write(values []T) error {
	for _, v := range values {
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}
func (funcWriter[T]) Flush() error { return nil }
func (funcWriter[T]) Close() error { return nil }

// TestWritersAreFlushedAndClosed: a writer is opened once for each subtask, told
// which it is, flushed after its last record and closed at the end.
func TestWritersAreFlushedAndClosed(t *testing.T) {
	log := &sinkLog{}
	_, err := newEngine(2, 3).run(t.Context(), func(env *weir.Env) {
		weir.From(env, "numbers", dealt(numbersTo(1000).splits[0], 7)).To("log", log)
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(log.opened)
	if want := []string{"0/3 Source: numbers -> Sink: log (1/3)", "1/3 Source: numbers -> Sink: log (2/3)", "2/3 Source: numbers -> Sink: log (3/3)"}; !slices.Equal(log.opened, want) {
		t.Errorf("opened %q", log.opened)
	}
	if log.closed != 3 || log.written != 1000 || log.unflushed != 0 {
		t.Errorf("%d writers were closed, %d records written, %d not flushed", log.closed, log.written, log.unflushed)
	}
}

type sinkLog struct {
	mu                         sync.Mutex
	opened                     []string
	closed, written, unflushed int
}

func (l *sinkLog) Open(_ context.Context, s weir.Subtask) (weir.Writer[int], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = append(l.opened, fmt.Sprintf("%d/%d %s", s.Index, s.Parallelism, s.Name))
	return &logWriter{l: l}, nil
}

type logWriter struct {
	l       *sinkLog
	pending int
}

func (w *logWriter) Write(values []int) error { w.pending += len(values); return nil }
func (w *logWriter) Flush() error {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.written += w.pending
	w.pending = 0
	return nil
}

func (w *logWriter) Close() error {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.closed++
	w.l.unflushed += w.pending
	return nil
}
