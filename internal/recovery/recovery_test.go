package recovery

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/leaktest"
)

var (
	seed  = flag.Uint64("seed", 0, "run only this seed")
	seeds = flag.Int("seeds", 8, "how many seeds to run")
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// TestCommittedOnce: whatever is killed, and at whatever parallelism the job goes on,
// what sinks have committed in the end is what the model says, each row once.
func TestCommittedOnce(t *testing.T) {
	list := make([]uint64, *seeds)
	for i := range list {
		list[i] = uint64(i + 1)
	}
	if *seed > 0 {
		list = []uint64{*seed}
	}
	source := Events{Parts: 4, Each: 10_000, Keys: 50}
	want := Model(source)
	for _, seed := range list {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { committedOnce(t, seed, source, want) })
	}
}

func committedOnce(t *testing.T, seed uint64, source Events, want map[string]int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	out := newStore()
	const crashes = 5
	left, wait := crashes, rng.IntN(40)
	c := &cluster{build: Job(source, out), directory: t.TempDir(), settings: settings()}
	var where []string
	c.crash = locked(func(at string, checkpoint uint64) bool {
		if wait--; wait >= 0 || left == 0 {
			return false
		}
		left, wait = left-1, rng.IntN(100)
		where = append(where, fmt.Sprintf("%s of %d", at, checkpoint))
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := errCrashed
	for errors.Is(err, errCrashed) {
		err = c.run(ctx, 1+rng.IntN(4), 1+rng.IntN(2))
	}
	if err != nil {
		t.Fatalf("after %v: %v", where, err)
	}
	if left > 0 {
		t.Errorf("only %d of %d crashes came: %v", crashes-left, crashes, where)
	}
	t.Logf("%d attempts, %d checkpoints, killed at %v; %d recoveries", c.attempts, c.completed.id, where, out.recovered)
	compare(t, out.committed, want)
}

func compare(t *testing.T, got, want map[string]int) {
	t.Helper()
	differ := Compare(got, want)
	for _, line := range differ[:min(len(differ), 10)] {
		t.Error(line)
	}
	if len(differ) > 0 {
		t.Errorf("%d rows differ of %d", len(differ), len(want))
	}
}
