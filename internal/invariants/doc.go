// Package invariants switches the checks that are too dear for production.
//
// A build with the tag "invariants", and every build with the race detector,
// has [Enabled] set: released network buffers are overwritten, life cycles
// and the invariants of tables are checked. In other builds it is a constant
// false and the checks cost nothing, since the compiler removes them.
package invariants
