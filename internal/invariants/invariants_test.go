package invariants_test

import (
	"runtime/debug"
	"slices"
	"testing"

	"github.com/weirstream/weir/internal/invariants"
	"github.com/weirstream/weir/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestCheck(t *testing.T) {
	invariants.Check(true, "never seen: %d", 1)

	defer func() {
		if got, want := recover(), "invariant violated: buffer 7 holds 9 of 8 records"; got != want {
			t.Errorf("panicked with %v, want %q", got, want)
		}
	}()
	invariants.Check(false, "buffer %d holds %d of %d records", 7, 9, 8)
	t.Error("a violated invariant went unnoticed")
}

// The build's own record says whether it has the race detector or the tag;
// Enabled must agree, so that no build checks less than it seems to.
func TestEnabled(t *testing.T) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("the test binary has no build information")
	}
	want := slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) ||
		slices.Contains(info.Settings, debug.BuildSetting{Key: "-tags", Value: "invariants"})
	if invariants.Enabled != want {
		t.Errorf("Enabled is %t in a build with %v", invariants.Enabled, info.Settings)
	}
}

// A disabled check costs nothing, not even its arguments.
func TestGuardedCheckAllocatesNothing(t *testing.T) {
	id := 7
	allocations := testing.AllocsPerRun(100, func() {
		if invariants.Enabled {
			invariants.Check(id > 0, "buffer %d", id)
		}
	})
	if !invariants.Enabled && allocations != 0 {
		t.Errorf("%v allocations in a build without checks", allocations)
	}
}
