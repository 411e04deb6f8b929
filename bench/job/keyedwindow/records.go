package main

import (
	"fmt"
	"strconv"

	"github.com/weirstream/weir"
	"github.com/weirstream/weir/bench/internal/workload"
)

// named is an event whose key is a string.
type named struct {
	Key   string
	Time  int64
	Value int64
}

func (e named) time() int64 { return e.Time }
func (e named) key() string { return e.Key }

// name returns the key as a string of 16 bytes.
func name(key uint64) string { return fmt.Sprintf("%016x", key) }

// countSum is what is kept of a key's window.
type countSum struct{ Count, Sum int64 }

// row is the result of a key's window.
type row struct {
	Key               uint64
	Start, Count, Sum int64
}

// count counts and sums events.
type count struct{}

func (count) Add(a *countSum, e workload.Event) {
	a.Count++
	a.Sum += e.Value
}

// Merge lets the engine combine events before they are sent, where that is
// switched on.
func (count) Merge(a, other *countSum) {
	a.Count += other.Count
	a.Sum += other.Sum
}

func (count) Result(key uint64, w weir.Window, a *countSum) row {
	return row{Key: key, Start: w.Start, Count: a.Count, Sum: a.Sum}
}

// subtractingCount is count with a way to subtract.
type subtractingCount struct{ count }

func (subtractingCount) Subtract(a, other *countSum) {
	a.Count -= other.Count
	a.Sum -= other.Sum
}

// countNamed is count for events with strings as keys.
type countNamed struct{}

func (countNamed) Add(a *countSum, e named) {
	a.Count++
	a.Sum += e.Value
}

func (countNamed) Merge(a, other *countSum) { count{}.Merge(a, other) }

func (countNamed) Result(key string, w weir.Window, a *countSum) row {
	number, err := strconv.ParseUint(key, 16, 64)
	if err != nil {
		panic(err) // It is none of the source's names.
	}
	return count{}.Result(number, w, a)
}
