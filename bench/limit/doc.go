// Limit is the keyed tumbling count and sum by hand: what the machine and Go
// allow for this work when there is no engine around it. The engine's rate is
// quoted as a part of this one's.
//
//	limit [-n events] [-keys n] [-window ms] [-evrate n]
//
// It starts itself twice (-id says which of the two a process is). Process i
// makes the events of split i, keeps those whose keys are its own, sends the
// others to its peer, and counts and sums the windows of its keys. What no user
// would go without is missing: an API, checkpoints, failover, checksums, flow
// control, timers, keys of any other type.
//
// It prints one line of JSON, a figure with the seconds from the start of the
// two processes to the end of both and the result that they found together.
//
// # How it is built
//
//	source ──own keys──────────────▶ aggregate
//	   └────others──▶ send ══TCP══▶ receive ─▶ aggregate of the peer
//
// Each box is a goroutine, in each of the two processes. Events are 32 bytes,
// encoded little-endian into buffers of 32 KiB outside the Go heap; a buffer
// holds whole events and returns to its pool when it was sent or counted. There
// is a TCP connection for each direction. A window's keys are in a flat table
// with open addressing; it fires once both inputs have passed its end.
package main
