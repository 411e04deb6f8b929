// Package workload says what the keyed-window benchmarks compute: which events
// there are, what their windows hold, and what the answer is.
//
// # Its room
//
// The job and the hand-written limit read events from a [Generator] or make the
// same ones themselves, and add up what they found in a [Result]. The harness
// computes with [Params.Answer] what must come out and compares.
//
// # The work
//
// There is a number of splits, and split s makes the events i = 0, 1, …: a
// xorshift generator that is seeded with s×7919 + 1 gives x; the key is x modulo
// the number of keys, the event time is i × 2000 ÷ rate milliseconds, the value
// is x >> 40, and x itself fills the event up to 32 bytes. Each window of each
// key is counted and summed up. With two splits there are rate events in each
// second of event time.
//
// # Invariants
//
//   - A1: a Result does not depend on the order of its rows, nor on how they are
//     divided among several results that are added together.
//   - A2: Answer shares no code with the generator, nor with any engine: it draws
//     the events by itself and keeps a window as two arrays that the key is an
//     index of.
package workload
