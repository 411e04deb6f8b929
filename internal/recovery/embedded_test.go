package recovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"

	"github.com/weirstream/weir"
)

// TestEmbeddedRecovers: a job with a JobManager and a TaskManager in this process goes
// on from its last checkpoint after failures of its functions, and commits each row
// once; nothing is left in the checkpoint directory when it has finished.
func TestEmbeddedRecovers(t *testing.T) {
	source := Events{Parts: 4, Each: 20_000, Keys: 50}
	out, directory := newStore(), t.TempDir()
	const failures = 3
	failing := &failing{out: out, left: failures}
	build := func(env *weir.Env) {
		Job(source, out)(env)
		weir.From(env, "failing", failing).ID("failing").Map(failing.fail).
			Filter(func(int64) bool { return false }).Map(func(int64) string { return "" }).To("nowhere", out)
	}
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	err := weir.Run(t.Context(), t.Name(), build, weir.WithoutWarnings(), weir.Logger(log),
		weir.Setting("parallelism.default", "2"),
		weir.Setting("execution.checkpointing.interval", "20 ms"),
		weir.Setting("execution.checkpointing.dir", directory),
		weir.Setting("restart-strategy.type", "fixed-delay"),
		weir.Setting("restart-strategy.fixed-delay.attempts", fmt.Sprint(failures)),
		weir.Setting("restart-strategy.fixed-delay.delay", "10 ms"))
	if err != nil {
		t.Fatal(err)
	}
	if failing.left != 0 {
		t.Errorf("%d of %d failures did not come", failing.left, failures)
	}
	compare(t, out.committed, Model(source))
	left, err := os.ReadDir(directory)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range left {
		t.Errorf("left in the checkpoint directory: %s", e.Name())
	}
}

// failing is a source that ends when what reads from it has failed often enough. Each
// failure comes after all of the 22 sinks have been prepared twice, and so after a
// checkpoint of the attempt that is complete.
type failing struct {
	out *store

	mu   sync.Mutex
	left int
	// seen is how often sinks had been prepared at the last failure.
	seen int64
}

func (f *failing) fail(n int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if prepared := f.out.prepares.Load(); f.left > 0 && prepared > f.seen+60 {
		f.left--
		f.seen = prepared
		panic("a failure")
	}
	return n
}

func (f *failing) Bounded() bool { return true }

func (f *failing) Splits(context.Context, int) ([]weir.Split, error) {
	return []weir.Split{{ID: "0"}}, nil
}

func (f *failing) Open(context.Context, weir.Split, []byte) (weir.Reader[int64], error) {
	return f, nil
}

func (f *failing) Read(values []int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return 0, io.EOF
	}
	return copy(values, make([]int64, 8)), nil
}

func (f *failing) Position() ([]byte, error) { return []byte{}, nil }
func (f *failing) Close() error              { return nil }
