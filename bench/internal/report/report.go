package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/weirstream/weir/bench/internal/workload"
)

// The systems that are measured.
const (
	Weir  = "weir"
	Limit = "limit"
	Flink = "flink"
)

// Figure is how fast one run was.
type Figure struct {
	Bench  string `json:"bench"`
	System string `json:"system"`
	// Variant tells runs of one benchmark and system apart, where there are several.
	Variant      string `json:"variant,omitempty"`
	Keys         uint64 `json:"keys"`
	PreAggregate bool   `json:"preaggregate"`
	Sliding
	// HeldMS is the longest time that a watermark held a subtask with what it fired.
	HeldMS float64 `json:"held_ms,omitempty"`
	// Events is how many events the run processed.
	Events int64 `json:"events"`
	// TCPRecords is how many records were received over TCP: of the events, or,
	// with pre-aggregation, of what is left of them. It is nil where the system
	// does not count them.
	TCPRecords *int64 `json:"tcp_records,omitempty"`
	// EventsPerSecond is rounded to a whole number.
	EventsPerSecond float64 `json:"events_per_second"`
}

// Sliding is what sliding windows are like. The zero value is for other windows.
type Sliding struct {
	// Panes is the windows' size divided by their slide.
	Panes int64 `json:"panes,omitempty"`
	// Subtract tells whether the aggregate can subtract; nil is for other windows.
	Subtract *bool `json:"subtract,omitempty"`
}

// Comparison is the ratio of two systems that took turns.
type Comparison struct {
	Bench string `json:"bench"`
	// Ratio names the two: "weir/limit" is above 1 if weir is faster.
	Ratio        string `json:"ratio"`
	Keys         uint64 `json:"keys"`
	PreAggregate bool   `json:"preaggregate"`
	Sliding
	// HeldMS is the longest of the figures of the first.
	HeldMS float64 `json:"held_ms,omitempty"`
	// Pairs is the number of pairs of runs; Median, Low and High are over the
	// ratios of the pairs, rounded to thousandths.
	Pairs  int     `json:"pairs"`
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

// Ratios are the ratios of pairs of runs. The zero value has none.
type Ratios []float64

// Add adds a pair's ratio, of the events per second of one run to those of the
// other.
func (r *Ratios) Add(one, other Figure) {
	*r = append(*r, one.EventsPerSecond/other.EventsPerSecond)
}

// Compare fills in the statistics of a comparison.
func (r Ratios) Compare(c Comparison) (Comparison, error) {
	for _, ratio := range r {
		if math.IsNaN(ratio) || math.IsInf(ratio, 0) {
			return c, fmt.Errorf("a pair of %s (%s, %d keys) has the ratio %v: one of the runs was not measured", c.Bench, c.Ratio, c.Keys, ratio)
		}
	}
	if len(r) == 0 {
		return c, fmt.Errorf("there is no pair of %s (%s, %d keys)", c.Bench, c.Ratio, c.Keys)
	}
	c.Pairs = len(r)
	c.Median, c.Low, c.High = thousandths(Median(r)), thousandths(slices.Min(r)), thousandths(slices.Max(r))
	return c, nil
}

func thousandths(x float64) float64 { return math.Round(x*1000) / 1000 }

// Median returns the middle value, or the mean of the two in the middle. There
// must be at least one.
func Median[T int64 | float64](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Rate returns the events per second as a [Figure] has them.
func Rate(events int64, seconds float64) float64 { return math.Round(float64(events) / seconds) }

// Print writes a value as a line of JSON.
func Print(w io.Writer, line any) error {
	encoded, err := json.Marshal(line)
	if err == nil {
		_, err = w.Write(append(encoded, '\n'))
	}
	return err
}

// LimitLine is what the hand-written limit prints: a figure, how long its
// processes lived, and what they found.
type LimitLine struct {
	Figure
	Seconds float64         `json:"seconds"`
	Result  workload.Result `json:"result"`
}
