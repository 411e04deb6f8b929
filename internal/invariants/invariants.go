package invariants

import "fmt"

// Check panics with the formatted message unless ok. Guard the call with
// [Enabled], so that a production build does not even evaluate its arguments:
//
//	if invariants.Enabled {
//		invariants.Check(n <= cap, "buffer %d holds %d of %d records", id, n, cap)
//	}
func Check(ok bool, format string, args ...any) {
	if !ok {
		panic(fmt.Sprintf("invariant violated: "+format, args...))
	}
}
