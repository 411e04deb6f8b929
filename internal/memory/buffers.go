package memory

import (
	"fmt"
	"math/bits"
)

// Settings are the values of the configuration that the buffer formula uses.
// The JobManager and every worker of a job must use the same.
type Settings struct {
	// SegmentSize is taskmanager.memory.segment-size, the size of a buffer.
	SegmentSize Size
	// BuffersPerChannel is taskmanager.network.memory.buffers-per-channel: the
	// exclusive buffers of every channel.
	BuffersPerChannel int
	// FloatingPerGate is taskmanager.network.memory.floating-buffers-per-gate:
	// the buffers that the channels of one gate or partition share.
	FloatingPerGate int
}

// Range is the least number of buffers that a pool works with and the most
// that it has a use for.
type Range struct{ Min, Max int }

// GateBuffers returns what the input gate of a subtask needs for its channels:
// at least every exclusive buffer and one floating one, at most every
// exclusive buffer and all floating ones. A gate without channels needs none.
func GateBuffers(channels int, s Settings) Range {
	if channels == 0 {
		return Range{}
	}
	exclusive := channels * s.BuffersPerChannel
	return Range{Min: exclusive + 1, Max: exclusive + max(1, s.FloatingPerGate)}
}

// PartitionBuffers returns what the result partition of a subtask needs for
// its channels: at least one open buffer for each and one more on its way, at
// most the exclusive buffers of each and all floating ones. A partition without
// channels needs none.
func PartitionBuffers(channels int, s Settings) Range {
	if channels == 0 {
		return Range{}
	}
	least := channels + 1
	return Range{Min: least, Max: max(least, channels*s.BuffersPerChannel+s.FloatingPerGate)}
}

// Share deals the available buffers to pools: each gets its minimum, and what
// is left is dealt in proportion to Max − Min, never above Max. The grants are
// in the order of the demands and depend on nothing else, so that everyone who
// computes them gets the same (M4). It fails when the minima exceed what is
// available, or when a demand is not 0 <= Min <= Max.
//
// The rounding follows Flink's redistribution of buffers: grant i is the
// difference of the rounded running sums before and after it.
func Share(available int, demands []Range) ([]int, error) {
	least, spread := 0, 0
	for i, d := range demands {
		if d.Min < 0 || d.Max < d.Min {
			return nil, fmt.Errorf("demand %d is not a range of buffers: min %d, max %d", i, d.Min, d.Max)
		}
		least += d.Min
		spread += d.Max - d.Min
	}
	if least > available {
		return nil, fmt.Errorf("%d pools need %d network buffers, but only %d are available", len(demands), least, available)
	}
	surplus := min(available-least, spread)
	grants := make([]int, len(demands))
	dealt, reached := 0, 0
	for i, d := range demands {
		reached += d.Max - d.Min
		upTo := proportion(surplus, reached, spread)
		grants[i] = d.Min + upTo - dealt
		dealt = upTo
	}
	return grants, nil
}

// proportion returns a × b ÷ c rounded down, for 0 <= b <= c, without overflow;
// zero when c is zero.
func proportion(a, b, c int) int {
	if c == 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(a), uint64(b))
	quotient, _ := bits.Div64(high, low, uint64(c)) // a×b÷c <= a, so it fits.
	return int(quotient)
}
