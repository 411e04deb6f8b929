package weir_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/task"
)

// These tests run whole jobs on a driven clock: what they time is exact.

// gate is a sink that takes a batch only when it may.
type gate struct {
	open chan struct{}
	// canceled makes a writer give up when its task is to stop.
	canceled bool
}

func (g *gate) Open(ctx context.Context, _ weir.Subtask) (weir.Writer[int], error) {
	return &gateWriter{g, ctx}, nil
}

type gateWriter struct {
	g   *gate
	ctx context.Context
}

func (w *gateWriter) Write([]int) error {
	if !w.g.canceled {
		<-w.g.open
		return nil
	}
	select {
	case <-w.g.open:
		return nil
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}
func (w *gateWriter) Flush() error { return nil }
func (w *gateWriter) Close() error { return nil }

// threeTasks is a source, a map and a sink, each in a task of its own.
func threeTasks(source weir.Source[int], sink weir.Sink[int]) func(*weir.Env) {
	return func(env *weir.Env) {
		env.DisableChaining()
		weir.From(env, "numbers", source).Map(func(n int) int { return n }).To("sink", sink)
	}
}

// passes lets virtual time pass, once everybody waits.
func passes(d time.Duration) {
	synctest.Wait()
	<-time.After(d)
	synctest.Wait()
}

// activity are the three rates of a task.
type activity struct{ busy, idle, backpressured int }

func activities(e *engine) (all []activity) {
	for _, m := range e.metrics() {
		all = append(all, activity{m.Busy, m.Idle, m.Backpressured})
	}
	return all
}

// TestBackpressureIsMeasured: behind a sink that blocks, every task waits for
// output buffers, the sink is busy, and their times say so; then all are idle.
func TestBackpressureIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, sink := newFeed[int](), &gate{open: make(chan struct{})}
		e := newEngine(1, 1)
		if err := e.start(threeTasks(source, sink)); err != nil {
			t.Fatal(err)
		}
		passes(time.Second)
		e.metrics()
		passes(time.Second)
		if got, want := activities(e), []activity{{0, 1000, 0}, {0, 1000, 0}, {0, 1000, 0}}; !slices.Equal(got, want) {
			t.Errorf("without input: %v, want %v", got, want)
		}

		// Far more than all buffers together hold.
		source.send(make([]int, 200_000)...)
		passes(time.Second)
		e.metrics()
		passes(3 * time.Second)
		blocked := e.metrics()
		if got, want := activities2(blocked), []activity{{0, 0, 1000}, {0, 0, 1000}, {1000, 0, 0}}; !slices.Equal(got, want) {
			t.Errorf("behind a blocked sink: %v, want %v", got, want)
		}
		// What is under way is bounded by the buffers: 10 for the one channel of
		// each of the two exchanges, of 2,040 records, and a batch in each task.
		if n := blocked[0].RecordsIn; n > 2*10*2040+3*512 || n < 2*2040 {
			t.Errorf("%d records were read with nobody taking them", n)
		}

		close(sink.open)
		passes(time.Second)
		passes(time.Second)
		e.metrics()
		passes(time.Second)
		after := e.metrics()
		if got, want := activities2(after), []activity{{0, 1000, 0}, {0, 1000, 0}, {0, 1000, 0}}; !slices.Equal(got, want) {
			t.Errorf("after all was taken: %v, want %v", got, want)
		}
		for i, m := range after {
			if m.RecordsIn != 200_000 {
				t.Errorf("task %d took %d records of 200,000", i, m.RecordsIn)
			}
		}
		e.cancel()
		if err := e.wait(t.Context()); err != nil {
			t.Error(err)
		}
		if got, want := activities(e), []activity{{}, {}, {}}; !slices.Equal(got, want) {
			t.Errorf("after the end: %v", got)
		}
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
}

func activities2(metrics []task.Metrics) (all []activity) {
	for _, m := range metrics {
		all = append(all, activity{m.Busy, m.Idle, m.Backpressured})
	}
	return all
}

// TestPartsOfASecond: a task that waits for a part of the time is not busy then.
func TestPartsOfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFeed[int]()
		e := newEngine(1, 1)
		e.settings.BufferTimeout = 0
		// Each record takes the map 20 ms, and the sink 30 ms.
		err := e.start(func(env *weir.Env) {
			env.DisableChaining()
			weir.From(env, "numbers", source).
				Map(func(n int) int { <-time.After(20 * time.Millisecond); return n }).
				To("sink", sinkFunc[int](func(int) error { <-time.After(30 * time.Millisecond); return nil }))
		})
		if err != nil {
			t.Fatal(err)
		}
		passes(time.Second)
		e.metrics()
		source.send(make([]int, 10)...)
		passes(time.Second)
		if got, want := activities(e), []activity{{0, 1000, 0}, {200, 800, 0}, {300, 700, 0}}; !slices.Equal(got, want) {
			t.Errorf("10 records in a second: %v, want %v", got, want)
		}
		e.cancel()
		if err := e.wait(t.Context()); err != nil {
			t.Error(err)
		}
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
}

// arrivals is a sink that notes when each record came.
type arrivals struct {
	start time.Time
	at    []time.Duration
}

func (a *arrivals) sink() weir.Sink[int] {
	return sinkFunc[int](func(int) error { a.at = append(a.at, time.Since(a.start)); return nil })
}

// TestBufferTimeouts: how long a record waits in a buffer.
func TestBufferTimeouts(t *testing.T) {
	const ms = time.Millisecond
	sent := []time.Duration{1000 * ms, 1010 * ms, 1020 * ms, 1500 * ms, 1510 * ms}
	for _, c := range []struct {
		timeout time.Duration
		want    []time.Duration
	}{
		{0, sent},
		// The first leaves at once, since the timeout has passed since the last.
		{100 * ms, []time.Duration{1000 * ms, 1100 * ms, 1100 * ms, 1500 * ms, 1600 * ms}},
		{dataflow.NoTimeout, []time.Duration{2000 * ms, 2000 * ms, 2000 * ms, 2000 * ms, 2000 * ms}},
	} {
		synctest.Test(t, func(t *testing.T) {
			source := newFeed[int]()
			source.ends = true
			got := arrivals{start: time.Now()}
			e := newEngine(1, 1)
			e.settings.BufferTimeout = c.timeout
			if err := e.start(func(env *weir.Env) { weir.From(env, "numbers", source).Rebalance().To("sink", got.sink()) }); err != nil {
				t.Fatal(err)
			}
			for _, at := range sent {
				passes(at - time.Since(got.start))
				source.send(1)
			}
			passes(2*time.Second - time.Since(got.start))
			source.end()
			if err := e.wait(t.Context()); err != nil {
				t.Error(err)
			}
			if !slices.Equal(got.at, c.want) {
				t.Errorf("timeout %v: records arrived at %v, want %v", c.timeout, got.at, c.want)
			}
			if err := e.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOperatorsOwnBufferTimeout: a timeout in code is above the job's.
func TestOperatorsOwnBufferTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFeed[int]()
		source.ends = true
		got := arrivals{start: time.Now()}
		e := newEngine(1, 1)
		e.settings.BufferTimeout = dataflow.NoTimeout
		if err := e.start(func(env *weir.Env) {
			weir.From(env, "numbers", source).BufferTimeout(0).Rebalance().To("sink", got.sink())
		}); err != nil {
			t.Fatal(err)
		}
		passes(time.Second)
		source.send(1)
		passes(time.Second)
		source.end()
		if err := e.wait(t.Context()); err != nil {
			t.Error(err)
		}
		if !slices.Equal(got.at, []time.Duration{time.Second}) {
			t.Errorf("the record arrived at %v, want after a second", got.at)
		}
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSlowFunctionHoldsUpNothing: a map that takes 10 ms per record adds 10 ms
// to each, and not a batch's time, once the pace is known.
func TestSlowFunctionHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFeed[int]()
		source.ends = true
		source.send(make([]int, 100)...)
		source.end()
		got := arrivals{start: time.Now()}
		e := newEngine(1, 1)
		e.settings.BufferTimeout = 0
		_, err := e.run(t.Context(), func(env *weir.Env) {
			weir.From(env, "numbers", source).
				Map(func(n int) int { <-time.After(10 * time.Millisecond); return n }).
				Rebalance().To("sink", got.sink())
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range got.at {
			if want := time.Duration(i+1) * 10 * time.Millisecond; at != want {
				t.Errorf("record %d arrived after %v, want %v", i, at, want)
			}
		}
	})
}

// TestCancellationNeedsOneCall: a task that is to stop waits for one call of a
// slow function, also while a window fires.
func TestCancellationNeedsOneCall(t *testing.T) {
	const call = 10 * time.Millisecond
	slow := func(n int) int { <-time.After(call); return n }
	for name, job := range map[string]func(*weir.Env){
		"reading": func(env *weir.Env) {
			weir.From(env, "numbers", listOf(make([]int, 100_000)...)).Map(slow).To("sink", &collect[int]{})
		},
		"behind an exchange": func(env *weir.Env) {
			weir.From(env, "numbers", listOf(make([]int, 100_000)...)).Rebalance().Map(slow).To("sink", &collect[int]{})
		},
		"firing": func(env *weir.Env) {
			weir.From(env, "numbers", numbersTo(5000)).
				WithWatermarks(weir.MonotonousTimestamps(), func(int) int64 { return 0 }).
				KeyBy(func(n int) int { return n }).Window(weir.Tumbling(time.Second)).Reduce(sumOf).ID("w").
				Map(slow).To("sink", &collect[int]{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEngine(1, 1)
				if err := e.start(job); err != nil {
					t.Fatal(err)
				}
				<-time.After(20*call + call/2)
				canceled := time.Now()
				e.cancel()
				if err := e.wait(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(canceled); took > call {
					t.Errorf("the job ended %v after it was canceled, want %v", took, call)
				}
				if err := e.close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestCancellationWhileWaiting: whatever a task waits for, it stops waiting.
func TestCancellationWhileWaiting(t *testing.T) {
	for name, c := range map[string]struct {
		send int
		sink *gate
	}{
		"idle":                              {0, &gate{}},
		"backpressured":                     {200_000, &gate{canceled: true}},
		"in the first batch of a full sink": {1, &gate{canceled: true}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.sink.open = make(chan struct{})
				source := newFeed[int]()
				source.send(make([]int, c.send)...)
				e := newEngine(1, 2)
				if err := e.start(threeTasks(source, c.sink)); err != nil {
					t.Fatal(err)
				}
				passes(time.Minute)
				canceled := time.Now()
				e.cancel()
				if err := e.wait(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(canceled); took > 0 {
					t.Errorf("the job ended %v after it was canceled", took)
				}
				if err := e.close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestCancellationOfASlowSink: a sink that does not listen is waited for, with
// everything before it canceled already.
func TestCancellationOfASlowSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, sink := newFeed[int](), &gate{open: make(chan struct{})}
		source.send(make([]int, 200_000)...)
		e := newEngine(1, 1)
		if err := e.start(threeTasks(source, sink)); err != nil {
			t.Fatal(err)
		}
		passes(time.Second)
		e.cancel()
		synctest.Wait()
		e.mu.Lock()
		left := e.left
		e.mu.Unlock()
		if left != 1 {
			t.Errorf("%d tasks are left, want the sink", left)
		}
		close(sink.open)
		if err := e.wait(t.Context()); err != nil {
			t.Error(err)
		}
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSinksAreFlushed: when the buffer timeout has passed since the last time, and
// when nothing is waiting, also while the task waits for output buffers.
func TestSinksAreFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, blocked := newFeed[int](), &gate{open: make(chan struct{})}
		log := &flushLog{start: time.Now()}
		e := newEngine(1, 1)
		err := e.start(func(env *weir.Env) {
			numbers := weir.From(env, "numbers", source).BufferTimeout(10 * time.Millisecond)
			numbers.To("log", log)                         // chained
			numbers.To("blocked", blocked).StartNewChain() // behind an exchange
		})
		if err != nil {
			t.Fatal(err)
		}
		passes(time.Second)
		for range 3 { // one after the other at the same moment
			source.send(1)
			synctest.Wait()
			if log.pending != 0 {
				t.Errorf("%d records are not flushed although nothing is waiting", log.pending)
			}
		}
		source.send(make([]int, 200_000)...)
		passes(time.Second)
		if m := e.metrics()[0]; m.RecordsIn >= 200_000 {
			t.Fatal("the source is not held back: the test says nothing")
		}
		if log.pending != 0 {
			t.Errorf("%d records are not flushed a second later, while the task waits for buffers", log.pending)
		}
		close(blocked.open)
		e.cancel()
		if err := e.wait(t.Context()); err != nil {
			t.Error(err)
		}
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
}

// flushLog is a sink that counts what is not flushed.
type flushLog struct {
	start   time.Time
	pending int
}

func (l *flushLog) Open(context.Context, weir.Subtask) (weir.Writer[int], error) { return l, nil }
func (l *flushLog) Write(values []int) error                                     { l.pending += len(values); return nil }

func (l *flushLog) Flush() error { l.pending = 0; return nil }
func (l *flushLog) Close() error { return nil }
