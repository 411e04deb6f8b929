package weir_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir"
)

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

func (x xorshift) Splits(_ context.Context, parallelism int) (splits []weir.Split, _ error) {
	for i := range parallelism {
		splits = append(splits, weir.Split{ID: fmt.Sprint(i), Data: []byte{byte(i)}})
	}
	return splits, nil
}

func (x xorshift) Open(_ context.Context, s weir.Split, _ []byte) (weir.Reader[event32], error) {
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
			return i, io.EOF
		}
		values[i] = r.next()
	}
	return len(values), nil
}
func (r *xorshiftReader) Position() ([]byte, error) { return nil, nil }
func (r *xorshiftReader) Close() error              { return nil }

type (
	countSum    struct{ Count, Sum int64 }
	countResult struct {
		Key        uint64
		Start      int64
		Count, Sum int64
	}
)
type countAggregate struct{}

func (countAggregate) Add(a *countSum, e event32) { a.Count++; a.Sum += e.Value }
func (countAggregate) Result(k uint64, w weir.Window, a *countSum) countResult {
	return countResult{k, w.Start, a.Count, a.Sum}
}
func (countAggregate) Merge(a, b *countSum) { a.Count += b.Count; a.Sum += b.Sum }

// totals is a sink that adds up.
type (
	totals     struct{ rows, count, sum int64 }
	totalsSink struct {
		mu    *sync.Mutex
		total *totals
	}
)

func (s totalsSink) Open(context.Context, weir.Subtask) (weir.Writer[countResult], error) {
	return &totalsWriter{s: s}, nil
}

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
				metrics, err := e.run(b.Context(), func(env *weir.Env) {
					weir.From[event32](env, "events", xorshift{n: n, keys: keys}).
						WithWatermarks(weir.MonotonousTimestamps(), func(e event32) int64 { return e.Time }).
						KeyBy(func(e event32) uint64 { return e.Key }).
						Window(weir.Tumbling(time.Second)).
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
