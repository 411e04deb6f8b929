// Package histogram counts durations finely enough for percentiles: what is
// counted together differs by less than 1 %.
//
// # Its room
//
// Sinks record into a [Histogram] and print it as JSON; the harness reads those
// of all subtasks, adds them together and asks for percentiles. It is not safe
// for concurrent use.
//
// # Buckets
//
// Durations below 256 ns have a bucket each. Above, every power of two is divided
// into 128 buckets of equal width. There are no more than 7,296 of them, so a
// record costs an addition, and no memory.
package histogram
