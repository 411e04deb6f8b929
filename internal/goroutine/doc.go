// Package goroutine is the one place of the project that starts goroutines.
//
// A [Group] owns the goroutines that are started through it: it hands each a
// context that ends when the group stops, refuses new ones once it is
// stopping, and its owner waits for all of them. A house test at the root of
// the module finds every bare go statement elsewhere, so "who stops this, and
// who waits for it" has an answer for each goroutine of the project.
//
// # Life cycle
//
// [New] → [Group.Go], any number of times → [Group.Stop] (cancels the
// context) → [Group.Wait]. [Group.Close] is Stop and Wait.
//
// # Concurrency
//
// All methods may be called concurrently. A goroutine of the group may start
// others in the same group, but must not wait for it.
//
// # Invariants
//
//   - G1: after Wait has returned no goroutine of the group runs.
//   - G2: Go after Stop starts nothing and says so.
//   - G3: the first error of a goroutine stops the group and is what Wait returns.
package goroutine
