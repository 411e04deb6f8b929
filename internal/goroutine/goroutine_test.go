package goroutine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/goroutine"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// untilStopped is a goroutine that does what it is told: it ends when the
// group does.
func untilStopped(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// G1: in synctest's bubble the clock moves only when every goroutine is
// blocked, so the hour has passed exactly if Wait waited for the slow one.
func TestWaitWaitsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := goroutine.New(t.Context())
		var ended atomic.Int32
		for i := range 3 {
			g.Go(func(context.Context) error {
				<-time.After(time.Duration(i) * 30 * time.Minute)
				ended.Add(1)
				return nil
			})
		}
		start := time.Now()
		if err := g.Wait(); err != nil {
			t.Errorf("Wait: %v", err)
		}
		if took := time.Since(start); ended.Load() != 3 || took != time.Hour {
			t.Errorf("Wait returned after %v with %d of 3 goroutines ended", took, ended.Load())
		}
		if err := g.Context().Err(); err != nil {
			t.Errorf("Wait stopped the group: %v", err)
		}
		g.Stop()
	})
}

// G2.
func TestGoAfterStopStartsNothing(t *testing.T) {
	stop := map[string]func(*goroutine.Group){
		"stopped": (*goroutine.Group).Stop,
		"closed":  func(g *goroutine.Group) { _ = g.Close() },
		"failed": func(g *goroutine.Group) {
			g.Go(func(context.Context) error { return errors.New("failed") })
			_ = g.Wait()
		},
	}
	for name, stop := range stop {
		t.Run(name, func(t *testing.T) {
			g := goroutine.New(t.Context())
			if !g.Go(untilStopped) {
				t.Error("Go started nothing in a new group")
			}
			stop(g)
			if g.Go(func(context.Context) error { t.Error("it runs"); return nil }) {
				t.Error("Go says that it started a goroutine")
			}
			_ = g.Wait()
		})
	}
}

// G3: the first error is the one that counts; it stops the others, and is the
// cause that they see.
func TestFirstErrorStopsTheGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := goroutine.New(t.Context())
		first, second := errors.New("first"), errors.New("second")
		g.Go(func(ctx context.Context) error {
			<-ctx.Done()
			if cause := context.Cause(ctx); !errors.Is(cause, first) {
				t.Errorf("the cause is %v, want %v", cause, first)
			}
			return second
		})
		g.Go(func(context.Context) error {
			<-time.After(time.Second)
			return first
		})
		if err := g.Wait(); !errors.Is(err, first) {
			t.Errorf("Wait returned %v, want %v", err, first)
		}
		if err := g.Close(); !errors.Is(err, first) {
			t.Errorf("Close after Wait returned %v, want %v", err, first)
		}
	})
}

func TestCloseStopsAndWaits(t *testing.T) {
	g := goroutine.New(t.Context())
	ended := false
	g.Go(func(ctx context.Context) error {
		<-ctx.Done()
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			t.Errorf("the cause is %v, want %v", cause, context.Canceled)
		}
		ended = true
		return nil
	})
	if err := g.Close(); err != nil || !ended {
		t.Errorf("Close: %v; goroutine ended: %t", err, ended)
	}
	if err := g.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestParentStopsTheGroup(t *testing.T) {
	parent, cancel := context.WithCancelCause(t.Context())
	g := goroutine.New(parent)
	g.Go(untilStopped)
	lost := errors.New("session lost")
	cancel(lost)
	if err := g.Wait(); err != nil {
		t.Errorf("Wait: %v", err)
	}
	if cause := context.Cause(g.Context()); !errors.Is(cause, lost) {
		t.Errorf("the cause is %v, want the parent's, %v", cause, lost)
	}
	g.Stop()
}

// A goroutine of the group may start others, also while the owner waits.
func TestGoFromWithin(t *testing.T) {
	g := goroutine.New(t.Context())
	var depth atomic.Int32
	var descend func(context.Context) error
	descend = func(context.Context) error {
		if depth.Add(1) < 100 {
			g.Go(descend)
		}
		return nil
	}
	g.Go(descend)
	if err := g.Wait(); err != nil || depth.Load() != 100 {
		t.Errorf("Wait: %v; %d of 100 goroutines ran", err, depth.Load())
	}
	g.Stop()
}

// Stop races with Go: whatever was started is waited for, and nothing starts
// behind Wait's back.
func TestStopRacesWithGo(t *testing.T) {
	for range 100 {
		g := goroutine.New(t.Context())
		starters := goroutine.New(t.Context())
		var started, ended atomic.Int32
		for range 4 {
			starters.Go(func(context.Context) error {
				for g.Go(func(context.Context) error { ended.Add(1); return nil }) {
					started.Add(1)
				}
				return nil
			})
		}
		g.Stop()
		_ = starters.Wait()
		_ = g.Wait()
		if started.Load() != ended.Load() {
			t.Fatalf("%d started, %d ended", started.Load(), ended.Load())
		}
		starters.Stop()
	}
}
