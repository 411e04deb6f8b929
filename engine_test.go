package weir

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/dataflow"
	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/memory"
	"github.com/weirstream/weir/task"
)

// engine runs a job on task hosts alone, without daemons: the smallest thing in
// which records go through everything that they meet in production. The hosts
// are connected by TCP on loopback, and share nothing but the test's process.
type engine struct {
	workers     int
	parallelism int
	settings    task.Settings
	// buffers of each slot; 0 gives as many as the job can use.
	buffers int

	hosts []*task.Host
	graph *dataflow.JobGraph

	mu       sync.Mutex
	splits   map[int]*splitQueue
	failures []error
	left     int
	done     chan struct{}
}

type splitQueue struct {
	list []task.Split
	next int
	err  error
}

func defaultSettings() task.Settings {
	return task.Settings{
		BufferTimeout: 100 * time.Millisecond, WatermarkInterval: 200 * time.Millisecond, PreAggregation: true,
		Network: memory.Settings{SegmentSize: 32 * memory.KiB, BuffersPerChannel: 2, FloatingPerGate: 8},
	}
}

// run builds and runs the job and returns the metrics of its tasks.
func (e *engine) run(ctx context.Context, build func(*Env)) ([]task.Metrics, error) {
	plan := buildGraph("test", build, nil, nil).Layout().Plan
	if len(plan.Mistakes) > 0 {
		return nil, fmt.Errorf("mistakes: %v", plan.Mistakes)
	}
	var err error
	if e.graph, err = plan.Resolve(e.parallelism); err != nil {
		return nil, err
	}
	e.done = make(chan struct{})
	e.splits = map[int]*splitQueue{}
	slots := e.graph.Slots()
	peers := make([]task.Peer, e.workers)
	for w := range peers {
		peers[w] = task.Peer{Worker: w, TaskManager: fmt.Sprintf("taskmanager-%d", w)}
	}
	for v, p := range e.graph.Parallelism {
		for i := range p {
			w := i % e.workers
			peers[w].Tasks = append(peers[w].Tasks, task.Ref{Vertex: v, Subtask: i, Slot: i})
			e.left++
		}
	}
	defer func() {
		for _, h := range e.hosts {
			err = errors.Join(err, h.Close())
		}
	}()
	for w := range peers {
		cfg := task.HostConfig{
			Job: ids.JobID{1}, Attempt: 1, Worker: w, Secret: []byte("0123456789abcdef"), DataHost: "127.0.0.1",
			Plan: plan, DefaultParallelism: e.parallelism, Settings: e.settings, Log: slog.New(slog.DiscardHandler), Events: e.event,
		}
		if e.workers > 1 {
			cfg.DataBindAddress = "127.0.0.1:0"
		}
		for s := w; s < slots; s += e.workers {
			cfg.Slots = append(cfg.Slots, task.Slot{Index: s, Size: int64(e.slotBuffers(s)) * int64(e.settings.Network.SegmentSize)})
		}
		h, err := task.NewHost(buildGraph("test", build, nil, nil), cfg)
		if err != nil {
			return nil, err
		}
		e.hosts = append(e.hosts, h)
		peers[w].Address = h.DataAddress()
	}
	for w, h := range e.hosts {
		if err := h.Start(peers[w].Tasks, peers); err != nil {
			return nil, err
		}
	}
	select {
	case <-e.done:
	case <-ctx.Done():
		for _, h := range e.hosts {
			h.Cancel()
		}
		<-e.done
	}
	var metrics []task.Metrics
	for _, h := range e.hosts {
		h.Wait()
		metrics = append(metrics, h.Metrics()...)
	}
	return metrics, errors.Join(e.failures...)
}

func (e *engine) slotBuffers(slot int) int {
	if e.buffers > 0 {
		return e.buffers
	}
	return max(1, e.graph.Network().Demand(slot, e.settings.Network).Max())
}

// event is told what happens to the tasks. Like a JobManager, it cancels the
// job when a task fails.
func (e *engine) event(ev task.Event) {
	if ev.WantsSplit {
		e.assign(ev.Vertex, ev.Subtask)
		return
	}
	switch ev.State {
	case task.Finished, task.Canceled, task.Failed:
	default:
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if ev.State == task.Failed {
		e.failures = append(e.failures, ev.Err)
		for _, h := range e.hosts {
			h.Cancel()
		}
	}
	if e.left--; e.left == 0 {
		close(e.done)
	}
}

func (e *engine) assign(vertex, subtask int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	q := e.splits[vertex]
	if q == nil {
		q = &splitQueue{}
		q.list, _, q.err = e.hosts[0].EnumerateSplits(context.Background(), vertex)
		e.splits[vertex] = q
	}
	var given []task.Split
	if q.next < len(q.list) {
		given = q.list[q.next : q.next+1]
		q.next++
	}
	host := e.hosts[subtask%e.workers]
	if err := errors.Join(q.err, host.AssignSplits(vertex, subtask, given, len(given) == 0)); err != nil {
		e.failures = append(e.failures, err)
		for _, h := range e.hosts {
			h.Cancel()
		}
	}
}

// event32 is the record of the keyed-window benchmark.
type event32 struct {
	Key   uint64
	Time  int64
	Value int64
	Rest  uint64
}

// xorshift is a source of the same events as bench/limit.
type xorshift struct {
	n    int64
	keys uint64
}

func (x xorshift) Splits(_ context.Context, parallelism int) (splits []Split, _ error) {
	for i := range parallelism {
		splits = append(splits, Split{ID: fmt.Sprint(i), Data: []byte{byte(i)}})
	}
	return splits, nil
}

func (x xorshift) Open(_ context.Context, s Split, _ []byte) (Reader[event32], error) {
	return &xorshiftReader{n: x.n, keys: x.keys, x: uint64(s.Data[0])*7919 + 1}, nil
}
func (x xorshift) Bounded() bool { return true }

type xorshiftReader struct {
	i, n    int64
	keys, x uint64
}

func (r *xorshiftReader) next() event32 {
	x := r.x
	x ^= x << 13
	x ^= x >> 7
	x ^= x << 17
	r.x = x
	e := event32{Key: x % r.keys, Time: r.i * 2000 / 1_000_000, Value: int64(x >> 40), Rest: x}
	r.i++
	return e
}

func (r *xorshiftReader) Read(values []event32) (int, error) {
	for i := range values {
		if r.i == r.n {
			return i, errEOF
		}
		values[i] = r.next()
	}
	return len(values), nil
}
func (r *xorshiftReader) Position() ([]byte, error) { return nil, nil }
func (r *xorshiftReader) Close() error              { return nil }

type countSum struct{ Count, Sum int64 }
type countResult struct {
	Key        uint64
	Start      int64
	Count, Sum int64
}
type countAggregate struct{}

func (countAggregate) Add(a *countSum, e event32) { a.Count++; a.Sum += e.Value }
func (countAggregate) Result(k uint64, w Window, a *countSum) countResult {
	return countResult{k, w.Start, a.Count, a.Sum}
}
func (countAggregate) Merge(a, b *countSum) { a.Count += b.Count; a.Sum += b.Sum }

// totals is a sink that adds up.
type totals struct{ rows, count, sum int64 }
type totalsSink struct {
	mu    *sync.Mutex
	total *totals
}

func (s totalsSink) Open(context.Context, Subtask) (Writer[countResult], error) { return &totalsWriter{s: s}, nil }

type totalsWriter struct {
	s totalsSink
	t totals
}

func (w *totalsWriter) Write(v []countResult) error {
	for i := range v {
		w.t.rows++
		w.t.count += v[i].Count
		w.t.sum += v[i].Sum
	}
	return nil
}
func (w *totalsWriter) Flush() error { return nil }
func (w *totalsWriter) Close() error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	w.s.total.rows += w.t.rows
	w.s.total.count += w.t.count
	w.s.total.sum += w.t.sum
	return nil
}

func BenchmarkKeyedWindow(b *testing.B) {
	for _, keys := range []uint64{1000, 100_000} {
		for _, pre := range []bool{false, true} {
			b.Run(fmt.Sprintf("keys=%d/pre=%v", keys, pre), func(b *testing.B) {
				var total totals
				e := &engine{workers: 2, parallelism: 2, settings: defaultSettings()}
				e.settings.PreAggregation = pre
				n := int64(b.N) / 2
				metrics, err := e.run(b.Context(), func(env *Env) {
					From[event32](env, "events", xorshift{n: n, keys: keys}).
						WithWatermarks(MonotonousTimestamps(), func(e event32) int64 { return e.Time }).
						KeyBy(func(e event32) uint64 { return e.Key }).
						Window(Tumbling(time.Second)).
						Aggregate(countAggregate{}).
						To("totals", totalsSink{mu: &sync.Mutex{}, total: &total})
				})
				if err != nil {
					b.Fatal(err)
				}
				if total.count != 2*n {
					b.Fatalf("counted %d of %d", total.count, 2*n)
				}
				var remote uint64
				for _, m := range metrics {
					remote += m.RecordsInRemote
				}
				b.ReportMetric(float64(2*n)/b.Elapsed().Seconds()/1e6, "Mev/s")
				b.ReportMetric(float64(remote)/float64(2*n), "remote")
			})
		}
	}
}
