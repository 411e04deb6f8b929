package histogram

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"time"
)

const (
	// fine is log2 of the buckets in a power of two.
	fine = 7
	// A bucket's number for the largest duration, 2^63-1 ns, and one more.
	buckets = (63-fine)<<fine + 1<<fine
)

// Histogram counts durations. The zero value is empty.
type Histogram struct {
	counts [buckets]uint64
	count  uint64
	max    time.Duration
}

// bucket returns the number of a duration's bucket. A value with its highest bit
// at e ≥ fine goes by that bit and the fine bits after it.
func bucket(ns uint64) int {
	e := bits.Len64(ns) - 1
	if e <= fine {
		return int(ns)
	}
	shift := e - fine
	return shift<<fine + int(ns>>shift)
}

// largest returns the largest duration in a bucket.
func largest(bucket int) uint64 {
	if bucket < 2<<fine {
		return uint64(bucket)
	}
	shift := bucket>>fine - 1
	return (uint64(bucket-shift<<fine)+1)<<shift - 1
}

// Record counts a duration. One below 0, which only clocks that disagree can
// give, counts as 0.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(uint64(d))]++
	h.count++
	h.max = max(h.max, d)
}

// Add counts all that other has counted.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.count }

// Max returns the largest duration that was recorded, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Percentile returns a duration that at least p percent of the recorded ones do
// not exceed, at most 1 % above the least such. It is 0 if there are none.
func (h *Histogram) Percentile(p float64) time.Duration {
	rank := uint64(p / 100 * float64(h.count))
	if float64(rank) < p/100*float64(h.count) || rank == 0 {
		rank++
	}
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(time.Duration(largest(i)), h.max)
		}
	}
	return h.max
}

// encoded is a histogram in JSON: the numbers of the buckets that are not empty,
// and their counts.
type encoded struct {
	Buckets []int         `json:"buckets"`
	Counts  []uint64      `json:"counts"`
	Max     time.Duration `json:"max_ns"`
}

// MarshalJSON implements [json.Marshaler].
func (h *Histogram) MarshalJSON() ([]byte, error) {
	e := encoded{Max: h.max, Buckets: []int{}, Counts: []uint64{}}
	for i, n := range h.counts {
		if n > 0 {
			e.Buckets, e.Counts = append(e.Buckets, i), append(e.Counts, n)
		}
	}
	return json.Marshal(e)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var e encoded
	if err := json.Unmarshal(data, &e); err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	if len(e.Buckets) != len(e.Counts) {
		return fmt.Errorf("histogram: %d buckets with %d counts", len(e.Buckets), len(e.Counts))
	}
	*h = Histogram{max: e.Max}
	for i, b := range e.Buckets {
		if b < 0 || b >= buckets {
			return fmt.Errorf("histogram: bucket %d: there are %d", b, buckets)
		}
		h.counts[b] += e.Counts[i]
		h.count += e.Counts[i]
	}
	return nil
}
