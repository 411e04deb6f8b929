package main

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/bench/internal/workload"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestTheSinkTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := sink(time.Millisecond).Open(t.Context(), weir.Subtask{})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := w.Write(make([]workload.Event, 100)); err != nil || time.Since(start) != 100*time.Millisecond {
			t.Errorf("100 records took %v, %v", time.Since(start), err)
		}
	})
}

// TestRunsUntilItIsCancelled waits for nothing but the engine's reaction.
func TestRunsUntilItIsCancelled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := weir.Run(ctx, "slow sink", build, weir.Setting("parallelism.default", "2"))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it ended with %v", err)
	}
}

func TestParse(t *testing.T) {
	if delay, err := parse([]string{"-delay", "3s"}, io.Discard); delay != 3*time.Second || err != nil {
		t.Errorf("%v, %v", delay, err)
	}
	if _, err := parse([]string{"extra"}, io.Discard); err == nil {
		t.Error("an argument is accepted")
	}
}
