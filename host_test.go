package weir_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/task"
)

// oneHost is a host of a job of two tasks that no task was started on.
func oneHost(t *testing.T) (*engine, *task.Host) {
	t.Helper()
	build := func(env *weir.Env) {
		weir.From(env, "numbers", numbersTo(10)).Rebalance().To("sink", &collect[int]{})
	}
	e := newEngine(1, 1)
	plan := weir.BuildGraph(build).Layout().Plan
	var err error
	if e.graph, err = plan.Resolve(1); err != nil {
		t.Fatal(err)
	}
	h, err := task.NewHost(weir.BuildGraph(build), e.hostConfig(plan, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, h
}

// TestHostRefuses what it cannot do, with what and why, and can be closed after
// it.
func TestHostRefuses(t *testing.T) {
	both := []task.Ref{{Vertex: 0}, {Vertex: 1}}
	for _, c := range []struct {
		name string
		do   func(*task.Host) error
		want string
	}{
		{"a vertex that is none", func(h *task.Host) error { return h.Start([]task.Ref{{Vertex: 2}}, nil) }, "vertex 2 subtask 0: the job has no such subtask"},
		{"a subtask that is none", func(h *task.Host) error { return h.Start([]task.Ref{both[0], {Vertex: 1, Subtask: 1}}, nil) }, "vertex 1 subtask 1: the job has no such subtask"},
		{"a negative one", func(h *task.Host) error { return h.Start([]task.Ref{{Vertex: 1, Subtask: -1}}, nil) }, "vertex 1 subtask -1: the job has no such subtask"},
		{"a slot of somebody else", func(h *task.Host) error { return h.Start([]task.Ref{{Slot: 3}}, nil) }, "slot 3 does not belong to this worker"},
		{"a peer without an address", func(h *task.Host) error {
			return h.Start([]task.Ref{both[0]}, []task.Peer{{Worker: 1, Tasks: []task.Ref{both[1]}}})
		}, "worker 1 has no address"},
		{"splits for nobody", func(h *task.Host) error { return h.AssignSplits(0, 0, nil, true) }, "vertex 0 subtask 0 does not run on this worker"},
		{"the splits of nothing", func(h *task.Host) error {
			_, _, err := h.EnumerateSplits(t.Context(), 7)
			return err
		}, "vertex 7: the job has 2"},
		{"the splits of a sink", func(h *task.Host) error {
			_, _, err := h.EnumerateSplits(t.Context(), 1)
			return err
		}, `vertex 1 "Sink: sink" is not a source`},
		{"a start after the end", func(h *task.Host) error { h.Cancel(); return h.Start(both, nil) }, task.ErrCanceled.Error()},
	} {
		_, h := oneHost(t)
		if err := c.do(h); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// TestHostStartsOnce, and its sinks take no splits.
func TestHostStartsOnce(t *testing.T) {
	e := newEngine(1, 1)
	source := newFeed[int]()
	if err := e.start(func(env *weir.Env) { weir.From(env, "feed", source).Rebalance().To("sink", &collect[int]{}) }); err != nil {
		t.Fatal(err)
	}
	h := e.hosts[0]
	if err := h.Start([]task.Ref{{}}, nil); err == nil || !strings.Contains(err.Error(), "were started before") {
		t.Errorf("a second start: %v", err)
	}
	if err := h.AssignSplits(1, 0, nil, true); err == nil || !strings.Contains(err.Error(), "Sink: sink (1/1) is not a source") {
		t.Errorf("splits for a sink: %v", err)
	}
	e.cancel()
	if err := errors.Join(e.wait(t.Context()), e.close()); err != nil {
		t.Error(err)
	}
}

// TestNewHostRefuses what it cannot work with.
func TestNewHostRefuses(t *testing.T) {
	build := func(env *weir.Env) {
		weir.From(env, "numbers", numbersTo(10)).Rebalance().To("sink", &collect[int]{})
	}
	for _, c := range []struct {
		change func(*task.HostConfig)
		want   string
	}{
		{func(c *task.HostConfig) { c.Slots[0].Size = 100 }, "network memory of slot 0"},
		{func(c *task.HostConfig) { c.Settings.Network.SegmentSize = 100 }, "segment size 100"},
		{func(c *task.HostConfig) { c.Secret = nil }, "secret"},
		{func(c *task.HostConfig) { c.DefaultParallelism = 0 }, "parallelism 0"},
		{func(c *task.HostConfig) { c.DefaultParallelism = -2 }, "parallelism -2"},
		{func(c *task.HostConfig) { c.DataBindAddress = "nowhere.invalid:1" }, "nowhere.invalid"},
	} {
		e := newEngine(1, 1)
		plan := weir.BuildGraph(build).Layout().Plan
		var err error
		if e.graph, err = plan.Resolve(1); err != nil {
			t.Fatal(err)
		}
		cfg := e.hostConfig(plan, 0)
		c.change(&cfg)
		h, err := task.NewHost(weir.BuildGraph(build), cfg)
		if err == nil {
			err = h.Close()
			t.Errorf("%q was taken, %v", c.want, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// TestLostWorkerIsAConsequence: tasks that lose their peer say so, and that it is
// not their own failure.
func TestLostWorkerIsAConsequence(t *testing.T) {
	e := newEngine(2, 2)
	arrived := make(chan struct{}, 1)
	if err := e.start(func(env *weir.Env) {
		weir.From(env, "numbers", counting{}).Rebalance().To("sink", sinkFunc[int](func(int) error {
			select {
			case arrived <- struct{}{}:
			default:
			}
			return nil
		}))
	}); err != nil {
		t.Fatal(err)
	}
	<-arrived
	if err := e.hosts[1].Close(); err != nil {
		t.Error(err)
	}
	if err := e.wait(t.Context()); err == nil {
		t.Error("nothing failed")
	}
	for _, ev := range e.failed {
		if !ev.Consequence || !strings.Contains(ev.Err.Error(), "worker on TaskManager taskmanager-1: ") {
			t.Errorf("vertex %d subtask %d: a consequence: %v, %v", ev.Vertex, ev.Subtask, ev.Consequence, ev.Err)
		}
	}
	if err := e.close(); err != nil {
		t.Error(err)
	}
}

// TestCancellationOverTCP: tasks of two workers that hold each other back all
// stop, and give everything back.
func TestCancellationOverTCP(t *testing.T) {
	for _, open := range []bool{true, false} {
		e := newEngine(2, 4)
		e.settings.Network.SegmentSize, e.least = 1024, true
		arrived := make(chan struct{}, 1)
		sink := &gate{open: make(chan struct{}), canceled: true}
		if open {
			close(sink.open)
		}
		if err := e.start(func(env *weir.Env) {
			weir.From(env, "numbers", counting{}).
				Map(func(n int) string { return strings.Repeat("x", n%5000) }).
				KeyBy(func(s string) int { return len(s) }).Reduce(func(a, _ string) string { return a }).ID("first").
				Map(func(s string) int {
					select {
					case arrived <- struct{}{}:
					default:
					}
					return len(s)
				}).Rebalance().To("sink", sink)
		}); err != nil {
			t.Fatal(err)
		}
		<-arrived
		e.cancel()
		if err := errors.Join(e.wait(t.Context()), e.close()); err != nil {
			t.Errorf("the sink takes records: %v: %v", open, err)
		}
	}
}

// TestLargeAccumulators are sent ahead in runs of buffers, among records.
func TestLargeAccumulators(t *testing.T) {
	for _, workers := range []int{1, 2} {
		e := newEngine(workers, 3)
		e.settings.Network.SegmentSize, e.least = 1024, true
		var got collect[string]
		metrics, err := e.run(t.Context(), func(env *weir.Env) {
			weir.From(env, "numbers", numbersTo(6000)).Parallelism(1).
				WithWatermarks(weir.MonotonousTimestamps(), func(n int) int64 { return int64(n) }).Rebalance().
				Filter(func(int) bool { return true }).
				KeyBy(func(n int) string { return fmt.Sprint(n % 3) }).
				Window(weir.Tumbling(2*time.Second)).
				Aggregate(distinct{}).ID("distinct").
				To("sink", &got)
		})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for window := range 3 {
			for key := range 3 {
				n := 0
				for v := window * 2000; v < (window+1)*2000; v++ {
					if v%3 == key {
						n++
					}
				}
				want = append(want, fmt.Sprintf("%d at %d: %d", key, window*2000, n))
			}
		}
		sameRows(t, "rows", got.rows, want)
		for _, m := range metrics {
			if name := e.graph.Plan.Vertices[m.Vertex].Name; name == "filter" && (m.RecordsOut == 0 || m.RecordsOut > 9) {
				t.Errorf("%d records left a combining task, want at most one for each key and window", m.RecordsOut)
			}
		}
	}
}

// distinct collects the values of a key.
type distinct struct{}

func (distinct) Init(acc *map[int]bool)       { *acc = map[int]bool{} }
func (distinct) Add(acc *map[int]bool, n int) { (*acc)[n] = true }
func (distinct) Merge(acc, other *map[int]bool) {
	for n := range *other {
		(*acc)[n] = true
	}
}

func (distinct) Result(key string, w weir.Window, acc *map[int]bool) string {
	return fmt.Sprintf("%s at %d: %d", key, w.Start, len(*acc))
}

// TestJobsRunSideBySide in one process, each with memory of its own.
func TestJobsRunSideBySide(t *testing.T) {
	group := goroutine.New(t.Context())
	var got [4]collect[int]
	for i := range got {
		group.Go(func(ctx context.Context) error {
			return weir.Run(ctx, fmt.Sprint("job ", i), func(env *weir.Env) {
				weir.From(env, "numbers", numbersTo(3000+i)).Rebalance().To("sink", &got[i])
			}, weir.Setting("parallelism.default", "2"))
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	if err := group.Close(); err != nil {
		t.Error(err)
	}
	for i := range got {
		sameRows(t, fmt.Sprint("job ", i), got[i].rows, numbersTo(3000 + i).splits[0])
	}
}
