// Package invariants switches the checks that are too dear for production.
//
// A build with the tag "invariants", and every build with the race detector,
// has [Enabled] set: released network buffers are overwritten, life cycles are
// checked, values shared between consumers are watched. In other builds it is
// a constant false and the checks cost nothing, since the compiler removes
// them.
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
