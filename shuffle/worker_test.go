package shuffle_test

import (
	"crypto/sha256"
	"testing"

	"github.com/weirstream/weir/internal/ids"
	"github.com/weirstream/weir/shuffle"
)

const testSegment = 4096

// endpointConfig is what all workers of the test job share.
func endpointConfig(worker, segmentSize int) shuffle.EndpointConfig {
	return shuffle.EndpointConfig{
		Job:         ids.JobID{1, 2, 3},
		Attempt:     7,
		Worker:      worker,
		Secret:      []byte("a secret of more than sixteen bytes"),
		Executable:  sha256.Sum256([]byte("the job's executable")),
		Listen:      "127.0.0.1:0",
		SegmentSize: segmentSize,
	}
}

// testWorker is a worker with its endpoint and memory. Everything is closed,
// and every buffer counted, when the test ends.
type testWorker struct {
	t        testing.TB
	index    int
	endpoint *shuffle.Endpoint
	arena    *shuffle.Arena
	pools    []*shuffle.Pool
	closers  []func()
}

func newWorker(t testing.TB, segments int, cfg shuffle.EndpointConfig) *testWorker {
	t.Helper()
	w := &testWorker{t: t, index: cfg.Worker}
	var err error
	if w.arena, err = shuffle.NewArena(segments, cfg.SegmentSize); err != nil {
		t.Fatal(err)
	}
	if w.endpoint, err = shuffle.Listen(cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *testWorker) pool(name string, n int) *shuffle.Pool {
	w.t.Helper()
	p, err := w.arena.NewPool(name, n)
	if err != nil {
		w.t.Fatal(err)
	}
	w.pools = append(w.pools, p)
	return p
}

func (w *testWorker) partition(edge, from uint32, buffers int, targets ...shuffle.Target) *shuffle.Partition {
	w.t.Helper()
	p, err := w.endpoint.NewPartition(shuffle.PartitionConfig{Edge: edge, From: from, Channels: targets, Pool: w.pool("partition", buffers)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.closers = append(w.closers, p.Close)
	return p
}

func (w *testWorker) gate(inbox *shuffle.Inbox, edge, to uint32, buffers, exclusive int, sources ...shuffle.Source) *shuffle.Gate {
	w.t.Helper()
	cfg := shuffle.GateConfig{Edge: edge, To: to, Channels: sources, Exclusive: exclusive, Inbox: inbox}
	if buffers > 0 {
		cfg.Pool = w.pool("gate", buffers)
	}
	g, err := w.endpoint.NewGate(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.closers = append(w.closers, g.Close)
	return g
}

// closeTasks closes partitions and gates.
func (w *testWorker) closeTasks() {
	for _, c := range w.closers {
		c()
	}
}

// close ends the worker and checks that every buffer is back.
func (w *testWorker) close() {
	w.t.Helper()
	w.closeTasks()
	if err := w.endpoint.Close(); err != nil {
		w.t.Errorf("worker %d: close endpoint: %v", w.index, err)
	}
	for _, p := range w.pools {
		if n := p.Out(); n != 0 {
			w.t.Errorf("worker %d: pool %s has %d buffers out", w.index, p.Name(), n)
		}
		p.Close()
	}
	if free, all := w.arena.Free(), w.arena.Segments(); free != all {
		w.t.Errorf("worker %d: %d of %d segments are back", w.index, free, all)
		return
	}
	if err := w.arena.Close(); err != nil {
		w.t.Errorf("worker %d: %v", w.index, err)
	}
}

// connect joins the workers to each other.
func connect(t testing.TB, workers ...*testWorker) {
	t.Helper()
	for _, w := range workers {
		var peers []shuffle.Peer
		for _, other := range workers {
			if other != w {
				peers = append(peers, shuffle.Peer{Worker: other.index, Address: other.endpoint.Addr().String()})
			}
		}
		if err := w.endpoint.Connect(peers); err != nil {
			t.Fatal(err)
		}
	}
}

// closeAll closes workers at the same time, as the end of a job does.
func closeAll(t testing.TB, workers ...*testWorker) {
	t.Helper()
	for _, w := range workers {
		w.closeTasks()
	}
	group := newGroup(t)
	for _, w := range workers[1:] {
		group.start(w.close)
	}
	workers[0].close()
	group.wait()
}

// next waits for the next delivery.
func next(in *shuffle.Inbox) shuffle.Delivery {
	for {
		if d, ok := in.Poll(); ok {
			return d
		}
		<-in.Ready()
	}
}
