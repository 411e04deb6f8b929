package shuffle_test

import (
	"context"
	"testing"

	"github.com/weirstream/weir/internal/goroutine"
)

// testGroup owns the goroutines of a test.
type testGroup struct{ group *goroutine.Group }

func newGroup(t testing.TB) *testGroup {
	t.Helper()
	g := &testGroup{goroutine.New(t.Context())}
	t.Cleanup(g.wait)
	return g
}

func (g *testGroup) start(f func()) {
	g.group.Go(func(context.Context) error { f(); return nil })
}

func (g *testGroup) wait() { _ = g.group.Wait() }
