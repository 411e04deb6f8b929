package shuffle_test

import (
	"context"
	"testing"

	"github.com/weirstream/weir/internal/goroutine"
)

// newGroup returns a function that starts goroutines which the test waits for.
func newGroup(t testing.TB) func(func()) {
	g := goroutine.New(context.Background())
	t.Cleanup(func() { _ = g.Wait() })
	return func(f func()) {
		g.Go(func(context.Context) error { f(); return nil })
	}
}
