package weir_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/task"
)

// badRecord is the one that is bad, of the first split.
const badRecord = 2000

// counting is a source without end that never waits, with a split per subtask.
type counting struct{ bad faults }

// faults is where user code goes wrong.
type faults struct {
	at  string
	how func() error // returns an error, panics, or exits
}

// meet goes wrong if this is the place.
func (f faults) meet(at string) error {
	if f.at != at {
		return nil
	}
	return f.how()
}

func (c counting) Bounded() bool { return false }
func (c counting) Splits(_ context.Context, parallelism int) ([]weir.Split, error) {
	splits := make([]weir.Split, parallelism)
	for i := range splits {
		splits[i].ID = fmt.Sprint(i)
	}
	return splits, c.bad.meet("splits")
}

func (c counting) Open(_ context.Context, s weir.Split, _ []byte) (weir.Reader[int], error) {
	if s.ID != "0" {
		return &countingReader{good: true}, nil
	}
	return &countingReader{bad: c.bad}, c.bad.meet("open")
}

type countingReader struct {
	next int
	bad  faults
	good bool // leaves the bad record out
}

func (r *countingReader) Read(values []int) (int, error) {
	if r.next >= badRecord {
		if err := r.bad.meet("end of split"); err != nil {
			return 0, err
		}
		if err := r.bad.meet("read"); err != nil {
			return 0, err
		}
	}
	for i := range values {
		values[i] = r.next
		if r.next++; r.good && r.next == badRecord {
			r.next++
		}
	}
	return len(values), nil
}
func (r *countingReader) Position() ([]byte, error) { return nil, nil }
func (r *countingReader) Close() error {
	if r.bad.at == "end of split" {
		return errors.New("the reader does not close")
	}
	return nil
}

// badAggregate goes wrong in one of its methods.
type badAggregate struct{ bad faults }

func (a badAggregate) try(at string, bad bool) {
	if !bad {
		return
	}
	if err := a.bad.meet(at); err != nil {
		panic(err)
	}
}
func (a badAggregate) Init(*int)         { a.try("init", true) }
func (a badAggregate) Add(n *int, v int) { *n++; a.try("add", v == badRecord) }
func (a badAggregate) Merge(n, m *int)   { *n += *m; a.try("merge", true) }
func (a badAggregate) Result(k int, w weir.Window, n *int) int {
	a.try("result", w.Start > 1000)
	return *n
}

// badSink goes wrong in one of its methods.
type badSink struct{ bad faults }

func (s badSink) Open(_ context.Context, sub weir.Subtask) (weir.Writer[int], error) {
	if sub.Index == 0 {
		if err := s.bad.meet("sink open"); err != nil {
			return nil, err
		}
	}
	return &badWriter{bad: s.bad}, nil
}

type badWriter struct {
	bad faults
	n   int
}

func (w *badWriter) Write(values []int) error {
	if w.n++; w.n < 3 {
		return nil
	}
	return w.bad.meet("write")
}
func (w *badWriter) Flush() error { return w.bad.meet("flush") }
func (w *badWriter) Close() error { return w.bad.meet("close") }

// badJob goes wrong in one place. Its tasks are the source with the first map,
// the window with the second, and the sink.
func failingJob(bad faults) func(*weir.Env) {
	meet := func(at string, n int) error {
		if n != badRecord {
			return nil
		}
		return bad.meet(at)
	}
	must := func(at string, n int) {
		if err := meet(at, n); err != nil {
			panic(err)
		}
	}
	return func(env *weir.Env) {
		weir.From(env, "numbers", counting{bad}).
			TryMap(func(n int) (int, error) { return n, meet("map", n) }).Name("first").
			TryFlatMap(func(n int, emit func(int)) error { emit(n); return meet("flat map", n) }).Name("each").
			Filter(func(n int) bool { must("filter", n); return true }).
			WithWatermarks(weir.MonotonousTimestamps(), func(n int) int64 { must("time", n); return int64(n) }).
			KeyBy(func(n int) int { must("key", n); return n % 10 }).
			Window(weir.Tumbling(100*time.Millisecond)).Aggregate(badAggregate{bad}).Name("window").ID("window").
			Map(func(n int) int { must("late map", badRecord); return n }).Name("late").
			Rebalance().To("sink", badSink{bad})
	}
}

const (
	firstTask  = "Source: numbers -> first -> each -> filter -> timestamps/watermarks (1/2)"
	windowTask = "window -> late ("
	sinkTask   = "Sink: sink ("
)

var errBad = errors.New("it is bad")

// TestFailuresOfUserCode: whatever goes wrong, and wherever, the job ends, the
// failure names the task, a panic has its stack, and nothing is left behind:
// neither a goroutine nor a buffer.
func TestFailuresOfUserCode(t *testing.T) {
	places := map[string]string{
		"open": firstTask, "read": firstTask, "map": firstTask, "flat map": firstTask,
		"filter": firstTask, "time": firstTask, "key": firstTask,
		"init": "", "add": "", "merge": windowTask, "result": windowTask, "late map": windowTask,
		"sink open": sinkTask, "write": sinkTask, "flush": sinkTask,
	}
	returns := []string{"open", "read", "map", "flat map", "sink open", "write", "flush"}
	for at, name := range places {
		for _, workers := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/panic/workers=%d", at, workers), func(t *testing.T) {
				ev := fail(t, workers, faults{at: at, how: func() error { panic(errBad) }}, name)
				var p *task.PanicError
				if !errors.As(ev.Err, &p) || p.Value != any(errBad) && !strings.Contains(fmt.Sprint(p.Value), errBad.Error()) || !strings.Contains(string(p.Stack), "failure_test.go") {
					t.Errorf("the error is %v", ev.Err)
				}
			})
			if !slices.Contains(returns, at) {
				continue
			}
			t.Run(fmt.Sprintf("%s/error/workers=%d", at, workers), func(t *testing.T) {
				if ev := fail(t, workers, faults{at: at, how: func() error { return errBad }}, name); !errors.Is(ev.Err, errBad) {
					t.Errorf("the error is %v", ev.Err)
				}
			})
		}
		t.Run(at+"/exit", func(t *testing.T) {
			ev := fail(t, 1, faults{at: at, how: func() error { runtime.Goexit(); return nil }}, name)
			if !strings.Contains(ev.Err.Error(), "runtime.Goexit") {
				t.Errorf("the error is %v", ev.Err)
			}
		})
	}
	t.Run("end of split/close", func(t *testing.T) {
		ev := fail(t, 1, faults{at: "end of split", how: func() error { return io.EOF }}, firstTask)
		if !strings.Contains(ev.Err.Error(), `close split "0": the reader does not close`) {
			t.Errorf("the error is %v", ev.Err)
		}
	})
}

// fail runs the job and returns the first failure, which must be of the task.
func fail(t *testing.T, workers int, bad faults, name string) task.Event {
	t.Helper()
	e := newEngine(workers, 2)
	e.settings.Network.SegmentSize = 1024
	_, err := e.run(t.Context(), failingJob(bad))
	if err == nil || len(e.failed) == 0 {
		t.Fatalf("the job did not fail: %v", err)
	}
	for _, ev := range e.failed {
		if !ev.Consequence {
			if got := e.graph.TaskName(ev.Vertex, ev.Subtask); !strings.HasPrefix(got, name) {
				t.Errorf("the task %q failed, want %q", got, name)
			}
			return ev
		}
	}
	t.Fatalf("all failures are consequences of another: %v", err)
	return task.Event{}
}

// TestFailuresAtTheEnd: what goes wrong when everything is written fails a job
// that would have finished, too.
func TestFailuresAtTheEnd(t *testing.T) {
	for _, at := range []string{"flush", "close"} {
		_, err := newEngine(1, 1).run(t.Context(), func(env *weir.Env) {
			weir.From(env, "numbers", numbersTo(10)).To("sink", badSink{faults{at: at, how: func() error { return errBad }}})
		})
		if !errors.Is(err, errBad) {
			t.Errorf("%s: %v", at, err)
		}
		_, err = newEngine(1, 1).run(t.Context(), func(env *weir.Env) {
			weir.From(env, "numbers", numbersTo(10)).To("sink", badSink{faults{at: at, how: func() error { panic(errBad) }}})
		})
		var p *task.PanicError
		if !errors.As(err, &p) {
			t.Errorf("%s: %v is no panic", at, err)
		}
	}
}

// TestSplitsFail: a source whose splits cannot be listed ends the job.
func TestSplitsFail(t *testing.T) {
	e := newEngine(1, 2)
	err := e.start(failingJob(faults{at: "splits", how: func() error { return errBad }}))
	if !errors.Is(err, errBad) || !strings.Contains(err.Error(), `list the splits of "Source: numbers -> first`) {
		t.Errorf("%v", err)
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
	e = newEngine(1, 2)
	err = e.start(failingJob(faults{at: "splits", how: func() error { panic(errBad) }}))
	var p *task.PanicError
	if !errors.As(err, &p) || !strings.Contains(string(p.Stack), "failure_test.go") {
		t.Errorf("%v", err)
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
}

// unmarshalable is a record that cannot be encoded.
type unmarshalable struct{ Text []string }

func (u unmarshalable) MarshalBinary() ([]byte, error) { return nil, errBad }
func (u *unmarshalable) UnmarshalBinary([]byte) error  { return nil }

// TestRecordsThatCannotBeEncoded: a record that refuses to be sent fails its
// task like a panic does.
func TestRecordsThatCannotBeEncoded(t *testing.T) {
	var got collect[unmarshalable]
	_, err := newEngine(1, 2).run(t.Context(), func(env *weir.Env) {
		weir.From(env, "bad", listOf(unmarshalable{})).Rebalance().To("sink", &got)
	})
	if err == nil || !strings.Contains(err.Error(), "it is bad") {
		t.Errorf("%v", err)
	}
}

// TestFailuresOfAWholeProgram is what a user sees who runs the job by hand or in
// a test.
func TestFailuresOfAWholeProgram(t *testing.T) {
	err := weir.Run(t.Context(), "doomed", failingJob(faults{at: "late map", how: func() error { panic("a bad day") }}), weir.Setting("parallelism.default", "2"), weir.WithoutWarnings())
	for _, want := range []string{`job "doomed" failed in task window -> late (`, "panic: a bad day", "failure_test.go:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
	// Its stack begins with the function that panicked.
	if top := regexp.MustCompile(`(?m)^goroutine \d+ \[running\]:\ngithub\.com/weirstream/weir_test\.`); err == nil || !top.MatchString(err.Error()) {
		t.Errorf("%v\ndoes not begin with user code", err)
	}
	err = weir.Run(t.Context(), "doomed", failingJob(faults{at: "splits", how: func() error { return errBad }}), weir.Setting("parallelism.default", "2"), weir.WithoutWarnings())
	for _, want := range []string{`job "doomed" failed`, `list the splits of "Source: numbers`, "it is bad"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
	}
}

// TestRunIsCanceled: a job without end ends with its context, whose cause is in
// the error.
func TestRunIsCanceled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	arrived := make(chan struct{}, 1)
	group := goroutine.New(t.Context())
	group.Go(func(stopped context.Context) error {
		select {
		case <-arrived:
			cancel(errBad)
		case <-stopped.Done():
		}
		return nil
	})
	err := weir.Run(ctx, "endless", func(env *weir.Env) {
		weir.From(env, "numbers", counting{}).Rebalance().To("sink", sinkFunc[int](func(int) error {
			select {
			case arrived <- struct{}{}:
			default:
			}
			return nil
		}))
	}, weir.Setting("parallelism.default", "2"))
	if !errors.Is(err, errBad) || !strings.Contains(err.Error(), `job "endless" was canceled`) {
		t.Errorf("%v", err)
	}
	if err := group.Close(); err != nil {
		t.Error(err)
	}
}

// TestLeastNetworkMemory: the smallest memory by the formula is enough, and one
// buffer less is refused with the numbers, before anything runs.
func TestLeastNetworkMemory(t *testing.T) {
	job := func(sink weir.Sink[int]) func(*weir.Env) {
		return func(env *weir.Env) {
			weir.From(env, "numbers", numbersTo(20_000)).Rebalance().Filter(func(int) bool { return true }).Name("all").
				KeyBy(func(n int) int { return n }).Reduce(sumOf).ID("sums").To("sink", sink)
		}
	}
	// Two partitions of 2 channels: 2 open buffers and one on its way, each. Two
	// gates of 2 channels: 2 exclusive buffers for each, and one that floats.
	const least = 2*(2+1) + 2*(2*2+1)
	for _, workers := range []int{1, 2} {
		var got collect[int]
		e := newEngine(workers, 2)
		e.least = true
		if _, err := e.run(t.Context(), job(&got)); err != nil {
			t.Fatal(err)
		}
		if n := e.slotBuffers(0); n != least {
			t.Errorf("a slot has %d buffers, want %d", n, least)
		}
		sameRows(t, "rows", got.rows, numbersTo(20_000).splits[0])

		e = newEngine(workers, 2)
		e.least, e.fewer = true, 1
		_, err := e.run(t.Context(), job(&got))
		for _, want := range []string{"Insufficient number of network buffers", `job "test" needs 16 in slot 0`, "only 15 of 32 kb", `"sums`, "taskmanager.memory.network"} {
			if err == nil || !strings.Contains(err.Error(), strings.ReplaceAll(want, "sums", "reduce")) {
				t.Errorf("%v\ndoes not say %q", err, want)
			}
		}
	}
}

// TestLeastNetworkMemoryOfAWholeProgram is the same with the keys that a user
// has: the memory of all slots together.
func TestLeastNetworkMemoryOfAWholeProgram(t *testing.T) {
	for _, segment := range []int{4, 32} { // KiB
		run := func(buffers int) error {
			var got collect[int]
			size := fmt.Sprintf("%d kb", 2*buffers*segment)
			err := weir.Run(t.Context(), "small", func(env *weir.Env) {
				weir.From(env, "numbers", numbersTo(20_000)).Rebalance().To("sink", &got)
			}, weir.Setting("parallelism.default", "2"), weir.Setting("taskmanager.memory.segment-size", fmt.Sprintf("%d kb", segment)),
				weir.Setting("taskmanager.memory.network.min", size), weir.Setting("taskmanager.memory.network.max", size))
			if err == nil {
				sameRows(t, "rows", got.rows, numbersTo(20_000).splits[0])
			}
			return err
		}
		const least = (2 + 1) + (2*2 + 1)
		if err := run(least); err != nil {
			t.Fatal(err)
		}
		err := run(least - 1)
		for _, want := range []string{"Insufficient number of network buffers", `job "small" needs 8 in slot 0`, fmt.Sprintf("only 7 of %d kb", segment), `"Sink: sink (1/2)" 5`, `"Source: numbers (1/2)" 3`} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v\ndoes not say %q", err, want)
			}
		}
	}
}
