package task

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/internal/leaktest"
	"github.com/weirstream/weir/shuffle"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// record is a value with its event time.
type record[T any] struct {
	Value T
	Time  int64
}

// recorder is the end of a chain under test: it copies what it gets (T1), or
// fails.
type recorder[T any] struct {
	records    []record[T]
	batches    []int // the size of each Push
	watermarks []int64
	// marks[i] is how many records came before watermark i.
	marks []int
	idle  int
	ended bool
	fail  error
}

func (r *recorder[T]) Push(values []T, times []int64) error {
	if r.fail != nil {
		return r.fail
	}
	if len(values) != len(times) {
		panic("a batch with different numbers of values and times")
	}
	for i := range values {
		r.records = append(r.records, record[T]{values[i], times[i]})
	}
	r.batches = append(r.batches, len(values))
	return nil
}

func (r *recorder[T]) Watermark(t int64) error {
	r.watermarks = append(r.watermarks, t)
	r.marks = append(r.marks, len(r.records))
	return r.fail
}

func (r *recorder[T]) Idle() error { r.idle++; return r.fail }
func (r *recorder[T]) End() error  { r.ended = true; return r.fail }

func (r *recorder[T]) values() (values []T) {
	for _, v := range r.records {
		values = append(values, v.Value)
	}
	return values
}

// sink is the end of a chain that must not cost anything.
type sink[T any] struct{}

func (sink[T]) Push([]T, []int64) error { return nil }
func (sink[T]) Watermark(int64) error   { return nil }
func (sink[T]) Idle() error             { return nil }
func (sink[T]) End() error              { return nil }

// to is the outputs of an operator whose main output goes to r.
func to(r any) Outputs { return Outputs{ports: []any{r}} }

// testContext is a task's context outside of a host.
func testContext(t testing.TB) *Context {
	t.Helper()
	c := &Context{
		Done: t.Context(), Name: "test (1/1)", Parallelism: 1, Log: slog.New(slog.DiscardHandler), PreAggregation: true,
		FlushInterval: 100 * time.Millisecond, WatermarkInterval: 200 * time.Millisecond, figures: newFigures(), wall: wallClock,
	}
	c.clock.start = time.Now()
	t.Cleanup(func() {
		for _, f := range slices.Backward(c.closers) {
			if err := f(); err != nil {
				t.Error(err)
			}
		}
	})
	return c
}

// must returns v, or ends the test.
func must[T any](t testing.TB) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// finish runs what is postponed, in chunks of the given size, and returns the
// sizes of the chunks that were made.
func finish(t testing.TB, c *Context, limit int) (chunks []int) {
	t.Helper()
	for len(c.postponed) > 0 {
		n, err := c.resume(limit)
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, n)
	}
	return chunks
}

// wire is an exchange between a test and itself: an outlet whose channels end in
// inboxes of this process.
type wire struct {
	ctx     *Context
	outlet  *outlet
	inboxes []*shuffle.Inbox
	pool    *shuffle.Pool
	// received counts the buffers that discard took.
	received int
}

// newWire makes a wire with segments of the given size; its partition has so
// many buffers.
func newWire(t testing.TB, channels, segment, buffers int, timeout time.Duration) *wire {
	t.Helper()
	w := &wire{}
	arena := must[*shuffle.Arena](t)(shuffle.NewArena(buffers, segment))
	w.pool = must[*shuffle.Pool](t)(arena.NewPool("partition", buffers))
	endpoint := must[*shuffle.Endpoint](t)(shuffle.Listen(shuffle.EndpointConfig{
		Job: ids.JobID{1}, Attempt: 1, Secret: make([]byte, 16), SegmentSize: segment,
	}))
	var gates []*shuffle.Gate
	targets := make([]shuffle.Target, channels)
	for c := range targets {
		targets[c].Subtask = uint32(c)
	}
	partition := must[*shuffle.Partition](t)(endpoint.NewPartition(shuffle.PartitionConfig{Channels: targets, Pool: w.pool}))
	for c := range channels {
		inbox := shuffle.NewInbox()
		w.inboxes = append(w.inboxes, inbox)
		gates = append(gates, must[*shuffle.Gate](t)(endpoint.NewGate(shuffle.GateConfig{
			To: uint32(c), Channels: make([]shuffle.Source, 1), Inbox: inbox,
		})))
	}
	// A context's closers come first: cleanups run in the reverse order.
	t.Cleanup(func() {
		partition.Close()
		for _, g := range gates {
			g.Close()
		}
		w.pool.Close()
		if err := endpoint.Close(); err != nil {
			t.Error(err)
		}
		if err := arena.Close(); err != nil {
			t.Error(err)
		}
	})
	w.ctx = testContext(t)
	w.outlet = newOutlet(w.ctx, partition, channels, segment-shuffle.HeaderSize-shuffle.SlackSize, timeout)
	return w
}

// arrived is what came out of one channel.
type arrived struct {
	buffers    int
	watermarks []int64
	events     []shuffle.EventKind
}

// receive takes everything that has arrived on a channel and feeds r with the
// buffers, in steps of the given size; without r they are only given back.
func (w *wire) receive(t testing.TB, channel int, r reader, limit int) (a arrived) {
	t.Helper()
	for {
		d, ok := w.inboxes[channel].Poll()
		if !ok {
			return a
		}
		switch {
		case d.Event != nil:
			a.events = append(a.events, d.Event.Kind)
			continue
		case d.Buffer == nil:
			a.watermarks = append(a.watermarks, d.Watermark)
			continue
		}
		a.buffers++
		a.watermarks = append(a.watermarks, d.Buffer.Watermark)
		if r != nil {
			readBuffer(t, r, d.Buffer, limit)
		}
		d.Buffer.Recycle()
	}
}

func readBuffer(t testing.TB, r reader, b *shuffle.Buffer, limit int) {
	t.Helper()
	if err := r.take(b, 0); err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		var err error
		if _, done, err = r.step(limit); err != nil {
			t.Fatal(err)
		}
	}
}

// discard takes everything on every channel without reading it, as a receiver
// that costs nothing.
func (w *wire) discard() {
	for _, inbox := range w.inboxes {
		for d, ok := inbox.Poll(); ok; d, ok = inbox.Poll() {
			if d.Buffer != nil {
				w.received++
				d.Buffer.Recycle()
			}
		}
	}
}

// requested is how many buffers were taken from the pool so far.
func (w *wire) requested() int { return w.received + w.pool.Out() }
