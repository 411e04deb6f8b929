// Package report has the lines that the benchmarks print, and the statistics in
// them: a [Figure] for each run that was measured, a [Comparison] for the ratio
// of two systems that took turns.
//
// # Its room
//
// The harness and the hand-written limit print with it. It measures nothing.
//
// # Why ratios of pairs
//
// On a machine that others use as well the speed changes from minute to minute,
// for both systems alike. So they take turns, each pair gives a ratio of two
// neighbouring runs, and the median of those is what is compared.
package report
